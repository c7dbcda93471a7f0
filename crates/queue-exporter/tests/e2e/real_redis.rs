//! The queue systems that live in Redis, against a real one and the real clients that produce and consume.

use std::process::Stdio;

use exporter_common::testing::{Running, assert_lint, eventually, real, value};

use crate::broker::{Ended, patiently};
use crate::redis_server::{RedisServer, client, run, sentinel};
use crate::watch::Watch;
use crate::{SUCCESS, assert_vocabulary, exporter};

fn started(server: &RedisServer, system: &str) -> Running {
    exporter(&server.url(), [&format!("--queue.system={system}")])
}

/// Values of metrics of one queue, by what stands before and after its name in the labels.
fn of<const N: usize>(metrics: &str, queue: &str, series: [&str; N]) -> [Option<f64>; N] {
    series.map(|series| {
        let (name, more) = series.split_once(' ').unwrap_or((series, ""));
        value(metrics, &format!("{name}{{queue_name=\"{queue}\"{more}}}"))
    })
}

const OUTCOME: [&str; 5] = [
    "queue_depth",
    "messages_processed_total ,status=\"success\"",
    "messages_processed_total ,status=\"failure\"",
    "message_processing_seconds_count",
    "queue_messages ,state=\"in_flight\"",
];

#[test]
fn bullmq_jobs_are_counted_exactly_with_and_without_its_own_metrics() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    let port = server.port.to_string();
    let before = started(&server, "bullmq");
    before.scrape();
    for (queue, metrics) in [("plain", ""), ("counted", "metrics")] {
        run(client(node.clone(), &["bullmq.js", &port, queue, "7", "3", "4", metrics], &[]));
    }
    let after = started(&server, "bullmq");
    for exporter in [&before, &after] {
        let metrics = exporter.scrape();
        for queue in ["plain", "counted"] {
            let expected = [4.0, 7.0, 3.0, 10.0, 0.0].map(Some);
            assert_eq!(of(&metrics, queue, OUTCOME), expected, "{queue}: {metrics}");
            let more = [
                "queue_messages ,state=\"delayed\"",
                "queue_messages ,state=\"dead\"",
                "queue_messages ,state=\"completed\"",
                "messages_enqueued_total",
                "messages_delivered_total",
                "messages_dead_lettered_total",
                "queue_paused",
            ];
            // two attempts of each that failed
            assert_eq!(of(&metrics, queue, more), [1.0, 3.0, 7.0, 15.0, 13.0, 3.0, 0.0].map(Some), "{queue}");
            let [sum, at_once, age] = of(
                &metrics,
                queue,
                [
                    "message_processing_seconds_sum",
                    "message_processing_seconds_bucket ,le=\"0.01\"",
                    "queue_oldest_message_age_seconds",
                ],
            );
            assert!(sum >= Some(0.2) && at_once == Some(0.0) && age < Some(60.0), "{sum:?} {at_once:?} {age:?}");
        }
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
        assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(0.0));
        assert_vocabulary(&metrics);
        assert_lint(&metrics);
    }
    server.run(&[
        "HSET bull:plain:meta paused 1",
        "DEL bull:plain:wait",
        "RENAME bull:counted:wait bull:counted:paused",
    ]);
    let metrics = before.scrape();
    assert_eq!(of(&metrics, "plain", ["queue_depth", "queue_paused"]), [Some(0.0), Some(1.0)], "emptied and there");
    let [depth, age] = of(&metrics, "counted", ["queue_depth", "queue_oldest_message_age_seconds"]);
    assert!(depth == Some(4.0) && age < Some(60.0) && age.is_some(), "where a paused queue keeps its jobs: {metrics}");
    // what versions 3 and 4 put before jobs that are for later, into the list of a queue that is empty
    server.run(&["LPUSH bull:plain:wait 0:1795183848517"]);
    assert_eq!(of(&before.scrape(), "plain", ["queue_depth"]), [Some(0.0)], "it is no job");
    server.run(&["LPUSH bull:plain:wait 77"]);
    assert_eq!(of(&before.scrape(), "plain", ["queue_depth"]), [Some(1.0)]);
    server.run(&["DEL bull:plain:meta"]);
    let metrics = before.scrape();
    assert_eq!((of(&metrics, "plain", OUTCOME), value(&metrics, SUCCESS)), ([None; 5], Some(1.0)));
}

#[test]
fn rq_jobs_are_counted_exactly_though_their_worker_is_gone() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = started(&server, "rq");
    let port = server.port.to_string();
    let python = rq.with_file_name("python");
    run(client(python.clone(), &["rq_jobs.py", &port, "7", "3", "4"], &[]));
    let metrics = exporter.scrape();
    let [depth, success, failure, _, in_flight] = of(&metrics, "mail", OUTCOME);
    assert_eq!([depth, success, failure, in_flight], [4.0, 7.0, 3.0, 0.0].map(Some), "{metrics}");
    let states = ["delayed", "dead", "completed", "blocked"].map(|state| format!("queue_messages ,state=\"{state}\""));
    assert_eq!(of(&metrics, "mail", states.each_ref().map(String::as_str)), [1.0, 3.0, 7.0, 0.0].map(Some));
    let [age, consumers] = of(&metrics, "mail", ["queue_oldest_message_age_seconds", "queue_consumers"]);
    assert!(age < Some(60.0) && age.is_some() && consumers == Some(0.0), "{age:?} {consumers:?}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // another worker does what was left
    run(client(python, &["rq_jobs.py", &port, "0", "1", "0"], &[]));
    let [depth, success, failure, ..] = of(&exporter.scrape(), "mail", OUTCOME);
    assert_eq!([depth, success, failure], [0.0, 11.0, 4.0].map(Some));
}

#[test]
fn an_rq_worker_that_was_killed_is_a_consumer_until_it_is_missed_and_no_longer() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = started(&server, "rq");
    let python = rq.with_file_name("python");
    run(client(python, &["rq_jobs.py", &server.port.to_string(), "0", "0", "4"], &[]));
    server.run(&["RENAME rq:queue:mail rq:queue:other", "SADD rq:queues rq:queue:other"]);
    let url = format!("redis://127.0.0.1:{}", server.port);
    let worker = crate::chaos::started(client(rq, &["worker", "--url", &url, "--name", "one", "mail", "slow"], &[]));
    let consumers = |metrics: &str| ["mail", "other"].map(|queue| of(metrics, queue, ["queue_consumers"])[0]);
    let there = |metrics: &str| consumers(metrics) == [Some(1.0), Some(0.0)];
    exporter.scrape_until("its worker is there", there);
    worker.end("KILL");
    assert!(there(&exporter.scrape()), "it may still come back");
    // what Redis does after the eight minutes in which a worker is to say that it lives
    server.run(&["DEL rq:worker:one"]);
    let zombies: Vec<String> = redis::cmd("SMEMBERS").arg("rq:workers:mail").query(&mut server.connection()).unwrap();
    assert_eq!(zombies, ["rq:worker:one"], "RQ lists it until another worker is started");
    let metrics = exporter.scrape();
    assert_eq!((consumers(&metrics), value(&metrics, SUCCESS)), ([Some(0.0); 2], Some(1.0)), "{metrics}");
}

#[test]
fn an_rq_worker_that_goes_on_when_redis_has_lost_everything_is_counted_on() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = started(&server, "rq");
    let (port, url) = (server.port.to_string(), format!("redis://127.0.0.1:{}", server.port));
    let options = ["worker", "--url", &url, "--worker-class", "rq.worker.SimpleWorker", "mail"];
    let _worker = crate::chaos::started(client(rq.clone(), &options, &[]));
    for (sum, text) in [(3.0, "three jobs are done"), (6.0, "three more are done")] {
        run(client(rq.with_file_name("python"), &["rq_jobs.py", &port, "0", "0", "3"], &[]));
        let metrics = exporter.scrape_until(text, |metrics| of(metrics, "mail", OUTCOME)[1] == Some(sum));
        assert_eq!(of(&metrics, "mail", ["queue_depth", "queue_consumers"]), [0.0, 1.0].map(Some), "{metrics}");
        server.run(&["FLUSHALL"]);
    }
}

#[test]
fn celery_shows_what_waits_by_every_priority_and_what_is_taken() {
    let (Some(celery), Some(server)) = (real("celery"), RedisServer::start(&[])) else { return };
    let broker = format!("redis://127.0.0.1:{}/0", server.port);
    let environment = [("BROKER", broker.as_str())];
    let send = |task, queue, count, priority| {
        run(client(celery.with_file_name("python"), &["celery_jobs.py", task, queue, count, priority], &environment));
    };
    let exporter = started(&server, "celery");
    send("quick", "mail", "3", "0");
    send("quick", "mail", "2", "9");
    send("waits", "slow", "4", "0");
    let seen = |metrics: &str| {
        let one = |queue| of(metrics, queue, ["queue_depth", "queue_messages ,state=\"in_flight\""]);
        [one("mail"), one("slow")]
    };
    let metrics = exporter.scrape();
    assert_eq!(seen(&metrics), [[Some(5.0), Some(0.0)], [Some(4.0), Some(0.0)]], "{metrics}");
    let worker = ["-A", "celery_jobs", "worker", "-Q", "mail,slow", "--pool=threads", "--concurrency=2", "-l", "ERROR"];
    let mut worker = client(celery, &worker, &environment);
    let worker = Ended(worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    // both of its threads end up with a job that does not end
    let taken = |metrics: &str| seen(metrics)[1][1].is_some_and(|taken| taken >= 2.0);
    let metrics = exporter.scrape_until("a worker has taken jobs", taken);
    let [_, [depth, in_flight]] = seen(&metrics);
    assert_eq!(depth.zip(in_flight).map(|(depth, taken)| depth + taken), Some(4.0), "none is lost or counted twice");
    assert!(value(&metrics, "queue_oldest_in_flight_age_seconds").is_some_and(|age| age < 60.0), "{metrics}");
    assert!(!metrics.contains("pidbox") && !metrics.contains("celeryev"), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    drop(worker);
}

#[test]
fn celery_may_have_other_priorities_and_another_separator() {
    let (Some(celery), Some(server)) = (real("celery"), RedisServer::start(&[])) else { return };
    let broker = format!("redis://127.0.0.1:{}/0", server.port);
    let send = |separator: &str, queue, priority| {
        let environment = [("BROKER", broker.as_str()), ("SEPARATOR", separator)];
        run(client(celery.with_file_name("python"), &["celery_jobs.py", "quick", queue, "2", priority], &environment));
    };
    let exporter = started(&server, "celery");
    for (separator, queue) in [("\x06\x16", "usual"), (":", "ma:il")] {
        for priority in ["0", "4", "9"] {
            send(separator, queue, priority);
        }
        let metrics = exporter.scrape();
        assert_eq!(of(&metrics, queue, ["queue_depth"]), [Some(6.0)], "{metrics}");
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    }
    send("--", "unknown", "0");
    let metrics = exporter.scrape();
    let told = [of(&metrics, "usual", ["queue_depth"]), of(&metrics, "unknown", ["queue_depth"])];
    assert_eq!((told, value(&metrics, SUCCESS)), ([[Some(6.0)], [None]], Some(0.0)), "{metrics}");
    assert!(exporter.log().contains("separator that is not known"), "{}", exporter.log());
}

#[test]
fn streams_show_each_group_and_no_depth_where_redis_knows_none() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let exporter = started(&server, "redis-streams");
    server.run(&[
        "XGROUP CREATE orders billing 0 MKSTREAM",
        "XGROUP CREATE orders mail 0",
        "XADD quiet * a 1",
        "SET other 1",
    ]);
    for n in 0..10 {
        server.run(&[&format!("XADD orders * n {n}")]);
    }
    let mut connection = server.connection();
    let read = |count: &str, connection: &mut redis::Connection| {
        let command = ["GROUP", "billing", "c1", "COUNT", count, "STREAMS", "orders", ">"];
        redis::cmd("XREADGROUP").arg(&command).query::<redis::Value>(connection).unwrap();
    };
    read("7", &mut connection);
    let acknowledge = r#"for _, e in ipairs(redis.call('XRANGE', 'orders', '-', '+', 'COUNT', 5)) do redis.call('XACK', 'orders', 'billing', e[1]) end"#;
    redis::cmd("EVAL").arg(&[acknowledge, "0"]).query::<redis::Value>(&mut connection).unwrap();
    let seen = |metrics: &str, group: &str| {
        let scope = format!(",scope=\"{group}\"");
        let labels = |name: &str, more: &str| format!("{name}{{queue_name=\"orders\"{scope}{more}}}");
        [
            value(metrics, &labels("queue_depth", "")),
            value(metrics, &labels("queue_messages", ",state=\"in_flight\"")),
            value(metrics, &format!("messages_processed_total{{queue_name=\"orders\"{scope},status=\"success\"}}")),
            value(metrics, &labels("queue_consumers", "")),
        ]
    };
    let metrics = exporter.scrape();
    assert_eq!(seen(&metrics, "billing"), [3.0, 2.0, 5.0, 1.0].map(Some), "{metrics}");
    assert_eq!(seen(&metrics, "mail")[0], Some(10.0));
    assert_eq!(of(&metrics, "orders", ["messages_enqueued_total"]), [Some(10.0)]);
    assert_eq!(of(&metrics, "quiet", ["messages_enqueued_total", "queue_depth"]), [Some(1.0), None]);
    let age = |name| value(&metrics, &format!("{name}{{queue_name=\"orders\",scope=\"billing\"}}"));
    let ages = ["queue_oldest_message_age_seconds", "queue_oldest_in_flight_age_seconds"].map(age);
    assert!(ages.iter().all(|age| age.is_some_and(|age| age < 60.0)), "{ages:?}");
    assert!(!metrics.contains("queue_name=\"other\""), "what is no stream is no queue");
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // an entry deleted ahead of a group makes its lag unknown to Redis
    let delete = "redis.call('XDEL', 'orders', redis.call('XREVRANGE', 'orders', '+', '-', 'COUNT', 2)[2][1])";
    redis::cmd("EVAL").arg(&[delete, "0"]).query::<redis::Value>(&mut connection).unwrap();
    let metrics = exporter.scrape();
    assert_eq!((seen(&metrics, "billing")[0], value(&metrics, SUCCESS)), (None, Some(1.0)), "not 0");
    read("100", &mut connection);
    assert_eq!(seen(&exporter.scrape(), "billing")[0], Some(0.0), "it has read to the end");
    server.run(&["DEL orders"]);
    let metrics = exporter.scrape();
    assert_eq!((seen(&metrics, "billing"), value(&metrics, SUCCESS)), ([None; 4], Some(1.0)));
}

#[test]
fn sidekiq_is_read_by_its_documented_scheme() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let (old, new) = (now / 1000 - 50, now - 20_000); // version 7 writes seconds, version 8 milliseconds
    server.run(&[
        "SADD queues mail orders empty",
        "SADD paused orders",
        &format!(r#"LPUSH queue:mail {{"class":"A","jid":"1","queue":"mail","enqueued_at":{old}.25}}"#),
        &format!(r#"LPUSH queue:mail {{"class":"A","jid":"2","queue":"mail","enqueued_at":{old}.75}}"#),
        &format!(r#"LPUSH queue:orders {{"class":"B","jid":"3","queue":"orders","enqueued_at":{new}}}"#),
        "SET stat:processed 100",
        "SET stat:failed 30",
        "ZADD schedule 9000000000 {}",
        "ZADD retry 9000000000 {} 9000000001 {\"a\":1}",
        "ZADD dead 1 a 2 b 3 c",
        "SADD processes host:1:abc host:2:gone",
        r#"HSET host:1:abc info {"hostname":"host","concurrency":5,"queues":["mail","orders"]} busy 2 beat 1.5 quiet false"#,
        &format!(r#"HSET host:1:abc:work t1 {{"queue":"mail","payload":"{{}}","run_at":{old}}} t2 {{"queue":"mail","run_at":{old}}}"#),
    ]);
    // what version 8.1.7 writes of a minute in which ten jobs of a class ended, three of them badly
    let utc = |format: &str| {
        let output = client("date".into(), &["-u", format], &[]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    server.run(&[
        &format!("HSET {} A::B|ms 210 A::B|p 10 A::B|f 3 C|p 1 C|f 1", utc("+j|%y%m%d|%-H:%M")),
        &format!("BITFIELD {} INCRBY u16 #2 7", utc("+h|A::B-%-d-%-H:%-M")),
    ]);
    let exporter = started(&server, "sidekiq");
    let metrics = exporter.scrape();
    let times = ["_count", "_sum", "_bucket ,le=\"0.03\"", "_bucket ,le=\"0.045\""].map(|part| {
        let (name, more) = part.split_once(' ').unwrap_or((part, ""));
        value(&metrics, &format!("message_processing_seconds{name}{{job_class=\"A::B\"{more}}}"))
    });
    assert_eq!(times, [7.0, 0.21, 0.0, 7.0].map(Some), "{metrics}");
    assert!(!metrics.contains("job_class=\"C\""), "what ended badly is not timed");
    let series = [
        "queue_depth",
        "queue_messages ,state=\"in_flight\"",
        "queue_consumers",
        "queue_consumers_busy",
        "queue_paused",
    ];
    assert_eq!(of(&metrics, "mail", series), [2.0, 2.0, 5.0, 2.0, 0.0].map(Some), "{metrics}");
    assert_eq!(of(&metrics, "orders", series), [1.0, 0.0, 5.0, 0.0, 1.0].map(Some));
    assert_eq!(of(&metrics, "empty", series), [Some(0.0); 5]);
    let all = |name: &str| value(&metrics, name);
    assert_eq!(all("messages_processed_total{status=\"success\"}"), Some(70.0));
    assert_eq!(all("messages_processed_total{status=\"failure\"}"), Some(30.0));
    let states = ["delayed", "retry", "dead"].map(|state| all(&format!("queue_messages{{state=\"{state}\"}}")));
    assert_eq!(states, [1.0, 2.0, 3.0].map(Some));
    let near = |queue, seconds: f64| {
        let [age] = of(&metrics, queue, ["queue_oldest_message_age_seconds"]);
        age.is_some_and(|age| age >= seconds - 1.0 && age < seconds + 60.0)
    };
    assert!(near("mail", 50.0) && near("orders", 20.0), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    server.run(&["DEL queue:mail", "SREM queues orders"]);
    let metrics = exporter.scrape();
    assert_eq!(of(&metrics, "mail", ["queue_depth"]), [Some(0.0)]);
    assert_eq!(of(&metrics, "orders", ["queue_depth"]), [None]);
}

#[test]
fn times_of_sidekiq_that_may_not_be_read_cost_no_queue() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues mail", "LPUSH queue:mail {}", "ACL SETUSER watcher -hgetall"]);
    let (metrics, log) = crate::once(&server.url(), ["--queue.system=sidekiq"]);
    assert_eq!(value(&metrics, "queue_depth{queue_name=\"mail\"}"), Some(1.0), "{log}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("how long jobs took: permission denied"), "{log}");
}

#[test]
fn sidekiq_jobs_are_counted_exactly() {
    let (Some(sidekiq), Some(server)) = (real("sidekiq"), RedisServer::start(&[])) else { return };
    let port = server.port.to_string();
    let environment = [("PORT", port.as_str())];
    run(client(sidekiq.with_file_name("ruby"), &["sidekiq_jobs.rb"], &environment));
    let exporter = started(&server, "sidekiq");
    let waiting = of(&exporter.scrape(), "mail", ["queue_depth", "queue_consumers"]);
    assert_eq!(waiting, [12.0, 0.0].map(Some));
    let options = ["-r", "./sidekiq_jobs.rb", "-q", "mail", "-q", "slow", "-c", "2"];
    let mut worker = client(sidekiq, &options, &environment);
    let _worker = Ended(worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let all = |metrics: &str| {
        let series = [
            "messages_processed_total{status=\"success\"}",
            "messages_processed_total{status=\"failure\"}",
            "queue_messages{state=\"delayed\"}",
            "queue_messages{state=\"retry\"}",
            "queue_messages{state=\"dead\"}",
        ];
        series.map(|series| value(metrics, series))
    };
    // its processes say every ten seconds what they do
    let busy = |metrics: &str| of(metrics, "slow", ["queue_consumers_busy"]) == [Some(2.0)];
    let ended = [7.0, 5.0, 2.0, 2.0, 3.0].map(Some);
    let metrics = patiently("all is done that ends", || {
        let metrics = exporter.scrape();
        (all(&metrics) == ended && busy(&metrics)).then_some(metrics)
    });
    let states = ["queue_depth", "queue_messages ,state=\"in_flight\"", "queue_consumers"];
    let seen = ["mail", "slow", "left"].map(|queue| of(&metrics, queue, states));
    assert_eq!(seen, [[0.0, 0.0, 2.0], [1.0, 2.0, 2.0], [4.0, 0.0, 0.0]].map(|queue| queue.map(Some)), "{metrics}");
    let [age] = of(&metrics, "left", ["queue_oldest_message_age_seconds"]);
    assert!(age > Some(0.0) && age < Some(600.0), "{age:?}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

#[test]
fn one_poisoned_queue_costs_only_itself_and_success() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues good bad", "LPUSH queue:good {}", "SET queue:bad x"]);
    let exporter = started(&server, "sidekiq");
    let metrics = exporter.scrape();
    assert_eq!((of(&metrics, "good", ["queue_depth"]), of(&metrics, "bad", ["queue_depth"])), ([Some(1.0)], [None]));
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"error\"}"), Some(1.0));
    server.run(&["DEL queue:bad"]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0));
    server.run(&[
        "HSET bull:good:meta a 1",
        "HSET bull:bad:meta a 1",
        "SET bull:bad:events x",
        "LPUSH bull:good:wait 1",
    ]);
    let exporter = started(&server, "bullmq");
    for _ in 0..2 {
        let metrics = exporter.scrape();
        assert_eq!(
            (of(&metrics, "good", ["queue_depth"]), of(&metrics, "bad", ["queue_depth"])),
            ([Some(1.0)], [None])
        );
        assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    }
    server.run(&["DEL bull:bad:events"]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
}

#[test]
fn faults_of_redis_are_told_by_reason_and_recovered_from() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues mail", "LPUSH queue:mail {}"]);
    let errors = |metrics: &str, reason: &str| {
        value(metrics, &format!("queue_exporter_source_errors_total{{reason=\"{reason}\"}}")).unwrap()
    };
    let exporter = exporter(&server.url(), ["--queue.system=sidekiq", "--queue.timeout=500ms"]);
    let seen = || {
        let metrics = exporter.scrape();
        let [depth] = of(&metrics, "mail", ["queue_depth"]);
        (depth, value(&metrics, SUCCESS), metrics)
    };
    assert!(matches!(seen(), (Some(1.0), Some(1.0), _)));
    // half dead: it holds its connections and answers nothing
    server.signal("STOP");
    let (depth, success, metrics) = seen();
    assert_eq!((depth, success, errors(&metrics, "timeout")), (None, Some(0.0), 1.0), "{metrics}");
    server.signal("CONT");
    assert!(matches!(seen(), (Some(1.0), Some(1.0), _)), "{}", exporter.log());
    server.down("KILL");
    let (depth, success, metrics) = seen();
    assert_eq!((depth, success, errors(&metrics, "connect")), (None, Some(0.0), 1.0), "{metrics}");
    server.up();
    assert!(matches!(seen(), (None, Some(1.0), _)), "it came back empty: {}", exporter.log());
    let log = exporter.log();
    assert!(!log.contains("secret") && !log.contains("watcher"), "{log}");

    let wrong = format!("redis://watcher:wr0ngword@127.0.0.1:{}", server.port);
    let (metrics, log) = crate::once(&wrong, ["--queue.system=sidekiq", "--log.level=debug"]);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), 1.0), "{log}");
    assert!(log.contains("WRONGPASS") && log.contains("--queue.password-file") && !log.contains("wr0ngword"), "{log}");
    server.run(&["ACL SETUSER watcher -smembers"]);
    let (metrics, log) = crate::once(&server.url(), ["--queue.system=sidekiq"]);
    assert_eq!((value(&metrics, SUCCESS), errors(&metrics, "auth")), (Some(0.0), 1.0), "{log}");
    assert!(log.contains("NOPERM"), "{log}");
}

#[test]
fn sentinel_tells_where_the_master_is_and_where_it_is_after_a_failover() {
    let Some(mut master) = RedisServer::start(&[]) else { return };
    let port = master.port.to_string();
    let Some(replica) = RedisServer::start(&["--replicaof", "127.0.0.1", &port]) else { return };
    let (_sentinel, _folder, port) = sentinel(&master);
    master.run(&["SADD queues mail", "LPUSH queue:mail {}", "SET stat:processed 5"]);
    eventually("it is replicated", || {
        let processed = redis::cmd("GET").arg("stat:processed").query::<Option<u32>>(&mut replica.connection());
        processed.unwrap()
    });
    eventually("the sentinel knows of the replica", || {
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let mut command = redis::cmd("SENTINEL");
        let replicas =
            command.arg(&["REPLICAS", "jobs"]).query::<Vec<redis::Value>>(&mut client.get_connection().ok()?);
        (replicas.ok()?.len() == 1).then_some(())
    });
    let url =
        |name| format!("redis-sentinel://watcher:secret%25word@127.0.0.1:1/0?master={name}&sentinel=127.0.0.1:{port}");
    let exporter = exporter(&url("jobs"), ["--queue.system=sidekiq"]);
    let watch = Watch::default();
    let seen = |metrics: &str| {
        watch.see(metrics);
        let [depth] = of(metrics, "mail", ["queue_depth"]);
        (depth, value(metrics, "messages_processed_total{status=\"success\"}"), value(metrics, SUCCESS))
    };
    let well = (Some(1.0), Some(5.0), Some(1.0));
    assert_eq!(seen(&exporter.scrape()), well, "{}", exporter.log());
    master.down("KILL");
    patiently("the replica is the master", || {
        let seen = seen(&exporter.scrape());
        assert!(seen == well || seen == (None, None, Some(0.0)), "there is no master, or it has all: {seen:?}");
        (seen == well).then_some(())
    });

    let (metrics, log) = crate::once(&url("others"), ["--queue.system=sidekiq"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert!(log.contains("unknown master \\\"others\\\""), "{log}");
}

#[test]
fn redis_is_read_over_tls_in_another_database() {
    let (Some(openssl), Some(_)) = (real("openssl"), real("redis-server")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (file("key.pem"), file("cert.pem"));
    let names = "subjectAltName=IP:127.0.0.1";
    let make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis -addext basicConstraints=CA:FALSE -addext";
    let make: Vec<_> = make.split(' ').chain([names, "-keyout", &key, "-out", &certificate]).collect();
    run(client(openssl, &make, &[]));
    let port = crate::broker::free().to_string();
    let arguments = [
        "--port",
        "0",
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = RedisServer::start(&arguments) else { return };
    let url = format!("rediss://watcher:secret%25word@127.0.0.1:{port}/3");
    let authority = format!("--queue.tls-ca-file={certificate}");
    let (metrics, log) = crate::once(&url, ["--queue.system=sidekiq", &authority]);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
    let (metrics, log) = crate::once(&url, ["--queue.system=sidekiq"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "an authority that the system does not know: {log}");
    assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"tls\"}"), Some(1.0), "{log}");
}

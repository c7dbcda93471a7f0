//! The queue system `sidekiq` against a real Redis and real processes.

use std::process::Stdio;

use exporter_common::testing::{assert_lint, real, value};

use crate::broker::{Ended, patiently};
use crate::redis_server::{RedisServer, client, run};
use crate::redis_support::{queue_values, system_exporter};
use crate::{SUCCESS, assert_vocabulary};

#[test]
fn sidekiq_keys_of_several_versions_are_read() {
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
    // what version 8.1.7 writes of a minute in which ten jobs of a class finished, three of them failed
    let utc = |format: &str| {
        let output = client("date".into(), &["-u", format], &[]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    server.run(&[
        &format!("HSET {} A::B|ms 210 A::B|p 10 A::B|f 3 C|p 1 C|f 1", utc("+j|%y%m%d|%-H:%M")),
        &format!("BITFIELD {} INCRBY u16 #2 7", utc("+h|A::B-%-d-%-H:%-M")),
    ]);
    let exporter = system_exporter(&server, "sidekiq");
    let metrics = exporter.scrape();
    let times = ["_count", "_sum", "_bucket ,le=\"0.03\"", "_bucket ,le=\"0.045\""].map(|part| {
        let (name, more) = part.split_once(' ').unwrap_or((part, ""));
        value(&metrics, &format!("message_processing_seconds{name}{{job_class=\"A::B\"{more}}}"))
    });
    assert_eq!(times, [7.0, 0.21, 0.0, 7.0].map(Some), "{metrics}");
    assert!(!metrics.contains("job_class=\"C\""), "failed jobs are not timed");
    let series = [
        "queue_depth",
        "queue_messages ,state=\"in_flight\"",
        "queue_consumers",
        "queue_consumers_busy",
        "queue_paused",
    ];
    assert_eq!(queue_values(&metrics, "mail", series), [2.0, 2.0, 5.0, 2.0, 0.0].map(Some), "{metrics}");
    assert_eq!(queue_values(&metrics, "orders", series), [1.0, 0.0, 5.0, 0.0, 1.0].map(Some));
    assert_eq!(queue_values(&metrics, "empty", series), [Some(0.0); 5]);
    let all = |name: &str| value(&metrics, name);
    assert_eq!(all("messages_processed_total{status=\"success\"}"), Some(70.0));
    assert_eq!(all("messages_processed_total{status=\"failure\"}"), Some(30.0));
    let states = ["delayed", "retry", "dead"].map(|state| all(&format!("queue_messages{{state=\"{state}\"}}")));
    assert_eq!(states, [1.0, 2.0, 3.0].map(Some));
    let near = |queue, seconds: f64| {
        let [age] = queue_values(&metrics, queue, ["queue_oldest_message_age_seconds"]);
        age.is_some_and(|age| age >= seconds - 1.0 && age < seconds + 60.0)
    };
    assert!(near("mail", 50.0) && near("orders", 20.0), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    server.run(&["DEL queue:mail", "SREM queues orders"]);
    let metrics = exporter.scrape();
    assert_eq!(queue_values(&metrics, "mail", ["queue_depth"]), [Some(0.0)]);
    assert_eq!(queue_values(&metrics, "orders", ["queue_depth"]), [None]);
}

#[test]
fn unreadable_processing_times_of_sidekiq_hide_no_queue() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues mail", "LPUSH queue:mail {}", "ACL SETUSER watcher -hgetall"]);
    let (metrics, log) = crate::once(&server.url(), ["--queue.system=sidekiq"]);
    assert_eq!(value(&metrics, "queue_depth{queue_name=\"mail\"}"), Some(1.0), "{log}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("processing times of jobs: permission denied"), "{log}");
}

#[test]
fn sidekiq_jobs_are_counted_exactly() {
    let (Some(sidekiq), Some(server)) = (real("sidekiq"), RedisServer::start(&[])) else { return };
    let port = server.port.to_string();
    let environment = [("PORT", port.as_str())];
    run(client(sidekiq.with_file_name("ruby"), &["sidekiq_jobs.rb"], &environment));
    let exporter = system_exporter(&server, "sidekiq");
    let waiting = queue_values(&exporter.scrape(), "mail", ["queue_depth", "queue_consumers"]);
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
    // processes report every ten seconds
    let busy = |metrics: &str| queue_values(metrics, "slow", ["queue_consumers_busy"]) == [Some(2.0)];
    let finished = [7.0, 5.0, 2.0, 2.0, 3.0].map(Some);
    let metrics = patiently("all jobs that finish are finished", || {
        let metrics = exporter.scrape();
        (all(&metrics) == finished && busy(&metrics)).then_some(metrics)
    });
    let states = ["queue_depth", "queue_messages ,state=\"in_flight\"", "queue_consumers"];
    let seen = ["mail", "slow", "left"].map(|queue| queue_values(&metrics, queue, states));
    assert_eq!(seen, [[0.0, 0.0, 2.0], [1.0, 2.0, 2.0], [4.0, 0.0, 0.0]].map(|queue| queue.map(Some)), "{metrics}");
    let [age] = queue_values(&metrics, "left", ["queue_oldest_message_age_seconds"]);
    assert!(age > Some(0.0) && age < Some(600.0), "{age:?}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

#[test]
fn sidekiq_in_a_namespace_is_read_with_its_prefix_and_logged_without() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&[
        "SADD shop:queues mail",
        "LPUSH shop:queue:mail {} {}",
        "SET shop:stat:processed 10",
        "SET shop:stat:failed 3",
        "ZADD shop:dead 1 a",
        "SADD shop:processes host:1:abc",
        r#"HSET shop:host:1:abc info {"concurrency":5,"queues":["mail"]} busy 0 beat 1.5 quiet false"#,
    ]);
    let url = format!("{}?prefix=shop", server.url());
    let metrics = crate::exporter(&url, ["--queue.system=sidekiq"]).scrape();
    assert_eq!(queue_values(&metrics, "mail", ["queue_depth", "queue_consumers"]), [2.0, 5.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, "messages_processed_total{status=\"success\"}"), Some(7.0));
    assert_eq!(value(&metrics, "queue_messages{state=\"dead\"}"), Some(1.0));
    let without = system_exporter(&server, "sidekiq");
    without.scrape();
    assert!(without.log().contains("?prefix=shop "), "{}", without.log());
}

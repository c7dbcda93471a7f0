//! The queue system `rq` against a real Redis and real workers.

use exporter_common::testing::{assert_lint, real, value};

use crate::redis_server::{RedisServer, client, run};
use crate::redis_support::{OUTCOME, queue_values, system_exporter};
use crate::{SUCCESS, assert_vocabulary};

#[test]
fn rq_jobs_of_stopped_workers_are_counted_exactly() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = system_exporter(&server, "rq");
    let port = server.port.to_string();
    let python = rq.with_file_name("python");
    run(client(python.clone(), &["rq_jobs.py", &port, "7", "3", "4"], &[]));
    let metrics = exporter.scrape();
    let [depth, success, failure, _, in_flight] = queue_values(&metrics, "mail", OUTCOME);
    assert_eq!([depth, success, failure, in_flight], [4.0, 7.0, 3.0, 0.0].map(Some), "{metrics}");
    let states = ["delayed", "dead", "completed", "blocked"].map(|state| format!("queue_messages ,state=\"{state}\""));
    assert_eq!(queue_values(&metrics, "mail", states.each_ref().map(String::as_str)), [1.0, 3.0, 7.0, 0.0].map(Some));
    let [age, consumers] = queue_values(&metrics, "mail", ["queue_oldest_message_age_seconds", "queue_consumers"]);
    assert!(age < Some(60.0) && age.is_some() && consumers == Some(0.0), "{age:?} {consumers:?}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // another worker processes the remaining jobs
    run(client(python, &["rq_jobs.py", &port, "0", "1", "0"], &[]));
    let [depth, success, failure, ..] = queue_values(&exporter.scrape(), "mail", OUTCOME);
    assert_eq!([depth, success, failure], [0.0, 11.0, 4.0].map(Some));
}

#[test]
fn a_killed_rq_worker_is_a_consumer_until_it_expires_and_then_lost() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = system_exporter(&server, "rq");
    let python = rq.with_file_name("python");
    run(client(python, &["rq_jobs.py", &server.port.to_string(), "0", "0", "4"], &[]));
    server.run(&["RENAME rq:queue:mail rq:queue:other", "SADD rq:queues rq:queue:other"]);
    let url = format!("redis://127.0.0.1:{}", server.port);
    let start = |name| {
        crate::chaos::started(client(rq.clone(), &["worker", "--url", &url, "--name", name, "mail", "slow"], &[]))
    };
    let worker = start("one");
    let workers =
        |metrics: &str| ["alive", "lost"].map(|state| value(metrics, &format!("queue_workers{{state=\"{state}\"}}")));
    let consumers = |metrics: &str| ["mail", "other"].map(|queue| queue_values(metrics, queue, ["queue_consumers"])[0]);
    let there = |metrics: &str| consumers(metrics) == [Some(1.0), Some(0.0)];
    let metrics = exporter.scrape_until("its worker is there", there);
    assert_eq!(workers(&metrics), [1.0, 0.0].map(Some), "{metrics}");
    worker.end("KILL");
    let metrics = exporter.scrape();
    assert!(there(&metrics) && workers(&metrics) == [1.0, 0.0].map(Some), "it may still come back: {metrics}");
    // Redis expires the worker's key after eight minutes without a heartbeat
    server.run(&["DEL rq:worker:one"]);
    let zombies: Vec<String> = redis::cmd("SMEMBERS").arg("rq:workers:mail").query(&mut server.connection()).unwrap();
    assert_eq!(zombies, ["rq:worker:one"], "RQ lists it until another worker is started");
    let metrics = exporter.scrape();
    assert_eq!((consumers(&metrics), value(&metrics, SUCCESS)), ([Some(0.0); 2], Some(1.0)), "{metrics}");
    assert_eq!(workers(&metrics), [0.0, 1.0].map(Some), "{metrics}");
    let second = start("two");
    let metrics = exporter.scrape_until("another worker is there, which removes lost ones", |metrics| {
        there(metrics) && workers(metrics) == [1.0, 0.0].map(Some)
    });
    second.end("TERM");
    let stopped = [0.0, 0.0].map(Some);
    exporter.scrape_until("it unregistered", |metrics| workers(metrics) == stopped);
    assert_vocabulary(&metrics);
}

#[test]
fn a_running_rq_worker_is_counted_after_redis_lost_its_data() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = system_exporter(&server, "rq");
    let (port, url) = (server.port.to_string(), format!("redis://127.0.0.1:{}", server.port));
    let options = ["worker", "--url", &url, "--worker-class", "rq.worker.SimpleWorker", "mail"];
    let _worker = crate::chaos::started(client(rq.clone(), &options, &[]));
    for (sum, text) in [(3.0, "three jobs are done"), (6.0, "three more are done")] {
        run(client(rq.with_file_name("python"), &["rq_jobs.py", &port, "0", "0", "3"], &[]));
        let metrics = exporter.scrape_until(text, |metrics| queue_values(metrics, "mail", OUTCOME)[1] == Some(sum));
        assert_eq!(
            queue_values(&metrics, "mail", ["queue_depth", "queue_consumers"]),
            [0.0, 1.0].map(Some),
            "{metrics}"
        );
        server.run(&["FLUSHALL"]);
    }
}

#[test]
fn rq_jobs_under_another_prefix_are_read_and_a_missing_prefix_is_logged() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let python = rq.with_file_name("python");
    let port = server.port.to_string();
    run(client(python, &["rq_jobs.py", &port, "7", "3", "4"], &[("RQ_KEY_PREFIX", "shop:rq")]));
    let url = format!("{}?prefix=shop:rq", server.url());
    let with_prefix = crate::exporter(&url, ["--queue.system=rq"]);
    let without = system_exporter(&server, "rq");
    let metrics = with_prefix.scrape();
    let [depth, success, failure, ..] = queue_values(&metrics, "mail", OUTCOME);
    assert_eq!([depth, success, failure], [4.0, 7.0, 3.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", with_prefix.log());
    let metrics = without.scrape();
    assert!(!metrics.contains("queue_depth{"), "{metrics}");
    let log = without.log();
    assert!(log.contains("no queues found") && log.contains("?prefix=shop:rq"), "{log}");
}

#[test]
fn rq_jobs_of_more_than_ten_thousand_queues_are_counted() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let fill = "for n = 1, 10050 do local q = 'q' .. n; redis.call('SADD', 'rq:queues', 'rq:queue:' .. q); \
                redis.call('HSET', 'rq:worker:' .. q, 'birth', 'b', 'queues', q, 'successful_job_count', 2) end";
    redis::cmd("EVAL").arg(&[fill, "0"]).query::<redis::Value>(&mut server.connection()).unwrap();
    let flags = ["--queue.system=rq", "--queue.timeout=60s", "--scrape.timeout=60s"];
    let (metrics, log) = crate::once(&server.url(), flags);
    assert_eq!(metrics.matches("messages_processed_total{queue_name=").count(), 2 * 10_050, "{log}");
    assert_eq!(queue_values(&metrics, "q10050", OUTCOME)[1], Some(2.0));
}

#[test]
fn rate_limited_and_canceled_rq_jobs_have_a_state() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    run(client(rq.with_file_name("python"), &["rq_limited.py", &server.port.to_string()], &[]));
    let metrics = system_exporter(&server, "rq").scrape();
    let canceled = "queue_messages ,state=\"canceled\"";
    assert_eq!(queue_values(&metrics, "mail", ["queue_depth", canceled]), [1.0, 2.0].map(Some), "{metrics}");
    assert_eq!(queue_values(&metrics, "orders", ["queue_depth", canceled]), [1.0, 0.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, "queue_messages{state=\"blocked\"}"), Some(3.0), "{metrics}");
    assert_vocabulary(&metrics);
}

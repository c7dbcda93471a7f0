//! The queue system `celery` against a real Redis and real workers.

use std::process::Stdio;

use exporter_common::testing::{assert_lint, real, value};

use crate::broker::Ended;
use crate::redis_server::{RedisServer, client, run};
use crate::redis_support::{queue_values, system_exporter};
use crate::{SUCCESS, assert_vocabulary};

#[test]
fn celery_messages_of_every_priority_and_in_flight_are_exported() {
    let (Some(celery), Some(server)) = (real("celery"), RedisServer::start(&[])) else { return };
    let broker = format!("redis://127.0.0.1:{}/0", server.port);
    let environment = [("BROKER", broker.as_str())];
    let send = |task, queue, count, priority| {
        run(client(celery.with_file_name("python"), &["celery_jobs.py", task, queue, count, priority], &environment));
    };
    let exporter = system_exporter(&server, "celery");
    send("quick", "mail", "3", "0");
    send("quick", "mail", "2", "9");
    send("waits", "slow", "4", "0");
    let seen = |metrics: &str| {
        let one = |queue| queue_values(metrics, queue, ["queue_depth", "queue_messages ,state=\"in_flight\""]);
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
fn other_priorities_and_separators_of_celery_are_read() {
    let (Some(celery), Some(server)) = (real("celery"), RedisServer::start(&[])) else { return };
    let broker = format!("redis://127.0.0.1:{}/0", server.port);
    let send = |separator: &str, queue, priority| {
        let environment = [("BROKER", broker.as_str()), ("SEPARATOR", separator)];
        run(client(celery.with_file_name("python"), &["celery_jobs.py", "quick", queue, "2", priority], &environment));
    };
    let exporter = system_exporter(&server, "celery");
    for (separator, queue) in [("\x06\x16", "usual"), (":", "ma:il")] {
        for priority in ["0", "4", "9"] {
            send(separator, queue, priority);
        }
        let metrics = exporter.scrape();
        assert_eq!(queue_values(&metrics, queue, ["queue_depth"]), [Some(6.0)], "{metrics}");
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    }
    send("--", "unknown", "0");
    let metrics = exporter.scrape();
    let told = [queue_values(&metrics, "usual", ["queue_depth"]), queue_values(&metrics, "unknown", ["queue_depth"])];
    assert_eq!((told, value(&metrics, SUCCESS)), ([[Some(6.0)], [None]], Some(0.0)), "{metrics}");
    assert!(exporter.log().contains("unknown separator"), "{}", exporter.log());
}

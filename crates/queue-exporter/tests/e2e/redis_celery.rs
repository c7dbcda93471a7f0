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
    // both of its threads get a job that never finishes
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
    let depths = [queue_values(&metrics, "usual", ["queue_depth"]), queue_values(&metrics, "unknown", ["queue_depth"])];
    assert_eq!((depths, value(&metrics, SUCCESS)), ([[Some(6.0)], [None]], Some(0.0)), "{metrics}");
    assert!(exporter.log().contains("unknown separator"), "{}", exporter.log());
}

#[test]
fn celery_tasks_are_counted_from_events_and_lost_events_are_reported() {
    let (Some(celery), Some(server)) = (real("celery"), RedisServer::start(&[])) else { return };
    server.run(&["ACL SETUSER watcher +psubscribe &*"]);
    let broker = format!("redis://127.0.0.1:{}/0", server.port);
    let environment = [("BROKER", broker.as_str())];
    let exporter = crate::exporter(&format!("{}?events=true", server.url()), ["--queue.system=celery"]);
    let arguments = ["-A", "celery_events", "worker", "-E", "--pool=threads", "--concurrency=2", "-l", "ERROR"];
    let worker = crate::chaos::started(client(celery.clone(), &arguments, &environment));
    let alive = "queue_workers{state=\"alive\"}";
    exporter.scrape_until("the worker is alive", |metrics| value(metrics, alive) == Some(1.0));
    let send = |counts: [&str; 3]| {
        let arguments = [&["celery_events.py"], &counts[..]].concat();
        run(client(celery.with_file_name("python"), &arguments, &environment));
    };
    send(["40", "3", "2"]);
    let of = |metrics: &str, task: &str, status: &str| {
        value(metrics, &format!("messages_processed_total{{status=\"{status}\",task=\"{task}\"}}"))
    };
    let seen = |metrics: &str| {
        [("good", "success"), ("good", "failure"), ("bad", "failure"), ("retried", "failure")]
            .map(|(task, status)| of(metrics, task, status))
    };
    let expected = [40.0, 0.0, 3.0, 2.0].map(Some);
    let metrics = exporter.scrape_until("all tasks are finished", |metrics| seen(metrics) == expected);
    assert_eq!(value(&metrics, "message_processing_seconds_count{task=\"good\"}"), Some(40.0), "{metrics}");
    assert!(value(&metrics, "message_processing_seconds_sum{task=\"good\"}") >= Some(0.8), "{metrics}");
    assert_eq!(value(&metrics, "messages_delivered_total{task=\"retried\"}"), Some(4.0), "two attempts of each");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(0.0));
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // events between two subscriptions are lost
    server.run(&["CLIENT KILL TYPE pubsub"]);
    exporter.scrape_until("the gap is reported", |metrics| {
        value(metrics, "queue_exporter_event_gaps_total") == Some(1.0) && value(metrics, SUCCESS) == Some(0.0)
    });
    exporter.scrape_until("the subscription is repeated", |metrics| value(metrics, SUCCESS) == Some(1.0));
    worker.end("TERM");
    exporter.scrape_until("the worker is gone", |metrics| value(metrics, alive) == Some(0.0));
}

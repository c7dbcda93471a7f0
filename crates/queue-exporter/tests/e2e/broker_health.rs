//! The health of real brokers next to their queues: alarms, limits, lost messages, workers.

use exporter_common::testing::{assert_lint, real, value};
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;

use crate::broker::RabbitMq;
use crate::real_nats::Nats;
use crate::real_rabbitmq::Client;
use crate::redis_server::{RedisServer, client, run};
use crate::redis_support::system_exporter;
use crate::{SUCCESS, assert_vocabulary, exporter};

/// The value of the only series of a metric with a label, whatever its other labels are.
fn labeled(metrics: &str, metric: &str, label: &str) -> Option<f64> {
    let mut lines = metrics.lines().filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains(label));
    lines.next()?.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test]
async fn unroutable_messages_and_connections_that_an_alarm_blocks_are_counted() {
    let Some(broker) = RabbitMq::start() else { return };
    let exporter = exporter(&broker.management("guest:guest"), ["--queue.system=rabbitmq"]);
    let client = Client::connect(&broker).await;
    let publish = async |mandatory| {
        let options = BasicPublishOptions { mandatory, ..BasicPublishOptions::default() };
        client.channel.basic_publish("".into(), "nowhere".into(), options, b"x", BasicProperties::default()).await
    };
    for mandatory in [false, false, false, true] {
        publish(mandatory).await.unwrap().await.unwrap();
    }
    let blocked = "queue_broker_connections_blocked";
    // A node reports its queues, alarms and limits some seconds after its start.
    let metrics = exporter.scrape_until("unroutable messages and blocked connections are counted", |metrics| {
        let unroutable = ["dropped", "returned"]
            .map(|outcome| value(metrics, &format!("queue_broker_unroutable_messages_total{{outcome=\"{outcome}\"}}")));
        let connections = ["queue_broker_connections", blocked].map(|metric| value(metrics, metric));
        let success = value(metrics, SUCCESS) == Some(1.0);
        success && unroutable == [3.0, 1.0].map(Some) && connections == [1.0, 0.0].map(Some)
    });
    for resource in ["memory", "disk", "processes"] {
        let used = labeled(&metrics, "queue_broker_limit_used_ratio", &format!("resource=\"{resource}\""));
        assert!(used.is_some_and(|used| used > 0.0 && used < 1.0), "{resource}: {metrics}");
    }
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    broker.evaluate("vm_memory_monitor:set_vm_memory_high_watermark({absolute, 1000000}).");
    exporter.scrape_until("the alarm is active", |metrics| {
        labeled(metrics, "queue_broker_alarm", "alarm=\"memory\"") == Some(1.0)
    });
    let _unconfirmed = publish(false).await.unwrap();
    let metrics = exporter.scrape_until("the publisher is blocked", |metrics| value(metrics, blocked) == Some(1.0));
    assert!(labeled(&metrics, "queue_broker_limit_used_ratio", "resource=\"memory\"") >= Some(1.0), "{metrics}");
    broker.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.9).");
    exporter.scrape_until("the publisher is not blocked", |metrics| value(metrics, blocked) == Some(0.0));
}

#[test]
fn a_full_redis_and_its_limits_are_reported_with_permission() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&["SADD queues mail", "LPUSH queue:mail {}"]);
    let exporter = system_exporter(&server, "sidekiq");
    let alarm = |metrics: &str| value(metrics, "queue_broker_alarm{alarm=\"memory\"}");
    let metrics = exporter.scrape();
    assert_eq!((alarm(&metrics), value(&metrics, SUCCESS)), (Some(0.0), Some(1.0)), "{metrics}");
    assert!(labeled(&metrics, "queue_broker_limit_used_ratio", "resource=\"connections\"").is_some(), "{metrics}");
    assert_eq!(value(&metrics, "queue_broker_evicted_keys_total"), Some(0.0));
    server.run(&["CONFIG SET maxmemory 1000"]);
    let metrics = exporter.scrape();
    assert_eq!(alarm(&metrics), Some(1.0), "writes are refused: {metrics}");
    server.run(&["CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory 1100000"]);
    let fill = "for n = 1, 2000 do redis.call('SET', 'k' .. n, string.rep('x', 1000)) end";
    let _ = redis::cmd("EVAL").arg(&[fill, "0"]).query::<redis::Value>(&mut server.connection());
    let metrics = exporter.scrape();
    assert!(value(&metrics, "queue_broker_evicted_keys_total") > Some(0.0), "{metrics}");
    assert_eq!(alarm(&metrics), Some(0.0), "keys are evicted: {metrics}");
    assert_lint(&metrics);
    server.run(&["CONFIG SET maxmemory 0", "ACL SETUSER watcher -info"]);
    let metrics = exporter.scrape();
    assert_eq!((alarm(&metrics), value(&metrics, SUCCESS)), (None, Some(1.0)), "{}", exporter.log());
    exporter.scrape();
    assert_eq!(exporter.log().matches("add +info to the user").count(), 1, "{}", exporter.log());
}

#[test]
fn limits_of_nats_and_the_lag_of_a_mirror_are_reported() {
    let (Some(server), Some(celery)) = (Nats::start(), real("celery")) else { return };
    let python = celery.with_file_name("python");
    run(client(python, &["nats_limits.py", &server.port.to_string()], &[]));
    let exporter = exporter(&server.url(), []);
    let metrics = exporter.scrape_until("the mirror has caught up", |metrics| {
        value(metrics, "queue_mirror_lag_messages{queue_name=\"COPY\"}") == Some(0.0)
    });
    let of = |metric: &str, queue: &str| value(&metrics, &format!("{metric}{{queue_name=\"{queue}\"}}"));
    assert_eq!(of("queue_stream_length", "LIMITED"), Some(7.0), "{metrics}");
    assert_eq!((of("queue_max_length", "LIMITED"), of("queue_max_length", "COPY")), (Some(10.0), None));
    assert_eq!(of("queue_stream_length", "COPY"), Some(7.0));
    assert_eq!(of("queue_mirror_lag_messages", "LIMITED"), None, "it has no origin: {metrics}");
    for resource in ["connections", "memory", "disk"] {
        let used = value(&metrics, &format!("queue_broker_limit_used_ratio{{resource=\"{resource}\"}}"));
        assert!(used.is_some_and(|used| (0.0..1.0).contains(&used)), "{resource}: {metrics}");
    }
    assert_eq!(value(&metrics, "queue_broker_slow_consumers_total"), Some(0.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

#[test]
fn a_killed_worker_is_lost() {
    let (Some(rq), Some(server)) = (real("rq"), RedisServer::start(&[])) else { return };
    let exporter = system_exporter(&server, "rq");
    let url = format!("redis://127.0.0.1:{}", server.port);
    let worker = crate::chaos::started(client(rq, &["worker", "--url", &url, "--name", "one", "mail"], &[]));
    let workers =
        |metrics: &str| ["alive", "lost"].map(|state| value(metrics, &format!("queue_workers{{state=\"{state}\"}}")));
    exporter.scrape_until("the worker is alive", |metrics| workers(metrics) == [1.0, 0.0].map(Some));
    worker.end("KILL");
    server.run(&["DEL rq:worker:one"]); // Redis expires it after eight minutes
    let metrics = exporter.scrape();
    assert_eq!(workers(&metrics), [0.0, 1.0].map(Some), "{metrics}");
    assert_vocabulary(&metrics);
}

//! The queue system `redis-lists` against a real Redis: its presets with real clients, and other keys.

use std::path::PathBuf;

use exporter_common::testing::{Running, assert_lint, real, value};

use crate::redis_server::{RedisServer, client, run};
use crate::redis_support::queue_values;
use crate::{SUCCESS, assert_vocabulary, exporter, once};

/// Python with the clients that need an older redis-py than the others.
fn python() -> Option<PathBuf> {
    real("systems-python")
}

fn lists(server: &RedisServer, query: &str) -> Running {
    exporter(&format!("{}?{query}", server.url()), ["--queue.system=redis-lists"])
}

/// The states of a queue: ready, in flight, delayed, dead, completed.
fn states(metrics: &str, queue: &str) -> [Option<f64>; 5] {
    let states =
        ["in_flight", "delayed", "dead", "completed"].map(|state| format!("queue_messages ,state=\"{state}\""));
    let [in_flight, delayed, dead, completed] = queue_values(metrics, queue, states.each_ref().map(String::as_str));
    [queue_values(metrics, queue, ["queue_depth"])[0], in_flight, delayed, dead, completed]
}

fn outcomes(metrics: &str, labels: &str) -> [Option<f64>; 2] {
    ["success", "failure"]
        .map(|status| value(metrics, &format!("messages_processed_total{{{labels}status=\"{status}\"}}")))
}

fn assert_complete(metrics: &str, exporter: &Running) {
    assert_eq!(value(metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(metrics);
    assert_lint(metrics);
}

fn age(metrics: &str, queue: &str) -> Option<f64> {
    queue_values(metrics, queue, ["queue_oldest_message_age_seconds"])[0]
}

#[test]
fn jobs_of_arq_are_waiting_running_or_delayed() {
    let (Some(python), Some(server)) = (python(), RedisServer::start(&[])) else { return };
    run(client(python, &["arq_jobs.py", &server.port.to_string(), "3", "4", "2"], &[]));
    let exporter = lists(&server, "preset=arq");
    let metrics = exporter.scrape();
    assert_eq!(states(&metrics, "arq:queue"), [Some(4.0), Some(1.0), Some(2.0), None, None], "{metrics}");
    assert!(age(&metrics, "arq:queue").is_some_and(|age| age < 60.0), "{metrics}");
    assert_complete(&metrics, &exporter);
    server.run(&["ZREMRANGEBYRANK arq:queue 0 -1"]);
    let metrics = exporter.scrape();
    assert_eq!(states(&metrics, "arq:queue")[..3], [Some(0.0); 3], "an empty queue remains: {metrics}");
    assert_eq!(age(&metrics, "arq:queue"), None);
}

#[test]
fn jobs_of_huey_are_counted_as_huey_counts_them() {
    let (Some(python), Some(server)) = (python(), RedisServer::start(&[])) else { return };
    for class in ["RedisHuey", "PriorityRedisHuey"] {
        run(client(python.clone(), &["huey_jobs.py", &server.port.to_string(), class, "3", "2"], &[]));
        let exporter = lists(&server, "preset=huey");
        let metrics = exporter.scrape();
        assert_eq!(states(&metrics, "mail"), [Some(3.0), None, Some(2.0), None, None], "{class}: {metrics}");
        assert_complete(&metrics, &exporter);
        server.run(&["FLUSHALL"]);
    }
}

#[test]
fn messages_of_dramatiq_are_waiting_running_delayed_or_dead() {
    let (Some(python), Some(server)) = (python(), RedisServer::start(&[])) else { return };
    run(client(python, &["dramatiq_jobs.py", &server.port.to_string(), "3", "2", "4", "1"], &[]));
    let exporter = lists(&server, "preset=dramatiq");
    let metrics = exporter.scrape();
    assert_eq!(states(&metrics, "mail"), [Some(4.0), Some(1.0), Some(1.0), Some(2.0), None], "{metrics}");
    assert!(age(&metrics, "mail").is_some_and(|age| age < 60.0), "{metrics}");
    assert_eq!(metrics.matches("queue_depth{").count(), 1, "{metrics}");
    assert_complete(&metrics, &exporter);
}

#[test]
fn jobs_of_bull_4_are_in_their_states() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    run(client(node, &["bull_jobs.js", &server.port.to_string(), "7", "3", "5", "2"], &[]));
    let exporter = lists(&server, "preset=bull");
    let metrics = exporter.scrape();
    assert_eq!(states(&metrics, "mail"), [5.0, 1.0, 2.0, 3.0, 7.0].map(Some), "{metrics}");
    assert_eq!(outcomes(&metrics, "queue_name=\"mail\","), [Some(7.0), Some(3.0)], "{metrics}");
    let [paused] = queue_values(&metrics, "mail", ["queue_paused"]);
    assert!(age(&metrics, "mail").is_some_and(|age| age < 60.0) && paused == Some(0.0), "{metrics}");
    assert_complete(&metrics, &exporter);
    // what Bull's pause() does
    server.run(&["RENAME bull:mail:wait bull:mail:paused", "SET bull:mail:meta-paused 1"]);
    let metrics = exporter.scrape();
    assert_eq!(queue_values(&metrics, "mail", ["queue_depth", "queue_paused"]), [5.0, 1.0].map(Some), "{metrics}");
}

#[test]
fn jobs_of_node_resque_and_resque_are_counted() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    run(client(node, &["resque_jobs.js", &server.port.to_string(), "5", "2", "4"], &[]));
    let exporter = lists(&server, "preset=node-resque");
    let metrics = exporter.scrape();
    assert_eq!(["mail", "orders"].map(|queue| states(&metrics, queue)[0]), [4.0, 1.0].map(Some), "{metrics}");
    assert_eq!(outcomes(&metrics, ""), [Some(5.0), Some(2.0)], "{metrics}");
    assert_eq!(value(&metrics, "queue_messages{state=\"dead\"}"), Some(2.0), "{metrics}");
    assert_complete(&metrics, &exporter);
    // Resque also counts failed jobs as processed
    server.run(&[
        "INCRBY resque:stat:processed 2",
        "SADD resque:workers host:1:* host:2:mail",
        "DEL resque:queue:mail",
    ]);
    let metrics = lists(&server, "preset=resque").scrape();
    assert_eq!(outcomes(&metrics, ""), [Some(5.0), Some(2.0)], "{metrics}");
    assert_eq!(value(&metrics, "queue_consumers"), Some(2.0), "{metrics}");
    assert_eq!(states(&metrics, "mail")[0], Some(0.0), "{metrics}");
}

#[test]
fn jobs_of_laravel_are_waiting_reserved_or_delayed() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let pushed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - 100;
    let jobs = [format!("{{\"uuid\":\"1\",\"pushedAt\":\"{pushed}.25\"}}"), format!("{{\"createdAt\":{pushed}}}")];
    server.run(&[
        &format!("RPUSH shop_queues:default {} {{\"uuid\":\"2\"}}", jobs[0]),
        &format!("RPUSH shop_queues:mail {}", jobs[1]),
        "RPUSH shop_queues:default:notify 1",
        "ZADD shop_queues:default:delayed 4000000000 a 4000000000 b",
        "ZADD shop_queues:default:reserved 4000000000 c",
        "ZADD shop_queues:later:delayed 4000000000 d",
        "SET shop_queues:odd text",
    ]);
    let exporter = lists(&server, "preset=laravel&prefix=shop_");
    let metrics = exporter.scrape();
    assert_eq!(states(&metrics, "default"), [Some(2.0), Some(1.0), Some(2.0), None, None], "{metrics}");
    assert_eq!(states(&metrics, "later")[..3], [0.0, 0.0, 1.0].map(Some), "{metrics}");
    for queue in ["default", "mail"] {
        assert!(age(&metrics, queue).is_some_and(|age| (99.0..160.0).contains(&age)), "{metrics}");
    }
    assert_eq!(metrics.matches("queue_depth{").count(), 3, "{metrics}");
    assert_complete(&metrics, &exporter);
}

#[test]
fn keys_of_your_own_are_queues() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&[
        "RPUSH jobs:a 1 2 3",
        "SADD jobs:b 1",
        "HSET busy:a x 1 y 2",
        "ZADD later:a 1 x",
        "ZADD plan 1000000000 due 4000000000 later",
        "INCRBY done 9",
        "XADD jobs:stream * a b",
    ]);
    let query = "ready=jobs:*&in_flight=busy:*&delayed=later:*&success=done";
    let exporter = lists(&server, query);
    let metrics = exporter.scrape();
    assert_eq!(states(&metrics, "a")[..3], [3.0, 2.0, 1.0].map(Some), "{metrics}");
    assert_eq!(states(&metrics, "b")[..3], [1.0, 0.0, 0.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, "messages_processed_total{status=\"success\"}"), Some(9.0), "{metrics}");
    assert_complete(&metrics, &exporter);
    for (query, queue, depth) in
        [("ready=jobs:a&ready=none", "jobs:a", 3.0), ("ready=a&ready=b", "b", 0.0), ("scheduled=plan", "plan", 1.0)]
    {
        let (metrics, _) = once(&format!("{}?{query}", server.url()), ["--queue.system=redis-lists"]);
        assert_eq!(states(&metrics, queue)[0], Some(depth), "{metrics}");
    }
    // another type fails its own queue only
    server.run(&["SET jobs:c text", "DEL busy:a", "SET busy:a text"]);
    let metrics = exporter.scrape();
    assert_eq!(["a", "b"].map(|queue| states(&metrics, queue)[0]), [None, Some(1.0)], "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert!(exporter.log().contains("found a string"), "{}", exporter.log());
}

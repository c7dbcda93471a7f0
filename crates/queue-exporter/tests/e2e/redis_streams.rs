//! The queue system `redis-streams` against a real Redis.

use exporter_common::testing::{assert_lint, value};

use crate::redis_server::RedisServer;
use crate::redis_support::{queue_values, system_exporter};
use crate::{SUCCESS, assert_vocabulary};

#[test]
fn each_group_of_a_stream_is_exported() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let exporter = system_exporter(&server, "redis-streams");
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
    assert_eq!(queue_values(&metrics, "orders", ["messages_enqueued_total"]), [Some(10.0)]);
    assert_eq!(queue_values(&metrics, "quiet", ["messages_enqueued_total", "queue_depth"]), [Some(1.0), None]);
    let age = |name| value(&metrics, &format!("{name}{{queue_name=\"orders\",scope=\"billing\"}}"));
    let ages = ["queue_oldest_message_age_seconds", "queue_oldest_in_flight_age_seconds"].map(age);
    assert!(ages.iter().all(|age| age.is_some_and(|age| age < 60.0)), "{ages:?}");
    assert!(!metrics.contains("queue_name=\"other\""), "only streams are queues");
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
    // an entry deleted ahead of a group makes its lag unknown to Redis
    let delete = "redis.call('XDEL', 'orders', redis.call('XREVRANGE', 'orders', '+', '-', 'COUNT', 2)[2][1])";
    redis::cmd("EVAL").arg(&[delete, "0"]).query::<redis::Value>(&mut connection).unwrap();
    let metrics = exporter.scrape();
    assert_eq!((seen(&metrics, "billing")[0], value(&metrics, SUCCESS)), (Some(2.0), Some(1.0)), "counted");
    read("100", &mut connection);
    assert_eq!(seen(&exporter.scrape(), "billing")[0], Some(0.0), "it has read to the end");
    server.run(&["DEL orders"]);
    let metrics = exporter.scrape();
    assert_eq!((seen(&metrics, "billing"), value(&metrics, SUCCESS)), ([None; 4], Some(1.0)));
}

/// Reads entries as the only consumer of a group, and acknowledges them if requested.
fn read_group(server: &RedisServer, stream: &str, count: u64, acknowledge: bool) {
    let mut connection = server.connection();
    let count = count.to_string();
    let command = ["GROUP", "g", "c", "COUNT", &count, "STREAMS", stream, ">"];
    redis::cmd("XREADGROUP").arg(&command).query::<redis::Value>(&mut connection).unwrap();
    if acknowledge {
        let all = "for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', 1000)) do redis.call('XACK', KEYS[1], 'g', p[1]) end";
        redis::cmd("EVAL").arg(&[all, "1", stream]).query::<redis::Value>(&mut connection).unwrap();
    }
}

/// Depth, delivered and acknowledged entries of a group.
fn group_values(metrics: &str, stream: &str) -> [Option<f64>; 3] {
    let labels = format!("queue_name=\"{stream}\",scope=\"g\"");
    [
        value(metrics, &format!("queue_depth{{{labels}}}")),
        value(metrics, &format!("messages_delivered_total{{{labels}}}")),
        value(metrics, &format!("messages_processed_total{{{labels},status=\"success\"}}")),
    ]
}

#[test]
fn entries_trimmed_unread_are_neither_waiting_nor_processed() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let add = |stream: &str, ids: std::ops::RangeInclusive<u64>| {
        for id in ids {
            server.run(&[&format!("XADD {stream} MAXLEN 10 {id}-0 k v")]);
        }
    };
    add("capped", 1..=51);
    server.run(&["XGROUP CREATE capped g 0"]);
    add("behind", 1..=10);
    server.run(&["XGROUP CREATE behind g 0"]);
    read_group(&server, "behind", 3, false);
    let exporter = system_exporter(&server, "redis-streams");
    let metrics = exporter.scrape();
    assert_eq!(group_values(&metrics, "capped"), [10.0, 0.0, 0.0].map(Some), "41 of 51 were trimmed: {metrics}");
    assert_eq!(group_values(&metrics, "behind"), [7.0, 3.0, 0.0].map(Some), "{metrics}");
    read_group(&server, "capped", 2, true);
    add("behind", 11..=110);
    let metrics = exporter.scrape();
    assert_eq!(group_values(&metrics, "capped"), [8.0, 2.0, 2.0].map(Some), "{metrics}");
    assert_eq!(group_values(&metrics, "behind"), [10.0, 3.0, 0.0].map(Some), "{metrics}");
    read_group(&server, "behind", 5, true);
    let metrics = exporter.scrape();
    assert_eq!(group_values(&metrics, "behind"), [5.0, 8.0, 8.0].map(Some), "Redis 7.0 has a lag of 102: {metrics}");
    read_group(&server, "behind", 100, true);
    assert_eq!(group_values(&exporter.scrape(), "behind"), [0.0, 13.0, 13.0].map(Some));
    // both trimmed and read between two scrapes: unknown once, then exact
    add("behind", 111..=210);
    read_group(&server, "behind", 100, true);
    assert_eq!(group_values(&exporter.scrape(), "behind"), [Some(0.0), None, None]);
    add("behind", 211..=212);
    read_group(&server, "behind", 1, true);
    let metrics = exporter.scrape();
    assert_eq!(group_values(&metrics, "behind"), [1.0, 24.0, 24.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    assert_vocabulary(&metrics);
}

#[test]
fn unread_entries_trimmed_before_the_first_read_are_neither_waiting_nor_processed() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let add = |stream: &str, ids: std::ops::RangeInclusive<u64>| {
        ids.for_each(|id| server.run(&[&format!("XADD {stream} MAXLEN 10 {id}-0 k v")]));
    };
    // of 51 entries, 41 were trimmed unread, 2 read and acknowledged, and 8 are waiting
    add("unread", 1..=1);
    server.run(&["XGROUP CREATE unread g 0"]);
    add("unread", 2..=51);
    read_group(&server, "unread", 2, true);
    // read to the end, in which Redis 7.0 has a lag of 97
    add("finished", 1..=10);
    server.run(&["XGROUP CREATE finished g 0"]);
    read_group(&server, "finished", 3, false);
    add("finished", 11..=110);
    read_group(&server, "finished", 100, false);
    // deliveries of a trimmed stream are counted from the first read on
    let (metrics, _) = crate::once(&server.url(), []);
    assert_eq!(group_values(&metrics, "unread"), [Some(8.0), None, None], "{metrics}");
    assert_eq!(group_values(&metrics, "finished"), [Some(0.0), None, None], "{metrics}");
    let metrics = system_exporter(&server, "redis-streams").scrape();
    assert_eq!(group_values(&metrics, "unread"), [8.0, 0.0, 0.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
}

#[test]
fn a_group_created_at_the_end_of_its_stream_has_depth_and_age() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let add = |id: u128| server.run(&[&format!("XADD s {id}-0 k v")]);
    (now - 60_000..now - 59_997).for_each(add);
    server.run(&["XGROUP CREATE s g $"]);
    (now - 30_000..now - 29_996).for_each(add);
    // a number of read entries above the number of added ones makes the lag negative
    server.run(&["XADD wrong 1-0 k v", "XGROUP CREATE wrong g $ ENTRIESREAD 100"]);
    let metrics = system_exporter(&server, "redis-streams").scrape();
    assert_eq!(group_values(&metrics, "s")[0], Some(4.0), "{metrics}");
    assert_eq!(group_values(&metrics, "wrong")[0], Some(0.0), "{metrics}");
    let age = value(&metrics, "queue_oldest_message_age_seconds{queue_name=\"s\",scope=\"g\"}").unwrap();
    assert!((29.0..50.0).contains(&age), "{age}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
}

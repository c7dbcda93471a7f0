//! The queue system `bullmq` against a real Redis and the real client.

use exporter_common::testing::{assert_lint, eventually, real, value};

use crate::redis_server::{RedisServer, client, run};
use crate::redis_support::{OUTCOME, queue_values, system_exporter};
use crate::{SUCCESS, assert_vocabulary};

#[test]
fn bullmq_jobs_are_counted_exactly_with_and_without_its_own_metrics() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    let port = server.port.to_string();
    let before = system_exporter(&server, "bullmq");
    before.scrape();
    for (queue, metrics) in [("plain", ""), ("counted", "metrics")] {
        run(client(node.clone(), &["bullmq.js", &port, queue, "7", "3", "4", metrics], &[]));
    }
    let after = system_exporter(&server, "bullmq");
    for exporter in [&before, &after] {
        let metrics = exporter.scrape();
        for queue in ["plain", "counted"] {
            let expected = [4.0, 7.0, 3.0, 10.0, 0.0].map(Some);
            assert_eq!(queue_values(&metrics, queue, OUTCOME), expected, "{queue}: {metrics}");
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
            assert_eq!(queue_values(&metrics, queue, more), [1.0, 3.0, 7.0, 15.0, 13.0, 3.0, 0.0].map(Some), "{queue}");
            let [sum, at_once, age] = queue_values(
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
    assert_eq!(
        queue_values(&metrics, "plain", ["queue_depth", "queue_paused"]),
        [Some(0.0), Some(1.0)],
        "empty, but present"
    );
    let [depth, age] = queue_values(&metrics, "counted", ["queue_depth", "queue_oldest_message_age_seconds"]);
    assert!(
        depth == Some(4.0) && age < Some(60.0) && age.is_some(),
        "a paused queue keeps its jobs in another list: {metrics}"
    );
    // versions 3 and 4 put this marker of delayed jobs into the list of an empty queue
    server.run(&["LPUSH bull:plain:wait 0:1795183848517"]);
    assert_eq!(queue_values(&before.scrape(), "plain", ["queue_depth"]), [Some(0.0)], "a marker is not a job");
    server.run(&["LPUSH bull:plain:wait 77"]);
    assert_eq!(queue_values(&before.scrape(), "plain", ["queue_depth"]), [Some(1.0)]);
    server.run(&["DEL bull:plain:meta"]);
    let metrics = before.scrape();
    assert_eq!((queue_values(&metrics, "plain", OUTCOME), value(&metrics, SUCCESS)), ([None; 5], Some(1.0)));
}

#[test]
fn bullmq_jobs_are_counted_exactly_when_events_outrun_the_scrapes() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    let exporter = system_exporter(&server, "bullmq");
    let port = server.port.to_string();
    // the stream keeps 100 events, and the jobs have more than 1,000
    run(client(node.clone(), &["bullmq_options.js", &port, "cap", "burst", "100"], &[]));
    exporter.scrape();
    run(client(node, &["bullmq_options.js", &port, "steady", "burst", "300"], &[]));
    let metrics = exporter.scrape();
    assert_eq!(queue_values(&metrics, "burst", OUTCOME)[1], Some(300.0), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
}

#[test]
fn lost_bullmq_events_are_reported_and_not_guessed() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let finish = |first: u64, jobs: u64| {
        let add = "for n = ARGV[1], ARGV[1] + ARGV[2] - 1 do \
                   redis.call('XADD', 'bull:mail:events', 'MAXLEN', 10, n .. '-0', 'event', 'completed', 'jobId', n) end";
        let arguments = [add, "0", &first.to_string(), &jobs.to_string()];
        redis::cmd("EVAL").arg(&arguments).query::<redis::Value>(&mut server.connection()).unwrap();
    };
    server.run(&["HSET bull:mail:meta a 1"]);
    finish(1, 5);
    let exporter = system_exporter(&server, "bullmq");
    assert_eq!(queue_values(&exporter.scrape(), "mail", OUTCOME)[1], Some(5.0));
    finish(100, 50); // atomically: the exporter cannot read the first 40 of them
    let metrics = exporter.scrape();
    assert_eq!(queue_values(&metrics, "mail", OUTCOME)[..2], [0.0, 15.0].map(Some), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(1.0));
    assert!(exporter.log().contains("events were removed before they were read"), "{}", exporter.log());
    finish(200, 5);
    let metrics = exporter.scrape();
    assert_eq!(queue_values(&metrics, "mail", OUTCOME)[1], Some(20.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
}

/// How often the server executed a command.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query(&mut server.connection()).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// Waits until the exporter has looked for new queues after this call.
fn discovered(server: &RedisServer) {
    let before = calls(server, "scan");
    // the first of them may have started earlier
    eventually("two more scans", || (calls(server, "scan") >= before + 2).then_some(()));
}

#[test]
fn jobs_of_a_new_bullmq_queue_are_counted_before_its_first_scrape() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    let exporter = system_exporter(&server, "bullmq");
    exporter.scrape();
    let port = server.port.to_string();
    run(client(node.clone(), &["bullmq_options.js", &port, "cap", "burst", "100"], &[]));
    discovered(&server);
    run(client(node, &["bullmq_options.js", &port, "steady", "burst", "300"], &[]));
    let metrics = exporter.scrape();
    assert_eq!(queue_values(&metrics, "burst", OUTCOME)[1], Some(300.0), "{metrics}");
    assert_eq!(queue_values(&metrics, "burst", ["messages_enqueued_total"]), [Some(300.0)], "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
}

#[test]
fn the_lost_first_events_of_a_new_bullmq_queue_are_reported() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let add = |queue: &str| {
        let add = "redis.call('HSET', 'bull:' .. ARGV[1] .. ':meta', 'a', 1) for n = 1, 50 do \
                   redis.call('XADD', 'bull:' .. ARGV[1] .. ':events', 'MAXLEN', 10, '*', 'event', 'completed', 'jobId', n) end";
        redis::cmd("EVAL").arg(&[add, "0", queue]).query::<redis::Value>(&mut server.connection()).unwrap();
    };
    add("old");
    let exporter = system_exporter(&server, "bullmq");
    discovered(&server);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "its events are older than the exporter: {}", exporter.log());
    add("new"); // atomically: the exporter cannot read the first 40 of them
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_event_gaps_total"), Some(1.0), "{metrics}");
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
}

#[test]
fn ages_and_enqueued_jobs_of_bullmq_are_exact() {
    let (Some(node), Some(server)) = (real("bullmq-node"), RedisServer::start(&[])) else { return };
    let port = server.port.to_string();
    run(client(node, &["bullmq_options.js", &port, "options", "x", "0"], &[]));
    let exporter = system_exporter(&server, "bullmq");
    let metrics = exporter.scrape();
    let age = |queue| queue_values(&metrics, queue, ["queue_oldest_message_age_seconds"])[0];
    assert!(age("promoted").is_some_and(|age| age < 60.0), "delayed by two hours, which have passed: {metrics}");
    assert!(age("lifo").is_some_and(|age| (3000.0..4000.0).contains(&age)), "the oldest, not the next: {metrics}");
    let enqueued =
        ["duplicates", "promoted"].map(|queue| queue_values(&metrics, queue, ["messages_enqueued_total"])[0]);
    assert_eq!(enqueued, [Some(1.0), Some(1.0)], "seven times the same job, and a delayed one: {metrics}");
}

#[test]
fn queues_of_bull_and_of_another_prefix_are_logged() {
    let Some(server) = RedisServer::start(&[]) else { return };
    server.run(&["SET bull:old:id 5", "LPUSH bull:old:wait 5"]);
    let exporter = system_exporter(&server, "bullmq");
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"hidden\"}"), Some(1.0), "{metrics}");
    let log = exporter.log();
    assert!(log.contains("queues of Bull 3 or 4 found (the first: bull:old)") && log.contains("?preset=bull"), "{log}");
    server.run(&["DEL bull:old:id bull:old:wait", "HSET shop:mail:meta a 1"]);
    let exporter = system_exporter(&server, "bullmq");
    exporter.scrape();
    assert!(exporter.log().contains("no queues found, but keys with another prefix"), "{}", exporter.log());
}

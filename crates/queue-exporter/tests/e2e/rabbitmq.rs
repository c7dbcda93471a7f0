//! The queue system `rabbitmq` against recorded and broken replies of its management API.

use std::sync::{Arc, Mutex};

use exporter_common::testing::{assert_golden, assert_lint, value};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Request};
use crate::{SUCCESS, assert_vocabulary, exporter, once};

const RABBITMQ: &str = "--queue.system=rabbitmq";

fn parameter(request: &Request, name: &str) -> usize {
    let query = request.target.split_once('?').unwrap().1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap().parse().unwrap()
}

/// A broker with these items, which pages as RabbitMQ does. `before` is called with the number of each
/// requested page, and may change the items.
fn broker(items: &Arc<Mutex<Vec<Value>>>, before: impl Fn(usize, &mut Vec<Value>) + Send + Sync + 'static) -> Fake {
    let items = items.clone();
    Fake::start(move |request| {
        if request.target.starts_with("/api/nodes?") {
            return Reply::json(r#"[{"name":"rabbit@a","os_pid":"1","uptime":5000}]"#);
        }
        if request.target == "/api/overview" {
            return Reply::json(r#"{"object_totals":{"queues":0}}"#);
        }
        assert!(request.target.starts_with("/api/queues?"), "{}", request.target);
        let (number, size) = (parameter(request, "page"), parameter(request, "page_size"));
        let mut items = items.lock().unwrap();
        before(number, &mut items);
        match items.chunks(size).nth(number - 1) {
            None if number > 1 => Reply::Complete(400, r#"{"error":"page_out_of_range"}"#.to_owned()),
            page => Reply::json(
                json!({"items": page.unwrap_or_default(), "filtered_count": items.len(),
                    "page_count": items.len().div_ceil(size)})
                .to_string(),
            ),
        }
    })
}

fn queues(count: usize) -> Arc<Mutex<Vec<Value>>> {
    let item = |n: usize| {
        json!({"name": format!("q{n:05}"), "vhost": "/", "messages_ready": n, "messages_unacknowledged": 0,
            "consumers": 1, "message_stats": {"publish": n, "ack": n, "deliver_get": n}})
    };
    Arc::new(Mutex::new((0..count).map(item).collect()))
}

fn depths(metrics: &str) -> usize {
    metrics.lines().filter(|line| line.starts_with("queue_depth{")).count()
}

#[test]
fn a_recorded_page_is_exported_and_passes_promtool() {
    let recorded: Value = serde_json::from_str(include_str!("../rabbitmq/queues-3.10.8.json")).unwrap();
    let items = recorded["items"].as_array().unwrap().clone();
    let fake = broker(&Arc::new(Mutex::new(items)), |_, _| ());
    let metrics = exporter(&fake.url, [RABBITMQ]).scrape();
    assert_golden(&metrics, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/rabbitmq.prom"));
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

#[test]
fn ten_thousand_queues_are_read_in_twenty_pages() {
    let items = queues(10_000);
    let fake = broker(&items, |_, _| ());
    let (metrics, log) = once(&fake.url, [RABBITMQ, "--queue.timeout=1m", "--scrape.timeout=1m"]);
    assert_eq!((value(&metrics, SUCCESS), depths(&metrics)), (Some(1.0), 10_000), "{log}");
    assert_eq!(value(&metrics, "queue_depth{queue_name=\"q09999\",vhost=\"/\"}"), Some(9999.0));
    assert_eq!(fake.requests().len(), 22, "twenty pages, the nodes and the overview");
}

#[test]
fn queues_deleted_during_the_list_hide_no_others() {
    for (count, deleted) in [(1200, 3), (1200, 600), (501, 1), (1001, 400)] {
        let items = queues(count);
        let fake = broker(&items, move |number, items| {
            if number == 2 && items.len() == count {
                items.drain(..deleted);
            }
        });
        let (metrics, log) = once(&fake.url, [RABBITMQ]);
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
        for n in deleted..count {
            let series = format!("queue_depth{{queue_name=\"q{n:05}\",vhost=\"/\"}}");
            assert!(value(&metrics, &series).is_some(), "{series} of {count} without {deleted}");
        }
    }
}

#[test]
fn a_list_that_keeps_shrinking_ends_with_an_error() {
    let items = queues(3000);
    let fake = broker(&items, |_, items| drop(items.pop()));
    let (metrics, log) = once(&fake.url, [RABBITMQ]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0));
    assert!(log.contains("deleted faster than they can be listed"), "{log}");
    assert!(fake.requests().len() < 20);
}

#[test]
fn a_page_that_fails_keeps_the_pages_before_it() {
    let items = queues(1200);
    let good = broker(&items, |_, _| ());
    let target = good.url.clone();
    let fake = Fake::start(move |request| match request.target.starts_with("/api/queues?page=2") {
        true => Reply::Complete(500, String::new()),
        false => Reply::json(exporter_common::testing::get(&format!("{target}{}", request.target), &[]).body),
    });
    let exporter = exporter(&fake.url, [RABBITMQ]);
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, SUCCESS), depths(&metrics)), (Some(0.0), 500));
    assert!(exporter.log().contains("/api/queues returned 500"), "{}", exporter.log());
}

#[test]
fn unreadable_nodes_hide_no_queue() {
    let items = queues(1);
    let good = broker(&items, |_, _| ());
    for broken in [Reply::Hang, Reply::Close, Reply::Complete(500, String::new())] {
        let (target, reply) = (good.url.clone(), broken.clone());
        let fake = Fake::start(move |request| match request.target.starts_with("/api/nodes") {
            true => reply.clone(),
            false => Reply::json(exporter_common::testing::get(&format!("{target}{}", request.target), &[]).body),
        });
        let (metrics, log) = once(&fake.url, [RABBITMQ, "--queue.timeout=6s"]);
        assert_eq!((value(&metrics, SUCCESS), depths(&metrics)), (Some(1.0), 1), "{broken:?}: {log}");
    }
}

#[test]
fn one_invalid_item_sets_success_0_and_hides_no_other() {
    let items = queues(3);
    items.lock().unwrap()[1]["messages_ready"] = json!("many");
    let fake = broker(&items, |_, _| ());
    let exporter = exporter(&fake.url, [RABBITMQ]);
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, SUCCESS), depths(&metrics)), (Some(0.0), 2));
    assert!(exporter.log().contains("q00001"), "{}", exporter.log());
}

#[test]
fn after_a_restart_of_the_broker_its_counters_are_added() {
    let items = queues(0);
    let uptime = Arc::new(Mutex::new(90_000));
    let (shown, age) = (items.clone(), uptime.clone());
    let fake = Fake::start(move |request| {
        if request.target.starts_with("/api/nodes?") {
            return Reply::json(json!([{"name": "a", "os_pid": "1", "uptime": *age.lock().unwrap()}]).to_string());
        }
        let items = shown.lock().unwrap();
        Reply::json(json!({"items": *items, "filtered_count": items.len(), "page_count": 1}).to_string())
    });
    let exporter = exporter(&fake.url, [RABBITMQ]);
    for (age, stats, expected) in [
        (90_000, json!({"ack": 70, "get_no_ack": 30}), Some(100.0)),
        (91_000, json!({"ack": 75}), Some(105.0)), // a key that is gone is unknown, not 0
        (1_000, json!({}), None),                  // no activity since the restart
        (2_000, json!({"ack": 3}), Some(108.0)),
        (3_000, json!({"ack": 1}), Some(108.0)), // a reset without a known cause
        (4_000, json!({"ack": 2}), Some(109.0)),
    ] {
        *uptime.lock().unwrap() = age;
        *items.lock().unwrap() = vec![json!({"name": "a", "vhost": "/", "message_stats": stats})];
        let processed = "messages_processed_total{queue_name=\"a\",status=\"success\",vhost=\"/\"}";
        assert_eq!(value(&exporter.scrape(), processed), expected, "{stats}");
    }
}

#[test]
fn hidden_queues_of_a_broker_are_an_error() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/api/overview" => Reply::json(r#"{"object_totals":{"queues":6}}"#),
        _ => Reply::json(r#"{"items":[],"filtered_count":0,"page_count":0}"#),
    });
    let exporter = exporter(&fake.url, [RABBITMQ]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0));
    assert!(exporter.log().contains("0 of its 6 queues"), "{}", exporter.log());
}

#[test]
fn the_overview_of_an_earlier_read_is_not_exported_after_an_incomplete_list() {
    let fails = Arc::<Mutex<bool>>::default();
    let broken = fails.clone();
    let items = queues(1).lock().unwrap().clone();
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/api/overview" => Reply::json(r#"{"object_totals":{"queues":2,"connections":7}}"#),
        target if target.starts_with("/api/nodes?") => Reply::json("[]"),
        _ if *broken.lock().unwrap() && parameter(request, "page") > 1 => Reply::Complete(500, String::new()),
        _ => Reply::json(json!({"items": items, "filtered_count": 2, "page_count": 2}).to_string()),
    });
    let exporter = exporter(&fake.url, [RABBITMQ]);
    let connections = |metrics: &str| value(metrics, "queue_broker_connections");
    assert_eq!(connections(&exporter.scrape()), Some(7.0));
    *fails.lock().unwrap() = true;
    let metrics = exporter.scrape();
    assert_eq!((depths(&metrics), connections(&metrics)), (1, None), "{metrics} {}", exporter.log());
}

#[test]
fn queues_without_statistics_are_an_error_that_names_the_cause() {
    let statistics_off = Arc::new(Mutex::new(false));
    let off = statistics_off.clone();
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/api/overview" => Reply::json(json!({"disable_stats": *off.lock().unwrap()}).to_string()),
        // the response of version 3.10.8 in the first seconds after its start, and all the time without statistics
        _ => Reply::json(
            r#"{"items":[{"arguments":{},"auto_delete":false,"durable":true,"exclusive":false,"name":"a",
            "node":"rabbit@a","state":"live","type":"classic","vhost":"/"}],"filtered_count":1,"page_count":1}"#,
        ),
    });
    let exporter = exporter(&fake.url, [RABBITMQ]);
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, SUCCESS), depths(&metrics)), (Some(0.0), 0));
    assert!(metrics.contains("queue_info{") && exporter.log().contains("no statistics of its queues yet"), "{metrics}");
    *statistics_off.lock().unwrap() = true;
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, SUCCESS), depths(&metrics)), (Some(0.0), 0));
    assert!(exporter.log().contains("set management_agent.disable_metrics_collector = false"), "{}", exporter.log());
}

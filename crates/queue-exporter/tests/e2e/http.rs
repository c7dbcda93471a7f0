//! The queue system `http`: values, errors and timeouts.

use std::thread;
use std::time::Duration;

use exporter_common::testing::{assert_golden, assert_lint, value};

use crate::fake::{Fake, Reply};
use crate::fake_app::{App, depth, processed};
use crate::{SUCCESS, assert_vocabulary, exporter, once, started};

#[test]
fn every_metric_is_exported_and_passes_promtool() {
    let app = App::with([
        (
            "orders",
            r#"{"depth":3,"processed":10,"failed":1,"processing_seconds":
                {"buckets":{"0.01":2,"0.05":7,"0.1":7,"0.25":8,"0.5":9,"1":9,"2.5":10,"5":10},"sum":1.5,"count":10}}"#,
        ),
        ("own buckets", r#"{"depth":0,"processing_seconds":{"buckets":{"10":1},"count":2}}"#),
        ("says nothing", "{}"),
    ]);
    let fake = app.start();
    let metrics = exporter(&fake.url, []).scrape();
    assert_golden(&metrics, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/http.prom"));
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

#[test]
fn names_with_special_characters_are_exported() {
    let app = App::default();
    let names = ["a/b", "ü ñ 漢", "say \"hi\"", "back\\slash", "50%", "?x#y", "two\nlines", "..."];
    for name in names {
        app.set(name, Reply::json(r#"{"depth":1}"#));
    }
    app.set("..", Reply::json("{}"));
    let fake = app.start();
    let exporter = exporter(&fake.url, []);
    let metrics = exporter.scrape();
    for name in names {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        assert_eq!(value(&metrics, &depth(&escaped)), Some(1.0), "{name}\n{metrics}");
    }
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "a name that a URL cannot contain is an error");
    assert!(exporter.log().contains("cannot be written in a URL"), "{}", exporter.log());
}

#[test]
fn one_unreadable_queue_sets_success_0_and_hides_no_other() {
    for (broken, why) in [
        (Reply::Complete(500, "no".to_owned()), "returned 500"),
        (Reply::json("<html>"), "not a JSON object"),
        (Reply::json(r#"{"depth":"three"}"#), "whole number"),
        (Reply::Truncated(r#"{"depth":3,"processed":10}"#.to_owned()), "cannot read"),
        (Reply::Close, "cannot get"),
        (Reply::Flood(100 << 20), "exceeds 16 MB"),
        (Reply::Hang, "no response within 300ms"),
    ] {
        let app = App::with([("good", r#"{"depth":3}"#)]);
        app.set("bad", broken.clone());
        let fake = app.start();
        // only queues that hang are limited: on a busy machine the others are slow
        let timeout = if matches!(broken, Reply::Hang) { "300ms" } else { "30s" };
        let exporter = exporter(&fake.url, [&format!("--queue.timeout={timeout}"), "--scrape.timeout=60s"]);
        let metrics = exporter.scrape();
        assert_eq!(value(&metrics, &depth("good")), Some(3.0), "{broken:?}");
        assert_eq!(value(&metrics, &depth("bad")), None, "{broken:?}");
        assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{broken:?}");
        assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"error\"}"), Some(1.0), "{broken:?}");
        let log = exporter.log();
        assert!(log.contains("bad") && log.contains(why), "{broken:?}: {log}");
        app.set("bad", Reply::json(r#"{"depth":4}"#));
        let metrics = exporter.scrape();
        assert_eq!((value(&metrics, &depth("bad")), value(&metrics, SUCCESS)), (Some(4.0), Some(1.0)));
    }
}

#[test]
fn without_a_list_no_queue_is_exported_until_it_returns() {
    let app = App::with([("a", r#"{"depth":3,"processed":5}"#)]);
    let fake = app.start();
    let exporter = exporter(&fake.url, ["--queue.timeout=300ms"]);
    for broken in [
        Reply::Complete(503, String::new()),
        Reply::json("{}"),
        Reply::json("[]"),
        Reply::json(r#"{"queues":"a"}"#),
        Reply::Truncated(r#"{"queues":["a"]}"#.to_owned()),
        Reply::Flood(100 << 20),
        Reply::Close,
        Reply::Hang,
    ] {
        app.list(Some(broken.clone()));
        let metrics = exporter.scrape();
        assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(0.0), None), "{broken:?}");
        app.list(None);
        let metrics = exporter.scrape();
        assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(1.0), Some(3.0)), "{broken:?}");
    }
}

#[test]
fn a_connection_closed_on_reuse_is_not_an_error() {
    let app = App::with([("a", r#"{"depth":1}"#), ("b", r#"{"depth":2}"#), ("c", r#"{"depth":3}"#)]);
    let keeps = Duration::from_secs(1);
    let mut fake = Fake::start(move |request| match request.waited {
        Some(waited) if waited >= keeps => Reply::Close,
        _ => app.respond(request),
    });
    fake.url.push_str("/queues");
    let exporter = exporter(&fake.url, []);
    for _ in 0..3 {
        thread::sleep(keeps); // the next scrape finds all connections that old
        assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
    }
}

#[test]
fn an_invalid_name_sets_success_0_and_hides_no_other() {
    let app = App::with([("a", r#"{"depth":3}"#)]);
    app.list(Some(Reply::json(r#"{"queues":[null,"a","a"]}"#)));
    let fake = app.start();
    let metrics = exporter(&fake.url, []).scrape();
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(0.0), Some(3.0)));
}

#[test]
fn a_scrape_returns_in_time_with_the_queues_read_so_far() {
    let app = App::with([("good", r#"{"depth":3}"#)]);
    for hung in 0..40 {
        app.set(&format!("hung {hung}"), Reply::Hang);
    }
    let fake = app.start();
    // only the header limits these: the test itself waits longer
    let exporter = started(&fake.url, ["--queue.timeout=1h", "--scrape.timeout=1h"]);
    let response = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    assert_eq!(response.status, 200);
    assert_eq!(value(&response.body, &depth("good")), Some(3.0), "{}", response.body);
    assert_eq!(value(&response.body, SUCCESS), Some(0.0));
}

#[test]
fn many_queues_that_hang_are_counted_as_errors() {
    let app = App::with([("good", r#"{"depth":3}"#)]);
    for hung in 0..30 {
        app.set(&format!("hung {hung}"), Reply::Hang);
    }
    let fake = app.start();
    let (metrics, log) = once(&fake.url, ["--queue.timeout=2s", "--scrape.timeout=4s"]);
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("good"))), (Some(0.0), Some(3.0)), "{log}");
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"error\"}"), Some(30.0), "{log}");
    assert!(log.contains("30 errors, the first: queue \\\"hung"), "{log}");
}

#[test]
fn a_scrape_of_a_system_that_hangs_returns_in_time() {
    let fake = Fake::start(|_| Reply::Hang);
    let exporter = started(&fake.url, ["--queue.timeout=1h", "--scrape.timeout=1h"]);
    let response = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    assert_eq!((response.status, value(&response.body, SUCCESS)), (200, Some(0.0)));
    assert!(response.body.contains("queue_exporter_info{"), "{}", response.body);
}

#[test]
fn counters_never_decrease() {
    let app = App::with([("a", r#"{"processed":10,"failed":4}"#)]);
    let fake = app.start();
    let exporter = exporter(&fake.url, []);
    for (statistics, expected) in [
        (r#"{"processed":10,"failed":4}"#, (Some(10.0), Some(4.0))),
        (r#"{"processed":2,"failed":5}"#, (Some(10.0), Some(5.0))),
        (r#"{"processed":3}"#, (Some(11.0), None)),
        (r#"{"processed":6,"failed":6}"#, (Some(14.0), Some(6.0))),
    ] {
        app.set("a", Reply::json(statistics));
        let metrics = exporter.scrape();
        let seen = (value(&metrics, &processed("a", "success")), value(&metrics, &processed("a", "failure")));
        assert_eq!(seen, expected, "{statistics}");
    }
    app.set("a", Reply::Close);
    assert_eq!(value(&exporter.scrape(), &processed("a", "success")), None);
    app.set("a", Reply::json(r#"{"processed":7,"failed":6}"#));
    assert_eq!(value(&exporter.scrape(), &processed("a", "success")), Some(15.0), "a fault forgets nothing");
}

#[test]
fn an_empty_queue_stays_and_a_deleted_one_disappears() {
    let app = App::with([("a", r#"{"depth":3}"#), ("b", r#"{"depth":3}"#)]);
    let fake = app.start();
    let exporter = exporter(&fake.url, []);
    assert_eq!(value(&exporter.scrape(), &depth("b")), Some(3.0));
    app.set("a", Reply::json(r#"{"depth":0}"#));
    app.delete("b");
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, &depth("a")), value(&metrics, &depth("b"))), (Some(0.0), None));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
}

#[test]
fn a_queue_deleted_after_it_was_listed_is_not_an_error() {
    let app = App::with([("a", r#"{"depth":3}"#), ("gone", "{}")]);
    let shared = app.clone();
    let fake = Fake::start(move |request| {
        if request.target == "/queues/gone" {
            shared.delete("gone");
        }
        shared.respond(request)
    });
    let (metrics, log) = once(&format!("{}/queues", fake.url), []);
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(1.0), Some(3.0)), "{log}");
}

#[test]
fn a_listed_queue_that_is_never_found_is_an_error() {
    let app = App::with([("a", r#"{"depth":3}"#)]);
    app.set("nowhere", Reply::Complete(404, String::new()));
    let fake = app.start();
    let (metrics, log) = once(&fake.url, []);
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(0.0), Some(3.0)));
    assert!(log.contains("nowhere") && log.contains("is listed, but not found"), "{log}");
}

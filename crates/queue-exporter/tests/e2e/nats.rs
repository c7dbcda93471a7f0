//! The queue system `nats` against a server that starts, and one that is restarted while it is read.

use std::sync::Mutex;

use exporter_common::testing::value;

use crate::fake::{Fake, Reply};
use crate::{SUCCESS, exporter, once};

/// A stream while its server starts: its consumer does not exist yet.
const STARTING: &str = r#"{"server_id":"B","account_details":[{"name":"$G","stream_detail":[{"name":"S",
    "created":"2026-11-20T10:00:00Z","state":{"messages":3,"bytes":9,"last_seq":5}}]}]}"#;

fn server(health: u16, server_id: &'static str) -> Fake {
    Fake::start(move |request| match request.target.split('?').next() {
        Some("/varz") => Reply::json(format!(r#"{{"server_id":"{server_id}","server_name":"a"}}"#)),
        Some("/healthz") => Reply::Complete(health, "{}".to_owned()),
        _ => Reply::json(STARTING),
    })
}

#[test]
fn a_starting_server_is_an_error() {
    let seen = |health, server_id| {
        let fake = server(health, server_id);
        let (metrics, log) = once(&fake.url, ["--queue.system=nats"]);
        let enqueued = value(&metrics, "messages_enqueued_total{queue_name=\"S\"}");
        (value(&metrics, SUCCESS), enqueued, log)
    };
    assert!(matches!(seen(200, "B"), (Some(1.0), Some(5.0), _)));
    assert!(matches!(seen(404, "B"), (Some(1.0), Some(5.0), _)), "an old server does not report its health");
    let (success, enqueued, log) = seen(503, "B");
    assert_eq!((success, enqueued), (Some(0.0), None));
    assert!(log.contains("is not healthy"), "{log}");
    let (success, enqueued, log) = seen(200, "A");
    assert_eq!((success, enqueued), (Some(0.0), None));
    assert!(log.contains("restarted during the read"), "{log}");
}

#[test]
fn a_restarted_server_is_read_again() {
    let ids = Mutex::new(vec!["B", "A"]);
    let fake = Fake::start(move |request| match request.target.split('?').next() {
        Some("/varz") => {
            let id = ids.lock().unwrap().pop().unwrap_or("B");
            Reply::json(format!(r#"{{"server_id":"{id}","server_name":"a"}}"#))
        }
        Some("/healthz") => Reply::json("{}"),
        _ => Reply::json(STARTING),
    });
    let exporter = exporter(&fake.url, ["--queue.system=nats"]); // its first read
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
}

/// The same stream with its consumer, and a server without any.
const RUNNING: &str = r#"{"server_id":"B","account_details":[{"name":"$G","stream_detail":[{"name":"S",
    "created":"2026-11-20T10:00:00Z","state":{"messages":3,"bytes":9,"last_seq":5},
    "consumer_detail":[{"name":"c","created":"2026-11-20T10:00:00Z","delivered":{"consumer_seq":2},"num_ack_pending":0,
    "num_pending":3}]}]}]}"#;
const EMPTY: &str = r#"{"server_id":"B"}"#;

#[test]
fn streams_that_vanish_during_a_shutdown_are_an_error() {
    let pages = |pages: Vec<Reply>| {
        let pages = Mutex::new(pages.into_iter());
        Fake::start(move |request| match request.target.split('?').next() {
            Some("/varz") => Reply::json(r#"{"server_id":"B","server_name":"a"}"#),
            Some("/healthz") => Reply::json("{}"),
            _ => pages.lock().unwrap().next().unwrap_or(Reply::Close),
        })
    };
    // the first response is for the start of the exporter, the next two are for the second read
    for (next, success) in [
        ([Reply::json(EMPTY), Reply::json(EMPTY)], 1.0),
        ([Reply::json(STARTING), Reply::json(STARTING)], 1.0),
        ([Reply::json(STARTING), Reply::json(EMPTY)], 0.0),
        // created and deleted between the reads
        ([Reply::json(STARTING.replace("\"S\"", "\"T\"")), Reply::json(EMPTY)], 1.0),
        ([Reply::json(EMPTY), Reply::Close], 0.0),
    ] {
        let fake = pages([Reply::json(RUNNING)].into_iter().chain(next.clone()).collect());
        let exporter = exporter(&fake.url, ["--queue.system=nats"]);
        let metrics = exporter.scrape();
        assert_eq!(value(&metrics, SUCCESS), Some(success), "{next:?} {}", exporter.log());
        assert_eq!(value(&metrics, "queue_depth{queue_name=\"S\",scope=\"c\"}"), None, "{metrics}");
    }
}

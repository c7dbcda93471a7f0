//! The queue system `http`: selected queues, the limit, credentials and wrong addresses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use exporter_common::testing::{self, value};

use crate::fake::{Fake, Reply};
use crate::fake_app::{App, depth, processed};
use crate::{SUCCESS, exporter, once};

#[test]
fn patterns_select_queues_and_the_others_are_counted() {
    let app = App::with([("orders", r#"{"depth":1}"#), ("orders.dlq", r#"{"depth":1}"#), ("mail", r#"{"depth":1}"#)]);
    app.set("tmp", Reply::Close);
    let fake = app.start();
    let metrics = exporter(&fake.url, ["--queue.include=orders.*|mail", "--queue.exclude=.*dlq"]).scrape();
    let exported = ["orders", "orders.dlq", "mail"].map(|queue| value(&metrics, &depth(queue)).is_some());
    assert_eq!(exported, [true, false, true]);
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"exported\"}"), Some(2.0));
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"filtered\"}"), Some(2.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "omitted queues are not read");
}

#[test]
fn a_pattern_without_matches_is_logged_once() {
    let app = App::with([("orders", r#"{"depth":1}"#)]);
    let fake = app.start();
    let exporter = exporter(&fake.url, ["--queue.include=order.*", "--queue.exclude=tmp.*"]);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "queue_exporter_pattern_matches{pattern=\"include\"}"), Some(1.0));
    assert_eq!(value(&metrics, "queue_exporter_pattern_matches{pattern=\"exclude\"}"), Some(0.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
    exporter.scrape();
    let logged =
        |exporter: &exporter_common::testing::Running| exporter.log().matches("--queue.exclude matches none").count();
    assert_eq!(logged(&exporter), 1, "{}", exporter.log());
    app.set("tmp.1", Reply::json("{}"));
    exporter.scrape();
    app.delete("tmp.1");
    exporter.scrape();
    assert_eq!(logged(&exporter), 2, "logged again after it had matched: {}", exporter.log());
}

#[test]
fn errors_are_counted_by_reason() {
    for (broken, reason) in [
        (Reply::Hang, "timeout"),
        (Reply::Complete(401, String::new()), "auth"),
        (Reply::Close, "connect"),
        (Reply::Complete(500, String::new()), "protocol"),
        (Reply::json("<html>"), "parse"),
        (Reply::Complete(404, String::new()), "partial"),
    ] {
        let app = App::with([("good", r#"{"depth":3}"#)]);
        app.set("bad", broken);
        let fake = app.start();
        let exporter = exporter(&fake.url, ["--queue.timeout=300ms"]);
        let series = |reason| format!("queue_exporter_source_errors_total{{reason=\"{reason}\"}}");
        let before = exporter.scrape();
        let after = exporter.scrape();
        for known in ["timeout", "auth", "connect", "tls", "protocol", "parse", "partial"] {
            let grown = value(&after, &series(known)).unwrap() - value(&before, &series(known)).unwrap();
            assert_eq!(grown, f64::from(u8::from(known == reason)), "{known} for {reason}: {after}");
        }
    }
}

#[test]
fn over_the_limit_the_deepest_queues_are_exported_and_the_others_summed_up() {
    let statistics = |depth, processed| Reply::json(format!(r#"{{"depth":{depth},"processed":{processed}}}"#));
    let app = App::default();
    for (name, depth, done) in [("deep", 90, 5), ("middle", 50, 5), ("flat", 1, 700), ("empty", 0, 70)] {
        app.set(name, statistics(depth, done));
    }
    let fake = app.start();
    let exporter = exporter(&fake.url, ["--queue.max-queues=2"]);
    let seen = |metrics: &str| {
        let one = |name: &str| (value(metrics, &depth(name)), value(metrics, &processed(name, "success")));
        ["deep", "middle", "flat", "empty", "_other"].map(one)
    };
    let none = (None, None);
    let queues = |metrics: &str, outcome| value(metrics, &format!("queue_exporter_queues{{outcome=\"{outcome}\"}}"));
    let metrics = exporter.scrape();
    let [deep, middle] = [(Some(90.0), Some(5.0)), (Some(50.0), Some(5.0))];
    assert_eq!(seen(&metrics), [deep, middle, none, none, (Some(1.0), Some(0.0))]);
    assert_eq!((queues(&metrics, "exported"), queues(&metrics, "over_limit")), (Some(2.0), Some(2.0)));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
    // another is deeper now: the choice stays
    app.set("flat", statistics(99, 703));
    app.set("empty", statistics(2, 71));
    assert_eq!(seen(&exporter.scrape()), [deep, middle, none, none, (Some(101.0), Some(4.0))]);
    // without all of the other queues there is no sum, but the counters stay
    app.set("empty", Reply::Close);
    assert_eq!(seen(&exporter.scrape())[4], (None, Some(4.0)));
    app.set("empty", statistics(2, 72));
    app.delete("deep");
    let metrics = exporter.scrape_until("the free place is given away", |metrics| seen(metrics)[2].0.is_some());
    assert_eq!(seen(&metrics), [none, middle, (Some(99.0), Some(703.0)), none, (Some(2.0), Some(5.0))]);
}

#[test]
fn a_recreated_queue_continues_its_counters() {
    let app = App::with([("a", r#"{"processed":100}"#), ("b", "{}")]);
    let fake = app.start();
    let exporter = exporter(&fake.url, []);
    assert_eq!(value(&exporter.scrape(), &processed("a", "success")), Some(100.0));
    app.delete("a");
    for _ in 0..5 {
        assert_eq!(value(&exporter.scrape(), &processed("a", "success")), None);
    }
    app.set("a", Reply::json(r#"{"processed":5}"#));
    assert_eq!(value(&exporter.scrape(), &processed("a", "success")), Some(105.0));
}

#[test]
fn ten_thousand_queues_are_exported_in_one_scrape() {
    let names: Vec<_> = (0..10_000).map(|n| format!("queue-{n}")).collect();
    let list = serde_json::json!({ "queues": names }).to_string();
    let fake = Fake::start(move |request| match request.target.rsplit_once("queue-") {
        Some((_, number)) => Reply::json(format!(r#"{{"depth":{number},"processed":1,"failed":0}}"#)),
        None => Reply::json(list.clone()),
    });
    let (metrics, log) = once(&fake.url, ["--queue.timeout=1m", "--scrape.timeout=1m"]);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"exported\"}"), Some(10_000.0));
    for queue in [0, 4_999, 9_999] {
        assert_eq!(value(&metrics, &depth(&format!("queue-{queue}"))), Some(f64::from(queue)));
    }
}

#[test]
fn credentials_are_sent_reloaded_and_never_logged() {
    let app = App::with([("a", r#"{"depth":3}"#)]);
    let behind = app.clone();
    let fake = Fake::start(move |request| match request.authorization.as_deref() {
        Some("Basic bWU6bmV3cGFzcw==") => behind.respond(request), // me:newpass
        _ => Reply::Complete(401, String::new()),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "oldpass\n").unwrap();
    let flag = format!("--queue.password-file={}", file.display());
    let url = fake.url.replace("http://", "http://someone:elsepass@") + "/queues?token=tokenpass";
    let exporter = exporter(&url, ["--queue.username=me", &flag, "--log.level=debug"]);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0));
    let log = exporter.log();
    assert!(log.contains("returned 401 Unauthorized: check --queue.username and --queue.password-file"), "{log}");
    std::fs::write(&file, "newpass\n").unwrap();
    let metrics = exporter.scrape();
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(1.0), Some(3.0)));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0));
    let log = exporter.log();
    assert!(log.contains("cannot read --queue.password-file"), "{log}");
    for secret in ["oldpass", "newpass", "elsepass", "tokenpass", "bWU6"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let elsewhere = Fake::start(|_| Reply::json(r#"{"queues":[]}"#));
    let target = elsewhere.url.clone();
    let fake = Fake::start(move |_| Reply::Redirect(target.clone()));
    let exporter = exporter(&fake.url.replace("http://", "http://me:secret@"), []);
    assert_eq!(value(&exporter.scrape(), SUCCESS), Some(0.0));
    assert!(exporter.log().contains("redirects are not followed"), "{}", exporter.log());
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let fake = App::with([("a", r#"{"depth":3}"#)]).start();
    let proxy = Fake::start(|_| Reply::json(r#"{"queues":[]}"#));
    let mut command = testing::command(env!("CARGO_BIN_EXE_queue-exporter"));
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, &proxy.url);
    }
    let url = fake.url.replace("http://", "http://me:secret@");
    let output = command.args(["--once", "--queue.url", &url]).output();
    let metrics = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(1.0), Some(3.0)));
    assert!(proxy.requests().is_empty());
}

#[test]
fn queues_that_hang_are_logged_in_time_and_hide_no_other() {
    for hung in [1, 16, 40] {
        let app = App::with([("zz healthy", r#"{"depth":3}"#)]);
        let fake = app.start();
        let exporter = exporter(&fake.url, []); // the first read has more time
        for n in 0..hung {
            app.set(&format!("hung {n}"), Reply::Hang);
        }
        let metrics = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "5")]).body;
        assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("zz healthy"))), (Some(0.0), Some(3.0)), "{hung}");
        let error = value(&metrics, "queue_exporter_queues{outcome=\"error\"}");
        assert_eq!(error, Some(f64::from(hung)), "{}", exporter.log());
        assert!(exporter.log().contains("queue \\\"hung"), "{}", exporter.log());
    }
}

/// The address of a server that sends a greeting to every client and waits until it disconnects.
fn greeting_server(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(greeting); // a client may disconnect at any time
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn an_error_for_a_wrong_address_names_the_right_one() {
    let page = Fake::start(|_| Reply::json("<!doctype html><title>RabbitMQ Management</title>"));
    let (_, log) = once(&page.url, []);
    assert!(log.contains("not a JSON object: for RabbitMQ, set --queue.system rabbitmq"), "{log}");
    let plain = greeting_server(b"HTTP/1.1 400 This is not TLS\r\n\r\n");
    for scheme in ["https", "rediss"] {
        let (metrics, log) = once(&format!("{scheme}://{plain}"), []);
        assert!(log.contains("the server does not speak TLS"), "{log}");
        assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"tls\"}"), Some(1.0), "{log}");
    }
    let amqp = greeting_server(b"AMQP\0\0\x09\x01");
    let (metrics, log) = once(&format!("http://{amqp}"), ["--queue.system=rabbitmq"]);
    assert!(log.contains("the server does not speak HTTP: RabbitMQ's management API is on port 15672"), "{log}");
    assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"protocol\"}"), Some(1.0), "{log}");
}

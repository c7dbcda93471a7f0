//! The queue system `http`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use exporter_common::testing::{self, assert_golden, assert_lint, value};
use percent_encoding::percent_decode_str;

use crate::fake::{Fake, Reply, Request};
use crate::{SUCCESS, assert_vocabulary, exporter, once, started};

/// An application with queues, each of which answers as the test says, and a list of its own when that
/// is broken.
#[derive(Clone, Default)]
struct App(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    list: Option<Reply>,
    queues: BTreeMap<String, Reply>,
}

impl App {
    fn with<const N: usize>(queues: [(&str, &str); N]) -> Self {
        let app = Self::default();
        for (name, statistics) in queues {
            app.set(name, Reply::json(statistics));
        }
        app
    }

    fn set(&self, name: &str, reply: Reply) {
        self.0.lock().unwrap().queues.insert(name.to_owned(), reply);
    }

    fn delete(&self, name: &str) {
        self.0.lock().unwrap().queues.remove(name);
    }

    fn list(&self, reply: Option<Reply>) {
        self.0.lock().unwrap().list = reply;
    }

    fn answer(&self, request: &Request) -> Reply {
        let state = self.0.lock().unwrap();
        let path = request.target.split('?').next().unwrap();
        let Some(name) = path.strip_prefix("/queues/") else {
            let names: Vec<_> = state.queues.keys().collect();
            let list = serde_json::json!({ "queues": names }).to_string();
            return state.list.clone().unwrap_or(Reply::json(list));
        };
        assert!(!name.contains('/'), "a name is one segment: {name}");
        let name = percent_decode_str(name).decode_utf8().unwrap();
        state.queues.get(&*name).cloned().unwrap_or(Reply::Answer(404, String::new()))
    }

    fn start(&self) -> Fake {
        let app = self.clone();
        let mut fake = Fake::start(move |request| app.answer(request));
        fake.url.push_str("/queues");
        fake
    }
}

fn depth(queue: &str) -> String {
    format!("queue_depth{{queue_name=\"{queue}\"}}")
}

fn processed(queue: &str, status: &str) -> String {
    format!("messages_processed_total{{queue_name=\"{queue}\",status=\"{status}\"}}")
}

#[test]
fn every_metric_is_exported_and_promtool_finds_no_fault() {
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
fn names_come_through_whatever_is_in_them() {
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
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "a name no URL can say is told");
    assert!(exporter.log().contains("cannot be written in a URL"), "{}", exporter.log());
}

#[test]
fn one_broken_queue_costs_only_itself_and_success() {
    for (broken, why) in [
        (Reply::Answer(500, "no".to_owned()), "returned 500"),
        (Reply::json("<html>"), "not a JSON object"),
        (Reply::json(r#"{"depth":"three"}"#), "whole number"),
        (Reply::Cut(r#"{"depth":3,"processed":10}"#.to_owned()), "cannot get"),
        (Reply::Close, "cannot get"),
        (Reply::Flood(100 << 20), "exceeds 16 MB"),
        (Reply::Hang, "no response within 300ms"),
    ] {
        let app = App::with([("good", r#"{"depth":3}"#)]);
        app.set("bad", broken.clone());
        let fake = app.start();
        // only what hangs is not to be waited for: on a busy machine the others take their time
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
fn without_a_list_there_are_no_queues_and_no_success_until_it_is_back() {
    let app = App::with([("a", r#"{"depth":3,"processed":5}"#)]);
    let fake = app.start();
    let exporter = exporter(&fake.url, ["--queue.timeout=300ms"]);
    for broken in [
        Reply::Answer(503, String::new()),
        Reply::json("{}"),
        Reply::json("[]"),
        Reply::json(r#"{"queues":"a"}"#),
        Reply::Cut(r#"{"queues":["a"]}"#.to_owned()),
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
fn a_server_that_closes_connections_just_when_they_are_used_again_is_no_fault() {
    let app = App::with([("a", r#"{"depth":1}"#), ("b", r#"{"depth":2}"#), ("c", r#"{"depth":3}"#)]);
    let keeps = Duration::from_secs(1);
    let mut fake = Fake::start(move |request| match request.waited {
        Some(waited) if waited >= keeps => Reply::Close,
        _ => app.answer(request),
    });
    fake.url.push_str("/queues");
    let exporter = exporter(&fake.url, []);
    for _ in 0..3 {
        thread::sleep(keeps); // the next scrape finds all connections that old
        assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
    }
}

#[test]
fn a_name_that_is_none_costs_only_itself_and_success() {
    let app = App::with([("a", r#"{"depth":3}"#)]);
    app.list(Some(Reply::json(r#"{"queues":[null,"a","a"]}"#)));
    let fake = app.start();
    let metrics = exporter(&fake.url, []).scrape();
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(0.0), Some(3.0)));
}

#[test]
fn a_scrape_is_answered_in_its_time_with_what_was_read() {
    let app = App::with([("good", r#"{"depth":3}"#)]);
    for hung in 0..40 {
        app.set(&format!("hung {hung}"), Reply::Hang);
    }
    let fake = app.start();
    // only the header ends these before the test's own patience does
    let exporter = started(&fake.url, ["--queue.timeout=1h", "--scrape.timeout=1h"]);
    let answer = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    assert_eq!(answer.status, 200);
    assert_eq!(value(&answer.body, &depth("good")), Some(3.0), "{}", answer.body);
    assert_eq!(value(&answer.body, SUCCESS), Some(0.0));
}

#[test]
fn many_queues_that_hang_end_with_the_read_and_are_counted() {
    let app = App::with([("good", r#"{"depth":3}"#)]);
    for hung in 0..30 {
        app.set(&format!("hung {hung}"), Reply::Hang);
    }
    let fake = app.start();
    let (metrics, log) = once(&fake.url, ["--queue.timeout=2s", "--scrape.timeout=4s"]);
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("good"))), (Some(0.0), Some(3.0)), "{log}");
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"error\"}"), Some(30.0), "{log}");
    assert!(log.contains("30 faults, the first: queue \\\"hung"), "{log}");
}

#[test]
fn a_scrape_of_a_system_that_hangs_is_answered_in_its_time() {
    let fake = Fake::start(|_| Reply::Hang);
    let exporter = started(&fake.url, ["--queue.timeout=1h", "--scrape.timeout=1h"]);
    let answer = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    assert_eq!((answer.status, value(&answer.body, SUCCESS)), (200, Some(0.0)));
    assert!(answer.body.contains("queue_exporter_info{"), "{}", answer.body);
}

#[test]
fn counters_never_go_down() {
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
fn a_queue_that_empties_stays_and_one_that_is_deleted_goes() {
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
fn a_queue_deleted_since_it_was_listed_is_no_fault() {
    let app = App::with([("a", r#"{"depth":3}"#), ("gone", "{}")]);
    let shared = app.clone();
    let fake = Fake::start(move |request| {
        if request.target == "/queues/gone" {
            shared.delete("gone");
        }
        shared.answer(request)
    });
    let (metrics, log) = once(&format!("{}/queues", fake.url), []);
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(1.0), Some(3.0)), "{log}");
}

#[test]
fn a_queue_that_is_listed_and_never_found_is_a_fault() {
    let app = App::with([("a", r#"{"depth":3}"#)]);
    app.set("nowhere", Reply::Answer(404, String::new()));
    let fake = app.start();
    let (metrics, log) = once(&fake.url, []);
    assert_eq!((value(&metrics, SUCCESS), value(&metrics, &depth("a"))), (Some(0.0), Some(3.0)));
    assert!(log.contains("nowhere") && log.contains("is listed, but not found"), "{log}");
}

#[test]
fn patterns_choose_queues_and_what_they_leave_out_is_counted() {
    let app = App::with([("orders", r#"{"depth":1}"#), ("orders.dlq", r#"{"depth":1}"#), ("mail", r#"{"depth":1}"#)]);
    app.set("tmp", Reply::Close);
    let fake = app.start();
    let metrics = exporter(&fake.url, ["--queue.include=orders.*|mail", "--queue.exclude=.*dlq"]).scrape();
    let exported = ["orders", "orders.dlq", "mail"].map(|queue| value(&metrics, &depth(queue)).is_some());
    assert_eq!(exported, [true, false, true]);
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"exported\"}"), Some(2.0));
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"filtered\"}"), Some(2.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "what is left out is not asked for");
}

#[test]
fn a_pattern_that_matches_nothing_is_told_once() {
    let app = App::with([("orders", r#"{"depth":1}"#)]);
    let fake = app.start();
    let exporter = exporter(&fake.url, ["--queue.include=order.*", "--queue.exclude=tmp.*"]);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "queue_exporter_pattern_matches{pattern=\"include\"}"), Some(1.0));
    assert_eq!(value(&metrics, "queue_exporter_pattern_matches{pattern=\"exclude\"}"), Some(0.0));
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
    exporter.scrape();
    let told =
        |exporter: &exporter_common::testing::Running| exporter.log().matches("--queue.exclude matches none").count();
    assert_eq!(told(&exporter), 1, "{}", exporter.log());
    app.set("tmp.1", Reply::json("{}"));
    exporter.scrape();
    app.delete("tmp.1");
    exporter.scrape();
    assert_eq!(told(&exporter), 2, "it is told again when it begins again: {}", exporter.log());
}

#[test]
fn faults_are_counted_by_their_reason() {
    for (broken, reason) in [
        (Reply::Hang, "timeout"),
        (Reply::Answer(401, String::new()), "auth"),
        (Reply::Close, "connect"),
        (Reply::Answer(500, String::new()), "protocol"),
        (Reply::json("<html>"), "parse"),
        (Reply::Answer(404, String::new()), "partial"),
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
fn over_the_limit_the_deepest_are_kept_and_the_rest_is_one() {
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
    // of a rest that is not whole there is no sum; what was counted stays
    app.set("empty", Reply::Close);
    assert_eq!(seen(&exporter.scrape())[4], (None, Some(4.0)));
    app.set("empty", statistics(2, 72));
    app.delete("deep");
    let metrics = exporter.scrape_until("the free place is given away", |metrics| seen(metrics)[2].0.is_some());
    assert_eq!(seen(&metrics), [none, middle, (Some(99.0), Some(703.0)), none, (Some(2.0), Some(5.0))]);
}

#[test]
fn a_queue_that_comes_back_goes_on_from_its_counters() {
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
fn ten_thousand_queues_are_one_scrape() {
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
fn credentials_are_sent_read_again_and_never_told() {
    let app = App::with([("a", r#"{"depth":3}"#)]);
    let behind = app.clone();
    let fake = Fake::start(move |request| match request.authorization.as_deref() {
        Some("Basic bWU6bmV3cGFzcw==") => behind.answer(request), // me:newpass
        _ => Reply::Answer(401, String::new()),
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
fn a_proxy_in_the_environment_is_told_nothing() {
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
fn queues_that_hang_are_named_within_the_time_of_the_scrape_and_hide_none_behind_them() {
    for hung in [1, 16, 40] {
        let app = App::with([("zz healthy", r#"{"depth":3}"#)]);
        let fake = app.start();
        let exporter = exporter(&fake.url, []); // what it reads first has more time, and would be shared
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

/// The address of a server that says the same to everybody and then waits for them to go.
fn says(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(greeting); // a client may go away at any time
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

#[test]
fn who_gives_the_wrong_address_is_told_which_it_is() {
    let page = Fake::start(|_| Reply::json("<!doctype html><title>RabbitMQ Management</title>"));
    let (_, log) = once(&page.url, []);
    assert!(log.contains("not a JSON object: for RabbitMQ, set --queue.system rabbitmq"), "{log}");
    let plain = says(b"HTTP/1.1 400 This is not TLS\r\n\r\n");
    for scheme in ["https", "rediss"] {
        let (metrics, log) = once(&format!("{scheme}://{plain}"), []);
        assert!(log.contains("the server does not speak TLS"), "{log}");
        assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"tls\"}"), Some(1.0), "{log}");
    }
    let amqp = says(b"AMQP\0\0\x09\x01");
    let (metrics, log) = once(&format!("http://{amqp}"), ["--queue.system=rabbitmq"]);
    assert!(log.contains("the server does not speak HTTP: RabbitMQ's management API is on port 15672"), "{log}");
    assert_eq!(value(&metrics, "queue_exporter_source_errors_total{reason=\"protocol\"}"), Some(1.0), "{log}");
}

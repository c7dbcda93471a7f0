//! An exporter of many targets, from its flags to its metrics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::time::Instant;

use scrapewright::testing::{Running, assert_lint, eventually, free_port, run, value};

/// The built example `probe-exporter`; cargo builds examples before it runs tests.
fn program() -> String {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/probe-exporter").to_str().unwrap().to_owned()
}

fn probe(exporter: &Running, query: &str) -> (u16, String) {
    let response = exporter.get(&format!("/probe{query}"), &[]);
    (response.status, response.body)
}

#[test]
fn targets_are_probed_and_success_shows_which_respond() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let up = server.local_addr().unwrap();
    let down = format!("127.0.0.1:{}", free_port());
    let exporter = Running::start(&program(), ["--probe.target=127.0.0.1:*"]);
    let (status, metrics) = probe(&exporter, &format!("?target={up}&module=tcp4"));
    assert_eq!((status, value(&metrics, "probe_success")), (200, Some(1.0)), "{metrics}");
    assert!(value(&metrics, "probe_tcp_connect_seconds").is_some());
    assert!(value(&metrics, "probe_duration_seconds").is_some());
    assert_lint(&metrics);
    let (status, metrics) = probe(&exporter, &format!("?target={down}"));
    assert_eq!((status, value(&metrics, "probe_success")), (200, Some(0.0)), "{metrics}");
    assert_eq!(value(&metrics, "probe_tcp_connect_seconds"), None);
    let failed = format!("msg=\"probe failed\" target={down} module=tcp");
    eventually("the failure is logged", || exporter.log().contains(&failed).then_some(()));
    // the exporter's own metrics do not contain a target's
    assert!(!exporter.scrape().contains("probe_success"));
}

#[test]
fn a_request_without_an_allowed_target_and_a_known_module_is_refused() {
    let exporter = Running::start(&program(), ["--probe.target=127.0.0.1:*", "--probe.target=db.example.org:5432"]);
    for (query, status, text) in [
        ("", 400, "The parameter target is missing.\n"),
        ("?target=127.0.0.1:1&module=http", 400, "Module \"http\" is unknown; the modules are tcp, tcp4, tcp6.\n"),
        ("?target=169.254.169.254:80", 403, "Target \"169.254.169.254:80\" is not one of the allowed targets.\n"),
        ("?target=127.0.0.1:1/x", 403, "Target \"127.0.0.1:1/x\" is not one of the allowed targets.\n"),
    ] {
        assert_eq!(probe(&exporter, query), (status, text.to_owned()), "{query}");
    }
    let output = run(&program(), ["--check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--probe.target"), "{output:?}");
}

#[test]
fn a_silent_target_is_given_up_before_prometheus_gives_up() {
    // a listener whose queue is full does not respond to a connect
    let server = full_listener();
    let address = server.local_addr().unwrap();
    let waiting: Vec<_> = (0..8).map(|_| connect_without_waiting(address)).collect();
    let exporter = Running::start(&program(), ["--probe.target=127.0.0.1:*"]);
    let started = Instant::now();
    let response = exporter.get(&format!("/probe?target={address}"), &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
    assert!(started.elapsed().as_secs() < 5);
    assert_eq!(value(&response.body, "probe_success"), Some(0.0), "{}", response.body);
    // half of the scrape's second is reserved for the response, and reading the request has taken some of the rest
    assert!(value(&response.body, "probe_duration_seconds").unwrap() >= 0.25);
    assert!(exporter.log().contains("no response within"), "{}", exporter.log());
    drop((waiting, server));
}

/// A listener with the shortest queue.
fn full_listener() -> TcpListener {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    socket.into()
}

/// A connection that fills the queue of a listener.
fn connect_without_waiting(address: std::net::SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let _ = socket.connect(&address.into()); // it is in progress
    socket
}

//! Tests of the built demo, dashboards, rules and docs.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts; // `demo alerts`
mod amqp; // `demo producer`, `demo consumer`
mod app; // `demo app`
#[expect(dead_code, reason = "the exporter's tests use the rest")]
#[path = "../../../queue-exporter/tests/e2e/broker.rs"]
mod broker;
mod compose; // docker-compose.yml
mod dashboards; // grafana/
mod docs; // docs/
mod drill; // faults and their alerts
mod hang; // `demo hang`
mod jobs; // `demo jobs`
mod node_mixin; // cpu-exporter instead of node_exporter
mod page; // the demo's page
mod prometheus; // all exporters scraped by a real Prometheus
mod queue; // `demo queue`
mod rules; // prometheus/rules, prometheus/tests, docs/runbooks
#[path = "../common/prometheus.rs"]
mod server; // a real Prometheus
mod stack; // `demo`
mod web; // `demo web`
mod web_side; // the library's HTTP tests for each exporter
mod wrong_flags; // errors of all programs

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use exporter_common::testing::{Running, run};

/// The built program.
const DEMO: &str = env!("CARGO_BIN_EXE_demo");

/// Starts a part of the demo on a free port.
fn part(arguments: &[&str]) -> Running {
    Running::spawn(Command::new(DEMO).args(arguments).arg("--listen=127.0.0.1:0"))
}

/// Sends a request and returns status and body.
fn request(url: &str, method: &str, path: &str) -> (u16, String) {
    let mut connection = send(url, method, path);
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Sends a request without waiting for the response.
fn send(url: &str, method: &str, path: &str) -> TcpStream {
    let host = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    connection
}

/// The number after a label in the output of `ab`; 0 if the label is missing.
fn ab_value(output: &str, label: &str) -> f64 {
    let line = output.lines().find_map(|line| line.strip_prefix(label));
    line.map_or(0.0, |rest| rest.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn an_invalid_flag_is_reported_in_one_line() {
    for (line, expected) in [
        ("app --success-rate 101", "expected a whole number from 0 to 100"),
        ("app --work soon", "'soon' is not a duration"),
        ("web", "--access-log"),
        ("load", "--app"),
        ("--port-offset 60000", "expected a whole number from 0 to"),
        ("nothing", "unrecognized subcommand 'nothing'"),
    ] {
        let output = run(DEMO, line.split(' '));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{line}: {message}");
    }
}

#[test]
fn an_unavailable_address_or_file_is_reported_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, expected) in [
        (["queue", "--no-producers", "--listen", &address], format!("cannot listen on {address}")),
        (["web", "--access-log=/nowhere/access.log", "--listen", &address], "cannot append to /nowhere".to_owned()),
    ] {
        let output = run(DEMO, arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(&expected) && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn healthcheck_reports_whether_a_part_responds() {
    let queue = part(&["queue", "--no-producers"]);
    assert!(run(DEMO, ["healthcheck", &format!("{}/queues", queue.url)]).status.success());
    let nothing = run(DEMO, ["healthcheck", &format!("{}/nothing", queue.url)]);
    assert!(!nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("404"));
}

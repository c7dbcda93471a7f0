//! The built demo: each part by itself, and all of it together.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod amqp; // `demo producer`, `demo consumer`
mod app; // `demo app`
#[expect(dead_code, reason = "the tests of the exporter do more with it")]
#[path = "../../../queue-exporter/tests/e2e/broker.rs"]
mod broker;
mod compose; // docker-compose.yml
mod dashboards; // grafana/
mod docs; // docs/
mod drill; // faults, and the alerts that tell of them
mod hang; // `demo hang`
mod jobs; // `demo jobs`
mod prometheus; // all exporters under real Prometheus
mod queue; // `demo queue`
mod rules; // prometheus/rules, prometheus/tests, docs/runbooks
#[path = "../common/prometheus.rs"]
mod server; // a real Prometheus
mod stack; // `demo`
mod web; // `demo web`
mod web_side; // what the library's tests ask of any exporter, of the four

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use exporter_common::testing::{Running, run};

/// The built program.
const DEMO: &str = env!("CARGO_BIN_EXE_demo");

/// Starts a part of the demo on a port that is free.
fn part(arguments: &[&str]) -> Running {
    Running::spawn(Command::new(DEMO).args(arguments).arg("--listen=127.0.0.1:0"))
}

/// Sends a request and gives the status and the body.
fn request(url: &str, method: &str, path: &str) -> (u16, String) {
    let mut connection = send(url, method, path);
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Sends a request and waits for nothing.
fn send(url: &str, method: &str, path: &str) -> TcpStream {
    let host = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    connection
}

/// What `ab` says after a label, as a number; 0 where it says nothing.
fn ab_says(output: &str, label: &str) -> f64 {
    let line = output.lines().find_map(|line| line.strip_prefix(label));
    line.map_or(0.0, |rest| rest.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn a_wrong_flag_costs_one_clear_line() {
    for (line, expected) in [
        ("app --success-rate 101", "101 is not in 0..=100"),
        ("app --work soon", "'soon' is no duration"),
        ("web", "--access-log"),
        ("load", "--app"),
        ("--port-offset 60000", "60000 is not in"),
        ("nothing", "unrecognized subcommand 'nothing'"),
    ] {
        let output = run(DEMO, line.split(' '));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{line}: {said}");
    }
}

#[test]
fn a_place_that_cannot_be_had_costs_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, expected) in [
        (["queue", "--no-producers", "--listen", &address], format!("cannot listen on {address}")),
        (["web", "--access-log=/nowhere/access.log", "--listen", &address], "cannot append to /nowhere".to_owned()),
    ] {
        let output = run(DEMO, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(&expected) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn healthcheck_tells_whether_a_part_answers() {
    let queue = part(&["queue", "--no-producers"]);
    assert!(run(DEMO, ["healthcheck", &format!("{}/queues", queue.url)]).status.success());
    let nothing = run(DEMO, ["healthcheck", &format!("{}/nothing", queue.url)]);
    assert!(!nothing.status.success());
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("404"));
}

//! Many and slow clients of a large response: it arrives complete, or the client sees that it did not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use exporter_common::testing::Running;

use crate::client::tcp;
use crate::drill;

const SERIES: usize = 100_000;

fn start() -> Running {
    Running::start(&drill(), ["--collector.huge", "--log.level=debug"])
}

/// The response to a client without chunks and length, which knows only the end of the connection.
#[derive(Debug, PartialEq)]
enum Outcome {
    Whole,
    Refused,
    Reset,
}

/// Requests the metrics over HTTP/1.0.
fn request(exporter: &Running, headers: &str) -> TcpStream {
    let mut stream = tcp(exporter);
    write!(stream, "GET /metrics HTTP/1.0\r\n{headers}\r\n").unwrap();
    stream
}

/// Reads a response to its end, and compares every series.
fn outcome(stream: TcpStream) -> Outcome {
    let mut reader = BufReader::new(stream);
    let (mut head, mut series, mut line, mut last) = (String::new(), Vec::with_capacity(SERIES), String::new(), None);
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Err(_) => return Outcome::Reset,
            Ok(0) => break,
            Ok(_) if !head.ends_with("\r\n\r\n") => head.push_str(&line),
            Ok(_) => {}
        }
        if let Some(rest) = line.strip_prefix("drill_long_series{number=\"") {
            let (label, value) = rest.rsplit_once("\"} ").unwrap();
            let number: u32 = label.rsplit_once(' ').unwrap().1.parse().unwrap();
            assert_eq!(value.trim().parse(), Ok(f64::from(number)));
            series.push(number);
        }
        last = Some(line.clone());
    }
    if head.starts_with("HTTP/1.0 503 ") {
        assert!(head.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{head}");
        return Outcome::Refused;
    }
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    series.sort_unstable();
    series.dedup();
    assert_eq!(series.len(), SERIES, "a regular end before the end of the response");
    assert!(last.unwrap().starts_with("promhttp_metric_handler_requests_total{code=\"503\"}"));
    Outcome::Whole
}

fn memory(exporter: &Running, key: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<f64>().unwrap() / 1e3
}

#[test]
fn thirty_concurrent_responses_of_10_mb_are_complete_or_refused_in_bounded_memory() {
    let exporter = start();
    for headers in ["", "Connection: close\r\n"] {
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..30).map(|_| scope.spawn(|| outcome(request(&exporter, headers)))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert!(outcomes.contains(&Outcome::Whole), "{outcomes:?}");
        assert!(!outcomes.contains(&Outcome::Reset), "{outcomes:?}");
    }
    let peak = memory(&exporter, "VmHWM:");
    assert!(peak < 80.0, "{peak} MB");
}

#[test]
fn a_compressed_response_in_pieces_is_complete() {
    let exporter = start();
    let whole = exporter.get("/metrics", &[("Accept-Encoding", "gzip")]).body; // ureq decompresses it
    assert_eq!(whole.matches("\ndrill_long_series{").count(), SERIES);
    let openmetrics = [("Accept-Encoding", "gzip"), ("Accept", "application/openmetrics-text;version=1.0.0")];
    assert!(exporter.get("/metrics", &openmetrics).body.ends_with("# EOF\n"));
}

#[test]
fn a_client_that_reads_too_slowly_is_reset_and_another_gets_its_memory() {
    let exporter = start();
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = request(&exporter, "");
            let mut byte = [0];
            (stream.read(&mut byte).is_ok(), stream) // its response has started, or it is refused
        })
        .collect();
    assert!(slow.iter().all(|(started, _)| *started));
    let started = Instant::now();
    let rightful = outcome(request(&exporter, "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n"));
    assert_eq!(rightful, Outcome::Whole, "{}", exporter.log());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(exporter.log().contains("the client reads the response too slowly"), "{}", exporter.log());
    for (_, mut stream) in slow {
        let mut rest = Vec::new();
        let text = stream.read_to_end(&mut rest).map(|_| String::from_utf8_lossy(&rest).into_owned());
        assert!(text.as_ref().is_err() || text.as_ref().is_ok_and(|text| text.contains("503")), "{text:?}");
    }
    let peak = memory(&exporter, "VmHWM:");
    assert!(peak < 80.0, "{peak} MB");
}

#[test]
fn a_response_that_shutdown_interrupts_has_no_regular_end() {
    let mut exporter = start();
    let mut stream = request(&exporter, "");
    stream.read_exact(&mut [0]).unwrap();
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    let end = stream.read_to_end(&mut Vec::new());
    assert!(end.is_err(), "{end:?}");
}

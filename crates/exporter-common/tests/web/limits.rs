//! Slow, silent, stuck and unusual clients must not affect other clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use exporter_common::testing::{Running, eventually, value};

use crate::client::{Client, request, tcp};
use crate::drill;
use crate::everywhere::start_with;
use crate::pki::{Pki, TLS};

fn start(arguments: &[&str]) -> Running {
    Running::start(&drill(), [&["--collector.fine", "--log.level=debug"], arguments].concat())
}

/// Reads until the end of the stream.
fn all(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response); // a reset is an end too
    String::from_utf8_lossy(&response).into_owned()
}

#[test]
fn a_flood_of_bad_connections_does_not_delay_a_scrape() {
    let exporter = start(&["--collector.large"]);
    let mut flood = Vec::new();
    for number in 0..800 {
        let mut stream = tcp(&exporter);
        let sent = match number % 4 {
            0 => &b""[..],                                                    // silent
            1 => b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",             // half a head
            2 if number < 100 => b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", // does not read the response
            _ => b"\x16\x03\x01 no request at all \r\n\r\n\r\n",
        };
        let _ = stream.write_all(sent); // it may have made room already
        flood.push(stream);
    }
    for _ in 0..3 {
        let started = Instant::now();
        let headers = "X-Prometheus-Scrape-Timeout-Seconds: 10\r\n";
        let (status, response) = request(&mut tcp(&exporter), "/metrics?collect[]=fine", headers).unwrap();
        assert_eq!((status, value(&response, "exporter_scrape_success{collector=\"fine\"}")), (200, Some(1.0)));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!(request(&mut tcp(&exporter), "/-/healthy", "").unwrap().0, 200);
    }
    let memory = value(
        &exporter.get("/metrics?name[]=process_resident_memory_bytes", &[]).body,
        "process_resident_memory_bytes",
    );
    assert!(memory.unwrap() < 300e6, "{memory:?} bytes");
}

#[test]
fn a_flood_over_tls_and_of_wrong_passwords_does_not_delay_a_scrape() {
    let pki = Pki::new();
    let hash = bcrypt::hash_with_salt("alice123", 8, [5; 16]).unwrap();
    let exporter = start_with(&pki, &format!("{TLS}basic_auth_users:\n  alice: {hash}\n"), &["--collector.large"]);
    let credentials =
        |password: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("alice:{password}")));
    let scrape = || {
        let headers = format!("{}X-Prometheus-Scrape-Timeout-Seconds: 10\r\n", credentials("alice123"));
        Client::new(&pki).get(&exporter, "/metrics?collect[]=fine", &headers)
    };
    assert_eq!(scrape().unwrap().0, 200);
    let (mut plain, mut greeted) = (Vec::new(), Vec::new());
    for number in 0..700 {
        match number % 7 {
            0 => plain.push(tcp(&exporter)), // silent
            1 | 2 => {
                let mut stream = tcp(&exporter);
                let _ =
                    stream.write_all(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 half a greeting"[..number % 27]);
                plain.push(stream);
            }
            3 => {
                let mut stream = tcp(&exporter);
                let _ = stream.write_all(b"\x16\x03\x01 no greeting at all, and more of it than that");
                plain.push(stream);
            }
            kind => {
                let Ok(mut stream) = Client::new(&pki).connect(&exporter) else { continue }; // it made room
                let head = match kind {
                    4 => "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
                    5 => format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", credentials(&format!("guess {number}"))),
                    // a response that is not read; only a few, since each is encoded
                    _ if number > 100 => String::new(),
                    _ => format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", credentials("alice123")),
                };
                let _ = stream.write_all(head.as_bytes());
                greeted.push(stream);
            }
        }
    }
    for _ in 0..3 {
        let started = Instant::now();
        let (status, response) = scrape().unwrap();
        assert_eq!((status, value(&response, "exporter_scrape_success{collector=\"fine\"}")), (200, Some(1.0)));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!(Client::new(&pki).get(&exporter, "/-/healthy", "").unwrap().0, 200);
    }
    let peak = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    assert!(peak.parse::<f64>().unwrap() < 300e3, "{peak} kB");
}

#[test]
fn idle_and_stalled_connections_are_closed() {
    let exporter = start(&["--collector.large"]);
    let (mut silent, mut half, mut stuck, mut idle) = (tcp(&exporter), tcp(&exporter), tcp(&exporter), tcp(&exporter));
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: x").unwrap();
    // more than the system's socket buffers
    stuck.write_all(&b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n".repeat(10)).unwrap();
    assert_eq!(request(&mut idle, "/-/healthy", "").unwrap().0, 200);
    eventually("the one that reads nothing is closed", || {
        exporter.log().contains("the client does not read the response").then_some(())
    });
    assert!(all(&mut stuck).matches("exporter_scrape_success").count() < 30, "it got a part");
    assert_eq!((all(&mut silent), all(&mut half)), (String::new(), String::new()));
    assert_eq!(exporter.log().matches("no request received").count(), 2, "{}", exporter.log());
    assert_eq!(request(&mut idle, "/-/healthy", "").unwrap().0, 200, "between requests there is more time");
}

#[test]
fn shutdown_does_not_wait_for_idle_connections() {
    let mut exporter = start(&[]);
    let (_silent, mut half, mut idle) = (tcp(&exporter), tcp(&exporter), tcp(&exporter));
    half.write_all(b"GET /metrics HTTP/1.1\r\nHost: x").unwrap();
    assert_eq!(request(&mut idle, "/-/healthy", "").unwrap().0, 200);
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    let log = exporter.log();
    assert!(!log.contains("requests were still in progress"), "{log}");
}

#[test]
fn shutdown_waits_five_seconds_for_a_stuck_client() {
    let pki = Pki::new();
    let mut exporter = start_with(&pki, TLS, &["--collector.large"]);
    let mut stuck = Client::new(&pki).connect(&exporter).unwrap();
    stuck.write_all(&b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\n\r\n".repeat(10)).unwrap();
    let mut byte = [0];
    stuck.read_exact(&mut byte).unwrap(); // the response has started
    let _half_greeted = tcp(&exporter);
    let started = Instant::now();
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn every_limit_of_requests_is_accepted() {
    let exporter = start(&["--web.max-requests=18446744073709551615"]);
    assert_eq!(exporter.get("/metrics", &[]).status, 200);
}

#[test]
fn running_out_of_file_descriptors_is_logged_once_and_recovers() {
    let exporter = start(&[]);
    // lower than at the start, when the limit of connections was chosen
    let pid = exporter.pid().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--nofile=40:40"]).status().unwrap().success());
    let flood: Vec<_> = (0..60).map(|_| tcp(&exporter)).collect();
    eventually("the limit of file descriptors is reached", || {
        exporter.log().contains("cannot accept connections").then_some(())
    });
    drop(flood);
    eventually("the exporter recovers", || {
        assert_eq!(exporter.get("/-/healthy", &[]).status, 200);
        exporter.log().contains("accepting connections again").then_some(())
    });
    let log = exporter.log();
    assert_eq!(log.matches("cannot accept connections").count(), 1, "{log}");
    assert_eq!(log.matches("accepting connections again").count(), 1, "{log}");
}

#[test]
fn http2_streams_are_served_concurrently() {
    // curl can send two requests and then reset the connection
    let Some(curl) = exporter_common::testing::real("curl") else { return };
    let pki = Pki::new();
    let exporter = start_with(&pki, TLS, &["--collector.sleep"]);
    let url = exporter.url.replace("http://", "https://");
    let started = Instant::now();
    let output = Command::new(curl)
        .args([
            "-sS",
            "--http2",
            "--parallel",
            "--parallel-immediate",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} ",
            "--cacert",
        ])
        .arg(pki.path("ca.crt"))
        .arg(format!("{url}/metrics?n=[1-8]"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "200 ".repeat(8),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(started.elapsed() < Duration::from_secs(20), "each takes 3 s");
}

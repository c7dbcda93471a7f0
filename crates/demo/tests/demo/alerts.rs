//! Floods of `demo alerts`: a notification gets through, the memory is bounded, and refusals are counted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use exporter_common::testing::{Running, eventually, value};

/// The limit of the resident memory in kB.
const MAX_RESIDENT: u64 = 96 << 10;

/// Starts to post a body of a size.
fn post(webhook: &Running, size: usize) -> TcpStream {
    let host = webhook.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n")
        .unwrap();
    connection
}

/// Posts a body and returns the status line.
fn posted(webhook: &Running, body: &str) -> String {
    let mut connection = post(webhook, body.len());
    connection.write_all(body.as_bytes()).unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    response.lines().next().unwrap_or_default().to_owned()
}

fn refused(webhook: &Running, reason: &str) -> f64 {
    let series = format!("demo_notifications_refused_total{{reason=\"{reason}\"}}");
    value(&webhook.get("/metrics", &[]).body, &series).unwrap()
}

#[test]
fn a_notification_gets_through_floods_and_refused_ones_are_counted() {
    let webhook = crate::part(&["alerts"]);
    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(webhook.url.strip_prefix("http://").unwrap())).collect();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut connection = post(&webhook, 4 << 20);
            connection.write_all(&[b' '; 1024]).unwrap();
            connection
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut connection = post(&webhook, 8 << 20);
                let piece = [b' '; 64 << 10];
                while connection.write_all(&piece).is_ok() {} // until it is refused
            });
        }
    });
    assert_eq!(posted(&webhook, "{"), "HTTP/1.1 400 Bad Request");
    let notification = r#"{"alerts": [{"status": "firing", "labels": {"alertname": "ExporterDown"}}]}"#;
    assert_eq!(posted(&webhook, notification), "HTTP/1.1 200 OK");
    assert!(webhook.log().contains("alertname=ExporterDown"), "{}", webhook.log());
    assert_eq!(refused(&webhook, "too_large") + refused(&webhook, "memory"), 20.0);
    assert_eq!((refused(&webhook, "invalid"), refused(&webhook, "timeout")), (1.0, 0.0));
    let status = std::fs::read_to_string(format!("/proc/{}/status", webhook.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(peak <= Some(MAX_RESIDENT), "{peak:?} kB");
    eventually("slow notifications time out", || (refused(&webhook, "timeout") == 50.0).then_some(()));
    drop((idle, slow));
}

//! Tests of the program with inputs other than single files: globs, standard input, FIFOs, syslog.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use exporter_common::testing::{Running, eventually, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const LINE: &str = "192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";

fn found(metrics: &str) -> f64 {
    value(metrics, r#"httpd_requests_total{method="GET",status_code="200"}"#).unwrap_or_default()
}

fn success(metrics: &str) -> f64 {
    value(metrics, r#"exporter_scrape_success{collector="access_log"}"#).unwrap()
}

#[test]
fn a_glob_finds_files_that_appear_later() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = folder.path().join("*/access.log");
    let exporter = Running::start(PROGRAM, [format!("--access-log={}", pattern.display())]);
    let metrics = exporter.scrape();
    let up = format!("httpd_log_source_up{{source=\"{}\"}}", pattern.display());
    assert_eq!((success(&metrics), value(&metrics, &up)), (1.0, Some(1.0)), "a glob without files is not an error");
    for (number, name) in [(1.0, "a"), (2.0, "b")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("access.log"), LINE.repeat(1000)).unwrap();
        let metrics = exporter.scrape_until("the file is read", |metrics| found(metrics) >= 1000.0 * number);
        assert_eq!(found(&metrics), 1000.0 * number);
    }
}

#[test]
fn standard_input_is_read_to_its_end_which_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, LINE.repeat(2)).unwrap();
    let script = format!("exec {PROGRAM} --web.listen-address=127.0.0.1:0 --access-log=- < {}", log.display());
    let mut command = Command::new("sh");
    let exporter = Running::spawn(command.args(["-c", &script]));
    let metrics = exporter.scrape_until("both lines are read, and the end is reported", |metrics| {
        found(metrics) == 2.0 && success(metrics) == 0.0
    });
    assert_eq!(value(&metrics, r#"httpd_log_source_up{source="-"}"#), Some(0.0));
    assert!(!metrics.contains("httpd_log_lag_bytes{"), "a stream has no lag: {metrics}");
}

#[test]
fn once_reads_standard_input_to_its_end() {
    let mut child = Command::new(PROGRAM)
        .args(["--once", "--access-log=-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(LINE.repeat(3).trim_end().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(found(&String::from_utf8(output.stdout).unwrap()), 3.0);
}

#[test]
fn a_fifo_is_read_from_one_writer_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(run("mkfifo", [&fifo]).status.success());
    let exporter = Running::start(PROGRAM, [format!("--access-log={}", fifo.display())]);
    for writer in 1..=3 {
        let mut writing = File::options().write(true).open(&fifo).unwrap();
        writing.write_all(LINE.repeat(100).as_bytes()).unwrap();
        drop(writing);
        let metrics =
            exporter.scrape_until("all lines are read", |metrics| found(metrics) >= 100.0 * f64::from(writer));
        assert_eq!((found(&metrics), success(&metrics)), (100.0 * f64::from(writer), 1.0));
    }
}

/// The address at which the exporter receives syslog.
fn address(exporter: &Running, protocol: &str) -> String {
    eventually("the address is logged", || {
        let log = exporter.log();
        let line = log.lines().find(|line| line.contains(&format!("receiving syslog over {protocol}")))?;
        Some(line.split("address=").nth(1)?.split(' ').next()?.to_owned())
    })
}

#[test]
fn syslog_over_tcp_is_read_in_both_framings_from_every_connection() {
    let exporter = Running::start(PROGRAM, ["--access-log=syslog+tcp://127.0.0.1:0"]);
    let address = address(&exporter, "TCP");
    let message = format!("<134>1 2026-11-20T09:00:00Z web1 nginx 42 - - {}", LINE.trim_end());
    // more connections than the limit: idle ones are closed
    let mut connections = Vec::new();
    for number in 0..70 {
        let mut connection = TcpStream::connect(&address).unwrap();
        if number % 2 == 0 {
            connection.write_all(format!("{} {message}", message.len()).repeat(50).as_bytes()).unwrap();
        } else {
            connection.write_all(format!("{message}\n").repeat(50).as_bytes()).unwrap();
        }
        connections.push(connection);
        let expected = 50.0 * f64::from(number + 1);
        let metrics =
            exporter.scrape_until("the messages of the connection are read", |metrics| found(metrics) >= expected);
        assert_eq!((found(&metrics), success(&metrics)), (expected, 1.0));
    }
    assert!(exporter.log().contains("syslog connection limit (64) reached"), "{}", exporter.log());
    let garbage = "x".repeat(200_000) + "\n" + LINE;
    connections.last_mut().unwrap().write_all(garbage.as_bytes()).unwrap();
    let metrics = exporter.scrape_until("the next line is read", |metrics| found(metrics) >= 3501.0);
    let too_long = r#"httpd_log_lines_total{result="too_long",source="syslog+tcp://127.0.0.1:0"}"#;
    assert_eq!((found(&metrics), value(&metrics, too_long)), (3501.0, Some(1.0)));
}

#[test]
fn syslog_messages_are_read_over_udp_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixDatagram::bind(&path).unwrap()); // leaves a stale socket file
    let mut exporter = Running::start(
        PROGRAM,
        ["--access-log=syslog+udp://127.0.0.1:0".to_owned(), format!("--access-log=syslog+unix:{}", path.display())],
    );
    let address = address(&exporter, "UDP");
    let message = format!("<190>Nov 20 09:00:00 web1 nginx: {LINE}");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixDatagram::unbound().unwrap();
    for _ in 0..50 {
        udp.send_to(message.as_bytes(), &address).unwrap();
        unix.send_to(message.as_bytes(), &path).unwrap();
    }
    let metrics = exporter.scrape_until("all messages are read", |metrics| found(metrics) >= 100.0);
    assert_eq!((found(&metrics), success(&metrics)), (100.0, 1.0));
    let dropped = r#"httpd_log_dropped_messages_total{source="syslog+udp://127.0.0.1:0"}"#;
    assert_eq!(value(&metrics, dropped), cfg!(target_os = "linux").then_some(0.0));
    let twice =
        run(PROGRAM, ["--web.listen-address=127.0.0.1:0", &format!("--access-log=syslog+unix:{}", path.display())]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("another process is listening there"), "{twice:?}");
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    assert!(!path.exists(), "the socket file is deleted at shutdown");
}

#[test]
fn floods_of_syslog_need_bounded_memory_and_what_is_lost_is_counted() {
    const MESSAGES: u32 = 5000;
    let exporter =
        Running::start(PROGRAM, ["--access-log=syslog+tcp://127.0.0.1:0", "--access-log=syslog+udp://127.0.0.1:0"]);
    // the largest incomplete message on each of many connections
    let tcp = address(&exporter, "TCP");
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = TcpStream::connect(&tcp).unwrap();
            let _ = connection.write_all(&[b'x'; 64 * 1024]); // it may be closed already
            connection
        })
        .collect();
    let evicted = r#"httpd_log_evicted_connections_total{source="syslog+tcp://127.0.0.1:0"}"#;
    exporter.scrape_until("connections make room", |metrics| value(metrics, evicted) >= Some(136.0));
    assert_eq!(exporter.log().matches("syslog connection limit (64) reached").count(), 1, "{}", exporter.log());
    // more messages than the kernel holds for a process that does not read
    let udp = address(&exporter, "UDP");
    let message = format!("<190>Nov 20 09:00:00 web1 nginx: {LINE}");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    exporter.signal("STOP");
    for _ in 0..MESSAGES {
        sender.send_to(message.as_bytes(), &udp).unwrap();
    }
    exporter.signal("CONT");
    let dropped = r#"httpd_log_dropped_messages_total{source="syslog+udp://127.0.0.1:0"}"#;
    if cfg!(target_os = "linux") {
        let metrics = exporter.scrape_until("each message is read or counted as lost", |metrics| {
            found(metrics) + value(metrics, dropped).unwrap() >= f64::from(MESSAGES)
        });
        assert!(value(&metrics, dropped) > Some(0.0) && success(&metrics) == 1.0, "{metrics}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
        assert!(peak.parse::<f64>().unwrap() < 64e3, "{peak} kB");
    }
    drop(flood);
}

//! Faults of the host must not stop the exporter: a blocked log, too few file descriptors, expired certificates.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use exporter_common::testing::{self, Running, eventually, value};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::{request, tcp};
use crate::drill;
use crate::everywhere::start_with;
use crate::pki::{Pki, TLS};

#[test]
fn a_second_signal_stops_immediately() {
    let mut exporter = Running::start(&drill(), ["--collector.sleep", "--collector.fine"]);
    let mut waiting = tcp(&exporter);
    waiting.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually("the scrape has started", || {
        let metrics = exporter.get("/metrics?collect[]=fine", &[]).body;
        (value(&metrics, "promhttp_metric_handler_requests_in_flight") == Some(2.0)).then_some(())
    });
    exporter.signal("TERM");
    eventually("it is stopping", || exporter.log().contains("msg=stopping").then_some(()));
    exporter.signal("INT");
    assert_eq!(exporter.wait(), Some(0));
    assert!(exporter.log().contains("stopping immediately"), "{}", exporter.log());
    let mut response = String::new();
    let _ = waiting.read_to_string(&mut response); // a reset is an end too
    assert_eq!(response, "");
}

#[test]
fn a_client_that_closes_its_sending_half_gets_its_response() {
    let exporter = Running::start(&drill(), ["--collector.linger"]);
    let mut client = tcp(&exporter);
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("drill_info{drill=\"linger\"} 1"), "{response}");
}

#[test]
fn a_blocked_stderr_blocks_neither_scrapes_nor_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("drill.sock");
    let (log, mut full) = std::io::pipe().unwrap();
    // until the pipe has no more room
    while poll(&mut [PollFd::new(&full, PollFlags::OUT)], Some(&Timespec::default())).unwrap() > 0 {
        full.write_all(&[b'x'; 4096]).unwrap();
    }
    let mut exporter = Command::new(drill())
        .args(["--collector.fail", &format!("--web.listen-address=unix:{}", socket.display())])
        .stdin(Stdio::null())
        .stderr(full)
        .spawn()
        .unwrap();
    let mut client = eventually("the exporter listens", || UnixStream::connect(&socket).ok());
    let (status, metrics) = request(&mut client, "/metrics", "").unwrap();
    let dropped = value(&metrics, "exporter_log_lines_dropped_total");
    assert!(status == 200 && dropped >= Some(1.0), "{metrics}");
    let stop = Command::new("kill").arg(exporter.id().to_string()).status().unwrap();
    assert!(stop.success());
    let status = eventually("the exporter exits", || exporter.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    drop(log);
}

#[test]
fn idle_clients_do_not_use_up_the_file_descriptors() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", &drill()]);
    let exporter = Running::spawn(limited.args(["--collector.fine", "--web.listen-address=127.0.0.1:0"]));
    let mut idle = Vec::new();
    for _ in 0..80 {
        let mut client = tcp(&exporter);
        assert_eq!(request(&mut client, "/-/healthy", "").unwrap().0, 200);
        idle.push(client);
    }
    let metrics = exporter.scrape();
    assert!(value(&metrics, "exporter_connections_evicted_total{reason=\"connections\"}") >= Some(40.0), "{metrics}");
    assert_eq!(value(&metrics, "exporter_scrape_success{collector=\"fine\"}"), Some(1.0));
    let log = exporter.log();
    assert_eq!(log.matches("reason=\"too many connections are open\" limit=32").count(), 1, "{log}");
}

#[test]
fn the_expiry_of_the_certificate_is_exported_and_logged_if_it_is_near() {
    let pki = Pki::new();
    for (not_after, expected) in [(rcgen::date_time_ymd(2020, 1, 2), true), (rcgen::date_time_ymd(2099, 1, 2), false)] {
        let mut server = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        server.not_after = not_after;
        let key = rcgen::KeyPair::generate().unwrap();
        pki.write("server.crt", &server.self_signed(&key).unwrap().pem());
        pki.write("server.key", &key.serialize_pem());
        let config = format!("--web.config.file={}", pki.write("web.yml", TLS).display());
        let check = testing::run(&drill(), ["--collector.fine", "--check", &config]);
        let log = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(check.status.success(), "{log}");
        assert_eq!(log.contains("the certificate expired at 2020-01-02T00:00:00Z"), expected, "{log}");
    }
    let pki = Pki::new();
    let exporter = start_with(&pki, TLS, &[]);
    let (status, metrics) = crate::client::Client::new(&pki).get(&exporter, "/metrics", "").unwrap();
    let expiry = value(&metrics, "exporter_tls_certificate_expiry_timestamp_seconds");
    assert!(status == 200 && expiry > Some(1.8e9), "{metrics}");
}

/// Creates `server.crt` and `server.key` by openssl.
fn openssl(pki: &Pki, openssl: &Path, arguments: &str) {
    let mut command = Command::new(openssl);
    command.current_dir(pki.folder()).args(arguments.split(' '));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_check_and_the_log_report_every_unusable_certificate() {
    let Some(path) = testing::real("openssl") else { return };
    let pki = Pki::new();
    let self_signed = "req -x509 -subj /CN=localhost -nodes -keyout server.key -out server.crt -newkey";
    let config = format!("--web.config.file={}", pki.write("web.yml", TLS).display());
    let check = |expected: &str, status: i32| {
        let check = testing::run(&drill(), ["--collector.fine", "--check", &config]);
        let log = String::from_utf8_lossy(&check.stderr).into_owned();
        assert!(check.status.code() == Some(status) && log.contains(expected), "{expected}: {log}");
    };
    openssl(&pki, &path, &format!("{self_signed} rsa:1024"));
    check("use RSA with 2048 to 4096 bits", 1);
    openssl(&pki, &path, "req -new -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out request");
    openssl(&pki, &path, "x509 -req -in request -signkey server.key -out server.crt");
    check(
        "failed to load X509KeyPair: the certificate is not accepted: it has X.509 version 1: create one with version 3",
        1,
    );
    openssl(&pki, &path, &format!("{self_signed} rsa:2048 -days 3"));
    check("the certificate expires at", 0);
    let exporter = start_with(&pki, TLS, &[]);
    openssl(&pki, &path, "genrsa -out server.key 2048");
    check("failed to load X509KeyPair: the key does not belong to the certificate", 1);
    pki.write("server.crt", "garbage");
    check("no certificate found", 1);
    exporter.signal("HUP");
    eventually("the failed reload is logged", || exporter.log().contains("no certificate found").then_some(()));
    assert!(exporter.log().contains("the certificate expires at"), "{}", exporter.log());
}

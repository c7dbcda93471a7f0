//! Unix sockets, and sockets from systemd.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use exporter_common::testing::{self, Running};

use crate::client::{Client, request};
use crate::drill;
use crate::pki::{Pki, TLS};

fn spawn(arguments: &[&str]) -> Running {
    let mut command = Command::new(drill());
    Running::spawn(command.arg("--collector.fine").args(arguments))
}

fn scrape(socket: &Path) -> String {
    let (status, response) = request(&mut UnixStream::connect(socket).unwrap(), "/metrics", "").unwrap();
    assert_eq!(status, 200);
    response
}

#[test]
fn a_unix_socket_is_created_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("drill.sock");
    let address = format!("--web.listen-address=unix:{}", socket.display());
    let mut exporter = spawn(&[&address, "--web.listen-address=127.0.0.1:0"]);
    assert!(scrape(&socket).contains("drill_info{drill=\"fine\"} 1"));
    let healthy = testing::run(&drill(), ["healthcheck", &address]);
    assert_eq!(healthy.status.code(), Some(0), "{}", String::from_utf8_lossy(&healthy.stderr));

    let second = testing::run(&drill(), [&address]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("Address already in use"));
    scrape(&socket);

    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_stale_socket_is_replaced_but_no_other_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("drill.sock");
    let address = format!("--web.listen-address=unix:{}", socket.display());
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "as a killed process leaves it");
    let exporter = spawn(&[&address]);
    scrape(&socket);
    drop(exporter);

    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let refused = testing::run(&drill(), [format!("--web.listen-address=unix:{}", file.display())]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn every_listener_uses_tls() {
    let pki = Pki::new();
    let config = format!("--web.config.file={}", pki.write("web.yml", TLS).display());
    let socket = pki.path("drill.sock");
    let unix = format!("--web.listen-address=unix:{}", socket.display());
    let exporter = spawn(&["--web.listen-address=127.0.0.1:0", &unix, &config]);
    assert_eq!(Client::new(&pki).status(&exporter), Ok(200));
    let mut plain = UnixStream::connect(&socket).unwrap();
    plain.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut response = String::new();
    plain.read_to_string(&mut response).unwrap();
    assert!(response.contains("HTTP request to an HTTPS server"), "{response}");
    assert_eq!(testing::run(&drill(), ["healthcheck", &unix, &config]).status.code(), Some(0));
}

#[test]
fn sockets_from_systemd_are_served() {
    let Some(python) = testing::real("python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("drill.sock");
    // as systemd: sockets from file descriptor 3 on, and the process they are for
    let script = "import os, socket, sys\n\
                  tcp = socket.socket(); tcp.bind(('127.0.0.1', 0)); tcp.listen()\n\
                  unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()\n\
                  a, b = os.dup(tcp.fileno()), os.dup(unix.fileno())\n\
                  tcp.close(); unix.close()\n\
                  a, b = [__import__('fcntl').fcntl(fd, 0, 10) for fd in (a, b)]\n\
                  os.dup2(a, 3); os.dup2(b, 4)\n\
                  os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\n\
                  os.execv(sys.argv[2], sys.argv[2:])\n";
    let mut command = Command::new(python);
    command.args(["-c", script]).arg(&socket).args([&drill(), "--collector.fine", "--web.systemd-socket"]);
    let mut exporter = Running::spawn(&mut command);
    assert_eq!(exporter.get("/metrics", &[]).status, 200);
    assert!(TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).is_ok());
    scrape(&socket);
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    assert!(socket.exists(), "it is systemd's");
}

#[test]
fn without_sockets_from_systemd_the_start_fails() {
    let output = testing::run(&drill(), ["--web.systemd-socket"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("no socket activation file descriptors found"), "{error}");
}

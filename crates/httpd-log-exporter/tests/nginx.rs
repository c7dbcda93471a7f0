//! The built exporter on the log of a real nginx, which is rotated under load.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use exporter_common::testing::{Running, eventually, real, value};

const CLIENTS: u32 = 4;
const REQUESTS: u32 = 5000;

/// A server that runs until this is dropped.
struct Nginx(Child);

impl Nginx {
    fn start(nginx: &Path, folder: &Path) -> Self {
        let root = if std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0 {
            "user root;"
        } else {
            ""
        };
        let at = folder.display();
        let configuration = format!(
            "{root} daemon off; worker_processes 2; pid {at}/pid; error_log {at}/error.log;
             events {{ worker_connections 64; }}
             http {{
                 log_format combined_time '$remote_addr - $remote_user [$time_local] \"$request\" $status '
                     '$body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time';
                 access_log {at}/access.log combined_time buffer=4k flush=300ms;
                 client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
                 uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
                 keepalive_requests 1000000;
                 server {{
                     listen unix:{at}/socket;
                     location / {{ return 200 \"0123456789\"; }}
                     location /missing {{ return 404 \"no\"; }}
                 }}
             }}"
        );
        fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).arg("-e").arg(folder.join("error.log"));
        let mut nginx = Self(command.stdin(Stdio::null()).spawn().unwrap());
        eventually("nginx listens", || {
            let error = || fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(nginx.0.try_wait().unwrap().is_none(), "nginx has ended: {}", error());
            UnixStream::connect(folder.join("socket")).ok()
        });
        nginx
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.0.id().to_string()).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.signal("TERM"); // the workers end with it
        let _ = self.0.wait();
    }
}

/// Sends requests over one connection, every tenth for something missing, and reads the answers.
fn client(socket: &Path, sent: &AtomicU32) {
    let mut connection = UnixStream::connect(socket).unwrap();
    let mut answers = BufReader::new(connection.try_clone().unwrap());
    for number in 0..REQUESTS {
        let path = if number % 10 == 0 { "missing" } else { "there" };
        // a user agent that tries to look like other fields
        let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nUser-Agent: \" 500 77777 \"\\\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(answers.read_line(&mut line).unwrap() > 0, "nginx closed the connection");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().unwrap(),
                Some(_) => (),
                None if line.trim_end().is_empty() => break,
                None => assert!(line.starts_with("HTTP/1.1 "), "{line}"),
            }
        }
        answers.read_exact(&mut vec![0; length]).unwrap();
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_request_to_nginx_is_counted_while_its_log_is_rotated() {
    let Some(nginx) = real("nginx") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nginx = Nginx::start(&nginx, folder);
    let exporter = Running::start(
        env!("CARGO_BIN_EXE_httpd-log-exporter"),
        [
            "--access-log.format=combined_time".to_owned(),
            format!("--access-log={}", folder.join("access.log").display()),
        ],
    );
    let (total, sent) = (CLIENTS * REQUESTS, AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| client(&folder.join("socket"), &sent));
        }
        for rotation in 1..=3 {
            let reached = |part: u32| (sent.load(Ordering::Relaxed) >= total / 8 * part).then_some(());
            eventually("some requests were sent", || reached(2 * rotation));
            fs::rename(folder.join("access.log"), folder.join(format!("access.log.{rotation}"))).unwrap();
            // meanwhile nginx goes on writing to the file it has open
            eventually("more requests were sent", || reached(2 * rotation + 1));
            nginx.signal("USR1");
            eventually("nginx has opened a new log", || folder.join("access.log").exists().then_some(()));
        }
    });
    const FOUND: &str = r#"httpd_requests_total{method="GET",status_code="200"}"#;
    const MISSING: &str = r#"httpd_requests_total{method="GET",status_code="404"}"#;
    let metrics = exporter.scrape_until("all requests are counted", |metrics| {
        value(metrics, "httpd_request_duration_seconds_count") >= Some(f64::from(total))
    });
    assert_eq!(value(&metrics, FOUND), Some(f64::from(total / 10 * 9)), "{metrics}");
    assert_eq!(value(&metrics, MISSING), Some(f64::from(total / 10)));
    let bytes = FOUND.replace("httpd_requests_total", "httpd_bytes_sent_total");
    assert_eq!(value(&metrics, &bytes), Some(f64::from(total / 10 * 9 * 10)));
    let source = format!("{{source=\"{}\"}}", folder.join("access.log").display());
    assert_eq!(value(&metrics, &format!("httpd_log_rotations_total{source}")), Some(3.0));
    assert_eq!(value(&metrics, &format!("httpd_log_source_up{source}")), Some(1.0));
}

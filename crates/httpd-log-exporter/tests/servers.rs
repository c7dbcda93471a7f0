//! Tests with real servers: logs of nginx and Apache, rotated under load, also by logrotate.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use exporter_common::testing::{Running, eventually, free_port, real, value};

const CLIENTS: u32 = 4;
const REQUESTS: u32 = 5000;

/// Whether the test runs as root, so that the server needs a user in its configuration.
fn root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// An nginx that runs until this is dropped.
struct Nginx(Child);

impl Nginx {
    fn start(nginx: &Path, folder: &Path) -> Self {
        let root = if root() { "user root;" } else { "" };
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
        self.signal("TERM"); // the workers exit, too
        let _ = self.0.wait();
    }
}

/// Sends requests over one connection, every tenth for a missing file, and reads the responses.
fn client(socket: &Path, sent: &AtomicU32) {
    let connection = UnixStream::connect(socket).unwrap();
    requests(connection.try_clone().unwrap(), connection, REQUESTS, sent);
}

fn requests(mut connection: impl Write, responses: impl Read, count: u32, sent: &AtomicU32) {
    let mut responses = BufReader::new(responses);
    for number in 0..count {
        let path = if number % 10 == 0 { "missing" } else { "there" };
        // a user agent that imitates other fields
        let request = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nUser-Agent: \" 500 77777 \"\\\r\n\r\n");
        connection.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(responses.read_line(&mut line).unwrap() > 0, "nginx closed the connection");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().unwrap(),
                Some(_) => (),
                None if line.trim_end().is_empty() => break,
                None => assert!(line.starts_with("HTTP/1.1 "), "{line}"),
            }
        }
        responses.read_exact(&mut vec![0; length]).unwrap();
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
            // nginx still writes to the file it has open
            eventually("more requests were sent", || reached(2 * rotation + 1));
            nginx.signal("USR1");
            eventually("nginx opened a new log", || folder.join("access.log").exists().then_some(()));
        }
    });
    const FOUND: &str = r#"httpd_requests_total{method="GET",status_code="200"}"#;
    const MISSING: &str = r#"httpd_requests_total{method="GET",status_code="404"}"#;
    let source = format!("{{source=\"{}\"}}", folder.join("access.log").display());
    let metrics = exporter.scrape_until("all requests are counted", |metrics| {
        // the last log may be empty and is opened a little later
        value(metrics, "httpd_request_duration_seconds_count") >= Some(f64::from(total))
            && value(metrics, &format!("httpd_log_rotations_total{source}")) >= Some(3.0)
    });
    assert_eq!(value(&metrics, FOUND), Some(f64::from(total / 10 * 9)), "{metrics}");
    assert_eq!(value(&metrics, MISSING), Some(f64::from(total / 10)));
    let bytes = FOUND.replace("httpd_requests_total", "httpd_bytes_sent_total");
    assert_eq!(value(&metrics, &bytes), Some(f64::from(total / 10 * 9 * 10)));
    assert_eq!(value(&metrics, &format!("httpd_log_rotations_total{source}")), Some(3.0));
}

/// An Apache that runs until this is dropped.
struct Apache {
    child: Child,
    address: SocketAddr,
}

/// Combined with the duration in microseconds, in Apache's syntax.
const COMBINED_US: &str = r#"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D"#;

impl Apache {
    fn start(apache: &Path, folder: &Path) -> Self {
        // Apache does not report its port, so choose a free one
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let at = folder.display();
        fs::create_dir(folder.join("www")).unwrap();
        fs::write(folder.join("www/there"), "0123456789").unwrap();
        let user = if root() { "User www-data\nGroup www-data\n" } else { "" };
        let modules = ["mpm_event", "authz_core"]
            .iter()
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
        let configuration = modules.collect::<String>()
            + &format!(
                "ServerName localhost\nServerRoot {at}\nPidFile {at}/pid\nErrorLog {at}/error.log\nListen {address}\n\
                 DocumentRoot {at}/www\nStartServers 2\nMaxKeepAliveRequests 0\nDefaultRuntimeDir {at}\n\
                 {user}LogFormat \"{COMBINED_US}\" timed\nCustomLog {at}/access.log timed\n"
            );
        fs::write(folder.join("apache.conf"), configuration).unwrap();
        let mut command = Command::new(apache);
        command.arg("-f").arg(folder.join("apache.conf"));
        command.args(["-D", "FOREGROUND"]);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        eventually("Apache listens", || {
            let error = || fs::read_to_string(folder.join("error.log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "Apache has ended: {}", error());
            TcpStream::connect(address).ok()
        });
        Self { child, address }
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status(); // it may have exited
        let _ = self.child.wait();
    }
}

/// Sends a request over a new connection; `None` without a response.
fn request(address: SocketAddr) -> Option<()> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection
        .write_all(b"GET /there HTTP/1.1\r\nHost: x\r\nUser-Agent: \" 500 7 \"\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut response = String::new();
    connection.read_to_string(&mut response).ok()?;
    response.starts_with("HTTP/1.1 200").then_some(())
}

/// Rotates the log in a directory with logrotate.
fn rotate(logrotate: &Path, folder: &Path, options: &str, after: &str) {
    let (log, configuration) = (folder.join("access.log"), folder.join("logrotate.conf"));
    let after = if after.is_empty() { String::new() } else { format!("postrotate\n{after}\nendscript\n") };
    fs::write(&configuration, format!("{} {{\nrotate 20\n{options}\n{after}}}\n", log.display())).unwrap();
    let output = Command::new(logrotate).arg("-f").arg("-s").arg(folder.join("rotated")).arg(&configuration).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The total number of requests.
fn total(metrics: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with("httpd_requests_total{"));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// logrotate options, and whether the load must pause because logrotate loses lines between copy and truncation.
const ROTATIONS: [(&str, bool); 5] = [
    ("create", false),
    ("nocreate", false),
    ("create\ndateext\ndateformat -%Y%m%d-%s", false),
    ("create\ncompress", false),
    ("copytruncate", true),
];

/// Sends requests while logrotate rotates the log, and asserts that every request is counted.
fn rotated_under_load(
    logrotate: &Path,
    folder: &Path,
    exporter: &Running,
    after: &str,
    send: impl Fn(&AtomicU32, u32) + Sync,
) {
    const BURST: u32 = 1000;
    let sent = AtomicU32::new(0);
    for (options, quiet) in ROTATIONS {
        // the dates in file names have seconds and must differ
        for _ in 0..if options.contains("dateext") { 1 } else { 2 } {
            let log = folder.join("access.log");
            let lines = || u32::try_from(std::fs::read_to_string(&log).unwrap().lines().count()).unwrap();
            if quiet {
                // a graceful restart takes time: until then, lines are written to the previous log
                let old = lines();
                eventually("the server writes to the log", || {
                    send(&sent, 4);
                    (lines() > old).then_some(())
                });
                let wanted = f64::from(sent.load(Ordering::Relaxed));
                exporter.scrape_until("these requests are counted", |metrics| total(metrics) >= wanted);
            }
            let (before, lines_before) = (sent.load(Ordering::Relaxed), if quiet { lines() } else { 0 });
            thread::scope(|scope| {
                let sending = [scope.spawn(|| send(&sent, BURST)), scope.spawn(|| send(&sent, BURST))];
                let started = || (sent.load(Ordering::Relaxed) >= before + BURST / 8).then_some(());
                eventually("requests were sent", started);
                if quiet {
                    sending.into_iter().for_each(|sending| sending.join().unwrap());
                    // A server writes the line after its response. copytruncate loses lines that are written during the copy.
                    let wanted = lines_before + sent.load(Ordering::Relaxed) - before;
                    eventually("the server wrote all lines", || (lines() >= wanted).then_some(()));
                }
                rotate(logrotate, folder, options, if quiet { "" } else { after });
            });
            let wanted = f64::from(sent.load(Ordering::Relaxed));
            let metrics = exporter.scrape_until("all requests are counted", |metrics| total(metrics) >= wanted);
            assert_eq!(total(&metrics), wanted, "{options}: {}", exporter.log());
        }
    }
    let log = folder.join("access.log").display().to_string();
    let metrics = exporter.scrape();
    for family in ["httpd_log_lines_total{result=\"unmatched\",", "httpd_log_lines_total{result=\"value_error\","] {
        assert_eq!(value(&metrics, &format!("{family}source=\"{log}\"}}")), Some(0.0), "{metrics}");
    }
}

#[test]
fn every_request_to_nginx_is_counted_for_all_logrotate_options() {
    let (Some(nginx), Some(logrotate)) = (real("nginx"), real("logrotate")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _nginx = Nginx::start(&nginx, folder);
    let exporter = Running::start(
        env!("CARGO_BIN_EXE_httpd-log-exporter"),
        [
            "--access-log.format=combined_time".to_owned(),
            format!("--access-log={}", folder.join("access.log").display()),
        ],
    );
    let after = format!("kill -USR1 $(cat {})", folder.join("pid").display());
    rotated_under_load(&logrotate, folder, &exporter, &after, |sent, count| {
        let connection = UnixStream::connect(folder.join("socket")).unwrap();
        requests(connection.try_clone().unwrap(), connection, count, sent);
    });
}

#[test]
fn every_request_to_apache_is_counted_for_all_logrotate_options() {
    let (Some(apache), Some(logrotate)) = (real("apache2"), real("logrotate")) else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap(); // its workers run as another user
    let folder = folder.path();
    let apache = Apache::start(&apache, folder);
    let exporter = Running::start(
        env!("CARGO_BIN_EXE_httpd-log-exporter"),
        [format!("--access-log.format={COMBINED_US}"), format!("--access-log={}", folder.join("access.log").display())],
    );
    let after = format!("kill -USR1 $(cat {})", folder.join("pid").display());
    rotated_under_load(&logrotate, folder, &exporter, &after, |sent, count| {
        // a graceful restart closes idle connections, so every request uses a new one
        for _ in 0..count / 4 {
            eventually("Apache responds", || request(apache.address));
            sent.fetch_add(1, Ordering::Relaxed);
        }
    });
    let metrics = exporter.scrape();
    assert!(value(&metrics, "httpd_request_duration_seconds_count") > Some(0.0), "{metrics}");
}

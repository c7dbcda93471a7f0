//! Test support: starts a built exporter on a free port, scrapes it, compares golden files, runs linters.
//!
//! ```
//! use scrapewright::testing::{Running, assert_golden, assert_lint, assert_openmetrics, value};
//!
//! # fn test() {
//! // a test of an exporter's crate: Running::start(env!("CARGO_BIN_EXE_my-exporter"), …)
//! let mut exporter = Running::start("target/debug/my-exporter", ["--queue.url=http://localhost:8082"]);
//! let metrics = exporter.scrape_until("the queue exists", |metrics| metrics.contains("queue_depth"));
//! assert_eq!(value(&metrics, "queue_depth{queue=\"orders\"}"), Some(3.0));
//! assert_golden(&metrics, "tests/golden/orders.prom");
//! assert_lint(&metrics);
//! let response = exporter.get("/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0")]);
//! assert_eq!(response.status, 200);
//! assert_openmetrics(&response.body);
//! exporter.signal("TERM");
//! assert_eq!(exporter.wait(), Some(0));
//! # }
//! ```
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The time limit for operations that take milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running program, which is killed when this is dropped.
pub struct Running {
    child: Child,
    /// A file instead of a pipe, so that events before a response are readable after it.
    log: tempfile::NamedTempFile,
    /// `http://127.0.0.1:…`
    pub url: String,
}

/// The response to a request.
#[non_exhaustive]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: ureq::http::HeaderMap,
    /// The body, decompressed.
    pub body: String,
}

impl Running {
    /// Starts an exporter on a free port, and waits until it logs its address. `program` is
    /// `env!("CARGO_BIN_EXE_…")`.
    pub fn start<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = command(program);
        command.arg("--web.listen-address=127.0.0.1:0").args(arguments);
        Self::spawn(&mut command)
    }

    /// Starts a command, and waits until it logs `msg=listening address=…` to stderr.
    pub fn spawn(command: &mut Command) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let stderr = log.as_file().try_clone().unwrap();
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
        let mut running = Self { child, log, url: String::new() };
        let address = eventually("the exporter listens", || {
            assert!(running.child.try_wait().unwrap().is_none(), "it exited: {}", running.log());
            let log = running.log();
            let line = log.lines().find(|line| line.contains("msg=listening"))?;
            Some(line.split("address=").nth(1)?.split(' ').next()?.to_owned())
        });
        running.url = format!("http://{address}");
        running
    }

    /// The log up to now.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log.path()).unwrap()).into_owned()
    }

    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a GET request with headers.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
        get(&format!("{}{path}", self.url), headers)
    }

    /// The metrics in the text format.
    pub fn scrape(&self) -> String {
        let answer = self.get("/metrics", &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Waits until the metrics meet a condition, and returns them.
    pub fn scrape_until(&self, what: &str, fulfilled: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            last = self.scrape();
            if fulfilled(&last) {
                return last;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("timed out: {what}\n{last}\n{}", self.log());
    }

    /// Sends a signal by name (`TERM`, `INT`, `HUP`, `STOP`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process exits, and returns its status.
    pub fn wait(&mut self) -> Option<i32> {
        eventually("the exporter exits", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a GET request with headers. Any status is accepted.
pub fn get(url: &str, headers: &[(&str, &str)]) -> HttpResponse {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
    let request = headers.iter().fold(agent.get(url), |request, (name, value)| request.header(*name, *value));
    let mut response = request.call().unwrap();
    HttpResponse {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap(),
    }
}

/// A free port on loopback for a server that cannot choose one itself. The kernel does not assign ports below 32768 to
/// other sockets, and each test process searches from a different start, so the port stays free until the server binds it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(offset % 22_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a program until it exits.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    command(program).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A command without the user's environment variables, which could change the behavior of an exporter.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Polls until there is a result.
pub fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(answer) = poll() {
            return answer;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("timed out: {what}");
}

/// The value of a series, named as in the text format: `queue_depth{queue_name="orders"}`.
pub fn value(metrics: &str, series: &str) -> Option<f64> {
    let rest = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    rest.parse().ok()
}

/// The metrics except durations, times, the process, requests and the build, which differ between runs.
pub fn steady(metrics: &str) -> String {
    const VARYING: &[&str] =
        &["exporter_scrape_duration_seconds{", "exporter_last_success_timestamp_seconds{", "process_", "promhttp_"];
    let varies = |line: &&str| {
        let name = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE ")).unwrap_or(line);
        VARYING.iter().any(|start| name.starts_with(start)) || name.contains("_build_info{")
    };
    metrics.lines().filter(|line| !varies(line)).map(|line| format!("{line}\n")).collect()
}

/// Fails if a text lacks one of the expected lines.
#[track_caller]
pub fn assert_has(text: &str, expected: &[&str]) {
    for expected in expected {
        assert!(text.lines().any(|line| line == *expected), "{expected} is missing in\n{text}");
    }
}

/// Compares the steady metrics with a golden file, which `UPDATE_EXPECT=1` writes.
pub fn assert_golden(metrics: &str, golden: impl AsRef<Path>) {
    expect_test::expect_file![golden.as_ref()].assert_eq(&steady(metrics));
}

/// The path of a program that a test needs. If it is missing, a line starting with `not tested:` names the test, and
/// the test passes, or fails with `REQUIRE_REAL=1`.
pub fn real(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in sbin, which is on the PATH of root only
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("{program} is not on the PATH"));
    }
    found
}

/// Reports that the current test is skipped, or fails it with `REQUIRE_REAL=1`.
fn skip(reason: &str) {
    assert_ne!(std::env::var("REQUIRE_REAL").as_deref(), Ok("1"), "{reason}");
    let test = thread::current();
    let _ = writeln!(std::io::stderr(), "not tested: {}: {reason}", test.name().unwrap_or("a thread of a test"));
}

/// Fails if `promtool check metrics` reports a problem.
pub fn assert_lint(metrics: &str) {
    let Some(promtool) = real("promtool") else { return };
    let output = pipe(Command::new(promtool).args(["check", "metrics"]), metrics);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "promtool check metrics: {said}\n{metrics}");
}

/// Fails if the reference parser of OpenMetrics, which is part of the Python client, rejects the text.
pub fn assert_openmetrics(text: &str) {
    const PARSE: &str = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse; \
                         print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
    // Debian's module needs Debian's interpreter, which may not be the first on the PATH
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|interpreter| {
        let import = Command::new(interpreter).args(["-c", "import prometheus_client"]).output();
        import.is_ok_and(|output| output.status.success())
    });
    let Some(python) = found else {
        return skip("no Python has the module prometheus_client");
    };
    let output = pipe(Command::new(python).args(["-c", PARSE]), text);
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), samples.to_string());
}

/// Runs a command with a text as its standard input.
fn pipe(command: &mut Command, text: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        // concurrent with reading, for a program that writes before it has read everything
        scope.spawn(move || stdin.write_all(text.as_bytes()));
        child.wait_with_output().unwrap()
    })
}

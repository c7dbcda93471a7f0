//! Tests of the program: log files that are written while it runs, flags, errors, golden files.

#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exporter_common::testing::{Running, assert_golden, assert_lint, command, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// A temporary directory for logs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn flag(&self, name: &str) -> String {
        format!("--access-log={}", self.path(name).display())
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        append(&self.path(name), text);
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

const LINE: &str = "192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";

/// The sum of all series of a family.
fn sum(metrics: &str, family: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn requests(metrics: &str) -> f64 {
    sum(metrics, "httpd_requests_total")
}

/// Generated lines and their expected totals.
struct Many {
    text: Vec<u8>,
    /// Series and their expected values.
    totals: Vec<(&'static str, f64)>,
}

fn many(rounds: u32) -> Many {
    const T: &str = "[20/Nov/2026:09:00:00 +0000]";
    let mut text = Vec::new();
    for round in 0..rounds {
        for _ in 0..5 {
            writeln!(text, "192.0.2.7 - - {T} \"GET /{round} HTTP/1.1\" 200 100 \"-\" \"x\\\" 500 77777 \\\"\" 0.001")
                .unwrap();
        }
        writeln!(text, "2001:db8::1 - me {T} \"POST /form HTTP/2.0\" 302 - \"-\" \"curl\" 0.100").unwrap();
        writeln!(text, "192.0.2.7 - - {T} \"\\x16\\x03\\x01\" 400 150 \"-\" \"-\" 0.000").unwrap();
        writeln!(text, "192.0.2.7 - - {T} \"GET /slow HTTP/1.1\" 499 7 \"-\" \"-\" abc").unwrap();
        text.extend_from_slice(b"\xff\xfe garbage\r\n");
        writeln!(text, "192.0.2.7 - - {T} \"-\" 408 - \"-\" \"-\" -\r").unwrap();
    }
    let n = f64::from(rounds);
    let totals = vec![
        (r#"httpd_requests_total{method="GET",status_code="200"}"#, 5.0 * n),
        (r#"httpd_bytes_sent_total{method="GET",status_code="200"}"#, 500.0 * n),
        (r#"httpd_requests_total{method="POST",status_code="302"}"#, n),
        (r#"httpd_bytes_sent_total{method="POST",status_code="302"}"#, 0.0),
        (r#"httpd_requests_total{method="other",status_code="400"}"#, n),
        (r#"httpd_bytes_sent_total{method="other",status_code="400"}"#, 150.0 * n),
        (r#"httpd_requests_total{method="GET",status_code="499"}"#, n),
        (r#"httpd_requests_total{method="other",status_code="408"}"#, n),
        (r#"httpd_request_duration_seconds_bucket{le="0.005"}"#, 6.0 * n),
        (r#"httpd_request_duration_seconds_bucket{le="0.1"}"#, 7.0 * n),
        ("httpd_request_duration_seconds_count", 7.0 * n),
        ("httpd_request_duration_seconds_sum", (f64::from(rounds * 105)) / 1000.0),
    ];
    Many { text, totals }
}

#[track_caller]
fn assert_totals(metrics: &str, source: &Path, many: &Many, rounds: u32) {
    for (series, total) in &many.totals {
        assert_eq!(value(metrics, series), Some(*total), "{series}");
    }
    let n = f64::from(rounds);
    for (result, total) in [("matched", 8.0 * n), ("unmatched", n), ("value_error", n), ("too_long", 0.0)] {
        let series = format!("httpd_log_lines_total{{result=\"{result}\",source=\"{}\"}}", source.display());
        assert_eq!(value(metrics, &series), Some(total), "{series}");
    }
    assert_eq!(requests(metrics), 9.0 * n);
}

#[test]
fn a_million_lines_are_counted_exactly_while_written_in_chunks_of_any_size() {
    let folder = Folder::new();
    folder.append("access.log", LINE); // written before the start, so not counted
    let rounds = 100_000;
    let many = many(rounds);
    let exporter = Running::start(PROGRAM, ["--access-log.format=combined_time".to_owned(), folder.flag("access.log")]);
    let mut log = File::options().append(true).open(folder.path("access.log")).unwrap();
    let mut rest = &many.text[..];
    let mut size = 1;
    while !rest.is_empty() {
        let (chunk, following) = rest.split_at(size.min(rest.len()));
        log.write_all(chunk).unwrap();
        rest = following;
        size = size * 31 % 65_537; // all sizes up to 64 KiB in pseudo-random order
    }
    let metrics =
        exporter.scrape_until("all lines are counted", |metrics| sum(metrics, "httpd_log_lines_total") >= 1e6);
    assert_totals(&metrics, &folder.path("access.log"), &many, rounds);
    assert_eq!(sum(&metrics, "httpd_log_lag_bytes"), 0.0);
}

#[test]
fn a_million_lines_are_counted_exactly_once() {
    let folder = Folder::new();
    let rounds = 100_000;
    let many = many(rounds);
    folder.append("access.log", many.text.trim_ascii_end()); // the last line has no LF
    let output = run(PROGRAM, ["--once", "--access-log.format=combined_time", &folder.flag("access.log")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_totals(&String::from_utf8(output.stdout).unwrap(), &folder.path("access.log"), &many, rounds);
}

#[test]
fn once_fails_for_a_missing_log_and_still_exports_the_others() {
    let folder = Folder::new();
    folder.append("present.log", LINE);
    let output = run(PROGRAM, ["--once", &folder.flag("present.log"), &folder.flag("missing.log")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("waiting for"), "--once does not wait: {output:?}");
    let metrics = String::from_utf8(output.stdout).unwrap();
    assert_eq!(requests(&metrics), 1.0);
    assert_eq!(value(&metrics, r#"exporter_scrape_success{collector="access_log"}"#), Some(0.0));
}

#[test]
fn a_log_in_a_missing_directory_is_read_when_it_appears() {
    let folder = Folder::new();
    let mut exporter = Running::start(PROGRAM, [folder.flag("logs/access.log")]);
    let up = |metrics: &str| {
        let success = value(metrics, r#"exporter_scrape_success{collector="access_log"}"#).unwrap();
        (success, sum(metrics, "httpd_log_source_up"))
    };
    assert_eq!(up(&exporter.scrape()), (0.0, 0.0));
    fs::create_dir(folder.path("logs")).unwrap();
    folder.append("logs/access.log", [LINE, LINE].concat());
    let metrics =
        exporter.scrape_until("the log is read", |metrics| up(metrics) == (1.0, 1.0) && requests(metrics) > 0.0);
    assert_eq!(requests(&metrics), 2.0);
    fs::remove_dir_all(folder.path("logs")).unwrap();
    exporter.scrape_until("the log is missing", |metrics| up(metrics) == (0.0, 0.0));
    fs::create_dir(folder.path("logs")).unwrap();
    folder.append("logs/access.log", LINE);
    let metrics = exporter.scrape_until("the new log is read", |metrics| up(metrics) == (1.0, 1.0));
    assert!(requests(&metrics) <= 3.0);
    exporter.scrape_until("all lines are read", |metrics| requests(metrics) == 3.0);
    exporter.signal("TERM");
    assert_eq!(exporter.wait(), Some(0));
    let log = exporter.log();
    let warnings = log.lines().filter(|line| line.starts_with("level=WARN") || line.contains(" level=WARN"));
    assert!(warnings.count() <= 2, "one warning for each state change: {log}");
}

#[test]
fn no_line_is_lost_when_the_server_still_writes_to_a_renamed_log() {
    let folder = Folder::new();
    let mut old = File::create(folder.path("access.log")).unwrap();
    let exporter = Running::start(PROGRAM, [folder.flag("access.log")]);
    old.write_all(LINE.as_bytes()).unwrap();
    for rotation in 1..=5 {
        fs::rename(folder.path("access.log"), folder.path(&format!("access.log.{rotation}"))).unwrap();
        old.write_all(LINE.as_bytes()).unwrap();
        let mut new = File::create(folder.path("access.log")).unwrap();
        new.write_all(LINE.as_bytes()).unwrap();
        exporter.scrape_until("the rotation is seen", |metrics| {
            sum(metrics, "httpd_log_rotations_total") == f64::from(rotation)
        });
        old.write_all(LINE.as_bytes()).unwrap();
        old = new;
    }
    let metrics = exporter.scrape_until("all lines are read", |metrics| requests(metrics) >= 16.0);
    assert_eq!(requests(&metrics), 16.0);
}

#[test]
fn two_logs_have_separate_line_counters_and_common_request_counters() {
    let folder = Folder::new();
    let sources = [folder.flag("a.log"), folder.flag("b.log")];
    let exporter = Running::start(PROGRAM, sources);
    folder.append("a.log", LINE);
    folder.append("b.log", [LINE, "garbage\n", LINE].concat());
    let lines = |metrics: &str, name: &str, result: &str| {
        let source = folder.path(name);
        value(metrics, &format!("httpd_log_lines_total{{result=\"{result}\",source=\"{}\"}}", source.display()))
    };
    let metrics = exporter.scrape_until("both logs are read", |metrics| requests(metrics) == 3.0);
    assert_eq!(lines(&metrics, "a.log", "matched"), Some(1.0));
    assert_eq!(lines(&metrics, "b.log", "matched"), Some(2.0));
    assert_eq!(lines(&metrics, "b.log", "unmatched"), Some(1.0));
    assert!(exporter.log().contains("format=combined line=garbage"), "{}", exporter.log());
}

#[test]
fn the_metrics_match_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for format in ["combined", "combined_time"] {
        let log = tempfile::tempdir().unwrap();
        let log = log.path().join("access.log");
        append(&log, many(2).text);
        let output = run(
            PROGRAM,
            [
                "--once",
                &format!("--access-log.format={format}"),
                "--metrics.buckets=0.05,0.5",
                &format!("--access-log={}", log.display()),
            ],
        );
        assert!(output.status.success());
        let metrics = String::from_utf8(output.stdout).unwrap();
        assert_lint(&metrics);
        let metrics = metrics.replace(&log.display().to_string(), "/var/log/nginx/access.log");
        assert_golden(&metrics, folder.join(format!("{format}.prom")));
    }
}

#[test]
fn buckets_for_a_format_without_a_duration_are_warned_about() {
    let folder = Folder::new();
    folder.append("access.log", LINE);
    let output = run(PROGRAM, ["--once", "--metrics.buckets=1,2", &folder.flag("access.log")]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the format has no duration"), "{output:?}");
    let timed =
        run(PROGRAM, ["--once", "--metrics.buckets=1,2", "--access-log.format=%m %s %D", &folder.flag("access.log")]);
    assert!(!String::from_utf8_lossy(&timed.stderr).contains("--metrics.buckets"), "{timed:?}");
}

#[test]
fn format_and_routes_are_read_from_the_command_line_or_the_environment() {
    let folder = Folder::new();
    folder.append("access.log", "www.example.com PUT /api/x 204 250\nwww.example.com GET /?/api/ 200 1\n");
    let output = Command::new(PROGRAM)
        .env("HTTPD_LOG_EXPORTER_ACCESS_LOG_FORMAT", "%v %m %U %s %{ms}T")
        .args(["--once", "--metrics.route=api=^/api/", &folder.flag("access.log")])
        .output()
        .unwrap();
    let metrics = String::from_utf8(output.stdout).unwrap();
    for series in [
        r#"httpd_requests_total{method="PUT",route="api",status_code="204",vhost="www.example.com"}"#,
        r#"httpd_requests_total{method="GET",route="other",status_code="200",vhost="www.example.com"}"#,
        r#"httpd_request_duration_seconds_bucket{route="api",vhost="www.example.com",le="0.25"}"#,
    ] {
        assert_eq!(value(&metrics, series), Some(1.0), "{series}\n{metrics}");
    }
    assert!(!metrics.contains("httpd_bytes_sent_total"), "the format has no byte counts: {metrics}");
}

#[test]
fn templates_and_several_patterns_of_one_route_match_paths_in_every_form() {
    let folder = Folder::new();
    for target in ["/users/7", "http://a.example/users/8?x", "/users/7/orders", "/v1/a", "http://a.example/v2/b", "*"] {
        folder.append("access.log", LINE.replace("GET /", &format!("GET {target}")));
    }
    let routes = ["--metrics.route=/users/:id", "--metrics.route=api=^/v1/", "--metrics.route=api=^/v2/"];
    let output = run(PROGRAM, [&["--once", &folder.flag("access.log")][..], &routes].concat());
    let metrics = String::from_utf8(output.stdout).unwrap();
    for route in ["/users/:id", "api", "other"] {
        let series = format!(r#"httpd_requests_total{{method="GET",route="{route}",status_code="200"}}"#);
        assert_eq!(value(&metrics, &series), Some(2.0), "{series}\n{metrics}");
    }
}

#[test]
fn explain_shows_the_fields_or_the_first_mismatch() {
    let folder = Folder::new();
    folder.append("access.log", LINE);
    let log = folder.path("access.log").display().to_string();
    let output = run(PROGRAM, ["explain", &log]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("GET / HTTP/1.1"), "{output:?}");
    let output = run(PROGRAM, ["explain", "--access-log.format", "json", &log]);
    let message = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        message.contains("^ expected a JSON object") && message.contains("--access-log.format=combined"),
        "{message}"
    );
    let output = run(PROGRAM, ["explain", &folder.path("missing").display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read"), "{output:?}");
    assert_eq!(run(PROGRAM, ["explain"]).status.code(), Some(2));
}

#[test]
fn explain_reads_a_fifo_and_reports_that_it_waits_for_its_writer() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(run("mkfifo", [&fifo]).status.success());
    let mut command = command(PROGRAM);
    command.arg("explain").arg(&fifo).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut message = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut message).unwrap();
    assert!(message.contains("reading the FIFO until its writers close it"), "{message}");
    File::options().write(true).open(&fifo).unwrap().write_all(LINE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 of 1 lines match"), "{output:?}");
}

const LOG: &str = "/var/log/nginx/access.log";

#[test]
fn invalid_flags_and_files_are_reported_in_one_line() {
    let folder = Folder::new();
    folder.append("access.log", LINE);
    std::os::unix::fs::symlink("access.log", folder.path("link.log")).unwrap();
    let (log, link) = (folder.flag("access.log"), folder.flag("link.log"));
    let directory = folder.flag("");
    let device = "--access-log=/dev/null".to_owned();
    let (missing, same_missing) = (folder.flag("missing.log"), folder.flag("./missing.log"));
    folder.append("broken", "{}");
    let broken = folder.path("broken");
    let broken = broken.to_str().unwrap();
    let fifo = folder.path("fifo");
    assert!(run("mkfifo", [&fifo]).status.success());
    let fifo = fifo.to_str().unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&[], 2, "--access-log"),
        (&[&log, "--access-log.format=nonsense"], 2, "combined_time"),
        (&[&log, "--access-log.format=$request $bytes_sent"], 2, "it has no status"),
        (&[&log, "--access-log.format=%>s %b"], 2, "it has no request"),
        (&[&log, "--access-log.regex=(?P<status>x"], 2, "unclosed group"),
        (
            &[&log, "--access-log.regex=(?P<status>.)(?P<method>.)", "--access-log.format=json"],
            2,
            "cannot be used with",
        ),
        (&[&log, "--metrics.route=api"], 2, "NAME=REGEX"),
        (&[&log, "--metrics.route=api=("], 2, "'(' is not a regular expression: unclosed group"),
        (&[&log, "--metrics.buckets=2,1"], 2, "ascend"),
        (&[&log, "--access-log.start=middle"], 2, "beginning"),
        (&["--access-log=syslog+sctp://:514"], 2, "syslog+udp://HOST:PORT"),
        (&["--once", "--access-log=syslog+udp://127.0.0.1:0"], 1, "cannot read syslog"),
        (&["--check", "--state.file", broken, &log], 1, "state"),
        (&["--check", "--state.file", fifo, &log], 1, "cannot read the state file"),
        (&["--check", "--state.file", "/no/such/state", &log], 1, "--state.file: cannot open /no/such: No such file"),
        (&["--check", "--access-log=syslog+unix:/no/such/s"], 1, "--access-log: cannot open /no/such: No such file"),
        (&[&directory], 1, "is a directory"),
        (&[&device], 1, "is not a file or a FIFO"),
        (&[&log, &log], 1, "duplicate --access-log"),
        (&[&missing, &same_missing], 1, "duplicate --access-log"),
        (&[&log, &link], 1, "are the same file"),
        (&["--check", &missing, &directory], 1, "missing.log"),
        (&["--check", &missing], 1, "missing.log: No such file or directory (os error 2)\n"),
        (&[LOG], 2, "specify a log as --access-log=/var/log/nginx/access.log"),
        (&[&log, LOG], 2, "specify a log as --access-log=/var/log/nginx/access.log"),
    ];
    for (flags, code, expected) in cases {
        let output = run(PROGRAM, *flags);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{flags:?}: {message}");
        assert!(message.contains(expected) && message.lines().count() == 1, "{flags:?}: {message}");
    }
    assert!(run(PROGRAM, ["--check", &log]).status.success());
    assert_eq!(run(PROGRAM, ["healthcheck", "--web.listen-address=127.0.0.1:1"]).status.code(), Some(1));
}

#[test]
fn the_error_for_an_unreadable_log_names_the_group_and_the_log_is_read_when_permitted() {
    let folder = Folder::new();
    folder.append("access.log", LINE);
    let mode =
        |name: &str, mode: u32| fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    mode("", 0o755);
    // root can read every file, so the program is copied and started as the user nobody
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let program = folder.path("program");
    fs::copy(PROGRAM, &program).unwrap();
    mode("access.log", if root { 0o640 } else { 0o200 });
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).arg(folder.flag("access.log"));
        if root {
            command.uid(65_534).gid(65_534);
        }
        command
    };
    let expected = if root { "is readable by group root: add the exporter's user to it" } else { "has mode 0200" };
    let check = command(&["--check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&check.stderr).contains(expected), "{check:?}");
    let exporter = Running::spawn(&mut command(&["--web.listen-address=127.0.0.1:0"]));
    let success = |metrics: &str| value(metrics, r#"exporter_scrape_success{collector="access_log"}"#).unwrap();
    let metrics = exporter.scrape();
    assert_eq!((success(&metrics), sum(&metrics, "httpd_log_source_up")), (0.0, 0.0));
    assert!(sum(&metrics, "httpd_log_open_errors_total") > 0.0);
    assert!(exporter.log().contains(expected), "{}", exporter.log());
    let pattern = folder.path("logs/*.log");
    fs::create_dir(folder.path("logs")).unwrap();
    mode("logs", 0o000);
    let mut check = Command::new(&program);
    if root {
        check.uid(65_534).gid(65_534);
    }
    let check = check.arg("--check").arg(format!("--access-log={}", pattern.display())).output().unwrap();
    mode("logs", 0o755);
    assert!(String::from_utf8_lossy(&check.stderr).contains("logs has mode 0000"), "{check:?}");
    append(&folder.path("access.log"), LINE);
    mode("access.log", 0o644);
    // lines from before the start are not counted, later ones are not lost
    let metrics = exporter.scrape_until("the log is read", |metrics| requests(metrics) > 0.0);
    assert_eq!((success(&metrics), requests(&metrics)), (1.0, 1.0));
}

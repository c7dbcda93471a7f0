//! Tests of metrics of numeric fields: the flags `--metrics.counter` and `--metrics.histogram`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use exporter_common::testing::{Running, assert_has, assert_lint, eventually, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const FORMAT: &str =
    r#"--access-log.format=$host "$request" $status $body_bytes_sent $upstream_bytes_received $gzip_ratio"#;
const LOG: &str = r#"a.example "GET /api/1 HTTP/1.1" 200 500 100 2.50
a.example "GET /api/2 HTTP/1.1" 200 5000 100, 20 : - -
a.example "GET / HTTP/1.1" 200 70000 - 1.25
b.example "GET / HTTP/1.1" 404 0 - -
"#;
const METRICS: [&str; 3] = [
    "--metrics.histogram=httpd_response_size_bytes=$body_bytes_sent:1000,10000",
    "--metrics.counter=httpd_upstream_received_bytes_total=$upstream_bytes_received",
    "--metrics.histogram=httpd_compression_ratio=$gzip_ratio:1,2,4",
];

fn once(log: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, log).unwrap();
    let access_log = format!("--access-log={}", path.display());
    let output = run(PROGRAM, [&["--once", &access_log][..], more].concat());
    assert!(output.status.success(), "{output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.contains("a number in the line is invalid"), log.contains("GET 200 x"), "{message}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn counters_and_histograms_have_the_labels_of_requests() {
    let flags = [&[FORMAT, "--metrics.label=section=path~^/(api)/", "--metrics.route=/api/:id"], &METRICS[..]].concat();
    let metrics = once(LOG, &flags);
    let api = r#"route="/api/:id",section="api",vhost="a.example""#;
    let other = r#"route="other",section="other",vhost="a.example""#;
    assert_has(
        &metrics,
        &[
            &format!("httpd_response_size_bytes_bucket{{{api},le=\"1000\"}} 1"),
            &format!("httpd_response_size_bytes_sum{{{api}}} 5500"),
            &format!("httpd_response_size_bytes_count{{{api}}} 2"),
            &format!("httpd_response_size_bytes_sum{{{other}}} 70000"),
            &format!("httpd_upstream_received_bytes_total{{{api}}} 220"),
            &format!("httpd_compression_ratio_sum{{{api}}} 2.5"),
            &format!("httpd_compression_ratio_count{{{api}}} 1"),
            "# HELP httpd_response_size_bytes Values of the field body_bytes_sent in the access log.",
            "# TYPE httpd_upstream_received_bytes_total counter",
        ],
    );
    let absent = format!("httpd_upstream_received_bytes_total{{{other}}}");
    assert!(!metrics.contains(&absent), "absent is not 0: {metrics}");
    assert!(
        metrics.contains("httpd_response_size_bytes_sum{route=\"other\",section=\"other\",vhost=\"b.example\"} 0\n"),
        "0 is a value"
    );
    assert_lint(&metrics);
}

#[test]
fn a_value_that_is_not_a_number_is_counted() {
    let log = "GET 200 1\nGET 200 x\nGET 200 -\nGET 200 -5\n";
    let metrics =
        once(log, &["--access-log.format=$request_method $status $age", "--metrics.counter=x_age_seconds_total=$age"]);
    assert_has(&metrics, &["x_age_seconds_total 1", r#"httpd_requests_total{method="GET",status_code="200"} 4"#]);
    let wrong = metrics.lines().find(|line| line.starts_with("httpd_log_lines_total{result=\"value_error\"")).unwrap();
    assert!(wrong.ends_with(" 2"), "{wrong}");
    let json = "{\"status\":200,\"method\":\"GET\",\"cache\":{\"age\":1.5e1}}\n{\"status\":200,\"method\":\"GET\"}\n";
    let metrics = once(json, &["--access-log.format=json", "--metrics.histogram=x_age_seconds=cache.age:10,100"]);
    assert_has(
        &metrics,
        &["x_age_seconds_sum 15", r#"x_age_seconds_bucket{le="10"} 0"#, r#"x_age_seconds_bucket{le="100"} 1"#],
    );
}

#[test]
fn wrong_definitions_are_refused_in_one_line() {
    for (flag, expected) in [
        ("--metrics.counter=x=$status", "the name 'x' of a counter must end in _total"),
        ("--metrics.histogram=x_bytes=$none", "--metrics.histogram: the format has no field none; its fields are"),
        ("--metrics.histogram=x_bytes=@method", "--metrics.histogram: the field @method is not a number"),
        ("--metrics.histogram=x_bytes=path", "--metrics.histogram: the field path is not a number"),
        (
            "--metrics.counter=httpd_requests_total=$status",
            "the name 'httpd_requests_total' is reserved for the exporter",
        ),
        ("--metrics.counter=x_total=$status\nx_total=$status", "two metrics have the same name (x)"),
        ("--metrics.histogram=x_bytes=$status:2,1", "the bounds must be in ascending order"),
    ] {
        let output = run(PROGRAM, ["--check", "--access-log=-", FORMAT, flag]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(expected), "{flag}: {message}");
        assert_eq!(
            message
                .trim()
                .lines()
                .filter(|line| line.contains("error") || line.contains("httpd-log-exporter:"))
                .count(),
            1,
            "{message}"
        );
    }
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn the_state_file_keeps_values_and_max_series_bounds_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, "");
    let access_log = format!("--access-log={}", log.display());
    let state = format!("--state.file={}", folder.path().join("state").display());
    let start = |buckets: &str| {
        let size = format!("--metrics.histogram=httpd_response_size_bytes=$body_bytes_sent:{buckets}");
        let exporter = Running::start(PROGRAM, [&access_log, &state, FORMAT, METRICS[1], &size]);
        eventually("the exporter is ready", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
        exporter
    };
    let read = |exporter: &Running, series: &str| {
        value(&exporter.scrape(), &format!("httpd_{series}{{vhost=\"a.example\"}}")).unwrap_or_default()
    };
    let exporter = start("1000,10000");
    append(&log, LOG);
    eventually("the lines are read", || (read(&exporter, "response_size_bytes_count") == 3.0).then_some(()));
    drop(exporter);
    append(&log, LOG);
    let exporter = start("1000,10000");
    eventually("more lines are read", || (read(&exporter, "response_size_bytes_count") == 6.0).then_some(()));
    assert_eq!(read(&exporter, "response_size_bytes_sum"), 151_000.0);
    assert_eq!(read(&exporter, "upstream_received_bytes_total"), 440.0);
    drop(exporter);
    let exporter = start("1,2");
    assert_eq!(read(&exporter, "response_size_bytes_sum"), 0.0, "other buckets start at 0");
    assert_eq!(read(&exporter, "upstream_received_bytes_total"), 440.0);
    assert!(exporter.log().contains("metrics of fields with other buckets"), "{}", exporter.log());

    let hosts: String = (0..500).map(|host| format!("h{host}.example \"GET / HTTP/1.1\" 200 5 1 1\n")).collect();
    let metrics = once(&hosts, &[&[FORMAT, "--metrics.max-series=200"], &METRICS[..]].concat());
    let series = metrics.lines().filter(|line| line.contains("vhost=")).count();
    assert!((100..=200).contains(&series), "{series} series");
    assert!(value(&metrics, r#"httpd_response_size_bytes_count{vhost="other"}"#).unwrap() > 400.0);
}

#[test]
fn explain_shows_the_values_that_a_line_adds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, LOG).unwrap();
    let output = run(PROGRAM, [&["explain", path.to_str().unwrap(), FORMAT], &METRICS[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_has(
        &text,
        &[
            r#"  httpd_response_size_bytes_sum{vhost="a.example"} 500"#,
            r#"  httpd_upstream_received_bytes_total{vhost="a.example"} 100"#,
        ],
    );
}

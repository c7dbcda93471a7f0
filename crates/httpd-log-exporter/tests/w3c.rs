//! The built exporter with logs that name their columns: W3C extended logs and CloudFront's.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use exporter_common::testing::{Running, assert_has, eventually, run, value};
use flate2::Compression;
use flate2::write::GzEncoder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// As IIS writes it.
const IIS: &str = "#Software: Microsoft Internet Information Services 10.0\r
#Version: 1.0\r
#Date: 2026-11-20 09:00:00\r
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs-host sc-status sc-substatus sc-win32-status sc-bytes cs-bytes time-taken\r
2026-11-20 09:26:10 10.0.0.4 GET /users/7 id=1 443 - 203.0.113.7 Mozilla/5.0+(X11) shop.example 200 0 0 612 310 47\r
2026-11-20 09:26:11 10.0.0.4 POST /login - 443 - 203.0.113.7 curl/8.14.1 shop.example 302 0 0 - 90 3\r
#Date: 2026-11-20 10:00:00\r
#Fields: time cs-method sc-status time-taken\r
10:00:01 PUT 500 1500\r
";

/// As CloudFront writes it, with fewer columns.
const CLOUDFRONT: &str = "#Version: 1.0
#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for cs-protocol-version
2026-11-20\t09:26:10\tFRA60-P1\t612\t203.0.113.7\tGET\td111.cloudfront.net\t/app.js\t200\t-\tMozilla/5.0%20(X11)\t-\t-\tHit\tabc==\twww.example\thttps\t310\t0.002\t-\tHTTP/2.0
2026-11-20\t09:26:11\tFRA60-P1\t90\t203.0.113.7\tGET\td111.cloudfront.net\t/none\t404\t-\tcurl\t-\t-\tError\tdef==\twww.example\thttps\t50\t0.250\t-\tHTTP/1.1
";

fn once(format: &str, log: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, log).unwrap();
    let flags =
        ["--once".to_owned(), format!("--access-log={}", path.display()), format!("--access-log.format={format}")];
    let output = run(PROGRAM, flags.into_iter().chain(more.iter().map(|flag| (*flag).to_owned())));
    String::from_utf8(output.stdout).unwrap()
}

fn lines(metrics: &str, result: &str) -> f64 {
    let prefix = format!("httpd_log_lines_total{{result=\"{result}\"");
    metrics
        .lines()
        .filter(|line| line.starts_with(&prefix))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn the_columns_of_iis_may_change_within_a_log() {
    let metrics =
        once("iis", IIS, &["--metrics.label=client=cs(User-Agent)~^(Mozilla|curl)", "--metrics.buckets=0.01,0.1,1"]);
    assert_has(
        &metrics,
        &[
            r#"httpd_requests_total{client="Mozilla",method="GET",status_code="200",vhost="shop.example"} 1"#,
            r#"httpd_requests_total{client="curl",method="POST",status_code="302",vhost="shop.example"} 1"#,
            r#"httpd_requests_total{client="",method="PUT",status_code="500",vhost="-"} 1"#,
            r#"httpd_bytes_sent_total{client="Mozilla",method="GET",status_code="200",vhost="shop.example"} 612"#,
            r#"httpd_bytes_received_total{client="curl",method="POST",status_code="302",vhost="shop.example"} 90"#,
            r#"httpd_request_duration_seconds_sum{client="Mozilla",vhost="shop.example"} 0.047"#,
            r#"httpd_request_duration_seconds_sum{client="",vhost="-"} 1.5"#,
        ],
    );
    assert_eq!((lines(&metrics, "matched"), lines(&metrics, "unmatched")), (3.0, 0.0), "{metrics}");
    let without_last = &IIS[..IIS.find("#Date: 2026-11-20 10").unwrap()];
    let metrics = once("w3c", without_last, &[]);
    assert!(
        metrics.contains("httpd_log_last_line_timestamp_seconds") && metrics.contains("} 1.795166771e+09\n"),
        "{metrics}"
    );
    let seconds = once("w3c_seconds", without_last, &["--metrics.route=/users/:id"]);
    assert_has(&seconds, &[r#"httpd_request_duration_seconds_sum{route="/users/:id",vhost="shop.example"} 47"#]);
}

#[test]
fn cloudfront_logs_have_seconds_tabs_and_results_of_the_cache() {
    let metrics = once("cloudfront", CLOUDFRONT, &["--metrics.label=edge=x-edge-location~^[A-Z]{3}"]);
    assert_has(
        &metrics,
        &[
            r#"httpd_requests_total{edge="FRA",method="GET",status_code="200",vhost="www.example"} 1"#,
            r#"httpd_bytes_sent_total{edge="FRA",method="GET",status_code="404",vhost="www.example"} 90"#,
            r#"httpd_request_duration_seconds_sum{edge="FRA",vhost="www.example"} 0.252"#,
            r#"httpd_requests_by_cache_status_total{cache_status="HIT"} 1"#,
            r#"httpd_requests_by_cache_status_total{cache_status="other"} 1"#,
            r#"httpd_requests_by_protocol_total{protocol="HTTP/2.0"} 1"#,
        ],
    );
    assert_eq!((lines(&metrics, "matched"), lines(&metrics, "unmatched")), (2.0, 0.0), "{metrics}");
    assert_eq!(lines(&once("cloudfront", IIS, &[]), "unmatched"), 3.0, "they are not CloudFront's");
}

#[test]
fn a_line_without_known_columns_is_unmatched() {
    let body = "2026-11-20 09:26:10 GET 200\n";
    for log in [body.to_owned(), format!("#Version: 1.0\n{body}"), format!("#Fields: date time sc-status\n{body}")] {
        let metrics = once("w3c", &log, &[]);
        assert_eq!((lines(&metrics, "matched"), lines(&metrics, "unmatched")), (0.0, 1.0), "{log}");
    }
    // the format can name the columns
    let metrics = once("#Fields: date time cs-method sc-status", body, &[]);
    assert_eq!((lines(&metrics, "matched"), lines(&metrics, "unmatched")), (1.0, 0.0), "{metrics}");
    let wrong = run(PROGRAM, ["--check", "--access-log=-", "--access-log.format=#Fields: date time"]);
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("it has no sc-status or no cs-method"));
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn requests(metrics: &str, method: &str) -> f64 {
    value(metrics, &format!("httpd_requests_total{{method=\"{method}\",status_code=\"200\"}}")).unwrap_or_default()
}

#[test]
fn each_log_of_a_glob_has_its_columns_which_are_known_again_in_the_middle_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.log", "b.log"].map(|name| folder.path().join(name));
    append(&a, "#Fields: cs-method sc-status\nGET 200\n");
    append(&b, "#Fields: sc-status cs-method x\n200 PUT -\n#Fields: sc-status cs-method\n200 PUT\n200 P");
    let flags = [
        format!("--access-log={}", folder.path().join("*.log").display()),
        "--access-log.format=w3c".to_owned(),
        format!("--state.file={}", folder.path().join("state").display()),
    ];
    // the exporter starts at the end of both, in the middle of a line
    let exporter = Running::start(PROGRAM, &flags);
    append(&a, "GET 200\n");
    append(&b, "UT\n200 PUT\n");
    let all = |metrics: &str, get: f64, put: f64| requests(metrics, "GET") >= get && requests(metrics, "PUT") >= put;
    exporter.scrape_until("new lines", |metrics| all(metrics, 1.0, 2.0));
    drop(exporter);
    append(&a, "GET 200\n");
    fs::rename(&b, folder.path().join("b.log.1")).unwrap();
    append(&folder.path().join("b.log.1"), "200 PUT\n");
    append(&b, "#Fields: cs-method sc-status\nPUT 200\n");
    let exporter = Running::start(PROGRAM, &flags);
    append(&a, "GET 200\n");
    eventually("the exporter is ready", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    let metrics = exporter.scrape_until("lines after the restart", |metrics| all(metrics, 3.0, 4.0));
    assert_eq!(
        (requests(&metrics, "GET"), requests(&metrics, "PUT"), lines(&metrics, "unmatched")),
        (3.0, 4.0, 0.0),
        "{metrics}"
    );
}

#[test]
fn the_columns_of_a_log_stay_after_a_truncation() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, "#Fields: cs-method sc-status\nGET 200\n");
    let flags = [format!("--access-log={}", log.display()), "--access-log.format=w3c".to_owned()];
    let exporter = Running::start(PROGRAM, &flags);
    append(&log, "GET 200\n");
    exporter.scrape_until("a line", |metrics| requests(metrics, "GET") > 0.0);
    fs::copy(&log, folder.path().join("access.log.1")).unwrap();
    fs::write(&log, "").unwrap();
    append(&log, "PUT 200\n");
    let metrics = exporter.scrape_until("a line after the truncation", |metrics| {
        requests(metrics, "PUT") + lines(metrics, "unmatched") > 0.0
    });
    assert_eq!((requests(&metrics, "PUT"), lines(&metrics, "unmatched")), (1.0, 0.0), "{metrics}");
}

#[test]
fn columns_of_a_container_are_known_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("0.log");
    let cri = |line: &str| format!("2026-11-20T09:26:10Z stdout F {line}\n");
    append(&log, &(cri("#Fields: cs-method sc-status") + &cri("GET 200")));
    let exporter = Running::start(
        PROGRAM,
        [&format!("--access-log={}", log.display()), "--access-log.format=w3c", "--access-log.container=stdout"],
    );
    append(&log, &cri("GET 200"));
    let metrics = exporter.scrape_until("a line", |metrics| requests(metrics, "GET") > 0.0);
    assert_eq!((requests(&metrics, "GET"), lines(&metrics, "unmatched")), (1.0, 0.0));
}

#[test]
fn explain_shows_columns_and_proposes_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let explain = |log: &str, format: &str| {
        fs::write(&path, log).unwrap();
        let output = run(PROGRAM, ["explain", "--access-log.format", format, path.to_str().unwrap()]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for (log, preset) in [(IIS, "w3c"), (CLOUDFRONT, "cloudfront")] {
        let (status, text) = explain(log, "combined");
        assert_eq!(status, Some(1));
        assert!(text.contains(&format!("--access-log.format={preset} would match")), "{text}");
    }
    let (status, text) = explain(IIS, "w3c");
    assert_eq!(status, Some(0), "{text}");
    assert_has(
        &text,
        &[
            "format w3c: 3 of 3 lines match",
            "fields of line 5:",
            "  cs-uri-stem      path                         /users/7",
            "  time-taken       duration                     47",
            r#"  httpd_requests_total{method="GET",status_code="200",vhost="shop.example"} 1"#,
        ],
    );
    let (status, text) = explain("GET 200\n", "w3c");
    assert_eq!(status, Some(1));
    assert!(text.contains("^ expected a line #Fields: before it"), "{text}");
}

#[test]
fn a_log_that_is_compressed_while_the_exporter_is_down_is_read_with_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("u_ex.log");
    append(&log, "#Fields: sc-status cs-method\n200 PUT\n");
    let flags = [
        format!("--access-log={}", log.display()),
        "--access-log.format=w3c".to_owned(),
        "--access-log.start=beginning".to_owned(),
        format!("--state.file={}", folder.path().join("state").display()),
    ];
    let exporter = Running::start(PROGRAM, &flags);
    exporter.scrape_until("the first line", |metrics| requests(metrics, "PUT") >= 1.0);
    drop(exporter);
    append(&log, "200 PUT\n200 PUT\n");
    let mut encoder =
        GzEncoder::new(File::create(folder.path().join("u_ex.log.1.gz")).unwrap(), Compression::default());
    encoder.write_all(&fs::read(&log).unwrap()).unwrap();
    encoder.finish().unwrap();
    fs::remove_file(&log).unwrap();
    append(&log, "#Fields: cs-method sc-status\nGET 200\n");
    let exporter = Running::start(PROGRAM, &flags);
    eventually("the exporter is ready", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    let all = |metrics: &str| requests(metrics, "PUT") >= 3.0 && requests(metrics, "GET") >= 1.0;
    let metrics = exporter.scrape_until("both files", all);
    assert_eq!((requests(&metrics, "PUT"), requests(&metrics, "GET"), lines(&metrics, "unmatched")), (3.0, 1.0, 0.0));
}

//! Tests of the flags that replace mtail's example programs for access logs, as docs/moving.md lists them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use exporter_common::testing::{assert_has, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const MOVING: &str = include_str!("../../../docs/moving.md");

/// The metrics of a log, read with the flags of a program's row.
fn once(program: &str, log: &str) -> String {
    let row = MOVING.lines().find(|line| line.starts_with(&format!("| `{program}`"))).unwrap();
    // the flags are in code, separated by blanks, with quotes of a shell
    let flags: Vec<_> =
        row.split('`').filter(|code| code.starts_with("--a") || code.starts_with("--metrics.label")).collect();
    let mut words = Vec::new();
    for flags in flags {
        for (at, part) in flags.split('\'').enumerate() {
            match at % 2 {
                0 => words.extend(part.split_whitespace().map(str::to_owned)),
                _ => words.push(part.to_owned()),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, log).unwrap();
    words.extend(["--once".to_owned(), format!("--access-log={}", path.display())]);
    let output = run(PROGRAM, &words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn flags_replace_the_example_programs() {
    let time = "[20/Nov/2026:09:26:10 +0000]";
    let combined = format!("192.0.2.7 - - {time} \"GET / HTTP/1.1\" 200 11 \"-\" \"curl\"\n");
    let requests = r#"httpd_requests_total{method="GET",status_code="200"} 1"#;
    assert_has(&once("apache_combined.mtail", &combined), &[requests]);
    let common = format!("192.0.2.7 - - {time} \"GET / HTTP/1.1\" 200 11 250000 \"-\" \"curl\"\n");
    assert_has(&once("apache_common.mtail", &common), &[requests, "httpd_request_duration_seconds_sum 0.25"]);
    let metrics = "www.example.com:443 proxy-server GET 200 HTTP/1.1 conn=+ 250000 1100 300 2\n";
    let labels = r#"class="2xx",connection="+",handler="proxy-server",verb="GET",vhost="www.example.com""#;
    assert_has(
        &once("apache_metrics.mtail", metrics),
        &[
            &format!("httpd_request_duration_seconds_sum{{{labels}}} 0.25"),
            r#"httpd_bytes_received_total{class="2xx",connection="+",handler="proxy-server",method="GET",status_code="200",verb="GET",vhost="www.example.com"} 300"#,
        ],
    );
    let lighttpd = |path: &str| {
        format!("198.51.100.1 192.0.2.7 - {time} \"GET {path} HTTP/1.1\" 200 11 300 211 2 \"-\" \"curl\"\n")
    };
    let log = lighttpd("/") + &lighttpd("/healthz");
    let count = r#"{method="GET",proxy="192.0.2.7",status_code="200"}"#;
    assert_has(
        &once("lighttpd.mtail", &log),
        &[
            &format!("httpd_requests_total{count} 1"),
            &format!("httpd_bytes_received_total{count} 300"),
            r#"httpd_request_duration_seconds_sum{proxy="192.0.2.7"} 2"#,
        ],
    );
}

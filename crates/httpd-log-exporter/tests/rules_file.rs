//! The built exporter with rules in a file: the flag `--metrics.file`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::process::Output;

use exporter_common::testing::{assert_has, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const FORMAT: &str = r#"--access-log.format=$scheme "$request" $status $body_bytes_sent $age "$http_user_agent""#;
const LOG: &str = r#"https "GET /users/7 HTTP/1.1" 200 500 7 "Mozilla/5.0 Firefox/140.0"
https "GET /healthz HTTP/1.1" 200 5 - "kube-probe/1.33"
http "GET /api/x HTTP/1.1" 200 20 - "curl/8.14.1"
"#;
const RULES: &str = r#"# rules of the shop
labels:
  - name: browser
    field: $http_user_agent
    regex: (Firefox|Chrome)/
    value: $1
routes:
  - template: /users/:id
  - name: api
    regex: ^/api/
drop:
  - {field: path, regex: ^/healthz$}
counters:
  - {name: shop_age_seconds_total, field: $age}
histograms:
  - {name: shop_response_size_bytes, field: $body_bytes_sent, buckets: [100, 1000]}
"#;

fn with(rules: &str, arguments: &[&str], flags: &[&str]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let [log, file] = ["access.log", "rules.yml"].map(|name| folder.path().join(name));
    fs::write(&log, LOG).unwrap();
    fs::write(&file, rules).unwrap();
    let log = match arguments {
        ["explain"] => log.display().to_string(),
        _ => format!("--access-log={}", log.display()),
    };
    let file = format!("--metrics.file={}", file.display());
    let output = run(PROGRAM, [arguments, &[&log, &file, FORMAT], flags].concat());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[test]
fn a_file_has_the_rules_of_flags() {
    let (_, metrics) = with(RULES, &["--once"], &[]);
    assert_has(
        &metrics,
        &[
            r#"httpd_requests_total{browser="Firefox",method="GET",route="/users/:id",status_code="200"} 1"#,
            r#"httpd_requests_total{browser="other",method="GET",route="api",status_code="200"} 1"#,
            r#"shop_age_seconds_total{browser="Firefox",route="/users/:id"} 7"#,
            r#"shop_response_size_bytes_sum{browser="Firefox",route="/users/:id"} 500"#,
        ],
    );
    assert!(metrics.lines().any(|line| line.contains("result=\"dropped\"") && line.ends_with(" 1")), "{metrics}");
    let (output, text) = with(RULES, &["explain"], &[]);
    assert!(output.status.success());
    assert_has(&text, &[r#"  shop_age_seconds_total{browser="Firefox",route="/users/:id"} 7"#]);
}

#[test]
fn rules_of_flags_come_first() {
    let flags = ["--metrics.route=all=^/", "--metrics.label=scheme=$scheme"];
    let (_, metrics) = with(RULES, &["--once"], &flags);
    let series =
        r#"httpd_requests_total{browser="Firefox",method="GET",route="all",scheme="https",status_code="200"} 1"#;
    assert_has(&metrics, &[series]);
    assert!(!metrics.contains("route=\"api\""), "{metrics}");
}

#[test]
fn check_reports_mistakes_in_the_file() {
    let (output, _) = with(RULES, &["--check"], &[]);
    assert!(output.status.success(), "{output:?}");
    for (rules, expected) in [
        ("lables: []\n", "rules.yml: line 1: unknown key lables in the file; did you mean labels?"),
        (
            "labels:\n- {name: a, field: b, regex: (}\n",
            "rules.yml: line 2: '(' is not a regular expression: unclosed group",
        ),
        ("labels: [\n", "rules.yml: line "),
        ("labels:\n- {name: a, field: none}\n", "the format has no field none; its fields are"),
        ("labels:\n- {name: a, field: age}\n- {name: a, field: age}\n", "two labels have the same name (a)"),
    ] {
        let (output, _) = with(rules, &["--check"], &[]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{rules}: {message}");
        assert!(message.contains(expected) && message.trim().lines().count() == 1, "{rules}: {message}");
    }
    let missing = run(PROGRAM, ["--check", "--access-log=-", "--metrics.file=/none/rules.yml"]);
    assert!(String::from_utf8(missing.stderr).unwrap().contains("--metrics.file /none/rules.yml: No such file"));
}

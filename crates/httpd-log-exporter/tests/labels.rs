//! Tests of rules for fields of the log: the flags `--metrics.label` and `--access-log.drop`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use exporter_common::testing::{Running, assert_has, eventually, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const FORMAT: &str = r#"$scheme $host "$request" $status $bytes_sent $request_time "$http_user_agent""#;
const LOG: &str = r#"https a.example "GET /api/1 HTTP/1.1" 200 10 0.1 "Mozilla/5.0 Firefox/140.0"
https a.example "GET /api/2 HTTP/1.1" 200 20 0.2 "Mozilla/5.0 Firefox/141.0"
http a.example "GET / HTTP/1.1" 200 5 0.1 "curl/8.14.1"
- b.example "GET / HTTP/1.1" 404 7 0.1 "-"
"#;

/// The flags for a log in a folder.
fn flags(folder: &Path, format: &str, log: &str, more: &[&str]) -> Vec<String> {
    let path = folder.join("access.log");
    if !path.exists() {
        std::fs::write(&path, log).unwrap();
    }
    let flags = [format!("--access-log={}", path.display()), format!("--access-log.format={format}")];
    flags.into_iter().chain(more.iter().map(|flag| (*flag).to_owned())).collect()
}

/// The metrics of a whole log.
fn once(format: &str, log: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(PROGRAM, flags(folder.path(), format, log, &[&["--once"], more].concat()));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn requests_bytes_and_durations_have_the_labels() {
    let labels = ["--metrics.label=scheme=$scheme", "--metrics.label=browser=http_user_agent~(Firefox|Chrome)/"];
    let text = once(FORMAT, LOG, &labels);
    assert_has(
        &text,
        &[
            r#"httpd_requests_total{browser="Firefox",method="GET",scheme="https",status_code="200",vhost="a.example"} 2"#,
            r#"httpd_bytes_sent_total{browser="Firefox",method="GET",scheme="https",status_code="200",vhost="a.example"} 30"#,
            r#"httpd_request_duration_seconds_count{browser="Firefox",scheme="https",vhost="a.example"} 2"#,
            r#"httpd_requests_total{browser="other",method="GET",scheme="http",status_code="200",vhost="a.example"} 1"#,
            r#"httpd_requests_total{browser="",method="GET",scheme="",status_code="404",vhost="b.example"} 1"#,
            "httpd_requests_overflowed_total 0",
        ],
    );
}

#[test]
fn a_label_is_a_field_of_any_kind_of_format() {
    let combined = r#"::1 - jane [20/Nov/2026:09:26:10 +0000] "GET /api/users/7?q HTTP/1.1" 200 5 "-" "curl/8.14.1""#;
    let json = r#"{"status":200,"method":"GET","tls":{"version":"TLSv1.3","resumed":true},"path":"/x"}"#;
    for (format, line, label, expected) in [
        ("combined", combined, "user=%u", r#"user="jane""#),
        ("combined", combined, "client=%h", r#"client="::1""#),
        ("combined", combined, "agent=%{User-Agent}i~^[a-z]+=>$0", r#"agent="curl""#),
        ("combined", combined, "section=path~^/([^/]+)/([^/]+)=>$1/$2", r#"section="api/users""#),
        ("combined", combined, "status_class=%>s~^(.)=>${1}xx", r#"status_class="2xx""#),
        ("combined", combined, "class=@status_class", r#"class="2xx""#),
        ("json", json, "verb=@method", r#"verb="GET""#),
        ("json", json, "tls=tls.version", r#"tls="TLSv1.3""#),
        ("json", json, "resumed=tls.resumed", r#"resumed="true""#),
        ("json", json, "none=tls.cipher", r#"none="""#),
    ] {
        let text = once(format, &format!("{line}\n"), &["--metrics.label", label]);
        let series = text.lines().find(|line| line.starts_with("httpd_requests_total{") && line.ends_with(" 1"));
        assert!(series.is_some_and(|series| series.contains(expected)), "{label}: {text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut flags = flags(folder.path(), "", "GET 200 eu\n", &["--once", "--metrics.label=region=zone"]);
    flags[1] = r"--access-log.regex=^(?P<method>\S+) (?P<status>\d+) (?P<zone>\S+)".to_owned();
    let text = String::from_utf8(run(PROGRAM, flags).stdout).unwrap();
    assert_has(&text, &[r#"httpd_requests_total{method="GET",region="eu",status_code="200"} 1"#]);
}

#[test]
fn durations_have_the_method_and_the_class_of_the_status_on_request() {
    let log = "PUT 204 0.1\nGET 404 0.2\nGET 403 0.2\nBREW 418 0.3\nGET - 0.4\n";
    let labels = ["--metrics.label=verb=@method", "--metrics.label=class=@status_class"];
    let text = once("$request_method $status $request_time", log, &labels);
    let count = |labels: &str| format!("httpd_request_duration_seconds_count{{{labels}}}");
    assert_has(
        &text,
        &[
            &(count(r#"class="2xx",verb="PUT""#) + " 1"),
            &(count(r#"class="4xx",verb="GET""#) + " 2"),
            &(count(r#"class="4xx",verb="other""#) + " 1"),
            &(count(r#"class="",verb="GET""#) + " 1"),
        ],
    );
}

#[test]
fn lines_that_a_rule_drops_are_counted_as_dropped_and_nowhere_else() {
    let rules = ["--access-log.drop=$http_user_agent~^curl/", "--access-log.drop=path~^/api/2$"];
    let text = once(FORMAT, LOG, &rules);
    assert_has(
        &text,
        &[
            r#"httpd_requests_total{method="GET",status_code="200",vhost="a.example"} 1"#,
            r#"httpd_bytes_sent_total{method="GET",status_code="200",vhost="a.example"} 10"#,
            r#"httpd_request_duration_seconds_count{vhost="a.example"} 1"#,
            r#"httpd_requests_total{method="GET",status_code="404",vhost="b.example"} 1"#,
            r#"httpd_requests_by_protocol_total{protocol="HTTP/1.1"} 2"#,
        ],
    );
    let lines = |text: &str, result: &str| {
        let prefix = format!("httpd_log_lines_total{{result=\"{result}\"");
        text.lines()
            .find(|line| line.starts_with(&prefix))
            .and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok())
    };
    assert_eq!((lines(&text, "matched"), lines(&text, "dropped")), (Some(2), Some(2)), "{text}");
    let labeled = once(FORMAT, LOG, &[rules[0], "--metrics.label=scheme=$scheme", "--access-log.drop=$scheme~^-$"]);
    assert_has(
        &labeled,
        &[r#"httpd_requests_total{method="GET",scheme="https",status_code="200",vhost="a.example"} 2"#],
    );
    assert_eq!((lines(&labeled, "matched"), lines(&labeled, "dropped")), (Some(2), Some(2)), "{labeled}");
    assert_eq!(lines(&once(FORMAT, LOG, &[]), "dropped"), None);
    let combined = r#"::1 - - [20/Nov/2026:09:26:10 +0000] "GET /healthz?x HTTP/1.1" 200 5 "-" "kube-probe/1.33""#;
    for (rule, dropped) in
        [("path~^/healthz$", 1), ("%{User-Agent}i~^kube-probe/", 1), ("%>s~^2", 1), ("%u~^-$", 1), ("path~/$", 0)]
    {
        let text = once("combined", &format!("{combined}\n"), &["--access-log.drop", rule]);
        assert_eq!(lines(&text, "dropped"), Some(dropped), "{rule}");
    }
    let without_request = r#"::1 - - [20/Nov/2026:09:26:10 +0000] "-" 408 0 "-" "-""#;
    for rule in ["path~^/?$", "@pod~^$"] {
        let text = once("combined", &format!("{without_request}\n"), &["--access-log.drop", rule]);
        assert_eq!((lines(&text, "matched"), lines(&text, "dropped")), (Some(1), Some(0)), "{rule}");
    }
}

#[test]
fn explain_shows_what_lines_count_and_the_fields_that_can_be_labels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let users: String =
        (0..30).map(|user| format!("- b.example \"GET /{user} HTTP/1.1\" 404 7 0.1 \"{user}\"\n")).collect();
    std::fs::write(&path, format!("{LOG}{users}")).unwrap();
    let format = format!("--access-log.format={FORMAT}");
    let explain = |flags: &[&str]| {
        let output = run(PROGRAM, [&["explain", path.to_str().unwrap(), &format], flags].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let report = explain(&[
        "--metrics.label=browser=http_user_agent~Firefox",
        "--metrics.route=/api/:id",
        "--access-log.drop=path~/1$",
    ]);
    let line = r#"https a.example "GET /api/2 HTTP/1.1" 200 20 0.2 "Mozilla/5.0 Firefox/141.0""#;
    assert_has(
        &report,
        &[
            "series that line 2 increments:",
            line,
            r#"  httpd_requests_total{browser="Firefox",method="GET",route="/api/:id",status_code="200",vhost="a.example"} 1"#,
            r#"  httpd_request_duration_seconds_sum{browser="Firefox",route="/api/:id",vhost="a.example"} 0.2"#,
            r#"  browser  3: "other" 30, "" 1, "Firefox" 1"#,
            r#"  route    2: "other" 31, "/api/:id" 1"#,
            r#"  vhost    2: "b.example" 30, "a.example" 2"#,
            "2 of 34 lines are dropped by --access-log.drop",
            "  $scheme           3",
            "  $http_user_agent  34; use a regular expression: NAME=FIELD~REGEX",
        ],
    );
    assert!(!report.contains("_bucket") && !report.contains(" 0\n"), "{report}");
    let plain = explain(&[]);
    assert!(plain.contains("series that line 1 increments:\n") && !plain.contains("browser"), "{plain}");
}

#[test]
fn explain_shows_the_fields_although_a_flag_is_wrong_and_no_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, LOG.replacen("Mozilla", "\u{1b}[2JMozilla", 1)).unwrap();
    let format = format!("--access-log.format={FORMAT}");
    let explain = |label: &str| {
        let flags = ["explain", path.to_str().unwrap(), &format, "--metrics.label", label];
        let output = run(PROGRAM, flags);
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), stdout, stderr)
    };
    let (success, report, error) = explain("a=$upstream_addr");
    assert!(!success && error.contains("the format has no field upstream_addr"), "{error}");
    assert!(report.contains(": 4 of 4 lines match\n") && report.contains("\nfields of line 1:\n"), "{report}");
    let (success, report, error) = explain("agent=$http_user_agent");
    assert!(success && report.contains("agent=\"\u{fffd}[2JMozilla/5.0 Firefox/140.0\""), "{report}{error}");
    assert!(!report.contains('\u{1b}'), "{report:?}");
}

#[test]
fn values_beyond_the_limit_of_series_are_other() {
    let lines: String = (0..1000).map(|user| format!("{user} GET 200\n")).collect();
    let text =
        once("$user $request_method $status", &lines, &["--metrics.label=user=$user", "--metrics.max-series=50"]);
    let series = || text.lines().filter(|line| line.starts_with("httpd_requests_total{"));
    let count = |line: &str| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap();
    assert!((40..=50).contains(&series().count()), "{text}");
    assert_eq!(series().map(count).sum::<u32>(), 1000);
    let other = series().find(|line| line.contains(r#"user="other""#)).unwrap();
    assert_has(&text, &[&format!("httpd_requests_overflowed_total {}", count(other))]);
}

#[test]
fn a_wrong_label_is_an_error_that_names_it() {
    for (label, expected) in [
        ("status_code=$scheme", "the name 'status_code' is reserved"),
        ("__name__=$scheme", "the name '__name__' is reserved"),
        ("a=$upstream_addr", "the format has no field upstream_addr; its fields are $scheme, $host, $request, $status"),
        ("a=$scheme~(", "'(' is not a regular expression: unclosed group"),
        ("b=$scheme\nb=$host", "--metrics.label: two labels have the same name (b)"),
        ("", "--access-log.drop: the format has no field upstream_addr; its fields are $scheme"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let flag =
            if label.is_empty() { ["--access-log.drop", "$upstream_addr~x"] } else { ["--metrics.label", label] };
        let output = run(PROGRAM, flags(folder.path(), FORMAT, LOG, &[&["--once"], &flag[..]].concat()));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(expected), "{label}: {stderr}");
    }
}

#[test]
fn a_misspelled_name_of_a_field_is_an_error_that_lists_the_names_with_every_format() {
    const NAMES: &str = "@method, @status_class, @pod, @namespace, @container";
    let unknown = format!("unknown field @metod; the fields that start with @ are {NAMES}");
    let folder = tempfile::tempdir().unwrap();
    for (format, field, expected) in [
        ("json", "@metod", &unknown),
        ("caddy", "@metod", &unknown),
        ("combined", "@metod", &unknown),
        ("combined", "$scheme", &format!("%{{User-Agent}}i; fields of every format: {NAMES}")),
    ] {
        for [flag, rule] in [["--access-log.drop", "~x"], ["--metrics.label", ""]] {
            let name = if rule.is_empty() { "a=" } else { "" };
            let output =
                run(PROGRAM, flags(folder.path(), format, LOG, &["--once", flag, &[name, field, rule].concat()]));
            let stderr = String::from_utf8(output.stderr).unwrap();
            let is_right = stderr.contains(&format!("{flag}: ")) && stderr.contains(expected.as_str());
            assert!(!output.status.success() && is_right, "{format} {flag}: {stderr}");
        }
    }
}

#[test]
fn a_restart_keeps_the_labels_and_counts_what_a_new_label_does_not_know_as_other() {
    let folder = tempfile::tempdir().unwrap();
    let state = format!("--state.file={}", folder.path().join("state").display());
    let start = |more: &[&str]| {
        let more = [&[state.as_str(), "--access-log.start=beginning"], more].concat();
        let exporter = Running::start(PROGRAM, flags(folder.path(), FORMAT, LOG, &more));
        let text = eventually("all lines are counted", || {
            let text = exporter.get("/metrics", &[]).body;
            text.contains("result=\"matched\",source=").then_some(text).filter(|text| text.contains("} 4\n"))
        });
        (exporter, text)
    };
    let scheme = "--metrics.label=scheme=$scheme";
    let first = start(&[scheme]).1;
    let https = r#"httpd_requests_total{method="GET",scheme="https",status_code="200",vhost="a.example"} 2"#;
    assert_has(&first, &[https]);
    let httpd = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("vhost=")).map(str::to_owned).collect()
    };
    assert_eq!(httpd(&start(&[scheme]).1), httpd(&first));
    let third = start(&["--metrics.label=user=$http_user_agent", scheme]).1;
    assert_has(
        &third,
        &[r#"httpd_requests_total{method="GET",scheme="https",status_code="200",user="other",vhost="a.example"} 2"#],
    );
    let fourth = start(&[]).1;
    assert_has(
        &fourth,
        &[
            r#"httpd_requests_total{method="GET",status_code="200",vhost="a.example"} 3"#,
            r#"httpd_request_duration_seconds_count{vhost="a.example"} 3"#,
        ],
    );
}

#[test]
fn explain_proposes_all_keys_of_json_and_all_groups_with_their_number_of_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let explain = |format: &str, log: String| {
        std::fs::write(&path, log).unwrap();
        String::from_utf8(run(PROGRAM, ["explain", format, path.to_str().unwrap()]).stdout).unwrap()
    };
    let json = |number: u32| {
        let tls = number % 2 + 2;
        format!(
            "{{\"status\":200,\"method\":\"GET\",\"tls\":{{\"version\":\"TLSv1.{tls}\"}},\"id\":{number},\"list\":[1]}}\n"
        )
    };
    let text = explain("--access-log.format=json", (0..30).map(json).collect());
    let proposals = text.split("fields for --metrics.label").nth(1).unwrap();
    assert_has(proposals, &["  id           30; use a regular expression: NAME=FIELD~REGEX", "  tls.version  2"]);
    assert!(!proposals.contains("status") && !proposals.contains("list"), "{proposals}");
    let regex = r"--access-log.regex=^(?P<method>\S+) (?P<status>\d+) (?P<zone>\S+)";
    let text = explain(regex, "GET 200 eu\nGET 200 us\nGET 200 eu\n".to_owned());
    assert_has(&text, &["  zone  2"]);
}

#[test]
fn a_key_with_dots_equals_nested_keys() {
    let log = r#"{"status":200,"method":"GET","tls":{"version":"TLSv1.3"}}
{"status":200,"method":"GET","tls.version":"TLSv1.3"}
{"status":200,"method":"GET","tls.versions":"TLSv1.3"}
"#;
    let text = once("json", log, &["--metrics.label=tls=tls.version"]);
    assert_has(
        &text,
        &[
            r#"httpd_requests_total{method="GET",status_code="200",tls="TLSv1.3"} 2"#,
            r#"httpd_requests_total{method="GET",status_code="200",tls=""} 1"#,
        ],
    );
    let ecs = r#"{"http.request.method":"GET","http.response.status_code":200,"url.path":"/users/7"}
{"http":{"request":{"method":"GET"},"response":{"status_code":200}},"url":{"original":"http://x/users/7?a"}}
"#;
    let text = once("ecs", ecs, &["--metrics.route=/users/:id"]);
    assert_has(&text, &[r#"httpd_requests_total{method="GET",route="/users/:id",status_code="200"} 2"#]);
    let nginx =
        r#"log_format e escape=json '{"http.request.method":"$request_method","http.response.status_code":$status}'"#;
    let text = once(nginx, "{\"http.request.method\":\"GET\",\"http.response.status_code\":200}\n", &[]);
    assert_has(&text, &[r#"httpd_requests_total{method="GET",status_code="200"} 1"#]);
}

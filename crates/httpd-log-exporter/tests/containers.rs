//! Tests of logs of containers: lines of Docker and of CRI, with names from the path of the log.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use exporter_common::testing::{Running, assert_has, eventually, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// What containerd writes for nginx: a start message, requests, an error, and a request that is longer than a part.
const CRI: &str = r#"2026-11-20T09:26:08.113507711Z stdout F /docker-entrypoint.sh: Configuration complete; ready for start up
2026-11-20T09:26:08.132113742Z stderr F 2026/11/20 09:26:08 [notice] 1#1: nginx/1.29.0
2026-11-20T09:26:10.250801632Z stdout F 10.244.0.1 - - [20/Nov/2026:09:26:10 +0000] "GET / HTTP/1.1" 200 612 "-" "curl/8.14.1" "-"
2026-11-20T09:26:11.014920147Z stdout P 10.244.0.1 - - [20/Nov/2026:09:26:11 +0000] "GET /missing HTT
2026-11-20T09:26:11.014931210Z stderr F 2026/11/20 09:26:11 [error] 29#29: *2 open() "/usr/share/nginx/html/missing" failed
2026-11-20T09:26:11.014942561Z stdout F P/1.1" 404 153 "-" "curl/8.14.1" "-"
"#;
/// The same by Docker.
const DOCKER: &str = r#"{"log":"2026/11/20 09:26:08 [notice] 1#1: nginx/1.29.0\n","stream":"stderr","time":"2026-11-20T09:26:08.132113742Z"}
{"log":"172.17.0.1 - - [20/Nov/2026:09:26:10 +0000] \"GET /?q=\\x22\u003cb\u003e HTTP/1.1\" 200 612 \"-\" \"curl/8.14.1\" \"-\"\n","stream":"stdout","time":"2026-11-20T09:26:10.250801632Z"}
{"log":"172.17.0.1 - - [20/Nov/2026:09:26:11 +0000] \"GET /missing HTT","stream":"stdout","time":"2026-11-20T09:26:11.014920147Z"}
{"log":"P/1.1\" 404 153 \"-\" \"curl/8.14.1\" \"-\"\n","stream":"stdout","time":"2026-11-20T09:26:11.014942561Z"}
"#;
/// Caddy's access log, which it writes to standard error.
const CADDY: &str = r#"2026-11-20T09:26:10.250801632Z stderr F {"level":"info","ts":1795166770.0431,"logger":"http.log.access","msg":"handled request","request":{"proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/"},"duration":0.1,"size":5,"status":200}
"#;
const POD: &str = "pods/shop_web-6d4cf56db6-x2x9z_2c5d41/nginx/0.log";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn once(path: &Path, flags: &[&str]) -> String {
    let log = format!("--access-log={}", path.display());
    let output = run(PROGRAM, [&["--once", log.as_str()], flags].concat());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn lines_of_both_runtimes_are_unwrapped_joined_and_labeled() {
    let folder = tempfile::tempdir().unwrap();
    for (name, log, unmatched, dropped) in [(POD, CRI, 1, 2), ("pods/shop_web-1_0/nginx/0.log", DOCKER, 0, 1)] {
        let path = folder.path().join(name);
        write(&path, log);
        let labels = [
            "--access-log.container=stdout",
            "--metrics.label=namespace=@namespace",
            "--metrics.label=app=@pod~^([a-z]+)-",
            "--metrics.label=container=@container",
        ];
        let text = once(&path, &labels);
        let source = path.display();
        let labels = r#"app="web",container="nginx",method="GET",namespace="shop""#;
        assert_has(
            &text,
            &[
                &format!(r#"httpd_requests_total{{{labels},status_code="200"}} 1"#),
                &format!(r#"httpd_bytes_sent_total{{{labels},status_code="404"}} 153"#),
                &format!(r#"httpd_log_lines_total{{result="matched",source="{source}"}} 2"#),
                &format!(r#"httpd_log_lines_total{{result="unmatched",source="{source}"}} {unmatched}"#),
                &format!(r#"httpd_log_lines_total{{result="dropped",source="{source}"}} {dropped}"#),
                &format!(r#"httpd_log_last_line_timestamp_seconds{{source="{source}"}} 1.7951667710149426e+09"#),
            ],
        );
    }
}

#[test]
fn the_stream_and_links_of_the_kubelet_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pods/shop_caddy-0_7/caddy/3.log");
    write(&path, CADDY);
    let link = folder.path().join(format!("containers/caddy-0_shop_caddy-{}.log", "8".repeat(64)));
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let glob = folder.path().join("containers/*.log");
    let flags = ["--access-log.format=caddy", "--metrics.label=pod=@pod", "--access-log.container"];
    for (stream, requests) in [("stderr", 1), ("all", 1), ("stdout", 0)] {
        let text = once(&glob, &[&flags[..], &[stream]].concat());
        let counted = text.lines().any(|line| line.starts_with("httpd_requests_total{") && line.contains("caddy-0"));
        assert_eq!(usize::from(counted), requests, "{stream}: {text}");
    }
}

#[test]
fn a_restart_between_two_parts_and_a_rotation_count_the_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let (log, state) = (folder.path().join(POD), folder.path().join("state"));
    let parts: Vec<_> = CRI.split_inclusive('\n').collect();
    write(&log, &parts[..4].concat());
    let flags = [
        format!("--access-log={}", folder.path().join("pods/*/*/*.log").display()),
        format!("--state.file={}", state.display()),
        "--access-log.container=stdout".to_owned(),
        "--access-log.start=beginning".to_owned(),
        "--metrics.label=pod=@pod".to_owned(),
    ];
    let scrape = |expected: &str| {
        let exporter = Running::start(PROGRAM, flags.clone());
        eventually(expected, || exporter.get("/metrics", &[]).body.contains(expected).then_some(()));
    };
    scrape("result=\"matched\",source=\"");
    fs::rename(&log, log.with_extension("log.20261120-092611")).unwrap();
    write(&log, &parts[4..].concat());
    let pod = "web-6d4cf56db6-x2x9z";
    scrape(&format!("httpd_requests_total{{method=\"GET\",pod=\"{pod}\",status_code=\"404\"}} 1\n"));
    let text = fs::read_to_string(&state).unwrap();
    assert!(text.contains("\"lines\":[2,1,0,0],\"dropped_lines\":2"), "{text}");
}

#[test]
fn explain_unwraps_lines_and_proposes_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    write(&path, DOCKER);
    let explain = |flags: &[&str]| {
        let output = run(PROGRAM, [&["explain", path.to_str().unwrap()], flags].concat());
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (success, report) = explain(&["--access-log.container=stdout"]);
    assert!(success && report.starts_with("format combined: 2 of 2 lines match\n"), "{report}");
    let (success, report) = explain(&[]);
    assert!(!success && report.contains("--access-log.container=stderr unwraps them\n"), "{report}");
}

#[test]
fn explain_names_the_other_stream_if_the_wrong_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let explain = |log: &str, stream: &str| {
        fs::write(&path, log).unwrap();
        let output = run(PROGRAM, ["explain", path.to_str().unwrap(), "--access-log.container", stream]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let lines = DOCKER.split_once('\n').unwrap().1;
    for (log, stream, expected) in [
        (CADDY, "stdout", "1 line is of the other stream: use --access-log.container=stderr\n"),
        (lines, "stderr", "2 lines are of the other stream: use --access-log.container=stdout\n"),
        ("", "all", "no line to explain: the log is empty, or its lines are too long\n"),
    ] {
        assert_eq!(explain(log, stream), (Some(1), expected.to_owned()), "{stream}");
    }
}

#[test]
fn names_of_a_pod_are_not_labels_of_another_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pods/shop_web-1_0/nginx/0.log");
    let request = CRI.lines().nth(2).unwrap();
    write(&path, &format!("{request}\n"));
    let script = format!(
        "exec {PROGRAM} --once --access-log={} --access-log=- --access-log.container=stdout --metrics.label=pod=@pod < {}",
        path.display(),
        path.display()
    );
    let text = String::from_utf8(run("sh", ["-c", &script]).stdout).unwrap();
    let requests = |pod: &str| format!(r#"httpd_requests_total{{method="GET",pod="{pod}",status_code="200"}} 1"#);
    assert_has(&text, &[&requests("web-1"), &requests("")]);
}

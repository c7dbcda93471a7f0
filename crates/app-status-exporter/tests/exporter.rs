//! The built exporter with an application that works, and with one that fails in many ways.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod app;
mod connection;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use app::{App, Behavior, CLASSIC, raw, response};
use exporter_common::testing::{Running, assert_golden, assert_lint, eventually, free_port, value};

const EXPORTER: &str = env!("CARGO_BIN_EXE_app-status-exporter");
const SUCCESS: &str = "exporter_scrape_success{collector=\"app_status\"}";

/// Every collection mode.
const MODES: [&str; 3] = ["--poll.interval=0", "--poll.interval=100ms", "--collect.cache-ttl=100ms"];

fn healthy() -> Behavior {
    response("200 OK", CLASSIC)
}

/// An application on a port that no other program gets after it stops.
fn app_that_stops() -> App {
    App::start_at(([127, 0, 0, 1], free_port()).into(), healthy()).unwrap()
}

/// The exporter, without the variables of the tests' environment.
fn program() -> Command {
    let mut command = Command::new(EXPORTER);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        let own = ["APP_PORT", "POLLING_INTERVAL_SECONDS", "EXPORTER_PORT"].contains(&text.as_str());
        if own || text.starts_with("APP_STATUS_EXPORTER_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
}

fn start<'a>(flags: impl IntoIterator<Item = &'a str>) -> Running {
    Running::spawn(program().arg("--web.listen-address=127.0.0.1:0").args(flags))
}

fn run<'a>(flags: impl IntoIterator<Item = &'a str>) -> Output {
    program().args(flags).stdin(Stdio::null()).output().unwrap()
}

fn exporter(app: &App, flags: &[&str]) -> Running {
    let url = format!("--app.url={}", app.url());
    start(flags.iter().copied().chain([url.as_str()]))
}

/// The series of the application; a healthy one has five.
fn series(metrics: &str) -> Vec<&str> {
    metrics.lines().filter(|line| line.starts_with("app_") && !line.starts_with("app_status_")).collect()
}

const HEALTHY_SERIES: [&str; 5] = [
    "app_health{app_health=\"healthy\"} 1",
    "app_health{app_health=\"unhealthy\"} 0",
    "app_requests_current 7",
    "app_requests_pending 2",
    "app_uptime 123456.5",
];

fn is_healthy(metrics: &str) -> bool {
    value(metrics, SUCCESS) == Some(1.0) && series(metrics) == HEALTHY_SERIES
}

/// The page with one part replaced.
fn page(from: &str, to: &str) -> Behavior {
    assert!(CLASSIC.contains(from));
    response("200 OK", &CLASSIC.replace(from, to))
}

#[test]
fn a_healthy_application_has_four_metrics() {
    let app = App::start(healthy());
    let metrics = exporter(&app, &["--poll.interval=0"]).scrape();
    assert_golden(&metrics, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/classic.txt"));
    assert_lint(&metrics);
    assert!(app.requests()[0].starts_with("GET /status HTTP/1.1\r\n"));
}

#[test]
fn on_scrape_each_fault_affects_its_metrics_and_is_logged_once() {
    each_fault_affects_its_metrics_and_is_logged_once("--poll.interval=0");
}

#[test]
fn in_the_background_each_fault_affects_its_metrics_and_is_logged_once() {
    each_fault_affects_its_metrics_and_is_logged_once("--poll.interval=100ms");
}

#[test]
fn with_a_cache_each_fault_affects_its_metrics_and_is_logged_once() {
    each_fault_affects_its_metrics_and_is_logged_once("--collect.cache-ttl=100ms");
}

/// Faults of the application, each with the number of remaining series and its message.
fn faults() -> Vec<(Behavior, usize, &'static str)> {
    let hidden = "<html>Not found, but kept secret</html>";
    vec![
        (response("500 Internal Server Error", CLASSIC), 0, "response status 500 Internal Server Error"),
        (response("404 Not Found", hidden), 0, "response status 404 Not Found"),
        (response("200 OK", hidden), 0, "the page is not JSON: it looks like HTML or XML"),
        (
            response("503 Service Unavailable", hidden),
            0,
            "response status 503 Service Unavailable: the page is not JSON: it looks",
        ),
        (response("200 OK", ""), 0, "the page is empty"),
        (response("204 No Content", ""), 0, "the page is empty"),
        (response("200 OK", &CLASSIC[..60]), 0, "the page is not JSON, or is truncated: expected"),
        (response("200 OK", "[]"), 0, "the page is a list, not an object"),
        (response("200 OK", &"{\"x\":".repeat(1 << 16)), 0, "the page is nested deeper than 127 levels"),
        (page("\"pending_requests\": 2,", ""), 4, "pending_requests is missing"),
        (page(": 7", ": null"), 4, "current_requests is null, not a number"),
        (page("123456.5", "\"long\""), 4, "total_uptime is the string \\\"long\\\", not a number"),
        (page("\"healthy\"", "\"so-so\""), 3, "health is the string \\\"so-so\\\", neither"),
        (
            response("200 OK", "{}"),
            0,
            "4 errors, the first: the page has none of current_requests, pending_requests, total_uptime and health",
        ),
        (Behavior::Floods(100 << 20), 0, "the page is larger than 4 MiB"),
        (
            Behavior::Responds(raw("200 OK", "Content-Encoding: br\r\n", "\u{1f}")),
            0,
            "the response has the content encoding \\\"br\\\", but none was requested",
        ),
        (
            Behavior::Responds(raw("200 OK", "Content-Encoding: gzip\r\n", CLASSIC)),
            0,
            "the response is not valid gzip: invalid gzip header",
        ),
        (
            Behavior::RespondsAndCloses("HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n".to_owned()),
            0,
            "the page is larger than 4 MiB",
        ),
        (
            Behavior::RespondsAndCloses(raw("200 OK", "", CLASSIC).replace("Length: ", "Length: 9")),
            0,
            "the response is truncated: ",
        ),
        (
            Behavior::RespondsAndCloses("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
            0,
            "no valid response: invalid HTTP version parsed",
        ),
        (
            Behavior::Responds(raw("302 Found", "Location: http://elsewhere.example/x?token=secret\r\n", "")),
            0,
            "redirect to another origin refused: http://elsewhere.example:80/x",
        ),
        (Behavior::Responds(raw("302 Found", "Location: /status\r\n", "")), 0, "more than 5 redirects"),
        (Behavior::Resets, 0, "reset by peer"),
        (Behavior::Hangs, 0, " within "),
        (Behavior::Trickles, 0, " within "),
    ]
}

fn each_fault_affects_its_metrics_and_is_logged_once(mode: &str) {
    let app = App::start(healthy());
    let exporter = exporter(&app, &[mode, "--scrape.timeout=1s"]);
    for (count, (behavior, left, message)) in faults().iter().enumerate() {
        exporter.scrape_until("healthy", is_healthy);
        app.set(behavior.clone());
        let metrics = exporter.scrape_until("failure", |metrics| value(metrics, SUCCESS) == Some(0.0));
        assert_eq!(series(&metrics).len(), *left, "{message}\n{metrics}");
        assert_lint(&metrics);
        exporter.scrape(); // a second failure, which is not logged
        app.set(healthy());
        exporter.scrape_until("healthy again", is_healthy);
        let log = eventually("the recovery is logged", || {
            let log = exporter.log();
            (log.matches("msg=\"collector recovered\"").count() > count).then_some(log)
        });
        let failures: Vec<_> = log.lines().filter(|line| line.contains("msg=\"collector failed\"")).collect();
        assert_eq!(failures.len(), count + 1, "{log}");
        assert!(failures[count].contains(message), "{message}\n{}", failures[count]);
        assert!(!log.contains("secret"), "{log}");
    }
    let metrics = exporter.scrape();
    for reason in ["status", "not_json", "too_deep", "too_large", "incomplete", "answer", "redirect", "timeout"] {
        let count = value(&metrics, &format!("app_status_failures_total{{reason=\"{reason}\"}}"));
        assert!(count > Some(0.0), "{reason} {metrics}");
    }
    assert!(value(&metrics, "app_status_series_lost_total{metric=\"app_uptime\",reason=\"invalid\"}") > Some(0.0));
    let resident = value(&metrics, "process_resident_memory_bytes");
    assert!(!cfg!(target_os = "linux") || resident.is_some_and(|bytes| bytes < 48e6), "{resident:?}");
}

#[test]
fn the_page_of_a_503_response_is_read() {
    let app = App::start(response("503 Service Unavailable", &CLASSIC.replace("\"healthy\"", "\"unhealthy\"")));
    let metrics = exporter(&app, &["--poll.interval=0"]).scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0));
    assert_eq!(value(&metrics, "app_health{app_health=\"unhealthy\"}"), Some(1.0));
    assert_eq!(value(&metrics, "app_health{app_health=\"healthy\"}"), Some(0.0));
}

#[test]
fn an_outage_of_the_application_is_logged_and_the_exporter_recovers_in_every_mode() {
    for mode in MODES {
        let app = app_that_stops();
        let address = app.address;
        let exporter = exporter(&app, &[mode]);
        exporter.scrape_until("healthy", is_healthy);
        drop(app);
        let metrics = exporter.scrape_until("down", |metrics| value(metrics, SUCCESS) == Some(0.0));
        assert_eq!(series(&metrics), [""; 0]);
        let message = format!("http://{address}/status: ");
        eventually("the failure is logged", || exporter.log().contains(&message).then_some(()));
        let _app = eventually("the port is free again", || App::start_at(address, healthy()).ok());
        exporter.scrape_until("up again", is_healthy);
    }
}

#[test]
fn a_refused_connection_is_reported() {
    let app = app_that_stops();
    let url = format!("--app.url={}", app.url());
    drop(app);
    let output = run(["--once", &url]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("cannot connect: Connection refused"), "{stderr}");
}

#[test]
fn a_scrape_ends_within_its_timeout_although_the_application_hangs() {
    for mode in ["--poll.interval=0", "--poll.interval=5s", "--collect.cache-ttl=5s"] {
        let app = App::start(Behavior::Hangs);
        let exporter = exporter(&app, &[mode]);
        let start = Instant::now();
        let response = exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "1")]);
        assert!(start.elapsed() < Duration::from_secs(1), "{mode} {:?}", start.elapsed());
        assert_eq!(response.status, 200);
        assert_eq!(value(&response.body, SUCCESS), Some(0.0), "{mode}");
        assert_eq!(series(&response.body), [""; 0]);
        assert!(response.body.contains("\napp_status_exporter_build_info{"), "{}", response.body);
    }
}

#[test]
fn one_connection_serves_many_reads() {
    let app = App::start(healthy());
    let exporter = exporter(&app, &["--poll.interval=0"]);
    for _ in 0..5 {
        assert!(is_healthy(&exporter.scrape()));
    }
    assert_eq!(app.connections(), 1);
    assert!(app.requests().len() >= 5, "{:?}", app.requests());
}

#[test]
fn a_kept_connection_that_the_application_closes_is_not_a_failure() {
    let app = App::start(Behavior::RespondsAndCloses(raw("200 OK", "", CLASSIC)));
    let exporter = exporter(&app, &["--poll.interval=0"]);
    for _ in 0..20 {
        assert!(is_healthy(&exporter.scrape()), "{}", exporter.log());
    }
}

#[test]
fn a_redirect_within_the_application_is_followed() {
    let page = App::start(healthy());
    let app = App::start(Behavior::Responds(raw("301 Moved Permanently", "Location: /status/\r\n", "")));
    let exporter = exporter(&app, &["--poll.interval=0"]);
    eventually("the redirect is followed", || {
        exporter.scrape();
        app.requests().iter().any(|request| request.starts_with("GET /status/ ")).then_some(())
    });
    app.set(Behavior::Responds(raw("301 Moved Permanently", &format!("Location: {}\r\n", page.url()), "")));
    exporter.scrape();
    assert_eq!(page.connections(), 0, "another port is another origin");
}

#[test]
fn credentials_reach_only_the_application() {
    let app = App::start(healthy());
    let mut command = program();
    let url = app.url().replace("http://", "http://user:s3cret@");
    command.env("APP_STATUS_EXPORTER_APP_URL", &url).args([
        "--web.listen-address=127.0.0.1:0",
        "--poll.interval=0",
        "--log.level=debug",
    ]);
    let exporter = Running::spawn(&mut command);
    assert!(is_healthy(&exporter.scrape()));
    let request = app.requests().concat().to_lowercase();
    assert!(request.contains("authorization: basic dxnlcjpzm2nyzxq="), "{request}");
    app.set(response("500 Internal Server Error", ""));
    exporter.scrape();
    eventually("the failure is logged", || exporter.log().contains("response status 500").then_some(()));
    let page = exporter.get("/", &[]).body;
    let help = program().env("APP_STATUS_EXPORTER_APP_URL", &url).arg("--help").output().unwrap();
    let shown = exporter.scrape() + &exporter.log() + &page + &String::from_utf8_lossy(&help.stdout);
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let (app, proxy) = (App::start(healthy()), App::start(healthy()));
    let mut command = program();
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, format!("http://{}", proxy.address));
    }
    command.args(["--web.listen-address=127.0.0.1:0", "--poll.interval=0", "--app.url", &app.url()]);
    assert!(is_healthy(&Running::spawn(&mut command).scrape()));
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn tls_to_an_application_without_tls_is_a_failure() {
    let app = App::start(Behavior::Resets);
    let output = run(["--once", "--app.url", &app.url().replace("http:", "https:")]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("cannot connect: ") && stderr.contains("https://127.0.0.1:"), "{stderr}");
}

#[test]
fn once_prints_the_metrics_and_fails_if_the_read_failed() {
    let app = App::start(healthy());
    for (behavior, status, healthy) in [(healthy(), 0, true), (page(": 7", ": {}"), 1, false)] {
        app.set(behavior);
        let output = run(["--once", "--app.url", &app.url()]);
        let metrics = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), is_healthy(&metrics)), (Some(status), healthy), "{metrics}");
        assert_lint(&metrics);
    }
}

#[test]
fn check_validates_the_url_without_connecting() {
    let app = App::start(healthy());
    let output = run(["--check", "--app.url", &app.url()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for url in ["ftp://user:s3cret@host/", "s3cret", "http://"] {
        let output = run(["--check", "--app.url", url]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains("--app.url") && !stderr.contains("s3cret"), "{stderr}");
    }
    assert_eq!(app.connections(), 0);
    let output = run(["--check", "--app.url=file:/no/such.json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("--app.url: cannot read /no/such.json: No such file"), "{stderr}");
    let output = run(["--check", "--app.url=file:/"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--app.url: cannot read /: is a directory"));
}

/// The exporter with environment variables of the classic sidecar.
fn sidecar(variables: &[(&str, &str)]) -> Command {
    let mut command = program();
    command.envs(variables.iter().copied());
    command
}

#[test]
fn the_variables_of_the_classic_sidecar_are_the_defaults() {
    let app = App::start(healthy());
    let port = app.address.port().to_string();
    let variables = [("APP_PORT", port.as_str()), ("POLLING_INTERVAL_SECONDS", "0.1"), ("EXPORTER_PORT", "9999")];
    let help = sidecar(&variables).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    for default in [format!("http://localhost:{port}/status"), "0.1s".to_owned(), ":9999".to_owned()] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}\n{help}");
    }
    let exporter = Running::spawn(sidecar(&variables).arg("--web.listen-address=127.0.0.1:0"));
    assert!(is_healthy(&exporter.scrape()));
    eventually("it polls without scrapes", || (app.requests().len() > 3).then_some(()));
}

#[test]
fn flags_override_the_variables_of_the_classic_sidecar() {
    let app = App::start(healthy());
    let mut command =
        sidecar(&[("APP_PORT", "nonsense"), ("EXPORTER_PORT", "x"), ("POLLING_INTERVAL_SECONDS", "0.05")]);
    command.args(["--web.listen-address=127.0.0.1:0", "--collect.cache-ttl=1h", "--app.url", &app.url()]);
    let exporter = Running::spawn(&mut command);
    for _ in 0..3 {
        assert!(is_healthy(&exporter.scrape()));
    }
    assert_eq!(app.requests().len(), 1, "cached, not polled");
}

#[test]
fn a_service_link_is_ignored_with_a_warning() {
    let app = App::start(healthy());
    let link = [("APP_PORT", "tcp://10.0.0.1:80"), ("EXPORTER_PORT", "tcp://10.0.0.1:9877")];
    let output = sidecar(&link).arg("--check").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for (variable, _) in link {
        let warns = |line: &str| line.contains("level=WARN") && line.contains(&format!("variable={variable}"));
        assert_eq!(stderr.lines().filter(|line| warns(line)).count(), 1, "{stderr}");
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn an_invalid_variable_is_a_usage_error_of_one_line() {
    for (variable, value) in [("APP_PORT", "web"), ("EXPORTER_PORT", "99999"), ("POLLING_INTERVAL_SECONDS", "often")] {
        let output = sidecar(&[(variable, value)]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
        assert!(stderr.contains(&format!("{variable}='{value}'")), "{stderr}");
    }
}

#[test]
fn a_cache_and_a_poll_interval_are_mutually_exclusive() {
    let output = run(["--check", "--collect.cache-ttl=5s", "--poll.interval=5s"]);
    assert_eq!(output.status.code(), Some(2));
    let output = run(["--check", "--collect.cache-ttl=5s"]);
    assert_eq!(output.status.code(), Some(0), "the default interval does not conflict");
}

#[test]
fn help_works_with_invalid_variables() {
    let mut command = sidecar(&[("APP_PORT", "web")]);
    assert_eq!(command.arg("--help").output().unwrap().status.code(), Some(0));
    assert_eq!(sidecar(&[("EXPORTER_PORT", "x")]).arg("--version").output().unwrap().status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf8_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt;
    let output = sidecar(&[("APP_PORT", "81")]).arg(std::ffi::OsStr::from_bytes(b"\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_number_too_large_for_a_double_affects_only_its_metric() {
    let app = App::start(page(": 7", ": 1e400"));
    let metrics = exporter(&app, &["--poll.interval=0"]).scrape();
    assert_eq!((series(&metrics).len(), value(&metrics, SUCCESS)), (4, Some(0.0)));
}

#[test]
fn a_module_without_a_file_is_a_usage_error() {
    assert_eq!(run(["--check", "--config.module=x"]).status.code(), Some(2));
}

#[test]
fn a_mapping_that_exceeds_its_time_limit_does_not_block_other_requests() {
    let folder = tempfile::tempdir().unwrap();
    let (page, config) = (folder.path().join("page.json"), folder.path().join("config.yml"));
    let jobs = vec!["{\"n\": 1}"; 80_000].join(",");
    std::fs::write(&page, format!("{{\"jobs\": [{jobs}]}}")).unwrap();
    // quadratic in the number of elements: hours
    let metric = "{name: a, path: '{.jobs[*]}', value: '{parent.jobs[?(@.n == 2)]}'}";
    std::fs::write(&config, format!("modules: {{default: {{metrics: [{metric}]}}}}")).unwrap();
    let (url, config) = (format!("--app.url=file:{}", page.display()), format!("--config.file={}", config.display()));
    let exporter = start([url.as_str(), config.as_str(), "--poll.interval=0", "--scrape.timeout=2s"]);
    let timeouts = "app_status_failures_total{reason=\"timeout\"}";
    std::thread::scope(|scope| {
        let scrape = scope.spawn(|| exporter.scrape_until("a timeout", |metrics| value(metrics, timeouts) > Some(0.0)));
        while !scrape.is_finished() {
            let start = Instant::now();
            assert_eq!(exporter.get("/-/healthy", &[]).status, 200);
            assert!(start.elapsed() < Duration::from_secs(30), "the request does not wait for the mapping");
        }
        assert_eq!(value(&scrape.join().unwrap(), SUCCESS), Some(0.0));
    });
    assert!(exporter.log().contains("mapping the page takes too long"), "{}", exporter.log());
}

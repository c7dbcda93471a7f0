//! Probes of many applications, with the built exporter: `/probe?target=…&module=…`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest")]
mod app;

use app::{App, CLASSIC, response};
use exporter_common::testing::{Running, assert_lint, eventually, run, value};

const EXPORTER: &str = env!("CARGO_BIN_EXE_app-status-exporter");

fn probe(exporter: &Running, query: &str) -> (u16, String) {
    let response = exporter.get(&format!("/probe?{query}"), &[]);
    (response.status, response.body)
}

/// A configuration with two modules.
fn configuration(folder: &tempfile::TempDir, metrics: &str) -> String {
    let file = folder.path().join("config.yml");
    let text = format!(
        "modules:\n  queue:\n    metrics: [{{name: queue_length, path: '{{.n}}', valuetype: gauge}}]\n  \
         default:\n    metrics: [{{name: {metrics}, path: '{{.current_requests}}', valuetype: gauge}}]\n"
    );
    std::fs::write(&file, text).unwrap();
    format!("--config.file={}", file.display())
}

#[test]
fn each_target_is_read_with_its_module() {
    let (shop, queue) = (App::start(response("200 OK", CLASSIC)), App::start(response("200 OK", "{\"n\": 4}")));
    let folder = tempfile::tempdir().unwrap();
    let exporter =
        Running::start(EXPORTER, ["--probe.target=http://127.0.0.1:*/status", &configuration(&folder, "requests")]);
    for _ in 0..2 {
        let (status, metrics) = probe(&exporter, &format!("target={}", shop.url()));
        assert_eq!((status, value(&metrics, "probe_success")), (200, Some(1.0)), "{metrics}");
        assert_eq!((value(&metrics, "requests"), value(&metrics, "queue_length")), (Some(7.0), None));
        assert_lint(&metrics);
        let (_, metrics) = probe(&exporter, &format!("target={}&module=queue", queue.url()));
        assert_eq!((value(&metrics, "probe_success"), value(&metrics, "queue_length")), (Some(1.0), Some(4.0)));
    }
    assert_eq!((shop.connections(), queue.connections()), (1, 1), "connections are kept");
    let (_, metrics) = probe(&exporter, &format!("target={}&module=queue", shop.url()));
    assert_eq!((value(&metrics, "probe_success"), value(&metrics, "queue_length")), (Some(0.0), None), "{metrics}");
    let failed = "msg=\"probe failed\"";
    eventually("the failure is logged", || exporter.log().contains(failed).then_some(()));
    assert!(exporter.log().contains("n is missing"), "{}", exporter.log());
    // without --app.url, only targets are read
    let metrics = exporter.scrape();
    assert!(!metrics.contains("collector=\"app_status\""));
    for (result, count) in [("success", 4.0), ("failure", 1.0), ("refused", 0.0)] {
        assert_eq!(value(&metrics, &format!("exporter_probes_total{{result=\"{result}\"}}")), Some(count), "{metrics}");
    }
}

#[test]
fn a_target_may_be_a_socket_without_http() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Write::write_all(&mut stream, CLASSIC.as_bytes());
        }
    });
    let exporter = Running::start(EXPORTER, ["--probe.target=tcp://127.0.0.1:*"]);
    let (_, metrics) = probe(&exporter, &format!("target={target}"));
    assert_eq!((value(&metrics, "probe_success"), value(&metrics, "app_requests_current")), (Some(1.0), Some(7.0)));
    assert_eq!(probe(&exporter, "target=socket:/run/app.sock").0, 403);
}

#[test]
fn a_probe_ends_at_the_scrape_timeout_of_the_exporter() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let exporter = Running::start(EXPORTER, ["--probe.target=tcp://127.0.0.1:*", "--scrape.timeout=300ms"]);
    let query = format!("/probe?target=tcp://{}", silent.local_addr().unwrap());
    for headers in [&[][..], &[("X-Prometheus-Scrape-Timeout-Seconds", "60")]] {
        let metrics = exporter.get(&query, headers).body;
        assert_eq!(value(&metrics, "probe_success"), Some(0.0), "{metrics}");
        let duration = value(&metrics, "probe_duration_seconds").unwrap();
        assert!((0.1..5.0).contains(&duration), "{metrics}");
    }
}

#[test]
fn without_a_configuration_the_classic_page_is_read_and_the_own_application_too() {
    let (own, other) = (App::start(response("200 OK", CLASSIC)), App::start(response("200 OK", CLASSIC)));
    let url = format!("--app.url={}", own.url());
    let exporter = Running::start(EXPORTER, ["--probe.target=http://127.0.0.1:*/status", &url, "--poll.interval=0"]);
    let (_, metrics) = probe(&exporter, &format!("target={}", other.url()));
    assert_eq!((value(&metrics, "probe_success"), value(&metrics, "app_requests_current")), (Some(1.0), Some(7.0)));
    assert_eq!(value(&exporter.scrape(), "app_requests_current"), Some(7.0));
}

#[test]
fn targets_that_are_not_allowed_are_refused() {
    let app = App::start(response("200 OK", CLASSIC));
    let exporter = Running::start(EXPORTER, ["--probe.target=http://127.0.0.1:*/status", "--probe.target=file:*"]);
    for (query, status, text) in [
        ("module=default", 400, "The parameter target is missing.\n"),
        ("target=http://127.0.0.1:1/status&module=x", 400, "Module \"x\" is unknown; the modules are default.\n"),
        (
            "target=http://169.254.169.254/status",
            403,
            "Target \"http://169.254.169.254/status\" is not one of the allowed targets.\n",
        ),
        (
            "target=http://127.0.0.1:80/status/../x",
            403,
            "Target \"http://127.0.0.1:80/status/../x\" is not one of the allowed targets.\n",
        ),
    ] {
        assert_eq!(probe(&exporter, query), (status, text.to_owned()), "{query}");
    }
    let (_, metrics) = probe(&exporter, "target=file:page.json");
    assert_eq!(value(&metrics, "probe_success"), Some(0.0));
    eventually("the log has the reason", || {
        exporter.log().contains("a target must be an http, https, tcp or socket URL").then_some(())
    });
    let without = Running::start(EXPORTER, [format!("--app.url={}", app.url())]);
    assert_eq!(without.get(&format!("/probe?target={}", app.url()), &[]).status, 404);
}

#[test]
fn every_module_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let check = |metrics| {
        let output = run(EXPORTER, ["--check", "--probe.target=http://a/", &configuration(&folder, metrics)]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check("requests").0, Some(0));
    let (code, log) = check("probe_success");
    assert!(code == Some(1) && log.contains("module default: probe_success is a metric of the probe"), "{log}");
    let (code, log) = check("'', help: x");
    assert!(code == Some(1) && log.contains("name must not be empty"), "{log}");
    let config = configuration(&folder, "requests");
    let unknown = run(EXPORTER, ["--check", "--probe.target=http://a/", "--config.module=nope", &config]);
    let log = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && log.contains("the modules are queue, default"), "{log}");
}

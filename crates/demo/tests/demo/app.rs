//! `demo app`: its counters match the responses, its status page the current state.

use exporter_common::testing::{Running, assert_lint, eventually, get, real, run, value};

use crate::{ab_value, part, request, send};

fn app(arguments: &[&str]) -> Running {
    part(&[&["app", "--metrics-listen=127.0.0.1:0"], arguments].concat())
}

/// The application's own metrics.
fn metrics(app: &Running) -> String {
    let address = eventually("the address of the metrics is logged", || {
        let log = app.log();
        let line = log.lines().find(|line| line.contains("what=metrics"))?;
        Some(line.split("address=").nth(1)?.to_owned())
    });
    let at_root = get(&format!("http://{address}/"), &[]).body;
    let metrics = get(&format!("http://{address}/metrics"), &[]);
    assert_eq!(metrics.status, 200);
    assert_eq!(at_root, metrics.body, "the root path serves the same metrics");
    metrics.body
}

fn status(app: &Running) -> (u16, serde_json::Value) {
    let (status, body) = request(&app.url, "GET", "/status");
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn counters_match_the_counts_of_ab() {
    let Some(ab) = real("ab") else { return };
    let app = app(&["--success-rate=50", "--work=1ms"]);
    let output = run(ab.to_str().unwrap(), ["-n", "1000", "-c", "4", "-q", &format!("{}/", app.url)]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    let failed = ab_value(&report, "Non-2xx responses");
    let metrics = metrics(&app);
    assert_eq!(ab_value(&report, "Complete requests"), 1000.0);
    assert_eq!(value(&metrics, "requests_total{http_code=\"500\"}"), Some(failed));
    assert_eq!(value(&metrics, "requests_total{http_code=\"200\"}"), Some(1000.0 - failed));
    assert_eq!(value(&metrics, "rate_requests"), Some(failed / 10.0));
    assert!((350.0..650.0).contains(&failed), "about half of the requests fail: {failed}");
    assert_lint(&metrics);
}

#[test]
fn both_codes_exist_before_the_first_request_and_the_percentage_after_it() {
    let app = app(&[]);
    let before = metrics(&app);
    assert_eq!(value(&before, "requests_total{http_code=\"200\"}"), Some(0.0));
    assert_eq!(value(&before, "requests_total{http_code=\"500\"}"), Some(0.0));
    assert_eq!(value(&before, "rate_requests"), None);
    request(&app.url, "GET", "/");
    assert!(value(&metrics(&app), "rate_requests").is_some());
}

#[test]
fn an_application_whose_requests_all_fail_is_unhealthy() {
    let app = app(&["--success-rate=0", "--work=0"]);
    assert_eq!(status(&app).0, 200, "healthy before the first response");
    for _ in 0..30 {
        assert_eq!(request(&app.url, "GET", "/"), (500, "Internal Server Error\n".to_owned()));
    }
    let (code, page) = status(&app);
    assert_eq!((code, page["health"].as_str()), (503, Some("unhealthy")));
    assert_eq!(value(&metrics(&app), "rate_requests"), Some(100.0));
}

#[test]
fn with_a_success_rate_of_100_no_request_fails() {
    let app = app(&["--success-rate=100", "--work=0"]);
    for _ in 0..200 {
        assert_eq!(request(&app.url, "GET", "/"), (200, "Hello World!\n".to_owned()));
    }
    let (code, page) = status(&app);
    assert_eq!((code, page["health"].as_str()), (200, Some("healthy")));
    assert_eq!(value(&metrics(&app), "rate_requests"), Some(0.0));
}

#[test]
fn the_status_page_counts_current_and_pending_requests() {
    let app = app(&["--workers=2", "--work=24h"]);
    let requests = || {
        let (_, page) = status(&app);
        (page["current_requests"].as_u64().unwrap(), page["pending_requests"].as_u64().unwrap())
    };
    assert_eq!(requests(), (0, 0));
    let clients: Vec<_> = (0..5).map(|_| send(&app.url, "GET", "/")).collect();
    eventually("2 requests are processed and 3 wait", || (requests() == (2, 3)).then_some(()));
    drop(clients);
    eventually("disconnected clients are not counted", || (requests() == (0, 0)).then_some(()));
    let uptime = || status(&app).1["total_uptime"].as_f64().unwrap();
    let before = uptime();
    assert!(before > 0.0 && uptime() > before);
}

#[test]
fn other_pages_and_methods_are_refused_and_not_counted() {
    let app = app(&[]);
    assert_eq!(request(&app.url, "GET", "/nothing").0, 404);
    assert_eq!(request(&app.url, "POST", "/").0, 405);
    let metrics = metrics(&app);
    assert_eq!(value(&metrics, "requests_total{http_code=\"200\"}"), Some(0.0));
    assert_eq!(value(&metrics, "requests_total{http_code=\"500\"}"), Some(0.0));
}

#[test]
fn sigterm_stops_it_with_status_0() {
    let mut app = app(&[]);
    app.signal("TERM");
    assert_eq!(app.wait(), Some(0));
}

//! Results of single panels for given series, evaluated by promtool. Each case was misleading once.

use exporter_common::testing::{real, run};
use serde_json::{Value, json};

use super::{dashboards, repository, text};

/// Series in promtool's notation, with a sample every 5 s for 10 minutes.
type Series<'a> = &'a [(&'a str, &'a str)];

/// Asserts the value, or its absence, after 10 minutes of `query`, in which `{}` is replaced by the panel's query.
fn assert_panel(stem: &str, title: &str, query: &str, series: Series<'_>, value: Option<f64>) {
    let Some(promtool) = real("promtool") else { return };
    let dashboards = dashboards();
    let dashboard = dashboards.iter().find(|dashboard| dashboard.stem == stem).unwrap();
    let panels = dashboard.panels();
    let panel = panels.iter().find(|panel| panel.json["title"] == title).unwrap();
    let query = query.replace("{}", &dashboard.substitute(text(&panel.json["targets"][0]["expr"])));
    let rules = ["cpu", "exporters", "httpd-log", "queue"];
    let rules = rules.map(|stem| repository().join(format!("prometheus/rules/{stem}.yml")));
    let samples: Vec<_> = value.map(|value| json!({ "labels": "{}", "value": value })).into_iter().collect();
    let series: Vec<_> = series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
    let checks = json!([{ "expr": query, "eval_time": "10m", "exp_samples": samples }]);
    let tests = json!([{ "interval": "5s", "input_series": series, "promql_expr_test": checks }]);
    let file: Value = json!({ "rule_files": rules, "evaluation_interval": "5s", "tests": tests });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yml"); // JSON is valid YAML
    std::fs::write(&path, file.to_string()).unwrap();
    let output = run(promtool.to_str().unwrap(), ["test", "rules", path.to_str().unwrap()]);
    let message = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {message}", panel.location);
}

#[test]
fn dead_letters_counted_for_a_whole_system_are_shown() {
    let dead = [(r#"messages_dead_lettered_total{job="queue-exporter",instance="a"}"#, "0+5x120")];
    assert_panel("queue", "Dead letters", "sum({})", &dead, Some(1.0));
}

#[test]
fn dead_letters_are_shown_where_their_alert_fires() {
    let gathered = [
        (r#"queue_depth{job="queue-exporter",instance="a",queue_name="orders.dlq"}"#, "0x110 9x10"),
        (r#"queue_messages{job="queue-exporter",instance="a",queue_name="mail",state="dead"}"#, "0x110 9x10"),
        (r#"queue_depth{job="queue-exporter",instance="a",queue_name="old.dlq"}"#, "9x110 0x10"), // emptied
    ];
    assert_panel("queue", "Dead letters", "count({} > 0)", &gathered, Some(2.0));
    assert_panel("queue", "Dead letters", "count({} < 0)", &gathered, None);
}

const QUEUES: Series<'_> = &[
    (r#"queue_depth{job="queue-exporter",instance="a",queue_name="orders"}"#, "3x120"),
    (r#"queue_consumers{job="queue-exporter",instance="a",queue_name="orders"}"#, "0x120"),
    (r#"queue_depth{job="queue-exporter",instance="a",queue_name="orders.dlq"}"#, "5000x120"),
    (r#"queue_consumers{job="queue-exporter",instance="a",queue_name="orders.dlq"}"#, "0x120"),
    (r#"queue_depth{job="queue-exporter",instance="a",queue_name="orders.retry"}"#, "2000x120"),
    (r#"queue_consumers{job="queue-exporter",instance="a",queue_name="orders.retry"}"#, "0x120"),
];

#[test]
fn dead_letter_and_retry_queues_are_not_counted() {
    assert_panel("queue", "Without consumers", "{}", QUEUES, Some(1.0));
    assert_panel("queue", "Deepest queue", "{}", QUEUES, Some(3.0));
    assert_panel("overview", "Deepest queue", "{}", QUEUES, Some(3.0));
}

#[test]
fn failures_are_the_ratio_of_the_worst_queue_like_in_its_alert() {
    let processed = [
        (
            r#"messages_processed_total{job="queue-exporter",instance="a",queue_name="mail",status="success"}"#,
            "0+1x120",
        ),
        (
            r#"messages_processed_total{job="queue-exporter",instance="a",queue_name="mail",status="failure"}"#,
            "0+1x120",
        ),
        (
            r#"messages_processed_total{job="queue-exporter",instance="a",queue_name="bulk",status="success"}"#,
            "0+999x120",
        ),
        (
            r#"messages_processed_total{job="queue-exporter",instance="a",queue_name="bulk",status="failure"}"#,
            "0+1x120",
        ),
        (r#"messages_processed_total{job="queue-exporter",instance="a",queue_name="idle",status="success"}"#, "7x120"),
        (r#"messages_processed_total{job="queue-exporter",instance="a",queue_name="idle",status="failure"}"#, "7x120"),
    ];
    assert_panel("queue", "Failures", "{}", &processed, Some(0.5));
    assert_panel("queue", "Failures", "{}", &processed[4..], None);
}

#[test]
fn two_recent_errors_stay_green_and_without_requests_there_is_no_ratio() {
    let ok = r#"httpd_requests_total{job="httpd-log-exporter",instance="a",method="GET",status_code="200"}"#;
    let failed = r#"httpd_requests_total{job="httpd-log-exporter",instance="a",method="GET",status_code="500"}"#;
    for stem in ["httpd-log", "overview"] {
        let recent = [(ok, "0+120x120"), (failed, "0x118 1 2")];
        assert_panel(stem, "Server errors", "{} > bool 0.003", &recent, Some(0.0));
        assert_panel(stem, "Server errors", "{}", &recent[..1], Some(0.0));
        assert_panel(stem, "Server errors", "{} > bool 0.006", &[(ok, "0+98x120"), (failed, "0+2x120")], Some(1.0));
        assert_panel(stem, "Server errors", "{}", &[(ok, "900x120"), (failed, "2x120")], None);
    }
}

const BUSY: Series<'_> = &[
    (r#"cpu_exporter_cpu_usage_seconds_total{job="cpu-exporter",instance="a",mode="idle"}"#, "0+1x120"),
    (r#"cpu_exporter_cpu_usage_seconds_total{job="cpu-exporter",instance="a",mode="user"}"#, "0+9x120"),
    (r#"cpu_exporter_pressure_cpu_waiting_seconds_total{job="cpu-exporter",instance="a"}"#, "0+2x120"),
];

const THROTTLED: Series<'_> = &[
    (r#"cpu_exporter_cpu_usage_seconds_total{job="cpu-exporter",instance="a",mode="idle"}"#, "0+9x120"),
    (r#"cpu_exporter_cpu_usage_seconds_total{job="cpu-exporter",instance="a",mode="user"}"#, "0+1x120"),
    (r#"cpu_exporter_pressure_cpu_waiting_seconds_total{job="cpu-exporter",instance="a"}"#, "0+2x120"),
];

#[test]
fn waiting_for_a_cpu_is_0_for_a_throttled_process_on_an_idle_host_and_known_without_runnable_processes() {
    assert_panel("cpu", "Waiting for a CPU", "round({}, 0.01)", BUSY, Some(0.4));
    assert_panel("cpu", "Waiting for a CPU", "{}", THROTTLED, Some(0.0));
    assert_panel("cpu", "Waiting for a CPU", "{}", &BUSY[2..], None);
}

#[test]
fn the_source_of_a_stopped_exporter_is_counted_as_unread() {
    let up = [
        (r#"up{job="queue-exporter",instance="a"}"#, "0x120"),
        (r#"up{job="cpu-exporter",instance="b"}"#, "1x120"),
        (r#"exporter_scrape_success{job="cpu-exporter",instance="b",collector="stat"}"#, "1x120"),
        (r#"exporter_scrape_success{job="cpu-exporter",instance="b",collector="pressure"}"#, "0x120"),
        (r#"up{job="prometheus",instance="c"}"#, "1x120"),
        (r#"up{job="shop",instance="d"}"#, "0x120"), // not an exporter
    ];
    assert_panel("overview", "Failing collectors", "{}", &up, Some(2.0));
}

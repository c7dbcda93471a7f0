//! What panels answer to what was there when they misled somebody: series that promtool makes, and the rules beside them.

use exporter_common::testing::{real, run};
use serde_json::{Value, json};

use super::{dashboards, repository, text};

/// Series as promtool writes them, one every 5 s for 10 minutes.
type Series<'a> = &'a [(&'a str, &'a str)];

/// Fails unless a panel of a dashboard, put into `query` for `{}`, has this value in the end, or none.
fn expect(stem: &str, title: &str, query: &str, series: Series<'_>, value: Option<f64>) {
    let Some(promtool) = real("promtool") else { return };
    let dashboards = dashboards();
    let dashboard = dashboards.iter().find(|dashboard| dashboard.stem == stem).unwrap();
    let panels = dashboard.panels();
    let panel = panels.iter().find(|panel| panel.json["title"] == title).unwrap();
    let query = query.replace("{}", &dashboard.filled_in(text(&panel.json["targets"][0]["expr"])));
    let rules = ["exporters", "httpd-log", "queue"];
    let rules = rules.map(|stem| repository().join(format!("prometheus/rules/{stem}.yml")));
    let samples: Vec<_> = value.map(|value| json!({ "labels": "{}", "value": value })).into_iter().collect();
    let series: Vec<_> = series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
    let looks = json!([{ "expr": query, "eval_time": "10m", "exp_samples": samples }]);
    let tests = json!([{ "interval": "5s", "input_series": series, "promql_expr_test": looks }]);
    let file: Value = json!({ "rule_files": rules, "evaluation_interval": "5s", "tests": tests });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yml"); // all JSON is YAML
    std::fs::write(&path, file.to_string()).unwrap();
    let output = run(promtool.to_str().unwrap(), ["test", "rules", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", panel.place);
}

#[test]
fn what_a_system_says_of_all_of_its_queues_together_is_shown() {
    let dead = [(r#"messages_dead_lettered_total{job="queue-exporter",instance="a"}"#, "0+5x120")];
    expect("queue", "Dead letters", "sum({})", &dead, Some(1.0));
}

#[test]
fn dead_letters_are_shown_wherever_their_alert_sees_them() {
    let gathered = [
        (r#"queue_depth{job="queue-exporter",instance="a",queue_name="orders.dlq"}"#, "0x110 9x10"),
        (r#"queue_messages{job="queue-exporter",instance="a",queue_name="mail",state="dead"}"#, "0x110 9x10"),
        (r#"queue_depth{job="queue-exporter",instance="a",queue_name="old.dlq"}"#, "9x110 0x10"), // somebody looked
    ];
    expect("queue", "Dead letters", "count({} > 0)", &gathered, Some(2.0));
    expect("queue", "Dead letters", "count({} < 0)", &gathered, None);
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
fn queues_on_which_nobody_is_to_work_are_neither_left_alone_nor_deep() {
    expect("queue", "Without consumers", "{}", QUEUES, Some(1.0));
    expect("queue", "Deepest queue", "{}", QUEUES, Some(3.0));
    expect("overview", "Deepest queue", "{}", QUEUES, Some(3.0));
}

#[test]
fn failures_are_those_of_the_worst_queue_as_its_alert_sees_it() {
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
    expect("queue", "Failures", "{}", &processed, Some(0.5));
    expect("queue", "Failures", "{}", &processed[4..], None);
}

#[test]
fn two_errors_of_a_moment_colour_nothing_and_without_requests_there_is_no_share_of_them() {
    let ok = r#"httpd_requests_total{job="httpd-log-exporter",instance="a",method="GET",status_code="200"}"#;
    let failed = r#"httpd_requests_total{job="httpd-log-exporter",instance="a",method="GET",status_code="500"}"#;
    for stem in ["httpd-log", "overview"] {
        let moment = [(ok, "0+120x120"), (failed, "0x118 1 2")];
        expect(stem, "Server errors", "{} > bool 0.003", &moment, Some(0.0));
        expect(stem, "Server errors", "{}", &moment[..1], Some(0.0));
        expect(stem, "Server errors", "{} > bool 0.006", &[(ok, "0+98x120"), (failed, "0+2x120")], Some(1.0));
        expect(stem, "Server errors", "{}", &[(ok, "900x120"), (failed, "2x120")], None);
    }
}

#[test]
fn a_source_whose_exporter_is_down_is_unread() {
    let up = [
        (r#"up{job="queue-exporter",instance="a"}"#, "0x120"),
        (r#"up{job="cpu-exporter",instance="b"}"#, "1x120"),
        (r#"exporter_scrape_success{job="cpu-exporter",instance="b",collector="stat"}"#, "1x120"),
        (r#"exporter_scrape_success{job="cpu-exporter",instance="b",collector="pressure"}"#, "0x120"),
        (r#"up{job="prometheus",instance="c"}"#, "1x120"),
        (r#"up{job="shop",instance="d"}"#, "0x120"), // no exporter, and so nobody's reader
    ];
    expect("overview", "Failing collectors", "{}", &up, Some(2.0));
}

//! Runs every query of every dashboard in a real Prometheus that scrapes the demo.

use std::collections::BTreeSet;

use exporter_common::testing::{eventually, get, real};
use regex::Regex;
use serde_json::Value;

use super::{dashboards, list, text};
use crate::stack::Demo;

/// Sends a query to the API of Prometheus.
fn query_api(url: &str, path: &str, query: &str) -> Result<Value, String> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let body = get(&format!("{url}/api/v1/{path}{query}"), &[]).body;
    let response: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
    match text(&response["status"]) {
        "success" => Ok(response["data"].clone()),
        _ => Err(text(&response["error"]).to_owned()),
    }
}

/// Whether a result contains a finite value.
fn has_finite_value(data: &Value) -> bool {
    list(&data["result"]).iter().any(|series| text(&series["value"][1]).parse().is_ok_and(f64::is_finite))
}

/// Whether a result contains NaN or an infinite value, which a panel would show.
fn has_non_finite_value(data: &Value) -> bool {
    list(&data["result"])
        .iter()
        .any(|series| text(&series["value"][1]).parse().is_ok_and(|value: f64| !value.is_finite()))
}

#[test]
fn every_query_succeeds_and_has_data_if_its_metrics_exist() {
    if real("prometheus").is_none() {
        return;
    }
    let demo = Demo::start();
    let url = demo.url(9090, "");
    let word = Regex::new(r"[a-z_][a-z0-9_]*").unwrap();
    // A rate needs two scrapes. The rarest event is a failed job.
    eventually("every exporter was scraped several times", || {
        let scraped = "count(count by (job) (count_over_time(exporter_scrape_success[1m]) >= 3)) >= 4 and on () \
                       sum(rate(messages_processed_total{status=\"failure\"}[1m])) > 0";
        list(&query_api(&url, "query?query=", scraped).ok()?["result"]).first().map(|_| ())
    });
    let metrics = query_api(&url, "label/__name__/values?limit=", "0").unwrap();
    let metrics: BTreeSet<_> = list(&metrics).iter().map(text).collect();
    // Metrics are recognized by their prefix; other words are functions or labels.
    let known = |query: &str| {
        let parts: Vec<_> = word.find_iter(query).map(|found| found.as_str()).collect();
        let metric = |part: &&&str| {
            ["cpu_exporter_", "node_", "httpd_", "app_", "queue_", "message", "exporter_", "process_"]
                .iter()
                .any(|prefix| part.starts_with(prefix))
        };
        let labels = ["app_health", "app_status", "queue_name", "queue_system"];
        parts.iter().filter(metric).all(|part| labels.contains(part) || metrics.contains(part))
    };
    let (mut with_data, mut without_data) = (0, Vec::new());
    for dashboard in dashboards() {
        for variable in dashboard.variables().iter().filter(|variable| variable["type"] == "query") {
            let definition = dashboard.substitute(text(&variable["definition"]));
            let series = definition.strip_prefix("label_values(").unwrap().rsplit_once(',').unwrap().0;
            let found =
                query_api(&url, "series?match[]=", series).unwrap_or_else(|error| panic!("{definition}: {error}"));
            assert!(!list(&found).is_empty(), "{}: no value for {definition}", dashboard.stem);
        }
        for panel in dashboard.panels() {
            for target in list(&panel.json["targets"]) {
                let query = dashboard.substitute(text(&target["expr"]));
                let data = query_api(&url, "query?query=", &query)
                    .unwrap_or_else(|error| panic!("{}: {error}", panel.location));
                assert!(!has_non_finite_value(&data), "{}: {query}: {data}", panel.location);
                if has_finite_value(&data) {
                    with_data += 1;
                } else {
                    assert!(panel.collapsed || !known(&query), "{}: no data for {query}", panel.location);
                    without_data.push(format!("{}: {query}", panel.location));
                }
            }
        }
    }
    // The demo's queue and log provide less than RabbitMQ and nginx, and its cpu-exporter has the default collectors.
    assert!(with_data > without_data.len(), "{with_data} queries have data, but these do not: {without_data:#?}");
}

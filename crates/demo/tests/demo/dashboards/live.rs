//! Every query of every dashboard, put to a Prometheus that scrapes the whole demo.

use std::collections::BTreeSet;

use exporter_common::testing::{eventually, get, real};
use regex::Regex;
use serde_json::Value;

use super::{dashboards, list, text};
use crate::stack::Demo;

/// Asks Prometheus.
fn ask(url: &str, path: &str, query: &str) -> Result<Value, String> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = get(&format!("{url}/api/v1/{path}{query}"), &[]).body;
    let answer: Value = serde_json::from_str(&answer).map_err(|error| format!("{error}: {answer}"))?;
    match text(&answer["status"]) {
        "success" => Ok(answer["data"].clone()),
        _ => Err(text(&answer["error"]).to_owned()),
    }
}

/// Whether there is a value in a result that is a number.
fn has_number(data: &Value) -> bool {
    list(&data["result"]).iter().any(|series| text(&series["value"][1]).parse().is_ok_and(f64::is_finite))
}

/// Whether there is one that is none, which a panel would show as NaN, or as a line to the sky.
fn has_no_number(data: &Value) -> bool {
    list(&data["result"])
        .iter()
        .any(|series| text(&series["value"][1]).parse().is_ok_and(|value: f64| !value.is_finite()))
}

#[test]
fn every_query_is_answered_and_with_data_where_its_metrics_are_there() {
    if real("prometheus").is_none() {
        return;
    }
    let demo = Demo::start();
    let url = demo.url(9090, "");
    let word = Regex::new(r"[a-z_][a-z0-9_]*").unwrap();
    // two scrapes are a rate; the rarest of all series is that of jobs that failed
    eventually("every exporter was scraped again and again", || {
        let scraped = "count(count by (job) (count_over_time(exporter_scrape_success[1m]) >= 3)) >= 4 and on () \
                       sum(rate(messages_processed_total{status=\"failure\"}[1m])) > 0";
        list(&ask(&url, "query?query=", scraped).ok()?["result"]).first().map(|_| ())
    });
    let metrics = ask(&url, "label/__name__/values?limit=", "0").unwrap();
    let metrics: BTreeSet<_> = list(&metrics).iter().map(text).collect();
    // that a metric is there is seen by its name; a word that is none is a function or a label
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
    let (mut answered, mut without) = (0, Vec::new());
    for dashboard in dashboards() {
        for variable in dashboard.variables().iter().filter(|variable| variable["type"] == "query") {
            let definition = dashboard.filled_in(text(&variable["definition"]));
            let series = definition.strip_prefix("label_values(").unwrap().rsplit_once(',').unwrap().0;
            let found = ask(&url, "series?match[]=", series).unwrap_or_else(|error| panic!("{definition}: {error}"));
            assert!(!list(&found).is_empty(), "{}: no value for {definition}", dashboard.stem);
        }
        for panel in dashboard.panels() {
            for target in list(&panel.json["targets"]) {
                let query = dashboard.filled_in(text(&target["expr"]));
                let data = ask(&url, "query?query=", &query).unwrap_or_else(|error| panic!("{}: {error}", panel.place));
                assert!(!has_no_number(&data), "{}: {query}: {data}", panel.place);
                if has_number(&data) {
                    answered += 1;
                } else {
                    assert!(panel.closed || !known(&query), "{}: no data for {query}", panel.place);
                    without.push(format!("{}: {query}", panel.place));
                }
            }
        }
    }
    // nearly all; the demo's own broker and log tell less than RabbitMQ and nginx
    assert!(answered > 2 * without.len(), "{without:#?}");
}

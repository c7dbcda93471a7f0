//! The alerts: from Prometheus, or without it, from the state of the parts.

use reqwest::Client;
use serde_json::{Value, json};

use super::parts::Part;
use super::values::Values;

/// An alert that fires or is about to.
#[derive(Debug, PartialEq)]
pub(crate) struct Alert {
    name: String,
    /// `firing`, `pending`, or `seen` without Prometheus.
    state: String,
    summary: String,
}

impl Alert {
    fn seen(name: &str, summary: String) -> Self {
        Self { name: name.to_owned(), state: "seen".to_owned(), summary }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "name": self.name, "state": self.state, "summary": self.summary })
    }
}

/// Always fires, to show that alerts arrive.
const WATCHDOG: &str = "Watchdog";

/// The alerts of Prometheus at a URL, firing ones first. If it does not respond, that is the only one.
pub(crate) async fn of_prometheus(client: &Client, url: &str) -> Vec<Alert> {
    let read = async {
        let response = client.get(format!("{url}api/v1/alerts")).send().await.ok()?.error_for_status().ok()?;
        serde_json::from_str::<Value>(&response.text().await.ok()?).ok()
    };
    let unknown = || vec![Alert::seen("MonitoringDown", "Prometheus does not respond: alerts are unknown".to_owned())];
    read.await.map_or_else(unknown, |answer| alerts(&answer))
}

fn alerts(answer: &Value) -> Vec<Alert> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = answer["data"]["alerts"].as_array().into_iter().flatten();
    let mut alerts: Vec<_> = all
        .map(|alert| Alert {
            name: text(&alert["labels"]["alertname"]),
            state: text(&alert["state"]),
            summary: text(&alert["annotations"]["summary"]),
        })
        .filter(|alert| alert.name != WATCHDOG)
        .collect();
    alerts.sort_by(|a, b| (&a.state, &a.name, &a.summary).cmp(&(&b.state, &b.name, &b.summary)));
    alerts.dedup();
    alerts
}

/// What leads to an alert, as far as one look at the parts shows it.
pub(crate) fn seen(parts: &[Part], values: &[Values]) -> Vec<Alert> {
    let exporters = parts.iter().zip(values).filter(|(part, _)| part.name.ends_with("-exporter"));
    exporters
        .flat_map(|(part, values)| match &values.failed_collectors {
            None => vec![Alert::seen("ExporterDown", format!("{} does not respond", part.name))],
            Some(failed) => failed
                .iter()
                .map(|collector| Alert::seen("ExporterScrapeFailing", format!("{}: {collector} fails", part.name)))
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firing_alerts_are_first_and_the_watchdog_is_left_out() {
        let alert = |name: &str, state: &str| json!({ "labels": { "alertname": name }, "state": state, "annotations": { "summary": "broken" } });
        let all = [alert("B", "pending"), alert("Watchdog", "firing"), alert("C", "firing"), alert("C", "firing")];
        let found = alerts(&json!({ "data": { "alerts": all } }));
        let names: Vec<_> = found.iter().map(|alert| (alert.name.as_str(), alert.state.as_str())).collect();
        assert_eq!(names, [("C", "firing"), ("B", "pending")]);
        assert!(alerts(&json!({ "status": "error" })).is_empty());
    }
}

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
/// The severities, worst first.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
/// The labels in which rules of the same alert differ: its severity, and the time windows of a burn rate.
const RULE_LABELS: [&str; 3] = ["severity", "long", "short"];

/// The alerts of Prometheus at a URL, worst first, each once even if several of its rules apply. If Prometheus does not
/// respond, the only alert says so.
pub(crate) async fn of_prometheus(client: &Client, url: &str) -> Vec<Alert> {
    let read = async {
        let response = client.get(format!("{url}api/v1/alerts")).send().await.ok()?.error_for_status().ok()?;
        serde_json::from_str::<Value>(&response.text().await.ok()?).ok()
    };
    let unknown = || vec![Alert::seen("MonitoringDown", "Prometheus does not respond: alerts are unknown".to_owned())];
    read.await.map_or_else(unknown, |response| alerts(&response))
}

fn alerts(response: &Value) -> Vec<Alert> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = response["data"]["alerts"].as_array().into_iter().flatten().collect();
    // "firing" is before "pending", and an unknown severity is last.
    all.sort_by_key(|alert| {
        let severity = SEVERITIES.iter().position(|severity| alert["labels"]["severity"] == *severity);
        let name = (text(&alert["labels"]["alertname"]), text(&alert["annotations"]["summary"]));
        (text(&alert["state"]), severity.unwrap_or(SEVERITIES.len()), name)
    });
    let mut seen = Vec::new();
    all.retain(|alert| {
        let mut labels = alert["labels"].clone();
        labels
            .as_object_mut()
            .into_iter()
            .for_each(|labels| labels.retain(|name, _| !RULE_LABELS.contains(&name.as_str())));
        let new = labels["alertname"] != WATCHDOG && !seen.contains(&labels);
        seen.push(labels);
        new
    });
    let alert = |alert: &Value| Alert {
        name: text(&alert["labels"]["alertname"]),
        state: text(&alert["state"]),
        summary: text(&alert["annotations"]["summary"]),
    };
    all.into_iter().map(alert).collect()
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
    fn an_alert_is_listed_once_in_its_worst_state_and_the_watchdog_is_left_out() {
        let alert = |name: &str, job: &str, state: &str, severity: &str, summary: &str| {
            let labels = json!({ "alertname": name, "job": job, "severity": severity, "long": summary });
            json!({ "labels": labels, "state": state, "annotations": { "summary": summary } })
        };
        let all = [
            alert("Burn", "a", "pending", "critical", "7.1 % fail"),
            alert("Watchdog", "a", "firing", "none", "works"),
            alert("Burn", "a", "firing", "info", "7.2 % fail"),
            alert("Burn", "a", "firing", "warning", "7.3 % fail"),
            alert("Burn", "b", "pending", "critical", "9 % fail"),
            alert("Absent", "a", "firing", "critical", "absent"),
        ];
        let found = alerts(&json!({ "data": { "alerts": all } }));
        let found: Vec<_> = found.iter().map(|alert| (alert.state.as_str(), alert.summary.as_str())).collect();
        assert_eq!(found, [("firing", "absent"), ("firing", "7.3 % fail"), ("pending", "9 % fail")]);
        assert!(alerts(&json!({ "status": "error" })).is_empty());
    }
}

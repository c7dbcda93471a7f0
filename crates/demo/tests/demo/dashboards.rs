//! Grafana dashboards: structure, queries and results.
//!
//! Their JSON types are checked against Grafana's schema by grafana/schema (see .ci/run).

mod live; // every query against a real Prometheus that scrapes the demo
mod panel_results; // results of single panels for given series, by promtool
pub(crate) mod queries; // every query against the exported metrics
mod structure; // the JSON and the provisioning

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The dashboards; each is grafana/dashboards/<stem>.json.
const STEMS: [&str; 5] = ["app-status", "cpu", "httpd-log", "overview", "queue"];

/// The address of the runbooks in the default configuration (mixin/config.libsonnet).
pub(crate) const RUNBOOKS: &str = "https://exporters.example/runbooks/";

pub(crate) struct Dashboard {
    stem: &'static str,
    pub(crate) json: Value,
}

/// A panel other than a row.
pub(crate) struct Panel<'a> {
    pub(crate) json: &'a Value,
    /// Dashboard and title for messages, for example `cpu: Load`.
    pub(crate) location: String,
    /// Whether it is in a collapsed row, where panels may be empty.
    collapsed: bool,
}

/// The page of docs/runbooks that a link leads to, without its extension; `None` if it leads elsewhere.
pub(crate) fn runbook(url: &str) -> Option<&str> {
    url.strip_prefix(RUNBOOKS)?.strip_suffix(".html")
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

pub(crate) fn dashboards() -> Vec<Dashboard> {
    let json = |stem| serde_json::from_str(&read(&format!("grafana/dashboards/{stem}.json"))).unwrap();
    STEMS.into_iter().map(|stem| Dashboard { stem, json: json(stem) }).collect()
}

impl Dashboard {
    pub(crate) fn panels(&self) -> Vec<Panel<'_>> {
        let location = |panel: &Value| format!("{}: {}", self.stem, text(&panel["title"]));
        let mut panels = Vec::new();
        for json in list(&self.json["panels"]) {
            if json["type"] != "row" {
                panels.push(Panel { json, location: location(json), collapsed: false });
            }
            if let Some(inside) = json.get("panels") {
                panels.extend(list(inside).iter().map(|json| Panel {
                    json,
                    location: location(json),
                    collapsed: true,
                }));
            }
        }
        panels
    }

    /// Substitutes the variables of a query like Grafana does if all values are selected.
    fn substitute(&self, query: &str) -> String {
        // Without an allValue, Grafana joins all values of the variable. They are all that the tests have, so `.+` matches them.
        let selected = self.variables().iter().filter(|variable| variable["includeAll"] == true);
        selected.fold(query.replace("$__rate_interval", "30s"), |query, variable| {
            let all = variable.get("allValue").and_then(Value::as_str).unwrap_or(".+");
            query.replace(&format!("${}", text(&variable["name"])), all)
        })
    }

    pub(crate) fn variables(&self) -> &[Value] {
        list(&self.json["templating"]["list"])
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

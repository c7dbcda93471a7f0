//! Grafana's dashboards: whether each is well formed, what they ask of Prometheus, and what it answers.

mod answers; // some panels, against what was there when they misled somebody
mod live; // every query, against Prometheus and the whole demo
pub(crate) mod queries; // every query, against the metrics that there are
mod shape; // the JSON, and what provisions it

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The dashboards; each is grafana/dashboards/<stem>.json.
const STEMS: [&str; 5] = ["app-status", "cpu", "httpd-log", "overview", "queue"];

pub(crate) struct Dashboard {
    stem: &'static str,
    pub(crate) json: Value,
}

/// A panel that is no row.
pub(crate) struct Panel<'a> {
    pub(crate) json: &'a Value,
    /// `cpu: Load`, for messages.
    pub(crate) place: String,
    /// Whether it is in a row that is closed at first, where panels may be empty.
    closed: bool,
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
        let place = |panel: &Value| format!("{}: {}", self.stem, text(&panel["title"]));
        let mut panels = Vec::new();
        for json in list(&self.json["panels"]) {
            if json["type"] != "row" {
                panels.push(Panel { json, place: place(json), closed: false });
            }
            if let Some(inside) = json.get("panels") {
                panels.extend(list(inside).iter().map(|json| Panel { json, place: place(json), closed: true }));
            }
        }
        panels
    }

    /// A query as Grafana writes it when everything is chosen.
    fn filled_in(&self, query: &str) -> String {
        let chosen =
            self.variables().iter().filter_map(|variable| Some((&variable["name"], variable.get("allValue")?)));
        chosen.fold(query.replace("$__rate_interval", "30s"), |query, (name, all)| {
            query.replace(&format!("${}", text(name)), text(all))
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

//! Prometheus's rules: whether each alert is whole, tested, explained, and asks for what there is.

mod cases; // prometheus/tests: every alert fires, waits, resolves
mod expressions; // what rules ask for, and the limits that dashboards share with them
mod pages; // docs/runbooks, and the dashboards that alerts lead to

use exporter_common::yaml;
use serde_json::{Map, Value};

use crate::dashboards::{list, read, repository, text};

/// The rules; each is prometheus/rules/<stem>.yml, with its tests in prometheus/tests/<stem>.yml.
const STEMS: [&str; 6] = ["app-status", "cpu", "exporters", "httpd-log", "monitoring", "queue"];

/// The alert that always fires, so that its absence is noticed: of nobody, and no fault.
const WATCHDOG: &str = "Watchdog";

/// A rule, and where it stands.
struct Rule {
    stem: &'static str,
    json: Value,
}

impl Rule {
    /// The alert's name; none for a recording rule.
    fn alert(&self) -> Option<&str> {
        self.json["alert"].as_str()
    }

    /// What is recorded; none for an alert.
    fn record(&self) -> Option<&str> {
        self.json["record"].as_str()
    }

    fn expr(&self) -> &str {
        text(&self.json["expr"])
    }

    /// `cpu: CpuSaturated`, for messages.
    fn place(&self) -> String {
        format!("{}: {}", self.stem, self.alert().or(self.record()).unwrap_or_default())
    }
}

/// Every rule, in the order in which they are evaluated.
fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for stem in STEMS {
        for group in list(&parse(&format!("prometheus/rules/{stem}.yml"))["groups"]) {
            rules.extend(list(&group["rules"]).iter().map(|rule| Rule { stem, json: rule.clone() }));
        }
    }
    rules
}

/// The alerts among them.
fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.alert().is_some()).collect()
}

/// A YAML file of the repository; all that is no list and no map is text.
fn parse(path: &str) -> Value {
    json(&yaml::parse(&read(path)).unwrap_or_else(|error| panic!("{path}: {error:#}")))
}

fn json(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Text(text) => Value::from(text.as_str()),
        yaml::Value::List(list) => list.iter().map(json).collect(),
        yaml::Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), json(node))).collect::<Map<_, _>>().into(),
    }
}

#[test]
fn every_file_of_rules_is_here_has_tests_and_is_loaded_by_the_demo() {
    for folder in ["rules", "tests"] {
        let files = std::fs::read_dir(repository().join("prometheus").join(folder)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, STEMS.map(|stem| format!("{stem}.yml")), "{folder}");
    }
    let demo = read("crates/demo/src/stack/prometheus_config.rs");
    for stem in STEMS {
        assert!(demo.contains(&format!("prometheus/rules/{stem}.yml")), "the demo does not write {stem}.yml");
        let tests = parse(&format!("prometheus/tests/{stem}.yml"));
        assert_eq!(list(&tests["rule_files"]), [format!("../rules/{stem}.yml")]);
    }
}

#[test]
fn every_alert_says_how_grave_it_is_what_is_wrong_and_where_to_look() {
    for rule in alerts() {
        let (place, json) = (rule.place(), &rule.json);
        let watchdog = rule.alert() == Some(WATCHDOG);
        let grave: &[&str] = if watchdog { &["none"] } else { &["critical", "warning", "info"] };
        assert!(grave.contains(&text(&json["labels"]["severity"])), "{place}");
        assert!(!text(&json["labels"]["component"]).is_empty(), "{place}");
        let annotations = json["annotations"].as_object().unwrap();
        let keys: Vec<_> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["dashboard_url", "description", "runbook_url", "summary"], "{place}");
        for key in ["summary", "description"] {
            let whose = text(&annotations[key]).contains("$labels.");
            assert!(whose || watchdog, "{place}: the {key} does not say whose it is");
        }
        assert!(text(&annotations["description"]).contains("{{ $value"), "{place}: no value");
        assert!(!text(&annotations["summary"]).ends_with('.') && text(&annotations["description"]).ends_with('.'));
        // a fault of a moment is nobody's business, but one that is counted over a while is no moment
        let counted = ["increase", "changes(", "resets("].iter().any(|word| rule.expr().contains(word));
        assert!(json.get("for").is_some() || counted || watchdog, "{place}: it fires at once");
        assert!(!rule.expr().contains("absent(") || json.get("for").is_some(), "{place}");
    }
}

#[test]
fn what_calls_somebody_outlasts_its_exporter_until_that_is_told() {
    let minutes = |rule: &Rule, key: &str| {
        let minutes = rule.json.get(key).and_then(|lasts| text(lasts).strip_suffix('m')?.parse::<u64>().ok());
        minutes.unwrap_or_else(|| panic!("{}: {key} is no number of minutes", rule.place()))
    };
    let of_sight = |rule: &&Rule| ["app-status", "httpd-log", "queue"].contains(&rule.stem);
    let alerts = alerts();
    let of_exporters = alerts.iter().filter(|rule| rule.alert().is_some_and(|alert| alert == "ExporterAbsent"));
    let told_after = of_exporters.map(|rule| minutes(rule, "for")).max().unwrap();
    let calls =
        |rule: &&Rule| rule.json["labels"]["severity"] == "critical" && rule.json["labels"]["component"] != "exporter";
    for rule in alerts.iter().filter(of_sight).filter(calls) {
        assert!(minutes(rule, "keep_firing_for") > told_after, "{}", rule.place());
    }
}

#[test]
fn every_alert_on_a_queue_says_of_which_one_it_is() {
    for rule in alerts().iter().filter(|rule| rule.stem == "queue" && rule.json["labels"]["component"] == "queue") {
        let said = |key: &str, what: &str| text(&rule.json["annotations"][key]).contains(what);
        assert!(said("description", "queue_exporter_info{"), "{}: no queue system", rule.place());
        if rule.alert() == Some("QueueSystemUnread") {
            continue; // of all of its queues
        }
        for label in ["queue_name", "scope", "vhost"] {
            let label = format!("$labels.{label}");
            assert!(said("summary", &label) && said("description", &label), "{}: no {label}", rule.place());
        }
    }
}

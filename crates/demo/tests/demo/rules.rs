//! Prometheus rules: each alert is complete, tested, documented, and uses exported metrics.

mod cases; // prometheus/tests
mod expressions; // metrics, labels and limits in expressions
mod pages; // docs/runbooks and linked dashboards

use exporter_common::yaml;
use serde_json::{Map, Value};

use crate::dashboards::{list, read, repository, text};

/// The rules; each is prometheus/rules/<stem>.yml, with its tests in prometheus/tests/<stem>.yml.
const STEMS: [&str; 6] = ["app-status", "cpu", "exporters", "httpd-log", "monitoring", "queue"];

/// Rules that have more tests in prometheus/tests/<stem>-days.yml.
const STEMS_OVER_DAYS: [&str; 2] = ["httpd-log", "queue"];

/// The alert that always fires, so that its absence is noticed.
const WATCHDOG: &str = "Watchdog";

/// A rule and its file.
struct Rule {
    stem: &'static str,
    json: Value,
}

impl Rule {
    /// The alert's name; `None` for a recording rule.
    fn alert(&self) -> Option<&str> {
        self.json["alert"].as_str()
    }

    /// The recorded metric; `None` for an alert.
    fn record(&self) -> Option<&str> {
        self.json["record"].as_str()
    }

    fn expr(&self) -> &str {
        text(&self.json["expr"])
    }

    /// File and name for messages, for example `cpu: CpuSaturated`.
    fn location(&self) -> String {
        format!("{}: {}", self.stem, self.alert().or(self.record()).unwrap_or_default())
    }
}

/// All rules in evaluation order.
fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for stem in STEMS {
        for group in list(&parse(&format!("prometheus/rules/{stem}.yml"))["groups"]) {
            rules.extend(list(&group["rules"]).iter().map(|rule| Rule { stem, json: rule.clone() }));
        }
    }
    rules
}

/// All alerts.
fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|rule| rule.alert().is_some()).collect()
}

/// The files with the tests of a rule file, without `.yml`.
fn test_files(stem: &str) -> Vec<String> {
    let days = STEMS_OVER_DAYS.contains(&stem).then(|| format!("{stem}-days"));
    [stem.to_owned()].into_iter().chain(days).collect()
}

/// The tests of a rule file.
fn tests(stem: &str) -> Vec<Value> {
    let parsed = test_files(stem).into_iter().map(|file| parse(&format!("prometheus/tests/{file}.yml")));
    parsed.flat_map(|file| list(&file["tests"]).to_vec()).collect()
}

/// Parses a YAML file of the repository. Scalars stay strings.
fn parse(path: &str) -> Value {
    json(&yaml::parse(&read(path)).unwrap_or_else(|error| panic!("{path}: {error:#}")))
}

fn json(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::NodeValue::Null => Value::Null,
        yaml::NodeValue::Text(text) => Value::from(text.as_str()),
        yaml::NodeValue::List(list) => list.iter().map(json).collect(),
        yaml::NodeValue::Map(map) => {
            map.iter().map(|(key, node)| (key.clone(), json(node))).collect::<Map<_, _>>().into()
        }
    }
}

#[test]
fn every_rule_file_has_tests_and_is_loaded_by_the_demo() {
    for (folder, expected) in
        [("rules", STEMS.map(str::to_owned).to_vec()), ("tests", STEMS.into_iter().flat_map(test_files).collect())]
    {
        let files = std::fs::read_dir(repository().join("prometheus").join(folder)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let mut expected: Vec<_> = expected.into_iter().map(|file| file + ".yml").collect();
        expected.sort();
        assert_eq!(files, expected, "{folder}");
    }
    let demo = read("crates/demo/src/stack/prometheus_config.rs");
    for stem in STEMS {
        assert!(demo.contains(&format!("prometheus/rules/{stem}.yml")), "the demo does not load {stem}.yml");
        for file in test_files(stem) {
            let tests = parse(&format!("prometheus/tests/{file}.yml"));
            assert_eq!(list(&tests["rule_files"]), [format!("../rules/{stem}.yml")]);
        }
    }
}

#[test]
fn every_alert_has_severity_summary_description_and_links() {
    for rule in alerts() {
        let (location, json) = (rule.location(), &rule.json);
        let watchdog = rule.alert() == Some(WATCHDOG);
        let severities: &[&str] = if watchdog { &["none"] } else { &["critical", "warning", "info"] };
        assert!(severities.contains(&text(&json["labels"]["severity"])), "{location}");
        assert!(!text(&json["labels"]["component"]).is_empty(), "{location}");
        let annotations = json["annotations"].as_object().unwrap();
        let keys: Vec<_> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["dashboard_url", "description", "runbook_url", "summary"], "{location}");
        for key in ["summary", "description"] {
            let has_label = text(&annotations[key]).contains("$labels.");
            assert!(has_label || watchdog, "{location}: the {key} contains no label");
        }
        assert!(text(&annotations["description"]).contains("{{ $value"), "{location}: no value");
        assert!(!text(&annotations["summary"]).ends_with('.') && text(&annotations["description"]).ends_with('.'));
        // Short faults must not page. Expressions that count over a range need no additional wait.
        let counted = ["increase", "changes(", "resets("].iter().any(|word| rule.expr().contains(word));
        assert!(json.get("for").is_some() || counted || watchdog, "{location}: fires without a wait");
        assert!(!rule.expr().contains("absent(") || json.get("for").is_some(), "{location}");
    }
}

#[test]
fn critical_alerts_keep_firing_until_exporter_absent_fires() {
    let minutes = |rule: &Rule, key: &str| {
        let minutes = rule.json.get(key).and_then(|lasts| text(lasts).strip_suffix('m')?.parse::<u64>().ok());
        minutes.unwrap_or_else(|| panic!("{}: {key} is not a number of minutes", rule.location()))
    };
    let is_service = |rule: &&Rule| ["app-status", "httpd-log", "queue"].contains(&rule.stem);
    let alerts = alerts();
    let absent = alerts.iter().filter(|rule| rule.alert().is_some_and(|alert| alert == "ExporterAbsent"));
    let absent_after = absent.map(|rule| minutes(rule, "for")).max().unwrap();
    let pages =
        |rule: &&Rule| rule.json["labels"]["severity"] == "critical" && rule.json["labels"]["component"] != "exporter";
    for rule in alerts.iter().filter(is_service).filter(pages) {
        assert!(minutes(rule, "keep_firing_for") > absent_after, "{}", rule.location());
    }
}

/// Alerts on a whole queue system.
const OF_ALL_QUEUES: &[&str] = &[
    "QueueSystemUnread",
    "QueueEventsLost",
    "QueueBrokerAlarm",
    "QueueBrokerNearLimit",
    "QueueMessagesLost",
    "QueueSlowConsumers",
    "QueueWorkersLost",
    "QueueWorkersGone",
];

#[test]
fn every_queue_alert_names_its_queue() {
    for rule in alerts().iter().filter(|rule| rule.stem == "queue" && rule.json["labels"]["component"] == "queue") {
        let contains = |key: &str, what: &str| text(&rule.json["annotations"][key]).contains(what);
        assert!(contains("description", "queue_exporter_info:max{"), "{}: no queue system", rule.location());
        if OF_ALL_QUEUES.iter().any(|alert| rule.alert() == Some(alert)) {
            continue;
        }
        for label in ["queue_name", "scope", "vhost"] {
            let label = format!("$labels.{label}");
            assert!(contains("summary", &label) && contains("description", &label), "{}: no {label}", rule.location());
        }
    }
}

//! prometheus/tests: what promtool says to them, and whether any alert or record is left out.

use std::time::Duration;

use exporter_common::testing::{real, run};
use serde_json::Value;

use super::{STEMS, WATCHDOG, alerts, parse, rules};
use crate::dashboards::{list, repository, text};

/// One look at an alert: when, whether it fires, with which labels and annotations.
struct Look<'a> {
    at: Duration,
    alerts: &'a [Value],
}

/// The looks of one test at an alert, in their order.
fn looks<'a>(test: &'a Value, alert: &str) -> Vec<Look<'a>> {
    let looks = list(&test["alert_rule_test"]).iter().filter(|look| look["alertname"] == alert);
    let mut looks: Vec<_> =
        looks.map(|look| Look { at: duration(text(&look["eval_time"])), alerts: list(&look["exp_alerts"]) }).collect();
    looks.sort_by_key(|look| look.at);
    looks
}

/// Prometheus's `1h30m`.
fn duration(text: &str) -> Duration {
    let spaced: String = text.chars().flat_map(|c| [Some(c), c.is_alphabetic().then_some(' ')]).flatten().collect();
    humantime::parse_duration(spaced.trim()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn promtool_of_both_generations_finds_that_rules_do_what_their_tests_say() {
    for promtool in ["promtool", "promtool-3"] {
        let Some(promtool) = real(promtool) else { continue };
        let promtool = promtool.to_str().unwrap();
        for stem in STEMS {
            for (words, folder) in
                [(&["check", "rules", "--lint=all", "--lint-fatal"][..], "rules"), (&["test", "rules"], "tests")]
            {
                let file = repository().join("prometheus").join(folder).join(format!("{stem}.yml"));
                let output = run(promtool, words.iter().copied().chain([file.to_str().unwrap()]));
                let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{promtool}: {stem}: {said}");
            }
        }
    }
}

#[test]
fn every_alert_is_seen_to_wait_to_fire_and_to_resolve_and_to_be_silent_where_nothing_is() {
    let tests = STEMS.map(|stem| (stem, parse(&format!("prometheus/tests/{stem}.yml"))));
    for rule in alerts() {
        let (alert, place) = (rule.alert().unwrap(), rule.place());
        let tests = list(&tests.iter().find(|(stem, _)| *stem == rule.stem).unwrap().1["tests"]);
        // the same alert with another label is another alert: the windows of a budget of errors
        let same = |found: &&Value| {
            let labels = rule.json["labels"].as_object().unwrap();
            labels.iter().all(|(name, value)| found["exp_labels"][name] == *value)
        };
        let whole = tests.iter().any(|test| {
            let looks = looks(test, alert);
            let fires = |look: &Look<'_>| look.alerts.iter().any(|found| same(&found));
            let Some(first) = looks.iter().position(fires) else { return false };
            if alert == WATCHDOG {
                return looks.iter().all(fires);
            }
            first > 0 && looks[first..].iter().any(|look| !fires(look))
        });
        assert!(whole, "{place} ({}): no test in which it first waits, then fires, then resolves", rule.json["labels"]);
        let silent = tests.iter().any(|test| {
            let looks = looks(test, alert);
            !looks.is_empty()
                && looks.iter().all(|look| look.alerts.is_empty())
                && list(&test["input_series"]).is_empty()
        });
        let of_absence = rule.expr().contains("absent(") || alert == WATCHDOG;
        assert!(silent || of_absence, "{place}: no test in which what it looks at is not there");
    }
}

#[test]
fn what_alerts_say_is_tested_word_for_word() {
    for stem in STEMS {
        for test in list(&parse(&format!("prometheus/tests/{stem}.yml"))["tests"]) {
            for look in list(&test["alert_rule_test"]) {
                for found in list(&look["exp_alerts"]) {
                    let annotations = found["exp_annotations"].as_object().unwrap();
                    assert_eq!(annotations.len(), 4, "{stem}: {}", test["name"]);
                    let rendered = |value: &Value| !text(value).is_empty() && !text(value).contains("{{");
                    assert!(annotations.values().all(rendered), "{stem}: {}", test["name"]);
                }
            }
        }
    }
}

#[test]
fn what_is_recorded_is_tested_by_its_value() {
    for rule in rules() {
        let Some(record) = rule.record() else { continue };
        let tests = parse(&format!("prometheus/tests/{}.yml", rule.stem));
        let mut asked = list(&tests["tests"]).iter().flat_map(|test| list(&test["promql_expr_test"]));
        let names = |asked: &Value| {
            let expr = text(&asked["expr"]);
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            expr.split(|c| !word(c)).any(|found| found == record) && !list(&asked["exp_samples"]).is_empty()
        };
        assert!(asked.any(names), "{}: no test of its value", rule.place());
    }
}

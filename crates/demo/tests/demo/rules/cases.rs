//! prometheus/tests: promtool runs them, and every alert and record is covered.

use std::time::Duration;

use exporter_common::testing::{real, run};
use serde_json::Value;

use super::{STEMS, WATCHDOG, alerts, rules, test_files, tests};
use crate::dashboards::{list, repository, text};

/// One check of an alert in a promtool test.
struct Check<'a> {
    at: Duration,
    alerts: &'a [Value],
}

/// The checks of an alert in one test, ordered by time.
fn checks<'a>(test: &'a Value, alert: &str) -> Vec<Check<'a>> {
    let checks = list(&test["alert_rule_test"]).iter().filter(|check| check["alertname"] == alert);
    let mut checks: Vec<_> = checks
        .map(|check| Check { at: duration(text(&check["eval_time"])), alerts: list(&check["exp_alerts"]) })
        .collect();
    checks.sort_by_key(|check| check.at);
    checks
}

/// Parses a duration of Prometheus, for example `1h30m`.
fn duration(text: &str) -> Duration {
    let spaced: String = text.chars().flat_map(|c| [Some(c), c.is_alphabetic().then_some(' ')]).flatten().collect();
    humantime::parse_duration(spaced.trim()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Runs promtool with files of prometheus/.
fn assert_success(promtool: &str, subcommand: &[&str], files: impl Iterator<Item = String>) {
    let Some(promtool) = real(promtool) else { return };
    let files = files.map(|file| repository().join("prometheus").join(file).display().to_string());
    let arguments = subcommand.iter().map(|word| (*word).to_owned()).chain(files);
    let output = run(promtool.to_str().unwrap(), arguments);
    let message = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {message}", promtool.display());
}

fn assert_rules_and_tests_pass(promtool: &str) {
    let rules = STEMS.iter().map(|stem| format!("rules/{stem}.yml"));
    assert_success(promtool, &["check", "rules", "--lint=all", "--lint-fatal"], rules);
    let tests = STEMS.into_iter().flat_map(test_files).map(|file| format!("tests/{file}.yml"));
    assert_success(promtool, &["test", "rules"], tests);
}

#[test]
fn rules_and_their_tests_pass_in_promtool_2() {
    assert_rules_and_tests_pass("promtool");
}

#[test]
fn rules_and_their_tests_pass_in_promtool_3() {
    assert_rules_and_tests_pass("promtool-3");
}

#[test]
fn every_alert_is_tested_pending_firing_resolved_and_without_series() {
    let all = STEMS.map(|stem| (stem, tests(stem)));
    for rule in alerts() {
        let (alert, location) = (rule.alert().unwrap(), rule.location());
        let (_, tests) = all.iter().find(|(stem, _)| *stem == rule.stem).unwrap();
        // Alerts of one name may differ in labels, such as the windows of an error budget.
        let same = |found: &&Value| {
            let labels = rule.json["labels"].as_object().unwrap();
            labels.iter().all(|(name, value)| found["exp_labels"][name] == *value)
        };
        let complete = tests.iter().any(|test| {
            let checks = checks(test, alert);
            let fires = |check: &Check<'_>| check.alerts.iter().any(|found| same(&found));
            let Some(first) = checks.iter().position(fires) else { return false };
            if alert == WATCHDOG {
                return checks.iter().all(fires);
            }
            first > 0 && checks[first..].iter().any(|check| !fires(check))
        });
        assert!(
            complete,
            "{location} ({}): no test in which it is inactive, then fires, then resolves",
            rule.json["labels"]
        );
        let silent = tests.iter().any(|test| {
            let checks = checks(test, alert);
            !checks.is_empty()
                && checks.iter().all(|check| check.alerts.is_empty())
                && list(&test["input_series"]).is_empty()
        });
        let of_absence = rule.expr().contains("absent(") || alert == WATCHDOG;
        assert!(silent || of_absence, "{location}: no test without series");
    }
}

#[test]
fn every_annotation_is_tested_with_its_rendered_text() {
    for stem in STEMS {
        for test in tests(stem) {
            for check in list(&test["alert_rule_test"]) {
                for found in list(&check["exp_alerts"]) {
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
fn every_recorded_metric_has_a_test_of_its_value() {
    for rule in rules() {
        let Some(record) = rule.record() else { continue };
        let tests = tests(rule.stem);
        let mut expressions = tests.iter().flat_map(|test| list(&test["promql_expr_test"]));
        let uses_record = |test: &Value| {
            let expr = text(&test["expr"]);
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            expr.split(|c| !word(c)).any(|found| found == record) && !list(&test["exp_samples"]).is_empty()
        };
        assert!(expressions.any(uses_record), "{}: no test of its value", rule.location());
    }
}

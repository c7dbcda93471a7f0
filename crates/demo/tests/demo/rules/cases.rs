//! prometheus/tests: promtool runs them, and every alert and record is covered.

use std::time::Duration;

use exporter_common::testing::{real, run};
use serde_json::Value;

use super::{STEMS, WATCHDOG, alerts, parse, rules};
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

#[test]
fn rules_and_their_tests_pass_in_promtool_2_and_3() {
    for promtool in ["promtool", "promtool-3"] {
        let Some(promtool) = real(promtool) else { continue };
        let promtool = promtool.to_str().unwrap();
        for stem in STEMS {
            for (subcommand, folder) in
                [(&["check", "rules", "--lint=all", "--lint-fatal"][..], "rules"), (&["test", "rules"], "tests")]
            {
                let file = repository().join("prometheus").join(folder).join(format!("{stem}.yml"));
                let output = run(promtool, subcommand.iter().copied().chain([file.to_str().unwrap()]));
                let message = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{promtool}: {stem}: {message}");
            }
        }
    }
}

#[test]
fn every_alert_is_tested_pending_firing_resolved_and_without_series() {
    let tests = STEMS.map(|stem| (stem, parse(&format!("prometheus/tests/{stem}.yml"))));
    for rule in alerts() {
        let (alert, location) = (rule.alert().unwrap(), rule.location());
        let tests = list(&tests.iter().find(|(stem, _)| *stem == rule.stem).unwrap().1["tests"]);
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
        for test in list(&parse(&format!("prometheus/tests/{stem}.yml"))["tests"]) {
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
        let tests = parse(&format!("prometheus/tests/{}.yml", rule.stem));
        let mut expressions = list(&tests["tests"]).iter().flat_map(|test| list(&test["promql_expr_test"]));
        let uses_record = |test: &Value| {
            let expr = text(&test["expr"]);
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            expr.split(|c| !word(c)).any(|found| found == record) && !list(&test["exp_samples"]).is_empty()
        };
        assert!(expressions.any(uses_record), "{}: no test of its value", rule.location());
    }
}

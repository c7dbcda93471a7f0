//! Expressions of rules: their metrics and labels exist, and dashboards and alerts have equal limits.

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr, token};
use regex::Regex;
use serde_json::Value;

use super::{Rule, alerts, rules};
use crate::dashboards::queries::{Catalogue, Metric, TARGET_LABELS, known, names, result_labels, selectors};
use crate::dashboards::{dashboards, list, runbook, text};

/// Target labels.
const TARGET: [&str; 2] = ["job", "instance"];

/// Calls `check` with every rule, its parsed expression, and the catalogue including earlier records.
fn each_expression(mut check: impl FnMut(&Rule, &Expr, &Catalogue)) {
    let mut catalogue = known();
    for rule in rules() {
        let expr = parser::parse(rule.expr()).unwrap_or_else(|error| panic!("{}: {error}", rule.location()));
        if let Some(record) = rule.record() {
            // a record may refer to its own earlier values
            let labels = TARGET_LABELS.map(str::to_owned).into();
            catalogue.insert(record.to_owned(), Metric { kind: "gauge".to_owned(), labels });
        }
        check(&rule, &expr, &catalogue);
        if let Some(record) = rule.record() {
            let labels = result_labels(&expr, &catalogue);
            catalogue.insert(record.to_owned(), Metric { kind: "gauge".to_owned(), labels });
        }
    }
}

#[test]
fn every_rule_uses_existing_metrics_and_labels() {
    each_expression(|rule, expr, catalogue| {
        let location = rule.location();
        for selector in selectors(expr) {
            let names = names(selector.vector, catalogue);
            assert!(!names.is_empty(), "{location}: no metric {}", selector.vector);
            let has = |label: &str| names.iter().all(|name| catalogue[*name].labels.contains(label));
            for matcher in &selector.vector.matchers.matchers {
                assert!(has(&matcher.name), "{location}: {} has no label {}", selector.vector, matcher.name);
            }
            for parent in &selector.parents {
                if let Expr::Aggregate(aggregate) = parent {
                    for label in aggregate.modifier.iter().flat_map(|modifier| &modifier.labels().labels) {
                        let one = names.iter().any(|name| catalogue[*name].labels.contains(label));
                        let hot = rule.alert() == Some("CpuHot") && label == "core"; // a package has no label core
                        assert!(one || hot, "{location}: {} has no label {label} to group by", selector.vector);
                    }
                }
            }
        }
    });
}

#[test]
fn every_label_in_an_annotation_is_a_label_of_the_alert() {
    let label = Regex::new(r"\$labels\.(\w+)").unwrap();
    each_expression(|rule, expr, catalogue| {
        let Some(annotations) = rule.json["annotations"].as_object() else { return };
        let mut labels = result_labels(expr, catalogue);
        labels.extend(rule.json["labels"].as_object().unwrap().keys().cloned());
        for text in annotations.values().map(text) {
            for found in label.captures_iter(text) {
                let of_absent = rule.expr().contains("absent(") && TARGET.contains(&&found[1]);
                assert!(labels.contains(&found[1]) || of_absent, "{}: no label {}", rule.location(), &found[1]);
            }
        }
    });
}

/// Two expressions for saturation would diverge.
#[test]
fn the_stat_of_saturation_has_the_record_of_its_alert() {
    let catalogue = known();
    let metrics = |query: &str| {
        let expr = parser::parse(query).unwrap();
        let found = selectors(&expr).into_iter().flat_map(|found| names(found.vector, &catalogue));
        found.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let dashboards = dashboards();
    let panels = dashboards.iter().flat_map(|dashboard| dashboard.panels());
    let stats = panels.filter(|panel| panel.json["type"] == "stat" && linked(panel.json).contains("CpuSaturated"));
    let shown: Vec<_> = stats.map(|panel| metrics(text(&panel.json["targets"][0]["expr"]))).collect();
    let alert = alerts().into_iter().find(|rule| rule.alert() == Some("CpuSaturated")).unwrap();
    assert_eq!(shown, [metrics(alert.expr())]);
}

/// The value of a number or a product of numbers.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(paren) => number(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == token::T_MUL => Some(number(&binary.lhs)? * number(&binary.rhs)?),
        _ => None,
    }
}

/// The limits that an alert compares with.
fn limits(expr: &Expr) -> Vec<f64> {
    match expr {
        Expr::Binary(binary) => match number(&binary.rhs) {
            Some(limit) if binary.op.is_comparison_operator() => vec![limit],
            _ => [limits(&binary.lhs), limits(&binary.rhs)].concat(),
        },
        Expr::Paren(paren) => limits(&paren.expr),
        _ => Vec::new(),
    }
}

/// The color of a limit for the severity of its alert.
fn color(severity: &str) -> &str {
    match severity {
        "critical" => "red",
        "warning" => "orange",
        _ => "yellow",
    }
}

/// The alerts whose runbooks a panel links to.
fn linked(panel: &Value) -> BTreeSet<String> {
    let links = list(&panel["fieldConfig"]["defaults"]["links"])
        .iter()
        .filter_map(|link| runbook(text(&link["url"])).map(str::to_owned));
    links.filter(|alert| !alert.starts_with("${")).collect()
}

#[test]
fn every_limit_of_a_panel_equals_the_limit_of_a_linked_alert() {
    let alerts = alerts();
    let mut compared = 0;
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let steps = &list(&panel.json["fieldConfig"]["defaults"]["thresholds"]["steps"])[1..];
            let linked = linked(panel.json);
            for alert in &linked {
                assert!(alerts.iter().any(|rule| rule.alert() == Some(alert)), "{}: no alert {alert}", panel.location);
            }
            for step in steps {
                let limit = step["value"].as_f64().unwrap();
                let is_state = steps.len() == 1 && limit == 1.0;
                if is_state && panel.json["fieldConfig"]["defaults"]["unit"] == "short" {
                    continue; // a yes-or-no value
                }
                let same = |rule: &&Rule| {
                    let expr = parser::parse(rule.expr()).unwrap();
                    linked.contains(rule.alert().unwrap())
                        && color(text(&rule.json["labels"]["severity"])) == text(&step["color"])
                        && limits(&expr).iter().any(|own| (own - limit).abs() < 1e-9)
                };
                assert!(
                    alerts.iter().any(|rule| same(&rule)),
                    "{}: {step} is not a limit of {linked:?}",
                    panel.location
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared}");
}

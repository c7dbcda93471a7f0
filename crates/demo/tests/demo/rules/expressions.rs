//! What rules ask for: metrics and labels that there are, rates of counters; and the limits that dashboards show.

use std::collections::BTreeSet;

use promql_parser::parser::{self, Expr, token};
use regex::Regex;
use serde_json::Value;

use super::{Rule, alerts, rules};
use crate::dashboards::queries::{Catalogue, Metric, known, names, result_labels, selectors};
use crate::dashboards::{dashboards, list, text};

/// Labels that a target has by the configuration of Prometheus.
const TARGET: [&str; 2] = ["job", "instance"];

/// Every rule as an expression, with what was recorded before it in the catalogue.
fn each_expression(mut check: impl FnMut(&Rule, &Expr, &Catalogue)) {
    let mut catalogue = known();
    for rule in rules() {
        let expr = parser::parse(rule.expr()).unwrap_or_else(|error| panic!("{}: {error}", rule.place()));
        check(&rule, &expr, &catalogue);
        if let Some(record) = rule.record() {
            let labels = result_labels(&expr, &catalogue);
            catalogue.insert(record.to_owned(), Metric { kind: "gauge".to_owned(), labels });
        }
    }
}

#[test]
fn every_rule_asks_for_metrics_and_labels_that_the_exporters_have() {
    each_expression(|rule, expr, catalogue| {
        let place = rule.place();
        for selector in selectors(expr) {
            let names = names(selector.vector, catalogue);
            assert!(!names.is_empty(), "{place}: no metric {}", selector.vector);
            let has = |label: &str| names.iter().all(|name| catalogue[*name].labels.contains(label));
            for matcher in &selector.vector.matchers.matchers {
                assert!(has(&matcher.name), "{place}: {} has no label {}", selector.vector, matcher.name);
            }
            for around in &selector.around {
                if let Expr::Aggregate(aggregate) = around {
                    for label in aggregate.modifier.iter().flat_map(|modifier| &modifier.labels().labels) {
                        let one = names.iter().any(|name| catalogue[*name].labels.contains(label));
                        let hot = rule.alert() == Some("CpuHot") && label == "core"; // a package has no cores
                        assert!(one || hot, "{place}: {} has no label {label} to group by", selector.vector);
                    }
                }
            }
        }
    });
}

#[test]
fn rates_are_of_counters_and_trends_are_not() {
    each_expression(|rule, expr, catalogue| {
        for selector in selectors(expr) {
            let function = selector.around.iter().rev().find_map(|expr| match expr {
                Expr::Call(call) => Some(call.func.name),
                _ => None,
            });
            let counter = names(selector.vector, catalogue).iter().all(|name| catalogue[*name].kind == "counter");
            match function {
                Some("rate" | "increase") => {
                    assert!(counter, "{}: the rate of a gauge: {}", rule.place(), selector.vector)
                }
                Some("delta" | "deriv" | "resets" | "changes") => {
                    assert!(!counter, "{}: the trend of a counter: {}", rule.place(), selector.vector);
                }
                _ => assert!(!counter, "{}: a counter by itself: {}", rule.place(), selector.vector),
            }
        }
    });
}

#[test]
fn every_label_that_an_alert_speaks_of_is_one_of_its_own() {
    let spoken = Regex::new(r"\$labels\.(\w+)").unwrap();
    each_expression(|rule, expr, catalogue| {
        let Some(annotations) = rule.json["annotations"].as_object() else { return };
        let mut labels = result_labels(expr, catalogue);
        labels.extend(rule.json["labels"].as_object().unwrap().keys().cloned());
        for text in annotations.values().map(text) {
            for found in spoken.captures_iter(text) {
                let of_absent = rule.expr().contains("absent(") && TARGET.contains(&&found[1]);
                assert!(labels.contains(&found[1]) || of_absent, "{}: no label {}", rule.place(), &found[1]);
            }
        }
    });
}

#[test]
fn names_of_records_tell_level_metric_and_operation() {
    let shape = Regex::new(r"^(job|instance|source|queue):[a-z0-9_]+:[a-z0-9_]+$").unwrap();
    for rule in rules() {
        if let Some(record) = rule.record() {
            assert!(shape.is_match(record), "{}", rule.place());
        }
    }
}

/// A number that is written in an expression, products of numbers included.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(paren) => number(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == token::T_MUL => Some(number(&binary.lhs)? * number(&binary.rhs)?),
        _ => None,
    }
}

/// What an alert compares with.
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

/// The colour of a limit: how grave the alert is that fires beyond it.
fn colour(severity: &str) -> &str {
    match severity {
        "critical" => "red",
        "warning" => "orange",
        _ => "yellow",
    }
}

/// The alerts that a panel leads to the runbooks of.
fn linked(panel: &Value) -> BTreeSet<String> {
    let links = list(&panel["fieldConfig"]["defaults"]["links"]).iter().filter_map(|link| {
        let page = text(&link["url"]).strip_prefix("/public/runbooks/")?;
        page.strip_suffix(".md").map(str::to_owned)
    });
    links.filter(|alert| !alert.starts_with("${")).collect()
}

#[test]
fn every_limit_of_a_panel_is_that_of_an_alert_whose_runbook_it_leads_to() {
    let alerts = alerts();
    let mut compared = 0;
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            let steps = &list(&panel.json["fieldConfig"]["defaults"]["thresholds"]["steps"])[1..];
            let linked = linked(panel.json);
            for alert in &linked {
                assert!(alerts.iter().any(|rule| rule.alert() == Some(alert)), "{}: no alert {alert}", panel.place);
            }
            for step in steps {
                let limit = step["value"].as_f64().unwrap();
                let state = steps.len() == 1 && limit == 1.0;
                if state && panel.json["fieldConfig"]["defaults"]["unit"] == "short" {
                    continue; // it is so, or it is not
                }
                let same = |rule: &&Rule| {
                    let expr = parser::parse(rule.expr()).unwrap();
                    linked.contains(rule.alert().unwrap())
                        && colour(text(&rule.json["labels"]["severity"])) == text(&step["color"])
                        && limits(&expr).iter().any(|own| (own - limit).abs() < 1e-9)
                };
                assert!(alerts.iter().any(|rule| same(&rule)), "{}: {step} is no limit of {linked:?}", panel.place);
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared}");
}

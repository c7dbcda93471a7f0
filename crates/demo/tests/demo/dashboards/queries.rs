//! Compares the queries of the dashboards with the exported metrics and labels.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector, token};
use regex::Regex;

use super::{Panel, dashboards, list, repository, text};
use crate::DEMO;

/// Replaces `$__rate_interval` when a query is parsed.
const RATE_INTERVAL: Duration = Duration::from_secs(4321);

/// The labels that targets have by the configuration of Prometheus or of the Prometheus Operator.
pub(crate) const TARGET_LABELS: [&str; 9] =
    ["job", "instance", "cluster", "namespace", "service", "pod", "node", "container", "endpoint"];

/// Metrics of other programs: name, type, labels.
const FOREIGN: &[(&str, &str, &[&str])] = &[
    ("up", "gauge", &[]),
    ("instance:exporter_up:known", "gauge", &[]),
    (
        "ALERTS",
        "gauge",
        &[
            "alarm",
            "alertmanager",
            "alertname",
            "alertstate",
            "cgroup",
            "collector",
            "component",
            "integration",
            "queue_name",
            "resource",
            "rule_group",
            "severity",
            "source",
        ],
    ),
    ("scrape_duration_seconds", "gauge", &[]),
    ("scrape_samples_scraped", "gauge", &[]),
    ("node_cpu_seconds_total", "counter", &["cpu", "mode"]),
    ("requests_total", "counter", &["http_code"]),
    ("rate_requests", "gauge", &[]),
    ("prometheus_rule_evaluation_failures_total", "counter", &["rule_group"]),
    ("prometheus_rule_group_iterations_missed_total", "counter", &["rule_group"]),
    ("prometheus_rule_group_last_duration_seconds", "gauge", &["rule_group"]),
    ("prometheus_rule_group_interval_seconds", "gauge", &["rule_group"]),
    ("prometheus_notifications_errors_total", "counter", &["alertmanager"]),
    ("prometheus_notifications_alertmanagers_discovered", "gauge", &[]),
    ("prometheus_config_last_reload_successful", "gauge", &[]),
    ("alertmanager_notifications_failed_total", "counter", &["integration", "reason"]),
    ("alertmanager_config_last_reload_successful", "gauge", &[]),
    // recorded by prometheus/rules
    ("instance:cpu_exporter_cpu_saturation:rate5m", "gauge", &[]),
    ("queue:dead_letters:increase15m", "gauge", &["queue_name"]),
    ("queue:messages_failed_per_messages_processed:ratio_rate5m", "gauge", &["queue_name"]),
    ("queue:messages_processed:rate5m", "gauge", &["queue_name"]),
    ("queue:queue_depth:drain_seconds", "gauge", &["queue_name"]),
    ("queue:queue_depth:work", "gauge", &["queue_name"]),
];

/// Exported metrics that are missing in the golden files.
const NOT_IN_GOLDEN_FILES: &[(&str, &str, &[&str])] = &[
    ("cpu_exporter_processes_cpu_seconds_total", "counter", &["name"]),
    ("httpd_bytes_received_total", "counter", &["method", "status_code"]),
    ("httpd_requests_by_cache_status_total", "counter", &["cache_status"]),
    ("httpd_requests_overflowed_total", "counter", &[]),
    ("httpd_upstream_connect_duration_seconds", "histogram", &[]),
    ("httpd_upstream_header_duration_seconds", "histogram", &[]),
    ("httpd_upstream_response_duration_seconds", "histogram", &[]),
    ("exporter_config_last_reload_successful", "gauge", &[]),
    ("exporter_config_last_reload_success_timestamp_seconds", "gauge", &[]),
    ("exporter_tls_certificate_expiry_timestamp_seconds", "gauge", &[]),
];

/// Exported metrics that no dashboard shows, and the reason.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("cpu_exporter_cgroups_cpu_limit_cores", "a setting; throttled periods show its effect"),
    ("cpu_exporter_cgroups_cpu_throttled_seconds_total", "throttled periods are shown"),
    ("cpu_exporter_cgroups_pressure_cpu_stalled_seconds_total", "waiting tasks are shown"),
    ("cpu_exporter_cpu_isolated", "a setting"),
    ("cpu_exporter_cpu_online", "the number of CPUs online is shown"),
    ("cpu_exporter_cpuidle_entries_total", "the time in idle states is shown"),
    ("cpu_exporter_interrupts_total", "one series for each interrupt; their sum is shown"),
    ("cpu_exporter_schedstat_running_seconds_total", "the CPU usage is shown"),
    ("cpu_exporter_softirqs_functions_total", "one series for each CPU; the sums by vector are shown"),
    ("exporter_connections_evicted_total", "the log has the reason"),
    ("exporter_log_lines_dropped_total", "0 unless the reader of the log hangs"),
    ("exporter_tls_certificate_expiry_timestamp_seconds", "reported by a rule a week before"),
    ("exporter_scrapes_refused_total", "the metric up of Prometheus shows failed scrapes"),
    ("queue_partitions", "a setting"),
    ("queue_partitions_under_replicated", "missing replicas are shown"),
    ("httpd_log_lost_bytes_total", "anything but 0 is reported by a rule"),
    ("exporter_duplicate_series_total", "anything but 0 is a bug, reported by a rule"),
    ("process_max_fds", "a constant limit"),
    ("process_open_fds", "few"),
    ("process_virtual_memory_bytes", "resident memory is more useful"),
    ("process_virtual_memory_max_bytes", "a constant limit"),
    ("promhttp_metric_handler_requests_in_flight", "at most --web.max-requests, which is 40"),
    ("promhttp_metric_handler_requests_total", "the metric up of Prometheus shows failed scrapes"),
    ("queue_exporter_event_gaps_total", "only for BullMQ, to explain inconsistent counters"),
];

/// Type and labels of a metric.
#[derive(Default)]
pub(crate) struct Metric {
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
}

pub(crate) type Catalogue = BTreeMap<String, Metric>;

/// The exported metrics: from the golden files, plus the process metrics of a running exporter.
fn exported() -> Catalogue {
    let mut catalogue = Catalogue::new();
    let crates = std::fs::read_dir(repository().join("crates")).unwrap();
    for folder in crates.map(|entry| entry.unwrap().path().join("tests")).filter(|path| path.is_dir()) {
        golden(&folder, &mut catalogue);
    }
    // Collectors may fail on this host; the process metrics are exported anyway.
    let once = Command::new(DEMO).arg0("cpu-exporter").arg("--once").output().unwrap();
    add_exposition(&String::from_utf8(once.stdout).unwrap(), &mut catalogue);
    let histograms: Vec<_> =
        catalogue.keys().filter_map(|name| name.strip_suffix("_bucket")).map(str::to_owned).collect();
    catalogue.retain(|name, _| !histograms.contains(name));
    assert!(catalogue.len() > 50, "{:?}", catalogue.keys());
    catalogue
}

fn golden(folder: &Path, catalogue: &mut Catalogue) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Metrics of user-defined mappings are on no dashboard.
            if !path.ends_with("mappings") {
                golden(&path, catalogue);
            }
        } else if path.extension().is_some_and(|extension| extension == "prom" || extension == "txt")
            && let Ok(text) = std::fs::read_to_string(&path)
            && text.starts_with("# HELP")
        {
            add_exposition(&text, catalogue);
        }
    }
}

/// Adds the metrics of an exposition.
fn add_exposition(exposition: &str, catalogue: &mut Catalogue) {
    let label = Regex::new(r#"[{,]([a-z_]+)=""#).unwrap();
    let announced = Regex::new(r#"^queue_exporter_metric_origin\{metric="(\w+)""#).unwrap();
    for line in exposition.lines() {
        if let Some(found) = announced.captures(line) {
            // Another queue system exports this metric.
            let metric = catalogue.entry(found[1].to_owned()).or_default();
            if metric.kind.is_empty() {
                metric.kind = if found[1].ends_with("_total") { "counter" } else { "gauge" }.to_owned();
                metric.labels.insert("queue_name".to_owned());
            }
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let parts: &[(&str, &str)] = match kind {
                "histogram" => &[("_bucket", "counter"), ("_sum", "counter"), ("_count", "counter")],
                other => &[("", other)],
            };
            for (suffix, kind) in parts {
                catalogue.entry(format!("{name}{suffix}")).or_default().kind = (*kind).to_owned();
            }
        } else if !line.starts_with('#')
            && let Some(metric) = catalogue.get_mut(line.split(['{', ' ']).next().unwrap_or_default())
        {
            metric.labels.extend(label.captures_iter(line).map(|found| found[1].to_owned()));
        }
    }
}

/// Every metric that a query may use.
pub(crate) fn known() -> Catalogue {
    let mut catalogue = exported();
    for (name, kind, labels) in FOREIGN.iter().chain(NOT_IN_GOLDEN_FILES) {
        let mut labels: BTreeSet<_> = labels.iter().map(|label| (*label).to_owned()).collect();
        if *kind == "histogram" {
            labels.insert("le".to_owned());
            catalogue.insert(format!("{name}_bucket"), Metric { kind: "counter".to_owned(), labels });
        } else {
            catalogue.insert((*name).to_owned(), Metric { kind: (*kind).to_owned(), labels });
        }
    }
    for metric in catalogue.values_mut() {
        metric.labels.extend(TARGET_LABELS.map(str::to_owned));
        if metric.labels.contains("queue_name") {
            metric.labels.extend(["scope", "vhost"].map(str::to_owned)); // some queue systems have these
        }
    }
    for (name, metric) in &mut catalogue {
        // golden files leave these out
        let labels: &[&str] = match name.as_str() {
            "httpd_requests_total" | "httpd_request_duration_seconds_bucket" => &["route", "vhost"],
            "httpd_request_duration_seconds_count" => &["route", "vhost"],
            name if name.ends_with("_build_info") => &["version", "revision", "rustc"],
            _ => &[],
        };
        metric.labels.extend(labels.iter().map(|label| (*label).to_owned()));
    }
    for name in ["exporter_scrape_duration_seconds", "exporter_last_success_timestamp_seconds"] {
        catalogue.get_mut(name).unwrap().labels.insert("collector".to_owned()); // golden files omit these values
    }
    catalogue
}

/// Parses a query, with variables replaced by recognizable values.
fn parse(location: &str, query: &str) -> Expr {
    let text = query.replace("$__rate_interval", &format!("{}s", RATE_INTERVAL.as_secs()));
    let text = ["job", "instance", "queue"]
        .iter()
        .fold(text, |text, name| text.replace(&format!("\"${name}\""), &format!("\"{name}-variable\"")));
    parser::parse(&text).unwrap_or_else(|error| panic!("{location}: {error}\n{query}"))
}

/// A selector and the expressions that contain it, outermost first.
pub(crate) struct Selector<'a> {
    pub(crate) vector: &'a VectorSelector,
    pub(crate) parents: Vec<&'a Expr>,
}

pub(crate) fn selectors(expr: &Expr) -> Vec<Selector<'_>> {
    fn walk<'a>(expr: &'a Expr, parents: &mut Vec<&'a Expr>, found: &mut Vec<Selector<'a>>) {
        parents.push(expr);
        match expr {
            Expr::VectorSelector(vector) => found.push(Selector { vector, parents: parents.clone() }),
            Expr::MatrixSelector(matrix) => {
                found.push(Selector { vector: &matrix.vs, parents: parents.clone() });
            }
            Expr::Aggregate(aggregate) => walk(&aggregate.expr, parents, found),
            Expr::Unary(unary) => walk(&unary.expr, parents, found),
            Expr::Paren(paren) => walk(&paren.expr, parents, found),
            Expr::Subquery(subquery) => walk(&subquery.expr, parents, found),
            Expr::Binary(binary) => [&binary.lhs, &binary.rhs].into_iter().for_each(|side| walk(side, parents, found)),
            Expr::Call(call) => call.args.args.iter().for_each(|argument| walk(argument, parents, found)),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
        parents.pop();
    }
    let mut found = Vec::new();
    walk(expr, &mut Vec::new(), &mut found);
    found
}

/// The metrics that a selector matches.
pub(crate) fn names<'a>(vector: &VectorSelector, catalogue: &'a Catalogue) -> Vec<&'a str> {
    let matches = |name: &str| match &vector.name {
        Some(own) => name == own,
        None => vector.matchers.find_matchers("__name__").iter().all(|matcher| matcher.is_match(name)),
    };
    catalogue.keys().map(String::as_str).filter(|name| matches(name)).collect()
}

/// The labels that a result may have: those it is grouped by, otherwise all labels of its metrics.
pub(crate) fn result_labels(expr: &Expr, catalogue: &Catalogue) -> BTreeSet<String> {
    if let Expr::Aggregate(aggregate) = expr
        && [token::T_TOPK, token::T_BOTTOMK].contains(&aggregate.op.id())
    {
        return result_labels(&aggregate.expr, catalogue);
    }
    if let Expr::Aggregate(aggregate) = expr
        && !matches!(&aggregate.modifier, Some(LabelModifier::Exclude(_)))
    {
        let by = aggregate.modifier.iter().flat_map(|modifier| &modifier.labels().labels);
        return by.cloned().collect();
    }
    if let Expr::Call(call) = expr
        && call.func.name == "histogram_quantile"
    {
        return result_labels(&call.args.args[1], catalogue);
    }
    if let Expr::Binary(binary) = expr {
        if binary.op.id() == token::T_LOR {
            return [&binary.lhs, &binary.rhs].into_iter().flat_map(|side| result_labels(side, catalogue)).collect();
        }
        let scalar = selectors(&binary.lhs).is_empty();
        return result_labels(if scalar { &binary.rhs } else { &binary.lhs }, catalogue);
    }
    let metrics = selectors(expr).into_iter().flat_map(|selector| names(selector.vector, catalogue));
    metrics.flat_map(|name| catalogue[name].labels.clone()).collect()
}

/// Calls `check` with every query of every panel and its legend.
fn each_query(mut check: impl FnMut(&Panel<'_>, &str, &str)) {
    for dashboard in dashboards() {
        for panel in dashboard.panels() {
            for target in list(&panel.json["targets"]) {
                check(&panel, text(&target["expr"]), text(&target["legendFormat"]));
            }
        }
    }
}

/// An expression and all expressions inside it.
fn subexpressions(expr: &Expr) -> Vec<&Expr> {
    let inside: Vec<&Expr> = match expr {
        Expr::Aggregate(aggregate) => vec![&aggregate.expr],
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Call(call) => call.args.args.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    std::iter::once(expr).chain(inside.into_iter().flat_map(subexpressions)).collect()
}

/// Whether an expression filters by a comparison with 0 using one of the operators.
fn filters_by_zero(expr: &Expr, operators: &[token::TokenId]) -> bool {
    match expr {
        Expr::Paren(paren) => filters_by_zero(&paren.expr, operators),
        Expr::Binary(binary) => {
            let zero = matches!(binary.rhs.as_ref(), Expr::NumberLiteral(number) if number.val == 0.0);
            zero && !binary.return_bool() && operators.contains(&binary.op.id())
        }
        _ => false,
    }
}

fn is_variable(matcher: Option<&Matcher>, name: &str) -> bool {
    // alerts on a service have the instance all or none, whichever instances are selected
    let values = [format!("{name}-variable"), format!("${name}|all|none")];
    matcher.is_some_and(|matcher| matches!(matcher.op, MatchOp::Re(_)) && values.contains(&matcher.value))
}

#[test]
fn metrics_missing_in_golden_files_are_in_the_source_code() {
    fn sources(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => sources(&path, text),
                false => *text += &std::fs::read_to_string(&path).unwrap(),
            }
        }
    }
    let mut text = String::new();
    for exporter in ["cpu-exporter", "httpd-log-exporter", "exporter-common"] {
        sources(&repository().join("crates").join(exporter).join("src"), &mut text);
    }
    for (name, ..) in NOT_IN_GOLDEN_FILES {
        assert!(text.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn every_selector_matches_an_exported_metric_and_the_selected_jobs_and_instances() {
    let catalogue = known();
    each_query(|panel, query, _| {
        let location = &panel.location;
        for Selector { vector, .. } in selectors(&parse(location, query)) {
            let names = names(vector, &catalogue);
            assert!(!names.is_empty(), "{location}: no metric {vector}");
            for variable in ["job", "instance"] {
                let matcher = vector.matchers.find_matchers(variable);
                assert!(is_variable(matcher.first(), variable), "{location}: no matcher for ${variable}: {vector}");
            }
            for matcher in &vector.matchers.matchers {
                let has = |name: &&str| matcher.name == "__name__" || catalogue[*name].labels.contains(&matcher.name);
                assert!(names.iter().all(has), "{location}: {vector} has no label {}", matcher.name);
            }
        }
    });
}

#[test]
fn ratios_without_activity_are_absent_instead_of_nan() {
    each_query(|panel, query, _| {
        let location = &panel.location;
        let expr = parse(location, query);
        let parts = subexpressions(&expr);
        let is_filtered = |part: &Expr| {
            parts.iter().any(|parent| {
                matches!(parent, Expr::Binary(binary) if std::ptr::eq(binary.lhs.as_ref(), part))
                    && filters_by_zero(parent, &[token::T_GTR, token::T_GTE])
            })
        };
        for part in &parts {
            match part {
                Expr::Binary(binary) if binary.op.id() == token::T_DIV => {
                    let never_zero = match binary.rhs.as_ref() {
                        Expr::NumberLiteral(_) => true,
                        Expr::Aggregate(aggregate) => aggregate.op.id() == token::T_COUNT,
                        other => filters_by_zero(other, &[token::T_GTR]),
                    };
                    assert!(never_zero, "{location}: the divisor may be 0: {query}");
                }
                Expr::Call(call) if call.func.name == "histogram_quantile" => {
                    assert!(is_filtered(part), "{location}: a quantile without observations is NaN: {query}");
                }
                Expr::VectorSelector(vector) => {
                    let is_ratio = vector.name.as_ref().is_some_and(|name| name.contains(":ratio"));
                    assert!(!is_ratio || is_filtered(part), "{location}: a ratio without events is NaN: {query}");
                }
                _ => {}
            }
        }
    });
}

#[test]
fn the_table_of_alerts_has_a_column_for_each_label_in_their_summaries() {
    let label = Regex::new(r"\$labels\.(\w+)").unwrap();
    let of = |stem: &str| {
        let rules = std::fs::read_to_string(repository().join(format!("prometheus/rules/{stem}.yml"))).unwrap();
        let summaries = rules.lines().filter(|line| line.trim_start().starts_with("summary:"));
        let labels = summaries.flat_map(|line| label.captures_iter(line).map(|found| found[1].to_owned()));
        labels.collect::<BTreeSet<_>>()
    };
    for dashboard in dashboards() {
        let everything = ["app-status", "cpu", "httpd-log", "monitoring", "queue"];
        let mut labels = of("exporters");
        match dashboard.stem {
            "overview" => labels.extend(everything.into_iter().flat_map(of)),
            stem => labels.extend(of(stem)),
        }
        let panels = dashboard.panels();
        let table = panels.iter().find(|panel| panel.json["title"] == "Firing alerts").unwrap();
        let shown = result_labels(&parse(&table.location, text(&table.json["targets"][0]["expr"])), &known());
        let missing: Vec<_> = labels.difference(&shown).collect();
        assert!(missing.is_empty(), "{}: no column for {missing:?}", table.location);
        let options = &table.json["transformations"][0]["options"];
        for label in shown {
            let named = ["renameByName", "indexByName"].iter().all(|key| options[*key].get(&label).is_some());
            assert!(named, "{}: the column {label} has no name or no position", table.location);
        }
    }
}

#[test]
fn legends_and_groupings_use_existing_labels() {
    let catalogue = known();
    let named = Regex::new(r"\{\{(\w+)\}\}").unwrap();
    let created = Regex::new(r#"label_replace\(.*?, "(\w+)","#).unwrap();
    each_query(|panel, query, legend| {
        let location = &panel.location;
        let expr = parse(location, query);
        let mut labels = result_labels(&expr, &catalogue);
        labels.extend(created.captures_iter(query).map(|found| found[1].to_owned()));
        for label in named.captures_iter(legend).map(|found| found[1].to_owned()) {
            assert!(labels.contains(&label), "{location}: no label {label} in the legend of {query}");
        }
        for selector in selectors(&expr) {
            let of_metric: BTreeSet<_> =
                names(selector.vector, &catalogue).iter().flat_map(|name| catalogue[*name].labels.clone()).collect();
            let groups = selector.parents.iter().filter_map(|expr| match expr {
                Expr::Aggregate(aggregate) => aggregate.modifier.as_ref(),
                _ => None,
            });
            for label in groups.flat_map(|modifier| &modifier.labels().labels) {
                let has = of_metric.contains(label) || labels.contains(label);
                assert!(has, "{location}: no label {label} to group by: {query}");
            }
        }
    });
}

#[test]
fn every_exported_metric_is_on_a_dashboard_or_has_a_reason_not_to_be() {
    let catalogue = known();
    let mut shown = BTreeSet::new();
    each_query(|panel, query, _| {
        let expr = parse(&panel.location, query);
        for selector in selectors(&expr) {
            shown.extend(names(selector.vector, &catalogue).into_iter().map(str::to_owned));
        }
    });
    let hidden: BTreeSet<_> = NOT_SHOWN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let programs = ["hello_exporter", "drill_exporter"]; // examples of the library
    let exported = exported();
    let missing: Vec<_> = exported
        .keys()
        .filter(|name| !programs.iter().any(|program| name.starts_with(program)))
        .filter(|name| !shown.contains(*name) && !hidden.contains(*name))
        .collect();
    assert!(missing.is_empty(), "missing on all dashboards: {missing:?}");
    let both: Vec<_> = hidden.intersection(&shown).collect();
    assert!(both.is_empty(), "listed as not shown, but shown: {both:?}");
}

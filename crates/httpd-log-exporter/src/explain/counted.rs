//! What lines count: the series that one line increments, the values of all labels, and other fields that can be labels.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::line_fields::{other_values, printable};
use crate::format::Format;
use crate::lines::Line;
use crate::metrics::families::families;
use crate::metrics::health::LineResult;
use crate::metrics::registry::Registry;

/// How many values of a label are shown.
const SHOWN_VALUES: usize = 5;
/// Fields with more values need a regular expression.
const MANY_VALUES: usize = 20;

/// Describes what lines of a format count, each with its number, in two new registries.
pub(super) fn report([mut first, mut all]: [Registry; 2], lines: &[(usize, &[u8])]) -> String {
    let mut text = String::new();
    let counted = lines.iter().find(|(_, line)| {
        first.count_or_describe(0, Line::Whole(line));
        first.counts.series().any(|series| series.cell.requests > 0)
    });
    if let Some((number, line)) = counted {
        let _ = writeln!(text, "\nseries that line {number} increments:\n{}", printable(line));
        series(&first, &mut text);
    }
    lines.iter().for_each(|(_, line)| all.count_or_describe(0, Line::Whole(line)));
    labels(&all, &mut text);
    let dropped = all.logs[0].lines[LineResult::Dropped as usize];
    if dropped > 0 {
        let _ = writeln!(
            text,
            "\n{dropped} of {} lines are dropped by --access-log.drop",
            all.logs[0].lines.iter().sum::<u64>()
        );
    }
    text
}

/// Appends the series of requests that are not 0, without buckets.
fn series(registry: &Registry, text: &mut String) {
    let all = exporter_common::to_text(families(registry));
    let is_shown = |line: &&str| {
        let is_health = line.starts_with("httpd_log_");
        !line.starts_with('#') && !is_health && !line.contains("_bucket{") && !line.ends_with(" 0")
    };
    for line in all.lines().filter(is_shown) {
        let _ = writeln!(text, "  {}", printable(line.as_bytes()));
    }
}

/// Appends the values of each label with their numbers of requests.
fn labels(registry: &Registry, text: &mut String) {
    let counts = &registry.counts;
    let mut values: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for series in counts.series().filter(|series| series.cell.requests > 0) {
        let vhost = series.labels.vhost.map(|vhost| ("vhost", vhost));
        let route = series.labels.route.map(|route| ("route", route));
        let fields = counts.labels().iter().copied().zip(series.labels.fields());
        for (name, value) in vhost.into_iter().chain(route).chain(fields) {
            *values.entry(name).or_default().entry(value).or_default() += series.cell.requests;
        }
    }
    if values.is_empty() {
        return;
    }
    text.push_str("\nvalues of each label: their number, and the most frequent ones with their requests:\n");
    let width = values.keys().map(|name| name.len()).max().unwrap_or_default();
    for (name, values) in values {
        let mut sorted: Vec<_> = values.iter().collect();
        sorted.sort_by_key(|(value, requests)| (Reverse(**requests), **value));
        let shown = sorted.iter().take(SHOWN_VALUES).map(|(value, requests)| format!("{value:?} {requests}"));
        let more = if sorted.len() > SHOWN_VALUES { ", …" } else { "" };
        let _ = writeln!(text, "  {name:width$}  {}: {}{more}", sorted.len(), shown.collect::<Vec<_>>().join(", "));
    }
}

/// The fields without a metric, which can be labels, with their numbers of values in lines.
pub(super) fn proposals(format: &mut Format, lines: &[(usize, &[u8])]) -> String {
    let mut values: BTreeMap<String, BTreeSet<&[u8]>> = BTreeMap::new();
    format.set_header(None);
    for (_, line) in lines {
        if format.directive(line) {
            continue;
        }
        for (name, value) in other_values(format, line) {
            values.entry(name).or_default().insert(value);
        }
    }
    let mut text = String::new();
    if !values.is_empty() {
        text.push_str("\nfields for --metrics.label, and their number of values in these lines:\n");
    }
    let width = values.keys().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, values) in values {
        let many = values.len() > MANY_VALUES;
        let advice = if many { "; use a regular expression: NAME=FIELD~REGEX" } else { "" };
        let _ = writeln!(text, "  {name:width$}  {}{advice}", values.len());
    }
    text
}

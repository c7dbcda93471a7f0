//! The rules that flags define for the fields of a line: labels, metrics, and which lines are dropped.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::container;
use crate::format::field::Field;
use crate::format::request::{Method, Number, StatusCode};
use crate::format::{CapturedField, Format};
use crate::metrics::drop_rule::DropRule;
use crate::metrics::field_metric::FieldMetric;
use crate::metrics::label::{Label, SEPARATOR};
use crate::metrics::rules::Rules;

/// All rules, and the fields of the current line.
#[derive(Debug)]
pub(crate) struct LineRules {
    labels: Vec<(Source, Label)>,
    drops: Vec<(Source, DropRule)>,
    metrics: Vec<(Source, FieldMetric)>,
    /// The captured fields; allocated once.
    found: Vec<Option<CapturedField>>,
    /// The names in the path of the current log, in the order of [`CONTAINER`].
    container: [Vec<u8>; 3],
}

/// Where the text of a field is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The path of the request, which all formats have in the same form.
    Path,
    /// The index of a captured field.
    Captured(usize),
    /// The index of a name in [`CONTAINER`].
    Container(usize),
    /// The known method of the request, or `other`.
    Method,
    /// The first digit of the status.
    StatusClass,
}

/// A line that matches the format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
}

/// The name of the path of a request, without its query, in every format that has it.
pub(crate) const PATH: &str = "path";
/// The names that the path of a container's log has, in the order of [`container::names`].
const CONTAINER: [&str; 3] = ["@pod", "@namespace", "@container"];
/// The known method of a request, or `other`.
const METHOD: &str = "@method";
/// The class of the status.
const STATUS_CLASS: &str = "@status_class";
/// The classes of status codes, by their first digit; the last one is for requests without a response.
const CLASSES: [&str; 11] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx", "-"];

/// Whether a line of the format has the field, so that it is captured.
fn is_captured(field: &str, format: &Format) -> bool {
    Source::named(field).is_none() && (field != PATH || !format.has_path())
}

impl LineRules {
    /// The rules of flags, if there are any, and the format that captures their fields.
    pub(crate) fn of(format: Format, rules: &Rules) -> Result<(Format, Option<Self>)> {
        rules.check()?;
        let mut captured = BTreeSet::new();
        let dropped = rules.drops.iter().map(|drop| ("--access-log.drop", &drop.field));
        let labels = rules.labels.iter().map(|label| ("--metrics.label", &label.field));
        let counters = rules.counters.iter().map(|counter| ("--metrics.counter", &counter.field));
        let histograms = rules.histograms.iter().map(|histogram| ("--metrics.histogram", &histogram.field));
        for (flag, field) in counters.clone().chain(histograms.clone()) {
            if !is_captured(field, &format) {
                bail!("{flag}: the field {field} is not a number");
            }
        }
        for (flag, field) in dropped.chain(labels).chain(counters).chain(histograms) {
            if is_captured(field, &format) && captured.insert(field.as_str()) {
                let [pod, namespace, container] = CONTAINER;
                let own = format!("{METHOD}, {STATUS_CLASS}, {pod}, {namespace}, {container}");
                if field.starts_with('@') {
                    bail!("{flag}: unknown field {field}; the fields that start with @ are {own}");
                }
                let checked = format.clone().with_captured(&[field]);
                checked.map_err(|error| anyhow!("{flag}: {error}; fields of every format: {own}"))?;
            }
        }
        let captured: Vec<_> = captured.into_iter().collect();
        let format = format.with_captured(&captured).map_err(anyhow::Error::msg)?;
        let metrics = rules.metrics();
        let has_rules = !rules.labels.is_empty() || !rules.drops.is_empty() || !metrics.is_empty();
        let rules = has_rules.then(|| Self::new(rules, &captured));
        Ok((format, rules))
    }

    /// Resolves the fields of rules; a field that is not captured is the path.
    pub(crate) fn new(rules: &Rules, captured: &[&str]) -> Self {
        let source = |field: &str| {
            let captured = captured.iter().position(|name| *name == field).map(Source::Captured);
            Source::named(field).or(captured).unwrap_or(Source::Path)
        };
        Self {
            labels: rules.labels.iter().map(|label| (source(&label.field), label.clone())).collect(),
            drops: rules.drops.iter().map(|drop| (source(&drop.field), drop.clone())).collect(),
            metrics: rules.metrics().into_iter().map(|metric| (source(&metric.field), metric)).collect(),
            found: vec![None; captured.len()],
            container: Default::default(),
        }
    }

    /// Sets the log whose lines follow; the first path with names of a container gives them.
    pub(crate) fn set_log<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        let names = paths.into_iter().find_map(container::names).unwrap_or_default();
        for (known, name) in self.container.iter_mut().zip(names) {
            known.clear();
            known.extend_from_slice(name.as_bytes());
        }
    }

    /// Finds the captured fields of a line that matches the format.
    pub(crate) fn find(&mut self, format: &mut Format, line: &[u8]) {
        if !self.found.is_empty() {
            format.capture(line, &mut self.found);
        }
    }

    /// Whether there are labels.
    pub(crate) fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Whether lines may be dropped.
    pub(crate) fn has_drops(&self) -> bool {
        !self.drops.is_empty()
    }

    /// Whether the current line is dropped.
    pub(crate) fn is_dropped(&self, line: &RequestLine<'_>) -> bool {
        let text = |source: Source| source.text(&self.found, &self.container, line);
        self.drops.iter().any(|(source, drop)| text(*source).is_some_and(|text| drop.pattern.is_match(text)))
    }

    /// Replaces values by the value of every metric.
    pub(crate) fn read_values(&self, line: &RequestLine<'_>, values: &mut Vec<Number>) {
        values.clear();
        values.extend(self.metrics.iter().map(|(source, metric)| {
            let text = source.text(&self.found, &self.container, line);
            text.map_or(Number::Absent, |text| metric.value(source.meaning(&self.found), text))
        }));
    }

    /// Appends the value of every label, each after a separator.
    pub(crate) fn append_labels(&mut self, line: &RequestLine<'_>, values: &mut Vec<u8>) {
        let Self { labels, found, container, .. } = self;
        for (source, label) in labels {
            values.push(SEPARATOR as u8);
            label.append(source.text(found, container, line), values);
        }
    }
}

impl Source {
    /// The source with a name, if it is not a field of the format.
    fn named(name: &str) -> Option<Self> {
        match name {
            METHOD => Some(Self::Method),
            STATUS_CLASS => Some(Self::StatusClass),
            _ => CONTAINER.iter().position(|known| *known == name).map(Self::Container),
        }
    }

    /// The meaning of a captured field in the current line.
    fn meaning(self, found: &[Option<CapturedField>]) -> Field {
        match self {
            Self::Captured(index) => {
                found.get(index).and_then(Option::as_ref).map_or(Field::Skip, |field| field.meaning)
            }
            _ => Field::Skip,
        }
    }

    /// The text in a line; `None` if it has no such field.
    fn text<'a>(
        self,
        found: &[Option<CapturedField>],
        container: &'a [Vec<u8>],
        line: &RequestLine<'a>,
    ) -> Option<&'a [u8]> {
        match self {
            Self::Path => Some(line.path).filter(|path| !path.is_empty()),
            Self::Captured(index) => line.text.get(found.get(index)?.as_ref()?.range.clone()),
            Self::Container(index) => container.get(index).map(Vec::as_slice).filter(|name| !name.is_empty()),
            Self::Method => Some(line.method.name().as_bytes()),
            Self::StatusClass => CLASSES.get(line.status.index() / 100).map(|class| class.as_bytes()),
        }
    }
}

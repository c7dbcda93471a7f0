//! The data model: a throw-away family of series, made new for every scrape.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::names;

/// One metric family: name, help, type, label names once, and the series a collector saw.
///
/// Names are whole names as the text format shows them: a counter's ends in `_total`, an info
/// metric's in `_info`. Label values of all series share one buffer, so a family of 100,000 series
/// costs a handful of allocations.
#[derive(Clone, Debug)]
pub struct Family {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    kind: Kind,
    label_names: Vec<Cow<'static, str>>,
    /// Positions in `label_names`, ordered by label name: the order in which labels are written.
    label_order: Vec<usize>,
    /// Whether every name is one that needs no quotes in any format.
    plain: bool,
    /// The label values of all series, one after the other.
    text: Vec<u8>,
    /// Where each label value ends in `text`.
    ends: Vec<usize>,
    values: Vec<Value>,
    /// Times in milliseconds; as many as there are series up to the last that has one.
    times: Vec<Option<i64>>,
}

/// The type of a family, in OpenMetrics' terms. Older formats show `info` and `state set` as gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A sum that never goes down while the source lives.
    Counter,
    /// A value that goes both ways.
    Gauge,
    /// Observations counted in buckets.
    Histogram,
    /// Observations as quantiles that the source computed.
    Summary,
    /// The source does not say what it is; `untyped` in the text format.
    Unknown,
    /// Facts in labels, value 1.
    Info,
    /// One series for each state, of which the present one is 1; the label has the family's name.
    StateSet,
}

/// What one series says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The value of a counter, gauge, unknown, info or state.
    Number(f64),
    /// A histogram.
    Histogram(Box<Histogram>),
    /// A summary.
    Summary(Box<Summary>),
}

/// The observations of one series of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Upper bounds, ascending, without +Inf, each with the count of observations at or below it.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all observations, where the source has it.
    pub sum: Option<f64>,
    /// The count of all observations, which is the bucket +Inf.
    pub count: u64,
}

/// The quantiles of one series of a summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Quantiles (0 to 1), ascending, each with its value.
    pub quantiles: Vec<(f64, f64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// The count of all observations.
    pub count: u64,
}

impl Family {
    /// A counter. `name` ends in `_total`; `help` says where the value comes from.
    pub fn counter(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::new(Kind::Counter, name, help, label_names.iter().copied())
    }

    /// A gauge.
    pub fn gauge(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::new(Kind::Gauge, name, help, label_names.iter().copied())
    }

    /// A histogram.
    pub fn histogram(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::new(Kind::Histogram, name, help, label_names.iter().copied())
    }

    /// An info metric: one series of value 1 for each call of [`Family::with`]. `name` ends in `_info`.
    pub fn info(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::new(Kind::Info, name, help, label_names.iter().copied())
    }

    /// A state set without further labels: `present` is 1, every other of `states` 0.
    pub fn state_set(name: &'static str, help: impl Into<Cow<'static, str>>, states: &[&str], present: &str) -> Self {
        let mut family = Self::new(Kind::StateSet, name, help, [name]);
        for state in states {
            family.push(&[state], f64::from(u8::from(*state == present)));
        }
        family
    }

    /// A family of any type, with names that may be known at run time only.
    pub fn new<L: Into<Cow<'static, str>>>(
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: impl IntoIterator<Item = L>,
    ) -> Self {
        let label_names: Vec<_> = label_names.into_iter().map(Into::into).collect();
        let mut label_order: Vec<_> = (0..label_names.len()).collect();
        label_order.sort_by(|&a, &b| label_names[a].cmp(&label_names[b]));
        let name = name.into();
        let plain = names::is_legacy(&name) && label_names.iter().all(|label| names::is_legacy_label(label));
        Self {
            name,
            help: help.into(),
            kind,
            label_names,
            label_order,
            plain,
            text: Vec::new(),
            ends: Vec::new(),
            values: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Adds a series: its label values in the order of the label names, and its value.
    ///
    /// # Panics
    /// When the number of label values is not that of the label names: a defect of the collector.
    pub fn push<V: AsRef<str>>(&mut self, label_values: &[V], value: impl Into<Value>) {
        assert_eq!(label_values.len(), self.label_names.len(), "label values of {}", self.name);
        for label in label_values {
            self.text.extend_from_slice(label.as_ref().as_bytes());
            self.ends.push(self.text.len());
        }
        self.values.push(value.into());
    }

    /// Adds a series that its source dates: `time` is in milliseconds since 1970. Only for what has a time of its
    /// own; Prometheus takes such a series as gone at the end of its time, not when it is no longer exposed.
    ///
    /// # Panics
    /// As [`Family::push`].
    pub fn push_at<V: AsRef<str>>(&mut self, label_values: &[V], value: impl Into<Value>, time: i64) {
        self.push(label_values, value);
        self.times.resize(self.values.len() - 1, None);
        self.times.push(Some(time));
    }

    /// The family with one more series; for families that are made in one expression.
    #[must_use]
    pub fn with<V: AsRef<str>>(mut self, label_values: &[V], value: impl Into<Value>) -> Self {
        self.push(label_values, value);
        self
    }

    /// The family with one series that has no labels.
    #[must_use]
    pub fn value(self, value: impl Into<Value>) -> Self {
        self.with::<&str>(&[], value)
    }

    /// The whole name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The help text.
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no series; such a family is not written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether every name is one that needs no quotes in any format.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The same series under other names.
    pub(crate) fn renamed(&self, rename: impl Fn(&str) -> String) -> Self {
        let labels: Vec<_> = self.label_names.iter().map(|label| rename(label)).collect();
        let empty = Self::new(self.kind, rename(&self.name), self.help.clone(), labels);
        let (text, ends) = (self.text.clone(), self.ends.clone());
        Self { text, ends, values: self.values.clone(), times: self.times.clone(), ..empty }
    }

    /// The labels of a series as name and value (which is UTF-8), ordered by name.
    pub(crate) fn labels(&self, series: usize) -> impl Iterator<Item = (&str, &[u8])> {
        self.label_order.iter().map(move |&label| (&*self.label_names[label], self.label_value(series, label)))
    }

    /// What a series says.
    pub(crate) fn series_value(&self, series: usize) -> &Value {
        &self.values[series]
    }

    /// When a series was seen, where its source says so.
    pub(crate) fn time(&self, series: usize) -> Option<i64> {
        self.times.get(series).copied().flatten()
    }

    /// The order of series in every format: fewer labels first, then by label values in the order of
    /// label names, bytewise, as the Go client sorts.
    pub(crate) fn compare(&self, series: usize, other: &Self, other_series: usize) -> Ordering {
        let values = self.label_names.len().cmp(&other.label_names.len()).then_with(|| {
            let values = self.label_order.iter().map(|&label| self.label_value(series, label));
            values.cmp(other.label_order.iter().map(|&label| other.label_value(other_series, label)))
        });
        if std::ptr::eq(self, other) {
            return values; // one family has one set of label names
        }
        values.then_with(|| {
            let names = self.labels(series).map(|(name, _)| name);
            names.cmp(other.labels(other_series).map(|(name, _)| name))
        })
    }

    /// A number that orders series as [`Family::compare`] does, as far as it goes: how many labels there are,
    /// and the first bytes of the first one. Sorting by it touches no label.
    pub(crate) fn sort_key(&self, series: usize) -> (usize, u64) {
        let mut first = [0; 8];
        if let Some(&label) = self.label_order.first() {
            let value = self.label_value(series, label);
            let len = value.len().min(first.len());
            first[..len].copy_from_slice(&value[..len]);
        }
        (self.label_names.len(), u64::from_be_bytes(first))
    }

    fn label_value(&self, series: usize, label: usize) -> &[u8] {
        let at = series * self.label_names.len() + label;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<u64> for Value {
    #[expect(clippy::cast_precision_loss, reason = "the formats know only doubles; exact below 2^53")]
    fn from(value: u64) -> Self {
        Self::Number(value as f64)
    }
}

impl From<Histogram> for Value {
    fn from(histogram: Histogram) -> Self {
        Self::Histogram(Box::new(histogram))
    }
}

impl From<Summary> for Value {
    fn from(summary: Summary) -> Self {
        Self::Summary(Box::new(summary))
    }
}

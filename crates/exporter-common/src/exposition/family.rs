//! The data model: families of series, which are created for every scrape.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::names;

/// A metric family: its name, help, type, label names and series.
///
/// Names are full names as in the text format: a counter's name ends in `_total`, an info metric's in `_info`.
/// The label values of all series share one buffer, so a family of 100,000 series needs few allocations.
#[derive(Clone, Debug)]
pub struct Family {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    kind: Kind,
    label_names: Vec<Cow<'static, str>>,
    /// Positions in `label_names`, ordered by label name: the order in which labels are written.
    label_order: Vec<usize>,
    /// Whether no name needs quotes in any format.
    plain: bool,
    /// The concatenated label values of all series.
    text: Vec<u8>,
    /// The end of each label value in `text`.
    ends: Vec<usize>,
    values: Vec<Value>,
    /// Timestamps in milliseconds, up to the last series that has one.
    times: Vec<Option<i64>>,
}

/// The type of a family as in OpenMetrics. Older formats export info metrics and state sets as gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only increases, or is reset when the source restarts.
    Counter,
    /// A value that increases and decreases.
    Gauge,
    /// Observations counted in buckets.
    Histogram,
    /// Observations as quantiles that the source computes.
    Summary,
    /// A value of unknown type; `untyped` in the text format.
    Unknown,
    /// Information in labels; the value is 1.
    Info,
    /// One series per state: the current state is 1, all others are 0. The label has the family's name.
    StateSet,
}

/// The value of one series.
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
    /// The sum of all observations, if the source provides it.
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
    /// A counter. `name` ends in `_total`.
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

    /// An info metric. `name` ends in `_info`, and every series has the value 1.
    pub fn info(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::new(Kind::Info, name, help, label_names.iter().copied())
    }

    /// A state set without other labels: the state `present` is 1, all others are 0.
    pub fn state_set(name: &'static str, help: impl Into<Cow<'static, str>>, states: &[&str], present: &str) -> Self {
        let mut family = Self::new(Kind::StateSet, name, help, [name]);
        for state in states {
            family.push(&[state], f64::from(u8::from(*state == present)));
        }
        family
    }

    /// A family of any type.
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
    /// The number of label values differs from the number of label names, which is a bug in the collector.
    pub fn push<V: AsRef<str>>(&mut self, label_values: &[V], value: impl Into<Value>) {
        assert_eq!(label_values.len(), self.label_names.len(), "label values of {}", self.name);
        for label in label_values {
            self.text.extend_from_slice(label.as_ref().as_bytes());
            self.ends.push(self.text.len());
        }
        self.values.push(value.into());
    }

    /// Adds a series with a timestamp in milliseconds since 1970, for a source that provides one. Prometheus does not
    /// mark such a series as stale when it disappears.
    ///
    /// # Panics
    /// As [`Family::push`].
    pub fn push_at<V: AsRef<str>>(&mut self, label_values: &[V], value: impl Into<Value>, time: i64) {
        self.push(label_values, value);
        self.times.resize(self.values.len() - 1, None);
        self.times.push(Some(time));
    }

    /// Adds a series and returns the family.
    #[must_use]
    pub fn with<V: AsRef<str>>(mut self, label_values: &[V], value: impl Into<Value>) -> Self {
        self.push(label_values, value);
        self
    }

    /// Adds a series without labels and returns the family.
    #[must_use]
    pub fn value(self, value: impl Into<Value>) -> Self {
        self.with::<&str>(&[], value)
    }

    /// The full name.
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

    /// The number of series.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the family has no series; such a family is not exported.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether no name needs quotes in any format.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The same series with renamed metric and labels.
    pub(crate) fn renamed(&self, rename: impl Fn(&str) -> String) -> Self {
        let labels: Vec<_> = self.label_names.iter().map(|label| rename(label)).collect();
        let empty = Self::new(self.kind, rename(&self.name), self.help.clone(), labels);
        let (text, ends) = (self.text.clone(), self.ends.clone());
        Self { text, ends, values: self.values.clone(), times: self.times.clone(), ..empty }
    }

    /// The names and UTF-8 values of a series' labels, ordered by name.
    pub(crate) fn labels(&self, series: usize) -> impl Iterator<Item = (&str, &[u8])> {
        self.label_order.iter().map(move |&label| (&*self.label_names[label], self.label_value(series, label)))
    }

    /// The value of a series.
    pub(crate) fn series_value(&self, series: usize) -> &Value {
        &self.values[series]
    }

    /// The timestamp of a series, if its source provides one.
    pub(crate) fn time(&self, series: usize) -> Option<i64> {
        self.times.get(series).copied().flatten()
    }

    /// The order of series in every format, as in the Go client: fewer labels first, then bytewise by the label values
    /// in the order of the label names.
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

    /// A prefix of the order of [`Family::compare`]: the number of labels and the first bytes of the first label.
    /// Sorting by it avoids reading most labels.
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
    #[expect(clippy::cast_precision_loss, reason = "the formats have only doubles; exact below 2^53")]
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

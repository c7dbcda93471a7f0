//! The data model: families of series, which are created for every scrape.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::names;

/// A metric family: its name, help, type, label names and series.
///
/// Names are full names as in the text format: a counter's name ends in `_total`, an info metric's in `_info`.
/// The label values of all series share one buffer, so a family of 100,000 series needs few allocations.
///
/// ```
/// use scrapewright::{Family, to_text};
///
/// let mut depth = Family::gauge("queue_depth", "Number of messages in the queue.", &["queue"]);
/// depth.push(&["orders"], 3.0);
/// depth.push(&["mails"], 0.0);
/// assert!(to_text([depth]).ends_with("queue_depth{queue=\"mails\"} 0\nqueue_depth{queue=\"orders\"} 3\n"));
/// ```
///
/// A mistake, such as two label values for one label, does not panic. The family keeps the first one, and drops the
/// series. [`Family::check`] returns it; [`Scrape::add`](crate::Scrape::add) calls that, and fails the read.
///
/// ```
/// use scrapewright::Family;
///
/// let depth = Family::gauge("queue_depth", "Number of messages in the queue.", &["queue"]).with(&["orders", "eu"], 3.0);
/// assert_eq!(depth.check().unwrap_err().to_string(), "queue_depth: 2 label values for 1 label name");
/// assert!(depth.is_empty());
/// ```
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
    /// The first mistake.
    invalid: Option<Box<InvalidFamily>>,
}

/// A mistake in a family: an invalid name, or a series with the wrong number of label values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFamily(String);

impl fmt::Display for InvalidFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidFamily {}

/// The type of a family as in OpenMetrics. Older formats export info metrics and state sets as gauges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
pub enum Value {
    /// The value of a counter, gauge, unknown, info or state.
    Number(f64),
    /// A histogram.
    Histogram(Box<Histogram>),
    /// A summary.
    Summary(Box<Summary>),
}

/// The observations of one series of a histogram.
///
/// ```
/// use scrapewright::{Family, Histogram};
///
/// // 7 observations at or below 0.5 seconds, 9 at or below 1 second, 10 in total
/// let seconds = Histogram::new([(0.5, 7), (1.0, 9)], Some(4.25), 10);
/// let family = Family::histogram("job_duration_seconds", "Duration of a job in seconds.", &[]).value(seconds);
/// assert!(scrapewright::to_text([family]).contains("job_duration_seconds_bucket{le=\"+Inf\"} 10\n"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds, ascending, without +Inf, each with the count of observations at or below it.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all observations, if the source provides it.
    pub sum: Option<f64>,
    /// The count of all observations, which is the bucket +Inf.
    pub count: u64,
}

/// The quantiles of one series of a summary.
///
/// ```
/// use scrapewright::{Family, Kind, Summary};
///
/// let summary = Summary::new([(0.5, 0.1), (0.99, 0.7)], 12.5, 80);
/// let family = Family::new(Kind::Summary, "gc_pause_seconds", "Pauses in seconds.", [""; 0])?.value(summary);
/// assert!(scrapewright::to_text([family]).contains("gc_pause_seconds{quantile=\"0.5\"} 0.1\n"));
/// # Ok::<(), scrapewright::InvalidFamily>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Quantiles (0 to 1), ascending, each with its value.
    pub quantiles: Vec<(f64, f64)>,
    /// The sum of all observations.
    pub sum: f64,
    /// The count of all observations.
    pub count: u64,
}

impl Histogram {
    /// A histogram of `count` observations: upper bounds, ascending, without +Inf, each with the count of observations at
    /// or below it; and the sum of all observations, if the source provides it.
    pub fn new(buckets: impl IntoIterator<Item = (f64, u64)>, sum: Option<f64>, count: u64) -> Self {
        Self { buckets: buckets.into_iter().collect(), sum, count }
    }
}

impl Summary {
    /// A summary of `count` observations: quantiles (0 to 1), ascending, each with its value; and the sum of all
    /// observations.
    pub fn new(quantiles: impl IntoIterator<Item = (f64, f64)>, sum: f64, count: u64) -> Self {
        Self { quantiles: quantiles.into_iter().collect(), sum, count }
    }
}

impl Family {
    /// A counter. `name` ends in `_total`.
    pub fn counter(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::of(Kind::Counter, name, help, label_names.iter().copied())
    }

    /// A gauge.
    pub fn gauge(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::of(Kind::Gauge, name, help, label_names.iter().copied())
    }

    /// A histogram.
    pub fn histogram(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::of(Kind::Histogram, name, help, label_names.iter().copied())
    }

    /// An info metric. `name` ends in `_info`, and every series has the value 1.
    pub fn info(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: &[&'static str],
    ) -> Self {
        Self::of(Kind::Info, name, help, label_names.iter().copied())
    }

    /// A state set without other labels: the state `present` is 1, all others are 0.
    pub fn state_set(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        states: &[&str],
        present: &str,
    ) -> Self {
        let name = name.into();
        let mut family = Self::of(Kind::StateSet, name.clone(), help, [name]);
        for state in states {
            family.push(&[state], f64::from(u8::from(*state == present)));
        }
        family
    }

    /// A family of any type, with names that are known only at run time.
    ///
    /// # Errors
    /// A name is empty, reserved, or used for two labels.
    pub fn new<L: Into<Cow<'static, str>>>(
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: impl IntoIterator<Item = L>,
    ) -> Result<Self, InvalidFamily> {
        let family = Self::of(kind, name, help, label_names);
        family.check().map(|()| family)
    }

    fn of<L: Into<Cow<'static, str>>>(
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        label_names: impl IntoIterator<Item = L>,
    ) -> Self {
        let label_names: Vec<_> = label_names.into_iter().map(Into::into).collect();
        let mut label_order: Vec<_> = (0..label_names.len()).collect();
        label_order.sort_by(|&a, &b| label_names[a].cmp(&label_names[b]));
        let name = name.into();
        let reserved = match kind {
            Kind::Histogram => "le",
            Kind::Summary => "quantile",
            _ => "",
        };
        let mistake = names::mistake(&name, label_order.iter().map(|&label| &*label_names[label]), reserved);
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
            invalid: mistake.map(|mistake| Box::new(InvalidFamily(mistake))),
        }
    }

    /// Succeeds if all names and series are valid.
    ///
    /// # Errors
    /// The first mistake: an invalid name, or a series with the wrong number of label values.
    pub fn check(&self) -> Result<(), InvalidFamily> {
        self.invalid.as_deref().map_or(Ok(()), |mistake| Err(mistake.clone()))
    }

    /// Adds a series: its label values in the order of the label names, and its value.
    ///
    /// A series with the wrong number of label values is dropped, see [`Family::check`].
    pub fn push<V: AsRef<str>>(&mut self, label_values: &[V], value: impl Into<Value>) {
        if label_values.len() != self.label_names.len() || self.invalid.is_some() {
            return self.reject(label_values.len());
        }
        for label in label_values {
            self.text.extend_from_slice(label.as_ref().as_bytes());
            self.ends.push(self.text.len());
        }
        self.values.push(value.into());
    }

    #[cold]
    fn reject(&mut self, values: usize) {
        let (name, labels) = (&self.name, self.label_names.len());
        let plural = |count| if count == 1 { "" } else { "s" };
        self.invalid.get_or_insert_with(|| {
            Box::new(InvalidFamily(format!(
                "{name}: {values} label value{} for {labels} label name{}",
                plural(values),
                plural(labels)
            )))
        });
    }

    /// Adds a series with a timestamp in milliseconds since 1970, for a source that provides one. Prometheus does not
    /// mark such a series as stale when it disappears.
    pub fn push_at<V: AsRef<str>>(&mut self, label_values: &[V], value: impl Into<Value>, time: i64) {
        let before = self.values.len();
        self.push(label_values, value);
        if self.values.len() > before {
            self.times.resize(before, None);
            self.times.push(Some(time));
        }
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

    /// Replaces a prefix of the name; a name without the prefix remains.
    #[must_use]
    pub fn replace_prefix(mut self, prefix: &str, replacement: &str) -> Self {
        if let Some(rest) = self.name.strip_prefix(prefix) {
            self.name = format!("{replacement}{rest}").into();
        }
        self
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
        let empty = Self::of(self.kind, rename(&self.name), self.help.clone(), labels);
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

    /// Returns unused memory if there is much of it, since responses hold the family until they are sent.
    pub(crate) fn shrink(&mut self) {
        const MUCH: usize = 64 * 1024;
        if self.text.capacity() - self.text.len() + size_of::<Value>() * (self.values.capacity() - self.len()) > MUCH {
            self.text.shrink_to_fit();
            self.ends.shrink_to_fit();
            self.values.shrink_to_fit();
            self.times.shrink_to_fit();
        }
    }

    /// Whether the series are in the order of [`Family::compare`], without duplicates.
    pub(crate) fn is_sorted(&self) -> bool {
        (1..self.len()).all(|series| {
            let keys = self.sort_key(series - 1).cmp(&self.sort_key(series));
            keys.then_with(|| self.compare(series - 1, self, series)).is_lt()
        })
    }

    /// The memory of the series in bytes, approximately.
    pub(crate) fn memory(&self) -> usize {
        let complex = self.values.iter().map(|value| match value {
            Value::Number(_) => 0,
            Value::Histogram(histogram) => size_of::<Histogram>() + size_of_val(&histogram.buckets[..]),
            Value::Summary(summary) => size_of::<Summary>() + size_of_val(&summary.quantiles[..]),
        });
        let arrays = self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.values.capacity() * size_of::<Value>()
            + self.times.capacity() * size_of::<Option<i64>>();
        arrays + complex.sum::<usize>()
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

//! The data model: families of series, which are created for every scrape.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;
use std::time::{SystemTime, UNIX_EPOCH};

use super::names;
pub use super::value::{Exemplar, Histogram, Summary, Value};

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
    /// The created timestamp of each series in milliseconds since 1970, up to the last series that has one.
    created: Vec<Option<NonZeroU64>>,
    /// Series and their exemplars, ordered by series. Histograms have their own.
    exemplars: Vec<(usize, Exemplar)>,
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
///
/// ```
/// use scrapewright::{Family, Kind};
///
/// let version = Family::info("broker_info", "Version of the broker; the value is 1.", &["version"]);
/// assert_eq!(version.kind(), Kind::Info);
/// let state = Family::state_set("broker_state", "State of the broker.", &["running", "blocked"], "running");
/// assert_eq!((state.kind(), state.len()), (Kind::StateSet, 2));
/// // a name from a configuration file, a timestamp from the source
/// let mut family = Family::new(Kind::Unknown, "app_value".to_owned(), "", vec!["host".to_owned()])?;
/// family.push_at(&["a"], 7.0, 1_795_166_780_000);
/// assert_eq!(family.replace_prefix("app_", "shop_").name(), "shop_value");
/// # Ok::<(), scrapewright::InvalidFamily>(())
/// ```
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
        label_order.sort_unstable_by(|&a, &b| label_names[a].cmp(&label_names[b]));
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
            created: Vec::new(),
            exemplars: Vec::new(),
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

    /// Sets the created timestamp of the last added series: the start of the process, or of the source's counter.
    /// Without it, Prometheus can't distinguish a new series from one that it did not scrape before.
    pub fn set_created(&mut self, created: SystemTime) {
        if let (Some(last), Some(milliseconds)) = (self.len().checked_sub(1), milliseconds(created)) {
            self.created.resize(last + 1, None);
            self.created[last] = Some(milliseconds);
        }
    }

    /// Sets the created timestamp of all series that have none yet, and returns the family: for counters that started
    /// together.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use scrapewright::Family;
    ///
    /// let jobs = Family::counter("jobs_total", "Total number of jobs.", &["result"]).with(&["success"], 7.0);
    /// let jobs = jobs.created_at(SystemTime::now());
    /// ```
    #[must_use]
    pub fn created_at(mut self, created: SystemTime) -> Self {
        let milliseconds = milliseconds(created);
        self.created.resize(self.len(), None);
        self.created.iter_mut().for_each(|series| *series = series.or(milliseconds));
        self
    }

    /// Sets an exemplar of the last added series, which is a counter. Histograms have their own, see
    /// [`Histogram::with_exemplars`](super::value::Histogram::with_exemplars).
    pub fn set_exemplar(&mut self, exemplar: Exemplar) {
        if let Some(last) = self.len().checked_sub(1)
            && self.kind == Kind::Counter
            && exemplar.is_valid()
        {
            self.exemplars.pop_if(|(series, _)| *series == last);
            self.exemplars.push((last, exemplar));
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

    /// The same series with renamed metric and labels. If labels get the same name, their values are joined by `;` in the
    /// order of the names before, as OpenTelemetry does.
    pub(crate) fn renamed(&self, rename: impl Fn(&str) -> String) -> Self {
        let mut labels: Vec<(String, Vec<usize>)> = Vec::with_capacity(self.label_names.len());
        for &label in &self.label_order {
            let name = rename(&self.label_names[label]);
            match labels.iter_mut().find(|(other, _)| *other == name) {
                Some((_, same)) => same.push(label),
                None => labels.push((name, vec![label])),
            }
        }
        let (mut text, mut ends) = (Vec::with_capacity(self.text.len()), Vec::with_capacity(self.ends.len()));
        for series in 0..self.len() {
            for (_, same) in &labels {
                for (at, &label) in same.iter().enumerate() {
                    text.extend_from_slice(if at > 0 { b";" } else { b"" });
                    text.extend_from_slice(self.label_value(series, label));
                }
                ends.push(text.len());
            }
        }
        let labels = labels.into_iter().map(|(name, _)| name);
        let empty = Self::of(self.kind, rename(&self.name), self.help.clone(), labels);
        let (values, times) = (self.values.clone(), self.times.clone());
        let (created, exemplars) = (self.created.clone(), self.exemplars.clone());
        Self { text, ends, values, times, created, exemplars, ..empty }
    }

    /// The names and UTF-8 values of a series' labels, ordered by name.
    pub(crate) fn labels(&self, series: usize) -> impl Iterator<Item = (&str, &[u8])> {
        self.label_order.iter().map(move |&label| (&*self.label_names[label], self.label_value(series, label)))
    }

    /// The number of a series' labels, and the length of their names and values.
    #[cfg(feature = "protobuf")]
    pub(crate) fn labels_text(&self, series: usize) -> (usize, usize) {
        let labels = self.label_names.len();
        let names = self.label_names.iter().map(|label| label.len()).sum::<usize>();
        let end = |label: usize| label.checked_sub(1).map_or(0, |last| self.ends[last]);
        (labels, names + end((series + 1) * labels) - end(series * labels))
    }

    /// The value of a series.
    pub(crate) fn series_value(&self, series: usize) -> &Value {
        &self.values[series]
    }

    /// The timestamp of a series, if its source provides one.
    pub(crate) fn time(&self, series: usize) -> Option<i64> {
        self.times.get(series).copied().flatten()
    }

    /// The created timestamp of a series in milliseconds since 1970.
    pub(crate) fn created(&self, series: usize) -> Option<u64> {
        self.created.get(series).copied().flatten().map(NonZeroU64::get)
    }

    /// The exemplar of a counter.
    pub(crate) fn exemplar(&self, series: usize) -> Option<&Exemplar> {
        let position = self.exemplars.binary_search_by_key(&series, |(series, _)| *series).ok()?;
        Some(&self.exemplars[position].1)
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
            self.created.shrink_to_fit();
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
        const EXEMPLAR_TEXT: usize = 100; // about one label with the id of a trace
        let arrays = self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.values.capacity() * size_of::<Value>()
            + self.times.capacity() * size_of::<Option<i64>>()
            + self.created.capacity() * size_of::<Option<NonZeroU64>>()
            + self.exemplars.capacity() * (size_of::<(usize, Exemplar)>() + EXEMPLAR_TEXT);
        arrays + self.values.iter().map(Value::memory).sum::<usize>()
    }

    /// A prefix of the order of [`Family::compare`]: the number of labels and the first bytes of the first label.
    /// Sorting by it avoids reading most labels.
    pub(crate) fn sort_key(&self, series: usize) -> u64 {
        let mut key = [0; 8];
        key[0] = u8::try_from(self.label_names.len()).unwrap_or(u8::MAX);
        if key[0] == u8::MAX {
            return u64::MAX; // the same for any number of labels that a byte cannot hold
        }
        if let Some(&label) = self.label_order.first() {
            key[1..].iter_mut().zip(self.label_value(series, label)).for_each(|(to, from)| *to = *from);
        }
        u64::from_be_bytes(key)
    }

    fn label_value(&self, series: usize, label: usize) -> &[u8] {
        let at = series * self.label_names.len() + label;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }
}

/// A time in milliseconds since 1970.
fn milliseconds(time: SystemTime) -> Option<NonZeroU64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    since.as_millis().try_into().ok().and_then(NonZeroU64::new)
}

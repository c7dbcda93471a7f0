//! The values of series: numbers, histograms and summaries, and exemplars.

use std::borrow::Cow;
use std::time::SystemTime;

use super::names;
use super::native_histogram::NativeHistogram;

/// The value of one series. Numbers, histograms and summaries convert to it.
///
/// ```
/// use scrapewright::{Family, Value};
///
/// let value = |connected: bool| if connected { Value::from(1.0) } else { Value::from(0_u64) };
/// let up = Family::gauge("broker_connected", "Whether the broker is connected (1 = yes).", &[]).value(value(true));
/// ```
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
    /// The same observations in exponential buckets, for clients that support them.
    pub native: Option<Box<NativeHistogram>>,
    /// Exemplars, at most one of them for each bucket, ascending by value.
    pub exemplars: Vec<Exemplar>,
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
        Self { buckets: buckets.into_iter().collect(), sum, count, native: None, exemplars: Vec::new() }
    }

    /// Adds the same observations in exponential buckets. They are sent only over protobuf; their number must be `count`.
    ///
    /// ```
    /// use scrapewright::{Histogram, NativeHistogram};
    ///
    /// let mut native = NativeHistogram::new();
    /// [0.25, 0.75, 4.0].into_iter().for_each(|seconds| native.observe(seconds));
    /// let histogram = Histogram::new([(0.5, 1), (1.0, 2)], Some(5.0), 3).with_native(native);
    /// assert_eq!(histogram.native.unwrap().count(), 3);
    /// ```
    #[must_use]
    pub fn with_native(mut self, native: NativeHistogram) -> Self {
        self.native = Some(Box::new(native));
        self
    }

    /// Adds exemplars. If several are in the same bucket, the largest one is exported.
    #[must_use]
    pub fn with_exemplars(mut self, exemplars: impl IntoIterator<Item = Exemplar>) -> Self {
        self.exemplars = exemplars.into_iter().collect();
        self.exemplars.sort_by(|a, b| a.value.total_cmp(&b.value));
        self
    }

    /// The exemplar of each bucket; the last one belongs to the bucket +Inf.
    pub(crate) fn bucket_exemplars(&self) -> impl Iterator<Item = Option<&Exemplar>> {
        let bounds = self.buckets.iter().map(|(bound, _)| *bound).chain([f64::INFINITY]);
        let mut rest = &self.exemplars[..];
        bounds.map(move |bound| {
            let (inside, above) = rest.split_at(rest.partition_point(|exemplar| exemplar.value <= bound));
            rest = above;
            inside.iter().rfind(|exemplar| exemplar.is_valid())
        })
    }
}

/// A reference from an observation to data outside of the metrics, usually a trace. Prometheus stores it if the feature
/// `exemplar-storage` is enabled; Grafana shows it as a link.
///
/// ```
/// use scrapewright::{Exemplar, Family};
///
/// let mut errors = Family::counter("errors_total", "Total number of errors.", &[]).value(3.0);
/// errors.set_exemplar(Exemplar::new([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")], 1.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// The labels, such as `trace_id`. An exemplar whose labels have an invalid name, or more than 128 characters in
    /// total, is not exported, because OpenMetrics forbids it.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The observation.
    pub value: f64,
    /// The time of the observation. Prometheus needs it for native histograms.
    pub time: Option<SystemTime>,
}

impl Exemplar {
    /// An exemplar of an observation.
    pub fn new<N: Into<Cow<'static, str>>, V: Into<String>>(
        labels: impl IntoIterator<Item = (N, V)>,
        value: f64,
    ) -> Self {
        let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { labels, value, time: None }
    }

    /// Adds the time of the observation.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Whether OpenMetrics permits it.
    pub(crate) fn is_valid(&self) -> bool {
        const MAX_CHARACTERS: usize = 128;
        let length = |text: &str| text.chars().count();
        let valid_names = self.labels.iter().all(|(name, _)| names::is_legacy_label(name));
        valid_names
            && self.labels.iter().map(|(name, value)| length(name) + length(value)).sum::<usize>() <= MAX_CHARACTERS
    }
}

impl Summary {
    /// A summary of `count` observations: quantiles (0 to 1), ascending, each with its value; and the sum of all
    /// observations.
    pub fn new(quantiles: impl IntoIterator<Item = (f64, f64)>, sum: f64, count: u64) -> Self {
        Self { quantiles: quantiles.into_iter().collect(), sum, count }
    }
}

impl Value {
    /// The memory outside of this enum, in bytes, approximately.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Number(_) => 0,
            Self::Histogram(histogram) => {
                let native =
                    histogram.native.as_ref().map_or(0, |native| size_of::<NativeHistogram>() + native.memory());
                // an exemplar has about a label of 50 bytes
                let exemplars = histogram.exemplars.len() * (size_of::<Exemplar>() + 100);
                size_of::<Histogram>() + size_of_val(&histogram.buckets[..]) + native + exemplars
            }
            Self::Summary(summary) => size_of::<Summary>() + size_of_val(&summary.quantiles[..]),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_has_at_most_one_exemplar() {
        let exemplar = |value| Exemplar::new([("trace_id", format!("of {value}"))], value);
        let long = Exemplar::new([("trace_id", "x".repeat(121))], 0.4);
        let exemplars = vec![exemplar(9.0), exemplar(0.3), long, exemplar(0.2), exemplar(1.0)];
        let histogram = Histogram::new([(0.1, 0), (0.5, 3), (1.0, 4), (2.0, 4)], None, 5).with_exemplars(exemplars);
        let values: Vec<_> = histogram.bucket_exemplars().map(|found| found.map(|exemplar| exemplar.value)).collect();
        assert_eq!(values, [None, Some(0.3), Some(1.0), None, Some(9.0)]);
    }

    #[test]
    fn openmetrics_limits_the_labels_of_an_exemplar() {
        assert!(Exemplar::new([("trace_id", "ö".repeat(120))], 1.0).is_valid());
        assert!(!Exemplar::new([("trace_id", "x".repeat(121))], 1.0).is_valid());
        assert!(!Exemplar::new([("trace.id", "x")], 1.0).is_valid());
        assert!(Exemplar::new([("", ""); 0], 1.0).is_valid());
    }
}

//! The totals of metrics of numeric fields.

use crate::metrics::field_metric::FieldMetric;
use crate::metrics::histogram::ValueHistogram;

/// The total of one metric for one label set and route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FieldTotal {
    /// The sum of all values in units of the metric's scale; `None` before the first value.
    Sum(Option<u128>),
    Histogram(ValueHistogram),
}

impl FieldTotal {
    /// The total of a metric without values.
    pub(crate) fn new(metric: &FieldMetric) -> Self {
        match &metric.bounds {
            None => Self::Sum(None),
            Some(bounds) => Self::Histogram(ValueHistogram::with_scale(bounds, metric.scale())),
        }
    }

    /// Adds a value.
    pub(crate) fn observe(&mut self, value: u64) {
        match self {
            Self::Sum(sum) => *sum = Some(sum.unwrap_or(0) + u128::from(value)),
            Self::Histogram(histogram) => histogram.observe(value),
        }
    }

    /// Whether it has values.
    pub(crate) fn has_values(&self) -> bool {
        match self {
            Self::Sum(sum) => sum.is_some(),
            Self::Histogram(histogram) => histogram.counts.iter().any(|count| *count > 0),
        }
    }

    /// The number of its series.
    pub(crate) fn series(&self) -> usize {
        match self {
            Self::Sum(_) => 1,
            Self::Histogram(histogram) => histogram.series(),
        }
    }
}

/// A metric whose name and HELP text live as long as the program, as families need them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedMetric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) is_counter: bool,
    scale: f64,
}

impl NamedMetric {
    pub(crate) fn new(metric: &FieldMetric) -> Self {
        let what = if metric.bounds.is_some() { "Values" } else { "Sum" };
        Self {
            name: metric.name.clone().leak(),
            help: format!("{what} of the field {} in the access log.", metric.field).leak(),
            is_counter: metric.bounds.is_none(),
            scale: metric.scale(),
        }
    }

    /// A sum in base units.
    #[expect(clippy::cast_precision_loss, reason = "the exposition formats have only doubles")]
    pub(crate) fn in_base_units(&self, sum: u128) -> f64 {
        sum as f64 / self.scale
    }
}

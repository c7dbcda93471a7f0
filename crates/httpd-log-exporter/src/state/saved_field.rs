//! The totals of metrics of numeric fields in the state file.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::saved_native::SavedNative;
use super::text;
use crate::metrics::field_total::FieldTotal;

/// The total of one metric for one label set and route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedField {
    pub(super) name: String,
    pub(super) vhost: Option<String>,
    pub(super) route: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) labels: Vec<String>,
    /// The sum in units of the metric's scale.
    #[serde(with = "text")]
    pub(super) sum: u128,
    /// Only of a histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) buckets: Option<SavedBuckets>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedBuckets {
    bounds: Vec<f64>,
    counts: Vec<u64>,
    native: SavedNative,
}

impl SavedField {
    /// A total without labels; `None` without values.
    pub(super) fn of(name: &str, total: &FieldTotal) -> Option<Self> {
        let (sum, buckets) = match total {
            _ if !total.has_values() => return None,
            FieldTotal::Sum(sum) => (sum.unwrap_or_default(), None),
            FieldTotal::Histogram(histogram) => {
                let native = SavedNative::of(&histogram.native);
                let buckets =
                    SavedBuckets { bounds: histogram.bounds.clone(), counts: histogram.counts.clone(), native };
                (histogram.sum, Some(buckets))
            }
        };
        Some(Self { name: name.to_owned(), vhost: None, route: None, labels: Vec::new(), sum, buckets })
    }

    /// Adds the saved total; false if it is of another kind or has other bounds.
    pub(super) fn restore(&self, total: &mut FieldTotal) -> bool {
        match (total, &self.buckets) {
            (FieldTotal::Sum(sum), None) => {
                *sum = Some(sum.unwrap_or_default() + self.sum);
                true
            }
            (FieldTotal::Histogram(histogram), Some(SavedBuckets { bounds, counts, native })) => {
                histogram.restore(bounds, counts, self.sum, &native.histogram())
            }
            _ => false,
        }
    }

    /// Refuses contradictions.
    pub(super) fn check(&self) -> Result<()> {
        let Some(SavedBuckets { bounds, counts, native }) = &self.buckets else { return Ok(()) };
        ensure!(counts.len() == bounds.len() + 1, "{} counts do not match {} bounds", counts.len(), bounds.len());
        native.check(counts)
    }
}

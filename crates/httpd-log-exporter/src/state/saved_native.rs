//! Native histograms in the state file.

use anyhow::{Result, ensure};
use exporter_common::NativeHistogram;
use serde::{Deserialize, Serialize};

use super::limits::countable;

/// The exponential buckets of a histogram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedNative {
    pub(super) schema: i8,
    pub(super) zero: u64,
    /// Index and count.
    pub(super) buckets: Vec<(i32, u64)>,
}

impl SavedNative {
    pub(super) fn of(native: &NativeHistogram) -> Self {
        Self { schema: native.schema(), zero: native.zero_count(), buckets: native.positive().collect() }
    }

    pub(super) fn histogram(&self) -> NativeHistogram {
        let mut native = NativeHistogram::new();
        native.add_zero(self.zero);
        self.buckets.iter().for_each(|(index, count)| native.add_bucket(self.schema, *index, *count));
        native
    }

    /// Refuses native buckets whose observations are not the same as those of classic ones.
    pub(super) fn check(&self, counts: &[u64]) -> Result<()> {
        let observations = || self.buckets.iter().map(|(_, count)| *count).chain([self.zero]);
        countable(observations())?;
        countable(counts.iter().copied())?;
        let (native, classic) = (observations().sum::<u64>(), counts.iter().sum::<u64>());
        ensure!(native == classic, "{native} observations in native buckets, but {classic} in the others");
        Ok(())
    }
}

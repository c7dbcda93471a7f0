//! Histogram of whole numbers of a small unit, so that the sum has no rounding error. Durations are in nanoseconds.

use std::time::SystemTime;

use exporter_common::{Exemplar, NativeHistogram};

/// A histogram of durations or of other values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueHistogram {
    /// The upper bounds in seconds, or another base unit.
    pub(crate) bounds: Vec<f64>,
    /// The number of small units in one base unit.
    scale: f64,
    /// The bounds in small units.
    limits: Vec<u64>,
    /// The number of observations in each bucket, not cumulative; the last bucket is +Inf.
    pub(crate) counts: Vec<u64>,
    /// The sum of all observations in small units.
    pub(crate) sum: u128,
    /// The same observations in base units. They are counted even if they are not exported, so that a restart with another
    /// flag resets nothing.
    pub(crate) native: NativeHistogram,
    /// The last observation of each bucket that has a trace; empty without `--metrics.exemplar`.
    traced: Vec<Option<Traced>>,
}

/// An observation with a trace.
#[derive(Clone, Debug, PartialEq)]
struct Traced {
    id: String,
    nanoseconds: u64,
    time: Option<SystemTime>,
}

impl ValueHistogram {
    /// Creates an empty histogram of durations with upper bounds in seconds.
    pub(crate) fn new(bounds: &[f64]) -> Self {
        Self::with_scale(bounds, 1e9)
    }

    /// Creates an empty histogram of values whose base unit has this number of small units.
    pub(crate) fn with_scale(bounds: &[f64], scale: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let limits = bounds.iter().map(|bound| (bound * scale).round() as u64).collect();
        Self {
            bounds: bounds.to_vec(),
            scale,
            limits,
            counts: vec![0; bounds.len() + 1],
            sum: 0,
            native: NativeHistogram::new(),
            traced: Vec::new(),
        }
    }

    /// Adds an observation.
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a bucket is wider than the error")]
    pub(crate) fn observe(&mut self, value: u64) {
        let bucket = self.bucket(value);
        self.counts[bucket] += 1;
        self.sum += u128::from(value);
        self.native.observe(value as f64 / self.scale);
    }

    #[inline]
    fn bucket(&self, value: u64) -> usize {
        // counting all bounds below is faster than a search, whose end is mispredicted
        self.limits.iter().map(|&limit| usize::from(limit < value)).sum()
    }

    /// Keeps the trace and the time of an observation for the exemplar of its bucket.
    pub(crate) fn keep_trace(&mut self, nanoseconds: u64, id: &str, time: Option<SystemTime>) {
        let bucket = self.bucket(nanoseconds);
        self.traced.resize(self.counts.len(), None);
        let kept = self.traced[bucket].get_or_insert_with(|| Traced { id: String::new(), nanoseconds, time });
        kept.id.clear(); // its memory is used again
        kept.id.push_str(id);
        (kept.nanoseconds, kept.time) = (nanoseconds, time);
    }

    /// The exemplars of all buckets that have one.
    #[expect(clippy::cast_precision_loss, reason = "as for observations")]
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = Exemplar> {
        self.traced.iter().flatten().map(|Traced { id, nanoseconds, time }| {
            let exemplar = Exemplar::new([("trace_id", id.as_str())], *nanoseconds as f64 / 1e9);
            time.iter().fold(exemplar, |exemplar, time| exemplar.at(*time))
        })
    }

    /// Adds saved observations; false if their bounds differ.
    pub(crate) fn restore(&mut self, bounds: &[f64], counts: &[u64], sum: u128, native: &NativeHistogram) -> bool {
        let same = self.bounds == bounds && self.counts.len() == counts.len();
        if same {
            self.counts.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            self.sum += sum;
            self.native.merge(native);
        }
        same
    }

    /// The number of its series: the bounds, the bucket `+Inf`, the sum and the count.
    pub(crate) fn series(&self) -> usize {
        self.bounds.len() + 3
    }

    /// The sum of all observations in base units.
    #[expect(clippy::cast_precision_loss, reason = "the exposition formats have only doubles")]
    pub(crate) fn sum(&self) -> f64 {
        self.sum as f64 / self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_equal_to_a_bound_is_in_its_bucket() {
        let mut durations = ValueHistogram::new(&[0.005, 0.01, 1e30]);
        for nanoseconds in [0, 5_000_000, 5_000_001, 10_000_000, u64::MAX] {
            durations.observe(nanoseconds);
        }
        assert_eq!(durations.counts, [2, 2, 1, 0]);
        assert_eq!((durations.native.count(), durations.native.zero_count()), (5, 1));
    }

    #[test]
    fn every_bucket_keeps_its_last_trace() {
        let mut durations = ValueHistogram::new(&[0.005, 1.0]);
        assert_eq!(durations.exemplars().count(), 0);
        for (nanoseconds, id) in [(5_000_000, "a"), (4_000_000, "b"), (2_000_000_000, "c")] {
            durations.keep_trace(nanoseconds, id, None);
        }
        let exemplar = |id: &str, value| Exemplar::new([("trace_id", id)], value);
        assert_eq!(durations.exemplars().collect::<Vec<_>>(), [exemplar("b", 0.004), exemplar("c", 2.0)]);
    }

    #[test]
    fn the_sum_of_a_million_durations_is_exact() {
        let mut durations = ValueHistogram::new(&[]);
        (0..1_000_000).for_each(|_| durations.observe(100_000_000));
        assert!((durations.sum() - 100_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn saved_observations_with_other_bounds_are_ignored() {
        let mut durations = ValueHistogram::new(&[0.1, 1.0]);
        let mut native = NativeHistogram::new();
        (0..6).for_each(|_| native.observe(0.5));
        assert!(!durations.restore(&[0.1, 2.0], &[1, 2, 3], 9, &native));
        assert_eq!(durations.native.count(), 0);
        assert!(durations.restore(&[0.1, 1.0], &[1, 2, 3], 9, &native));
        assert_eq!((durations.counts, durations.sum, durations.native), (vec![1, 2, 3], 9, native));
    }
}

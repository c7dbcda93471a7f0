//! Durations in buckets, counted in whole nanoseconds, so that their sum does not drift.

/// A histogram.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DurationHistogram {
    /// The upper bounds in seconds, as they are shown.
    pub(crate) bounds: Vec<f64>,
    nanoseconds: Vec<u64>,
    /// How many fell into each bucket and not into the one before; the last is +Inf.
    pub(crate) counts: Vec<u64>,
    /// In nanoseconds.
    pub(crate) sum: u128,
}

impl DurationHistogram {
    /// All at 0, with upper bounds in seconds.
    pub(crate) fn new(bounds: &[f64]) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as large or small as can be")]
        let nanoseconds = bounds.iter().map(|bound| (bound * 1e9).round() as u64).collect();
        Self { bounds: bounds.to_vec(), nanoseconds, counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    /// Takes a time.
    #[inline]
    pub(crate) fn observe(&mut self, nanoseconds: u64) {
        let bucket = self.nanoseconds.iter().position(|&bound| nanoseconds <= bound);
        self.counts[bucket.unwrap_or(self.nanoseconds.len())] += 1;
        self.sum += u128::from(nanoseconds);
    }

    /// Adds what an earlier process had counted; false if it had other bounds.
    pub(crate) fn restore(&mut self, bounds: &[f64], counts: &[u64], sum: u128) -> bool {
        let same = self.bounds == bounds && self.counts.len() == counts.len();
        if same {
            self.counts.iter_mut().zip(counts).for_each(|(there, count)| *there += count);
            self.sum += sum;
        }
        same
    }

    /// The sum of all observations in seconds.
    #[expect(clippy::cast_precision_loss, reason = "the formats know only doubles")]
    pub(crate) fn sum(&self) -> f64 {
        self.sum as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_on_a_bound_is_within_it() {
        let mut durations = DurationHistogram::new(&[0.005, 0.01, 1e30]);
        for nanoseconds in [0, 5_000_000, 5_000_001, 10_000_000, u64::MAX] {
            durations.observe(nanoseconds);
        }
        assert_eq!(durations.counts, [2, 2, 1, 0]);
    }

    #[test]
    fn a_sum_of_a_million_times_does_not_drift() {
        let mut durations = DurationHistogram::new(&[]);
        (0..1_000_000).for_each(|_| durations.observe(100_000_000));
        assert!((durations.sum() - 100_000.0).abs() < f64::EPSILON);
    }

    #[test]
    fn counts_of_other_bounds_are_not_taken_over() {
        let mut durations = DurationHistogram::new(&[0.1, 1.0]);
        assert!(!durations.restore(&[0.1, 2.0], &[1, 2, 3], 9));
        assert!(durations.restore(&[0.1, 1.0], &[1, 2, 3], 9));
        assert_eq!((durations.counts, durations.sum), (vec![1, 2, 3], 9));
    }
}

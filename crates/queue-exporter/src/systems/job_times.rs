//! Processing times of jobs that the exporter observes itself.

use exporter_common::{Histogram, NativeHistogram};

/// A histogram of times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JobTimes {
    buckets: [u64; BUCKETS.len()],
    milliseconds: f64,
    count: u64,
    /// The same times in seconds.
    native: NativeHistogram,
}

/// Upper bounds in seconds, and in milliseconds.
const BUCKETS: [(f64, f64); 8] = [
    (0.01, 10.0),
    (0.05, 50.0),
    (0.1, 100.0),
    (0.25, 250.0),
    (0.5, 500.0),
    (1.0, 1000.0),
    (2.5, 2500.0),
    (5.0, 5000.0),
];

impl JobTimes {
    /// Adds a time that is not negative.
    pub(super) fn observe(&mut self, milliseconds: f64) {
        for (count, (_, bound)) in self.buckets.iter_mut().zip(BUCKETS) {
            *count += u64::from(milliseconds <= bound);
        }
        self.milliseconds += milliseconds;
        self.count += 1;
        self.native.observe(milliseconds / 1000.0);
    }

    /// The times in seconds.
    pub(super) fn histogram(&self) -> Histogram {
        let buckets: Vec<_> = BUCKETS.iter().zip(self.buckets).map(|((bound, _), count)| (*bound, count)).collect();
        Histogram::new(buckets, Some(self.milliseconds / 1000.0), self.count).with_native(self.native.clone())
    }
}

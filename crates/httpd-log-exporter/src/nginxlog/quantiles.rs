//! Quantiles of the durations of the last ten minutes.
//!
//! Durations are counted in buckets of at most 1/64 of their value, and each bucket keeps its longest duration. So a
//! quantile is a duration that occurred: the exact one as long as no two different durations share a bucket, and else one
//! that is less than 1.6 % longer.

/// The quantiles that are exported.
pub(super) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// The number of intervals, including the current one.
const INTERVALS: u64 = 5;
/// The length of an interval in seconds.
pub(super) const INTERVAL: u64 = 120;

/// Durations in intervals of two minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    intervals: [Vec<Bucket>; INTERVALS as usize],
    /// The number of the newest interval.
    newest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    index: u16,
    count: u32,
    longest: u64,
}

impl Window {
    /// Adds a duration in nanoseconds to the interval with a number.
    pub(super) fn observe(&mut self, interval: u64, nanoseconds: u64) {
        let newest = self.newest.max(interval);
        for passed in (self.newest + 1..=newest).take(self.intervals.len()) {
            // all intervals passed if there are more of them
            self.intervals[slot(passed)].clear();
        }
        self.newest = newest;
        let buckets = &mut self.intervals[slot(newest)];
        let index = index(nanoseconds);
        match buckets.binary_search_by_key(&index, |bucket| bucket.index) {
            Ok(at) => {
                let bucket = &mut buckets[at];
                (bucket.count, bucket.longest) = (bucket.count.saturating_add(1), bucket.longest.max(nanoseconds));
            }
            Err(at) => buckets.insert(at, Bucket { index, count: 1, longest: nanoseconds }),
        }
    }

    /// The quantiles in seconds at the time of an interval; NaN without a duration, as in Go's client.
    #[expect(clippy::cast_precision_loss, reason = "quantiles are approximate")]
    pub(super) fn quantiles(&self, interval: u64) -> [f64; QUANTILES.len()] {
        let numbers = (self.newest + 1).saturating_sub(INTERVALS)..=self.newest;
        let numbers = numbers.filter(|number| number + INTERVALS > interval);
        let mut buckets: Vec<_> = numbers.flat_map(|number| self.intervals[slot(number)].iter().copied()).collect();
        buckets.sort_unstable_by_key(|bucket| (bucket.index, bucket.longest));
        let total: u64 = buckets.iter().map(|bucket| u64::from(bucket.count)).sum();
        QUANTILES.map(|quantile| {
            let mut left = quantile * total as f64;
            let reached = buckets.iter().find(|bucket| {
                left -= f64::from(bucket.count);
                left <= 0.0
            });
            reached.or(buckets.last()).map_or(f64::NAN, |bucket| bucket.longest as f64 / 1e9)
        })
    }
}

fn slot(interval: u64) -> usize {
    (interval % INTERVALS) as usize
}

/// The index of the bucket of a duration: its highest bit and the six bits after it.
fn index(nanoseconds: u64) -> u16 {
    const BITS: u32 = 6;
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(BITS + 1);
    (shift as u16) * (1 << BITS) + (nanoseconds >> shift) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_durations_give_exact_quantiles() {
        let mut window = Window::default();
        assert!(window.quantiles(0).iter().all(|quantile| quantile.is_nan()));
        for milliseconds in [1, 2, 3, 4, 5, 6, 7, 8, 9, 100] {
            window.observe(0, milliseconds * 1_000_000);
        }
        assert_eq!(window.quantiles(0), [0.005, 0.009, 0.1]);
    }

    #[test]
    fn many_durations_give_quantiles_with_an_error_below_two_percent() {
        let mut window = Window::default();
        for microseconds in 0..100_000 {
            window.observe(0, microseconds * 1000);
        }
        for (found, exact) in window.quantiles(0).into_iter().zip([0.05, 0.09, 0.099]) {
            assert!((found / exact - 1.0).abs() < 0.02, "{found} {exact}");
        }
        assert!(window.intervals[0].len() < 1200);
    }

    #[test]
    fn durations_are_forgotten_after_ten_minutes() {
        let mut window = Window::default();
        window.observe(7, 1_000_000_000);
        assert_eq!(window.quantiles(11)[0], 1.0);
        assert!(window.quantiles(12)[0].is_nan());
        window.observe(9, 3_000_000_000);
        assert_eq!((window.quantiles(9)[0], window.quantiles(9)[1]), (1.0, 3.0));
        assert_eq!(window.quantiles(12)[0], 3.0);
        window.observe(12, 4_000_000_000);
        assert_eq!(window.quantiles(12)[0], 3.0);
        window.observe(1_000_000, 5_000_000_000);
        assert_eq!(window.quantiles(1_000_000), [5.0; 3]);
    }

    #[test]
    fn every_duration_has_a_bucket_in_order() {
        let mut last = 0;
        for bit in 0..64 {
            for low in [0, 1] {
                let bucket = index((1 << bit) + low * ((1_u64 << bit) - 1).min(1 << bit >> 1));
                assert!(bucket >= last);
                last = bucket;
            }
        }
        assert_eq!((index(0), index(63), index(64), index(127), index(128)), (0, 63, 64, 127, 128));
        assert!(index(u64::MAX) > index(u64::MAX / 2));
    }
}

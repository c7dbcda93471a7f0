//! Turns a kernel counter that may decrease into a monotonic one.

/// A counter that never decreases. While no reading is lower than the previous one, it equals the reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MonotonicCounter {
    last: u64,
    total: u64,
}

impl MonotonicCounter {
    /// Adds the increase since the previous reading and returns the total. A lower reading is a new baseline and adds
    /// 0, unless [`MonotonicCounter::restart`] was called before.
    pub(crate) fn add(&mut self, now: u64) -> u64 {
        self.total = self.total.saturating_add(now.saturating_sub(self.last));
        self.last = now;
        self.total
    }

    /// The total of the readings so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether a reading is lower than the previous one.
    pub(crate) fn decreases(&self, now: u64) -> bool {
        now < self.last
    }

    /// The source restarted at 0: the next reading is added in full.
    pub(crate) fn restart(&mut self) {
        self.last = 0;
    }

    /// Sets the baseline to a reading that was counted elsewhere.
    pub(crate) fn skip(&mut self, now: u64) {
        self.last = now;
    }

    /// Another source of the same count takes over, whose value may be lower: only its excess over the total is
    /// added.
    pub(crate) fn change_source(&mut self) {
        self.last = self.total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(counter: &mut MonotonicCounter, readings: &[u64]) -> Vec<u64> {
        readings.iter().map(|&now| counter.add(now)).collect()
    }

    #[test]
    fn increasing_readings_are_returned_unchanged() {
        let readings = [3, 3, 8, 1 << 60, u64::MAX];
        assert_eq!(read(&mut MonotonicCounter::default(), &readings), readings);
    }

    #[test]
    fn a_lower_reading_is_a_new_baseline_and_adds_nothing() {
        assert_eq!(read(&mut MonotonicCounter::default(), &[100, 50, 60, 0, 1]), [100, 100, 110, 110, 111]);
    }

    #[test]
    fn a_restarted_source_adds_its_whole_count() {
        let mut counter = MonotonicCounter::default();
        read(&mut counter, &[100, 110]);
        counter.restart();
        assert_eq!(read(&mut counter, &[50, 60]), [160, 170]);
        counter.restart();
        assert_eq!(read(&mut counter, &[90]), [260]);
    }

    #[test]
    fn another_source_adds_only_its_excess_over_the_total() {
        let mut counter = MonotonicCounter::default();
        read(&mut counter, &[10]);
        counter.change_source();
        assert_eq!(read(&mut counter, &[4, 6]), [10, 12]);
        counter.change_source();
        assert_eq!(read(&mut counter, &[10, 11]), [12, 13]);
        counter.change_source();
        assert_eq!(read(&mut counter, &[20]), [20]);
    }

    #[test]
    fn an_overflow_does_not_decrease_the_counter() {
        assert_eq!(read(&mut MonotonicCounter::default(), &[u64::MAX, 0, 5]), [u64::MAX; 3]);
    }
}

//! A counter of the kernel that may fall, made one that never does.

/// One counter over many readings. As long as no reading is lower than the last, it is what was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rising {
    last: u64,
    total: u64,
}

impl Rising {
    /// The counter after one more reading: it adds what was counted since the last. A lower one is a
    /// new baseline and adds 0, unless [`Rising::begin_anew`] came before.
    pub(crate) fn add(&mut self, now: u64) -> u64 {
        self.total = self.total.saturating_add(now.saturating_sub(self.last));
        self.last = now;
        self.total
    }

    /// Whether a reading is lower than the last.
    pub(crate) fn falls(&self, now: u64) -> bool {
        now < self.last
    }

    /// What counts is known to be new and began at 0: all that it has counted will be added.
    pub(crate) fn begin_anew(&mut self) {
        self.last = 0;
    }

    /// The same thing is counted by another from now on, whose count may be lower: what it has beyond
    /// the total is added.
    pub(crate) fn change_witness(&mut self) {
        self.last = self.total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(counter: &mut Rising, readings: &[u64]) -> Vec<u64> {
        readings.iter().map(|&now| counter.add(now)).collect()
    }

    #[test]
    fn what_does_not_fall_is_as_it_was_read() {
        let readings = [3, 3, 8, 1 << 60, u64::MAX];
        assert_eq!(read(&mut Rising::default(), &readings), readings);
    }

    #[test]
    fn a_fall_is_a_new_baseline_and_adds_nothing() {
        assert_eq!(read(&mut Rising::default(), &[100, 50, 60, 0, 1]), [100, 100, 110, 110, 111]);
    }

    #[test]
    fn what_is_new_adds_all_it_has_counted() {
        let mut counter = Rising::default();
        read(&mut counter, &[100, 110]);
        counter.begin_anew();
        assert_eq!(read(&mut counter, &[50, 60]), [160, 170]);
        counter.begin_anew();
        assert_eq!(read(&mut counter, &[90]), [260]);
    }

    #[test]
    fn another_witness_adds_what_it_has_beyond_the_total() {
        let mut counter = Rising::default();
        read(&mut counter, &[10]);
        counter.change_witness();
        assert_eq!(read(&mut counter, &[4, 6]), [10, 12]);
        counter.change_witness();
        assert_eq!(read(&mut counter, &[10, 11]), [12, 13]);
        counter.change_witness();
        assert_eq!(read(&mut counter, &[20]), [20]);
    }

    #[test]
    fn numbers_too_large_to_add_do_not_turn_it_back() {
        assert_eq!(read(&mut Rising::default(), &[u64::MAX, 0, 5]), [u64::MAX; 3]);
    }
}

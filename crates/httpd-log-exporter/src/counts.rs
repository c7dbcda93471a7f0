//! What was counted of requests since the start: arrays by method and status, and the durations.

use crate::request::{Method, Number, Request, Status};

/// The counters of all sources together.
#[derive(Debug)]
pub(crate) struct Counts {
    /// By method, then status.
    cells: Box<[Cell]>,
    /// Where the format has a time.
    pub(crate) durations: Option<Durations>,
}

/// The counters of one method and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) requests: u64,
    /// More than 64 bits, since a line may claim 2^63 bytes.
    pub(crate) bytes: u128,
}

/// A histogram that is counted in whole nanoseconds, so that its sum does not drift.
#[derive(Clone, Debug)]
pub(crate) struct Durations {
    /// The upper bounds in seconds, as they are shown.
    pub(crate) bounds: Vec<f64>,
    nanoseconds: Vec<u64>,
    /// How many fell into each bucket and not into the one before; the last is +Inf.
    pub(crate) counts: Vec<u64>,
    sum: u128,
}

impl Counts {
    /// All at 0, with a histogram if there are upper bounds in seconds.
    pub(crate) fn new(bounds: Option<&[f64]>) -> Self {
        Self {
            cells: vec![Cell::default(); Method::NAMES.len() * Status::COUNT].into(),
            durations: bounds.map(Durations::new),
        }
    }

    /// Counts a request; false if one of its numbers is wrong and was left out.
    #[inline]
    pub(crate) fn add(&mut self, request: &Request) -> bool {
        let cell = &mut self.cells[request.method.index() * Status::COUNT + request.status.index()];
        cell.requests += 1;
        if let Number::Value(bytes) = request.bytes {
            cell.bytes += u128::from(bytes);
        }
        if let (Number::Value(nanoseconds), Some(durations)) = (request.duration, &mut self.durations) {
            durations.observe(nanoseconds);
        }
        request.bytes != Number::Wrong && request.duration != Number::Wrong
    }

    /// Every method and place of a status with its counters, whether anything was counted or not.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&'static str, usize, &Cell)> {
        let rows = Method::NAMES.into_iter().zip(self.cells.chunks_exact(Status::COUNT));
        rows.flat_map(|(method, row)| row.iter().enumerate().map(move |(status, cell)| (method, status, cell)))
    }
}

impl Durations {
    fn new(bounds: &[f64]) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as large or small as can be")]
        let nanoseconds = bounds.iter().map(|bound| (bound * 1e9).round() as u64).collect();
        Self { bounds: bounds.to_vec(), nanoseconds, counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    fn observe(&mut self, nanoseconds: u64) {
        let bucket = self.nanoseconds.iter().position(|&bound| nanoseconds <= bound);
        self.counts[bucket.unwrap_or(self.nanoseconds.len())] += 1;
        self.sum += u128::from(nanoseconds);
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

    fn request(bytes: Number, duration: Number) -> Request {
        Request { method: Method::of(b"GET /"), status: Status::parse(b"200").unwrap(), bytes, duration }
    }

    #[test]
    fn sums_beyond_64_bits_neither_wrap_nor_panic() {
        let mut counts = Counts::new(None);
        for _ in 0..3 {
            assert!(counts.add(&request(Number::Value(u64::MAX), Number::Absent)));
        }
        let (_, _, cell) = counts.cells().find(|(.., cell)| cell.requests > 0).unwrap();
        assert_eq!(*cell, Cell { requests: 3, bytes: 3 * u128::from(u64::MAX) });
    }

    #[test]
    fn a_wrong_number_is_told_and_its_request_counts() {
        let mut counts = Counts::new(Some(&[1.0]));
        assert!(!counts.add(&request(Number::Value(7), Number::Wrong)));
        assert!(!counts.add(&request(Number::Wrong, Number::Value(1))));
        assert!(counts.add(&request(Number::Value(7), Number::Absent)));
        let (method, status, cell) = counts.cells().find(|(.., cell)| cell.requests > 0).unwrap();
        assert_eq!((method, status, *cell), ("GET", 200, Cell { requests: 3, bytes: 14 }));
        assert_eq!(counts.durations.unwrap().counts, [1, 0]);
    }

    #[test]
    fn an_observation_on_a_bound_is_within_it() {
        let mut durations = Durations::new(&[0.005, 0.01, 1e30]);
        for nanoseconds in [0, 5_000_000, 5_000_001, 10_000_000, u64::MAX] {
            durations.observe(nanoseconds);
        }
        assert_eq!(durations.counts, [2, 2, 1, 0]);
    }

    #[test]
    fn a_sum_of_a_million_times_does_not_drift() {
        let mut durations = Durations::new(&[]);
        (0..1_000_000).for_each(|_| durations.observe(100_000_000));
        assert!((durations.sum() - 100_000.0).abs() < f64::EPSILON);
    }
}

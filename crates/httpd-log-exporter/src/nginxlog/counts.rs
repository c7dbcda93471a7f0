//! The counters of a namespace by label set, within the limit of series.

use super::quantiles::{QUANTILES, Window};
use crate::metrics::label_sets::{self, LabelSets};

/// The series of all namespaces, and their limit.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    used: usize,
    /// Requests that are counted with other as labels because of the limit.
    pub(super) overflowed: u64,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { max, used: 0, overflowed: 0 }
    }

    /// Counts a request with `other` as labels.
    #[cold]
    pub(super) fn overflow(&mut self) {
        label_sets::warn_of_overflow(self.max);
        self.overflowed += 1;
    }

    /// Takes series if they are within the limit, less an eighth of it unless `all` of it may be used.
    fn take(&mut self, series: usize, all: bool) -> bool {
        let limit = if all { self.max } else { self.max - self.max / 8 };
        let fits = self.used + series <= limit;
        if fits {
            self.used += series;
        }
        fits
    }
}

/// The counters of each label set. The values of every label of the set with number 0 are `other`.
#[derive(Debug)]
pub(super) struct Table<T> {
    sets: LabelSets,
    totals: Vec<T>,
    /// The maximum number of series of a label set.
    series: usize,
}

/// Where a line is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    id: usize,
    /// Whether it has the labels of the line.
    pub(super) is_own: bool,
}

impl<T: Default> Table<T> {
    /// The table for label sets with this number of values. The series of the label set `other` are reserved.
    pub(super) fn new(values: usize, series: usize, budget: &mut Budget) -> Self {
        budget.used += series;
        Self { sets: LabelSets::new(values), totals: vec![T::default()], series }
    }

    /// The label set of a line; if there is no series left, the set `fallback`, or `other`.
    pub(super) fn place(&mut self, key: &[u8], fallback: &[u8], budget: &mut Budget) -> Place {
        if let Some(id) = self.sets.id(key).or_else(|| self.add(key, false, budget)) {
            return Place { id, is_own: true };
        }
        let id = self.sets.id(fallback).or_else(|| self.add(fallback, true, budget));
        Place { id: id.unwrap_or(LabelSets::OTHER), is_own: false }
    }

    /// Adds a label set if there are series left.
    #[cold]
    fn add(&mut self, key: &[u8], all: bool, budget: &mut Budget) -> Option<usize> {
        if self.sets.key(LabelSets::OTHER).as_bytes() == key {
            return Some(LabelSets::OTHER);
        }
        if !budget.take(self.series, all) {
            return None;
        }
        let id = self.sets.insert(key);
        if id != LabelSets::OTHER {
            self.totals.push(T::default());
        }
        Some(id)
    }

    /// The label set of saved values.
    pub(super) fn restored(&mut self, key: &[u8], budget: &mut Budget) -> Place {
        let id = self.sets.id(key).or_else(|| self.add(key, true, budget));
        Place { id: id.unwrap_or(LabelSets::OTHER), is_own: false }
    }

    /// The counters of a label set.
    pub(super) fn totals(&mut self, place: Place) -> &mut T {
        &mut self.totals[place.id]
    }

    /// All label sets, with separators between their values, and their counters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.totals.iter().enumerate().map(|(id, totals)| (self.sets.key(id), totals))
    }
}

/// The requests of a label set.
pub(super) type Requests = u64;

/// The bytes and durations of a label set; `None` if no line had them.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// Sent, then received.
    pub(super) bytes: [Option<u128>; 2],
    /// In the order of the fields of a namespace.
    pub(super) times: [Option<Box<Times>>; TIMES],
}

/// The number of durations.
pub(super) const TIMES: usize = 3;

/// The durations of a label set.
#[derive(Debug)]
pub(super) struct Times {
    /// The number of durations in each bucket, not cumulative; the last one is +Inf.
    pub(super) counts: Box<[u64]>,
    /// In nanoseconds.
    pub(super) sum: u128,
    pub(super) window: Window,
}

impl Times {
    /// No durations, in a histogram with this number of bounds.
    pub(super) fn new(bounds: usize) -> Self {
        Self { counts: vec![0; bounds + 1].into(), sum: 0, window: Window::default() }
    }

    /// Adds a duration. The bounds are in nanoseconds.
    pub(super) fn observe(&mut self, nanoseconds: u64, bounds: &[u64], interval: u64) {
        let bucket: usize = bounds.iter().map(|&bound| usize::from(bound < nanoseconds)).sum();
        self.counts[bucket] += 1;
        self.sum += u128::from(nanoseconds);
        self.window.observe(interval, nanoseconds);
    }

    /// The number of series: buckets, sum and count of the histogram, and quantiles, sum and count of the summary.
    pub(super) fn series(bounds: usize) -> usize {
        bounds + 3 + QUANTILES.len() + 2
    }
}

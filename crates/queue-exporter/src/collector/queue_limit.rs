//! `--queue.max-queues`: exports the deepest queues individually and sums up the others.

use std::collections::HashSet;

use exporter_common::Histogram;

use super::counter_memory::{CounterMemory, Increase, empty, native_increase};
use crate::queue_system::{Counter, QueueId, Statistics};

/// The name of the sum of the other queues.
const OTHER: &str = "_other";

/// Which queues are exported individually, and the counters of the others.
#[derive(Default)]
pub(super) struct QueueLimit {
    /// `None`: no limit.
    max: Option<usize>,
    /// Selected once, so that series do not come and go with the depth of queues.
    selected: HashSet<QueueId>,
    /// Set once there were more queues than the limit.
    other: Option<OtherCounters>,
}

/// The increases of queues while they were over the limit.
#[derive(Default)]
struct OtherCounters {
    counters: [Option<u64>; Statistics::COUNTERS],
    processing: HistogramSum,
}

#[derive(Default)]
enum HistogramSum {
    #[default]
    Empty,
    Sum(Histogram),
    /// The queues have different buckets, which cannot be added.
    DifferentBuckets,
}

/// How a queue is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Individual,
    /// To be decided after all queues are read.
    Undecided,
    Other,
}

/// A queue with its statistics and the increase of its counters since the last read.
pub(super) type UndecidedQueue = (QueueId, Statistics, Increase);

/// The queues over the limit in one read.
#[derive(Default)]
pub(super) struct OtherQueues {
    pub(super) count: u64,
    /// The sum of their gauges.
    gauges: Statistics,
}

impl QueueLimit {
    pub(super) fn new(max: Option<usize>) -> Self {
        Self { max, ..Self::default() }
    }

    pub(super) fn selection(&self, queue: &QueueId) -> Selection {
        match self.max {
            None => Selection::Individual,
            _ if queue.name.is_empty() || self.selected.contains(queue) => Selection::Individual,
            Some(max) if self.selected.len() < max && !is_other(queue) => Selection::Undecided,
            Some(_) => Selection::Other,
        }
    }

    /// Removes the deepest of the undecided queues, up to the limit, and returns them. The selection is kept for later
    /// reads only if `all` queues were read.
    pub(super) fn select(&mut self, undecided: &mut Vec<UndecidedQueue>, all: bool) -> Vec<(QueueId, Statistics)> {
        let free = self.max.unwrap_or(usize::MAX).saturating_sub(self.selected.len());
        undecided.sort_by(|(a, in_a, _), (b, in_b, _)| in_b.ready.cmp(&in_a.ready).then_with(|| a.cmp(b)));
        let deepest = undecided.drain(..free.min(undecided.len()));
        let deepest: Vec<_> = deepest.map(|(queue, statistics, _)| (queue, statistics)).collect();
        if all {
            self.selected.extend(deepest.iter().map(|(queue, _)| queue.clone()));
        }
        deepest
    }

    /// Adds a queue to the others.
    pub(super) fn add(&mut self, others: &mut OtherQueues, statistics: &Statistics, increase: Increase) {
        others.count += 1;
        add_gauges(&mut others.gauges, statistics);
        let other = self.other.get_or_insert_default();
        for (total, increase) in other.counters.iter_mut().zip(increase.counters) {
            *total = add(*total, increase);
        }
        if let Some((before, after)) = increase.processing {
            other.processing.add(&before, &after);
        }
    }

    /// The others as one queue. Its gauges are left out unless the statistics of all of them are `complete`.
    pub(super) fn other_queue(&self, others: OtherQueues, complete: bool) -> Option<(QueueId, Statistics)> {
        let other = self.other.as_ref()?;
        let mut statistics = if complete { others.gauges } else { Statistics::default() };
        for (counter, total) in statistics.counters_mut().into_iter().zip(other.counters) {
            *counter = Counter::single(total);
        }
        if let HistogramSum::Sum(processing) = &other.processing {
            statistics.processing = Some(processing.clone());
        }
        Some((QueueId::named(OTHER), statistics))
    }

    /// Deselects queues that no longer exist.
    pub(super) fn remove_missing(&mut self, memory: &CounterMemory) {
        self.selected.retain(|queue| memory.has(queue));
    }
}

/// A queue with this very name has the same series as the sum, so it is a part of it.
fn is_other(queue: &QueueId) -> bool {
    queue.name == OTHER && queue.scope.is_empty()
}

fn add(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().reduce(u64::saturating_add)
}

/// Adds depths, consumers and bytes, and takes the maximum of ages. Other gauges (limit, paused, info) have no sum.
fn add_gauges(sum: &mut Statistics, one: &Statistics) {
    for (sum, one) in [
        (&mut sum.ready, one.ready),
        (&mut sum.in_flight, one.in_flight),
        (&mut sum.delayed, one.delayed),
        (&mut sum.retry, one.retry),
        (&mut sum.dead, one.dead),
        (&mut sum.blocked, one.blocked),
        (&mut sum.completed, one.completed),
        (&mut sum.canceled, one.canceled),
        (&mut sum.consumers, one.consumers),
        (&mut sum.consumers_busy, one.consumers_busy),
        (&mut sum.memory_bytes, one.memory_bytes),
        (&mut sum.message_bytes, one.message_bytes),
        (&mut sum.stream_length, one.stream_length),
    ] {
        *sum = add(*sum, one);
    }
    for (sum, one) in [(&mut sum.oldest_age, one.oldest_age), (&mut sum.oldest_in_flight_age, one.oldest_in_flight_age)]
    {
        *sum = [*sum, one].into_iter().flatten().reduce(f64::max);
    }
}

impl HistogramSum {
    fn add(&mut self, before: &Histogram, after: &Histogram) {
        let bounds = |histogram: &Histogram| histogram.buckets.iter().map(|(bound, _)| *bound).collect::<Vec<_>>();
        if let Self::Empty = self {
            *self = Self::Sum(empty(after));
        }
        let Self::Sum(total) = self else { return };
        if bounds(total) != bounds(after) || bounds(before) != bounds(after) {
            *self = Self::DifferentBuckets;
            return;
        }
        for ((total, before), after) in total.buckets.iter_mut().zip(&before.buckets).zip(&after.buckets) {
            total.1 = total.1.saturating_add(after.1.saturating_sub(before.1));
        }
        total.count = total.count.saturating_add(after.count.saturating_sub(before.count));
        let increase = after.sum.zip(before.sum).map(|(after, before)| after - before);
        total.sum = total.sum.zip(increase).map(|(total, increase)| total + increase);
        if let (Some(total), Some(increase)) = (&mut total.native, native_increase(before, after)) {
            total.merge(&increase);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Depth and processed messages.
    type Sums = (Option<u64>, Option<u64>);

    /// One read of queues with their depth and their number of processed messages. Returns the names of the queues
    /// that are exported individually, and the sums of the others.
    fn read(
        limit: &mut QueueLimit,
        memory: &mut CounterMemory,
        queues: &[(&str, u64, u64)],
    ) -> (Vec<String>, Option<Sums>) {
        let (mut exported, mut undecided, mut others) = (Vec::new(), Vec::new(), OtherQueues::default());
        for (name, depth, processed) in queues {
            let queue = QueueId::named(*name);
            let success = Counter::single(Some(*processed));
            let mut statistics = Statistics { ready: Some(*depth), success, ..Statistics::default() };
            let increase = memory.increase(&queue, &mut statistics);
            match limit.selection(&queue) {
                Selection::Individual => exported.push(queue.name),
                Selection::Undecided => undecided.push((queue, statistics, increase)),
                Selection::Other => limit.add(&mut others, &statistics, increase),
            }
        }
        exported.extend(limit.select(&mut undecided, true).into_iter().map(|(queue, _)| queue.name));
        for (_, statistics, increase) in undecided {
            limit.add(&mut others, &statistics, increase);
        }
        memory.complete_list();
        limit.remove_missing(memory);
        exported.sort();
        let other = limit.other_queue(others, true).map(|(_, other)| (other.ready, other.success.value()));
        (exported, other)
    }

    #[test]
    fn the_deepest_queues_are_selected_once_and_replaced_when_they_are_deleted() {
        let (mut limit, mut memory) = (QueueLimit::new(Some(2)), CounterMemory::default());
        let mut read = |queues: &[_]| read(&mut limit, &mut memory, queues);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(read(&[("a", 9, 0), ("b", 1, 50), ("c", 5, 0)]), (names(&["a", "c"]), Some((Some(1), Some(0)))));
        assert_eq!(read(&[("a", 0, 0), ("b", 99, 53), ("c", 5, 0)]), (names(&["a", "c"]), Some((Some(99), Some(3)))));
        let without_a = [("b", 2, 54), ("c", 5, 0), ("d", 7, 8)];
        assert_eq!(read(&without_a), (names(&["c"]), Some((Some(9), Some(4)))), "one list may miss a queue");
        assert_eq!(read(&without_a), (names(&["c"]), Some((Some(9), Some(4)))));
        assert_eq!(read(&without_a), (names(&["c", "d"]), Some((Some(2), Some(4)))));
        let without_b = [("c", 5, 0), ("d", 7, 8)];
        assert_eq!(read(&without_b), (names(&["c", "d"]), Some((None, Some(4)))), "the counter does not decrease");
    }

    #[test]
    fn without_a_limit_all_queues_are_exported_individually() {
        let (mut limit, mut memory) = (QueueLimit::default(), CounterMemory::default());
        let (exported, other) = read(&mut limit, &mut memory, &[("a", 9, 0), ("_other", 1, 50)]);
        assert_eq!((exported.len(), other), (2, None));
    }

    #[test]
    fn a_queue_named_other_is_a_part_of_the_sum() {
        let (mut limit, mut memory) = (QueueLimit::new(Some(2)), CounterMemory::default());
        let (exported, other) = read(&mut limit, &mut memory, &[("a", 9, 0), ("_other", 1, 50)]);
        assert_eq!((exported, other), (vec!["a".to_owned()], Some((Some(1), Some(0)))));
    }

    #[test]
    fn histograms_with_different_buckets_have_no_sum() {
        let histogram = |bound, count| Histogram::new([(bound, count)], Some(1.0), count);
        let mut sum = HistogramSum::default();
        sum.add(&histogram(1.0, 2), &histogram(1.0, 5));
        assert!(matches!(&sum, HistogramSum::Sum(total) if total.count == 3 && total.buckets == [(1.0, 3)]));
        sum.add(&histogram(2.0, 2), &histogram(2.0, 5));
        assert!(matches!(sum, HistogramSum::DifferentBuckets));
    }
}

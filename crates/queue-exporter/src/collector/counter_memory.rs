//! Keeps counters monotonic: the last value per queue plus the sum of all increases.

use std::collections::HashMap;

use exporter_common::{Histogram, NativeHistogram};

use crate::queue_system::{Counter, PARTS, QueueId, Statistics};

/// The counters of every existing queue, and of some that were deleted.
#[derive(Default)]
pub(crate) struct CounterMemory {
    /// Boxed, because the capacity of a hash table may be twice its length.
    queues: HashMap<QueueId, Box<QueueCounters>>,
    /// The number of complete lists so far.
    lists: u64,
    /// The number of lists so far, complete or not.
    reads: u64,
}

/// How many deleted queues are remembered. If one returns (a broker restarted without its data), its counters continue
/// from their sums.
const MAX_DELETED: usize = 10_000;

#[derive(Default)]
struct QueueCounters {
    /// The number of complete lists when this queue was last seen.
    last_seen: u64,
    /// The number of all lists when it was last seen.
    last_read: u64,
    generation: u64,
    counters: [[MonotonicPart; PARTS]; Statistics::COUNTERS],
    processing: Option<MonotonicHistogram>,
}

/// The increase of a queue's counters since the last read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Increase {
    pub(crate) counters: [Option<u64>; Statistics::COUNTERS],
    /// Before and after.
    pub(super) processing: Option<(Histogram, Histogram)>,
}

impl CounterMemory {
    /// Replaces the counters of a queue with monotonic ones. The first value of a counter is exported unchanged. If a
    /// counter decreases, the new value is the new baseline and adds 0, unless the counter is known to have restarted:
    /// by its generation, or because the queue was deleted in between.
    pub(crate) fn update(&mut self, queue: &QueueId, statistics: &mut Statistics) {
        let Some(known) = self.queues.get_mut(queue) else {
            let generation = statistics.generation;
            let (last_seen, last_read) = (self.lists, self.reads);
            let mut new = Box::new(QueueCounters { last_seen, last_read, generation, ..QueueCounters::default() });
            new.update(statistics);
            self.queues.insert(queue.clone(), new);
            return;
        };
        let was_deleted = known.is_deleted(self.lists);
        (known.last_seen, known.last_read) = (self.lists, self.reads);
        if known.generation != statistics.generation {
            known.generation = statistics.generation;
            known.restart();
        } else if was_deleted {
            known.restart_decreased(statistics);
        }
        known.update(statistics);
    }

    /// The same, and returns the increase of the counters. The increase of a new queue is 0.
    pub(crate) fn increase(&mut self, queue: &QueueId, statistics: &mut Statistics) -> Increase {
        let before = self.queues.get(queue).map(|known| {
            let counters = known.counters.map(|parts| parts.iter().map(|part| part.total).fold(0, u64::saturating_add));
            (counters, known.processing.as_ref().map(|processing| processing.total.clone()))
        });
        self.update(queue, statistics);
        let now = statistics.processing.clone();
        let Some((before, processing)) = before else {
            let counters = statistics.counters_mut().map(|counter| counter.value().map(|_| 0));
            return Increase { counters, processing: now.map(|now| (now.clone(), now)) };
        };
        let mut before = before.into_iter();
        let counters = statistics.counters_mut().map(|counter| {
            let before = before.next().unwrap_or_default();
            counter.value().map(|after| after.saturating_sub(before))
        });
        Increase { counters, processing: now.map(|now| (processing.unwrap_or_else(|| empty(&now)), now)) }
    }

    /// Records that a queue exists although its statistics could not be read.
    pub(super) fn keep(&mut self, queue: &QueueId) {
        if let Some(known) = self.queues.get_mut(queue)
            && !known.is_deleted(self.lists)
        {
            (known.last_seen, known.last_read) = (self.lists, self.reads);
        }
    }

    /// Whether a queue exists, as of the last lists.
    pub(super) fn has(&self, queue: &QueueId) -> bool {
        self.queues.get(queue).is_some_and(|known| !known.is_deleted(self.lists))
    }

    /// Records that a list was complete. A queue is deleted once two lists in a row lack it: a list in pages can miss a
    /// queue while others are deleted.
    pub(crate) fn complete_list(&mut self) {
        self.lists += 1;
        self.reads += 1;
        let lists = self.lists;
        self.forget_oldest(|known| known.is_deleted(lists));
    }

    /// Records that a list was incomplete. No queue is deleted, but if the list never is complete, queues that it lacks
    /// must not fill the memory.
    pub(super) fn incomplete_list(&mut self) {
        self.reads += 1;
        let reads = self.reads;
        self.forget_oldest(|known| known.last_read + 1 < reads);
    }

    /// Forgets the missing queues that were seen longest ago, if there are too many.
    fn forget_oldest(&mut self, is_missing: impl Fn(&QueueCounters) -> bool) {
        let missing = self.queues.values().filter(|known| is_missing(known));
        let mut missing: Vec<u64> = missing.map(|known| known.last_read).collect();
        if missing.len() > MAX_DELETED {
            missing.sort_unstable();
            let oldest = missing[missing.len() - MAX_DELETED];
            self.queues.retain(|_, known| known.last_read >= oldest);
        }
    }
}

impl QueueCounters {
    fn is_deleted(&self, lists: u64) -> bool {
        self.last_seen + 2 < lists
    }

    fn update(&mut self, statistics: &mut Statistics) {
        for (known, counter) in self.counters.iter_mut().zip(statistics.counters_mut()) {
            *counter = update_parts(known, *counter);
        }
        if let Some(now) = statistics.processing.take() {
            statistics.processing = Some(match &mut self.processing {
                Some(known) => known.update(now).clone(),
                None => {
                    self.processing = Some(MonotonicHistogram { last: now.clone(), total: now.clone() });
                    now
                }
            });
        }
    }

    /// For a queue that was deleted and exists again. A counter below its last value has restarted from 0. Otherwise it
    /// is the same queue, which the lists missed.
    fn restart_decreased(&mut self, statistics: &mut Statistics) {
        for (known, counter) in self.counters.iter_mut().zip(statistics.counters_mut()) {
            for (known, part) in known.iter_mut().zip(counter.0) {
                if let (Some(last), Some(now)) = (known.last, part)
                    && now < last
                {
                    known.last = Some(0);
                }
            }
        }
        if let (Some(known), Some(now)) = (&mut self.processing, &statistics.processing)
            && now.count < known.last.count
        {
            known.restart();
        }
    }

    fn restart(&mut self) {
        for part in self.counters.as_flattened_mut() {
            part.last = part.last.map(|_| 0);
        }
        if let Some(processing) = &mut self.processing {
            processing.restart();
        }
    }
}

/// One part of a counter: the last value, and the sum of all increases.
#[derive(Clone, Copy, Default)]
struct MonotonicPart {
    last: Option<u64>,
    total: u64,
}

fn update_parts(known: &mut [MonotonicPart; PARTS], counter: Counter) -> Counter {
    if counter.value().is_none() {
        return counter; // unknown now: exporting the old sum would hide that
    }
    let mut parts = counter.0;
    for (known, part) in known.iter_mut().zip(&mut parts) {
        if let Some(value) = *part {
            // a part that appears later has counted from 0
            known.total = known.total.saturating_add(value.saturating_sub(known.last.unwrap_or(0)));
            known.last = Some(value);
        }
        // a part that has vanished keeps its share: the sum of the others would be lower
        *part = known.last.map(|_| known.total);
    }
    Counter(parts)
}

/// A histogram is one unit: if any of its values decreases, all of it is a new baseline.
struct MonotonicHistogram {
    last: Histogram,
    total: Histogram,
}

impl MonotonicHistogram {
    fn update(&mut self, now: Histogram) -> &Histogram {
        if !same_bounds(&self.last, &now) {
            // with new buckets, earlier observations belong to +Inf only
            self.total.buckets = now.buckets.iter().map(|(bound, _)| (*bound, 0)).collect();
            if self.last.count == 0 {
                self.last = empty(&now);
            }
        }
        if same_bounds(&self.last, &now) && has_grown(&self.last, &now) {
            let increases = now.buckets.iter().zip(&self.last.buckets).map(|((_, now), (_, last))| now - last);
            for ((_, total), increase) in self.total.buckets.iter_mut().zip(increases) {
                *total = total.saturating_add(increase);
            }
            self.total.count = self.total.count.saturating_add(now.count - self.last.count);
            let increase = now.sum.zip(self.last.sum).map(|(now, last)| now - last);
            self.total.sum = self.total.sum.zip(increase).map(|(total, increase)| total + increase);
            if let (Some(total), Some(increase)) = (&mut self.total.native, native_increase(&self.last, &now)) {
                total.merge(&increase);
            }
        }
        self.last = now;
        &self.total
    }

    fn restart(&mut self) {
        self.last = empty(&self.last);
    }
}

/// No observations, in the same buckets.
pub(super) fn empty(like: &Histogram) -> Histogram {
    let buckets: Vec<_> = like.buckets.iter().map(|(bound, _)| (*bound, 0)).collect();
    let empty = Histogram::new(buckets, like.sum.map(|_| 0.0), 0);
    if like.native.is_some() { empty.with_native(NativeHistogram::new()) } else { empty }
}

/// The increase of the native buckets; `None` without them.
pub(super) fn native_increase(before: &Histogram, after: &Histogram) -> Option<NativeHistogram> {
    after.native.as_ref()?.since(before.native.as_ref()?)
}

fn same_bounds(a: &Histogram, b: &Histogram) -> bool {
    a.buckets.iter().map(|(bound, _)| bound).eq(b.buckets.iter().map(|(bound, _)| bound))
}

fn has_grown(last: &Histogram, now: &Histogram) -> bool {
    last.count <= now.count
        && last.sum.zip(now.sum).is_none_or(|(last, now)| last <= now)
        && (now.native.is_none() || native_increase(last, now).is_some())
        && last.buckets.iter().zip(&now.buckets).all(|((_, last), (_, now))| last <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueId {
        QueueId::named(name)
    }

    /// The exported values of a counter with these generations and values.
    fn exported(values: &[(u64, [Option<u64>; PARTS])]) -> Vec<Option<u64>> {
        let mut memory = CounterMemory::default();
        let mut one = |(generation, parts): &(u64, _)| {
            let success = Counter(*parts);
            let mut statistics = Statistics { generation: *generation, success, ..Statistics::default() };
            memory.update(&queue("q"), &mut statistics);
            statistics.success.value()
        };
        values.iter().map(&mut one).collect()
    }

    fn single(value: u64) -> [Option<u64>; PARTS] {
        [Some(value), None, None]
    }

    #[test]
    fn the_first_value_is_exported_unchanged_and_increases_are_added() {
        assert_eq!(exported(&[(0, single(7)), (0, single(9))]), [Some(7), Some(9)]);
    }

    #[test]
    fn a_decrease_adds_nothing_and_is_the_new_baseline() {
        assert_eq!(exported(&[(0, single(7)), (0, single(2)), (0, single(5))]), [Some(7), Some(7), Some(10)]);
    }

    #[test]
    fn a_new_generation_adds_its_whole_value() {
        assert_eq!(exported(&[(0, single(7)), (1, single(2)), (1, single(5))]), [Some(7), Some(9), Some(12)]);
        assert_eq!(exported(&[(0, single(7)), (1, single(8))]), [Some(7), Some(15)], "even without a decrease");
        assert_eq!(exported(&[(0, single(7)), (0, single(2)), (1, single(3))]), [Some(7), Some(7), Some(10)]);
    }

    #[test]
    fn an_unknown_counter_is_absent_and_continues_later() {
        let unknown = [None; PARTS];
        assert_eq!(exported(&[(0, single(7)), (0, unknown), (0, single(8))]), [Some(7), None, Some(8)]);
        assert_eq!(exported(&[(0, single(7)), (1, unknown), (1, single(2))]), [Some(7), None, Some(9)]);
    }

    #[test]
    fn a_part_that_vanishes_keeps_its_share_and_is_not_counted_twice() {
        let [both, one] = [[Some(5), Some(3), None], [Some(6), None, None]];
        assert_eq!(exported(&[(0, both), (0, one), (0, both)]), [Some(8), Some(9), Some(9)]);
        assert_eq!(exported(&[(0, one), (0, [Some(6), Some(2), None])]), [Some(6), Some(8)]);
    }

    #[test]
    fn a_queue_is_deleted_when_two_complete_lists_lack_it() {
        let mut memory = CounterMemory::default();
        memory.update(&queue("deleted"), &mut Statistics::default());
        memory.update(&queue("unreadable"), &mut Statistics::default());
        for exists in [true, true, false, false] {
            memory.keep(&queue("unreadable"));
            memory.complete_list();
            assert_eq!([memory.has(&queue("deleted")), memory.has(&queue("unreadable"))], [exists, true]);
        }
    }

    #[test]
    fn a_deleted_queue_that_returns_continues_from_its_sums() {
        let mut memory = CounterMemory::default();
        let mut update = |value, lists_without| {
            for _ in 0..lists_without {
                memory.complete_list();
            }
            let mut statistics = Statistics { success: Counter::single(Some(value)), ..Statistics::default() };
            memory.update(&queue("q"), &mut statistics);
            statistics.success.value()
        };
        assert_eq!(update(100, 0), Some(100));
        assert_eq!(update(5, 3), Some(105), "recreated");
        assert_eq!(update(3, 1), Some(105), "not deleted: an unexplained decrease");
        assert_eq!(update(9, 3), Some(111), "missed by the lists");
    }

    #[test]
    fn the_number_of_remembered_deleted_queues_is_limited() {
        let mut memory = CounterMemory::default();
        for n in 0..MAX_DELETED + 5000 {
            memory.update(&queue(&n.to_string()), &mut Statistics::default());
            if n % 1000 == 0 {
                memory.complete_list();
            }
        }
        assert!(memory.queues.len() <= MAX_DELETED + 4000, "{}", memory.queues.len());
        let [first, last] = ["0", &MAX_DELETED.to_string()].map(|name| memory.queues.contains_key(&queue(name)));
        assert!(!first && last);
    }

    #[test]
    fn queues_that_incomplete_lists_lack_do_not_fill_the_memory() {
        let mut memory = CounterMemory::default();
        for read in 0..100 {
            memory.update(&queue("lasting"), &mut Statistics::default());
            for n in 0..500 {
                memory.update(&queue(&format!("{read}-{n}")), &mut Statistics::default());
            }
            memory.incomplete_list();
        }
        assert!(memory.queues.len() <= MAX_DELETED + 1001, "{}", memory.queues.len());
        assert!(memory.has(&queue("lasting")) && memory.has(&queue("99-7")));
    }

    #[test]
    fn an_increase_is_the_difference_to_the_last_read() {
        let mut memory = CounterMemory::default();
        let mut increase = |generation, value| {
            let mut statistics = Statistics { generation, enqueued: Counter::single(value), ..Statistics::default() };
            memory.increase(&queue("q"), &mut statistics).counters[2]
        };
        assert_eq!([increase(0, Some(7)), increase(0, Some(9)), increase(0, Some(3))], [Some(0), Some(2), Some(0)]);
        assert_eq!([increase(1, Some(4)), increase(1, None), increase(1, Some(5))], [Some(4), None, Some(1)]);
    }

    fn histogram(buckets: &[(f64, u64)], sum: f64, count: u64) -> Histogram {
        Histogram::new(buckets.iter().copied(), Some(sum), count)
    }

    fn exported_histograms(values: &[(u64, Histogram)]) -> Vec<Histogram> {
        let mut memory = CounterMemory::default();
        let mut one = |(generation, value): &(u64, Histogram)| {
            let processing = Some(value.clone());
            let mut statistics = Statistics { generation: *generation, processing, ..Statistics::default() };
            memory.update(&queue("q"), &mut statistics);
            statistics.processing.unwrap()
        };
        values.iter().map(&mut one).collect()
    }

    #[test]
    fn a_decrease_anywhere_in_a_histogram_is_a_new_baseline_for_all_of_it() {
        let values = [
            (0, histogram(&[(1.0, 4)], 2.0, 5)),
            (0, histogram(&[(1.0, 3)], 9.0, 9)),
            (0, histogram(&[(1.0, 4)], 9.5, 11)),
        ];
        let expected = [values[0].1.clone(), values[0].1.clone(), histogram(&[(1.0, 5)], 2.5, 7)];
        assert_eq!(exported_histograms(&values), expected);
    }

    #[test]
    fn a_histogram_of_a_new_generation_is_added() {
        let values = [(0, histogram(&[(1.0, 4)], 2.0, 5)), (1, histogram(&[(1.0, 1)], 0.5, 2))];
        assert_eq!(exported_histograms(&values)[1], histogram(&[(1.0, 5)], 2.5, 7));
        let other_bounds = [values[0].clone(), (1, histogram(&[(2.0, 1)], 0.5, 2))];
        assert_eq!(exported_histograms(&other_bounds)[1], histogram(&[(2.0, 1)], 2.5, 7));
    }

    #[test]
    fn native_buckets_always_have_as_many_observations_as_the_count() {
        let observed = |seconds: &[f64]| {
            let mut native = NativeHistogram::new();
            seconds.iter().for_each(|seconds| native.observe(*seconds));
            let (count, sum) = (seconds.len() as u64, seconds.iter().sum());
            histogram(&[(1000.0, count)], sum, count).with_native(native)
        };
        let values = [
            (0, observed(&[1.0, 2.0])),
            (0, observed(&[1.0, 2.0, 3.0])),
            (1, observed(&[5.0])),
            (1, observed(&[6.0, 7.0])), // not an increase: a bucket decreases
            (1, observed(&[6.0, 7.0, 8.0])),
        ];
        let exported = exported_histograms(&values);
        let counts: Vec<_> = exported.iter().map(|histogram| histogram.count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 5]);
        assert!(exported.iter().all(|histogram| histogram.native.as_ref().unwrap().count() == histogram.count));
    }

    #[test]
    fn new_buckets_start_at_0_and_the_count_is_kept() {
        let values = [
            (0, histogram(&[(1.0, 4)], 2.0, 5)),
            (0, histogram(&[(2.0, 1)], 0.5, 2)),
            (0, histogram(&[(2.0, 2)], 1.0, 4)),
        ];
        let expected = [values[0].1.clone(), histogram(&[(2.0, 0)], 2.0, 5), histogram(&[(2.0, 1)], 2.5, 7)];
        assert_eq!(exported_histograms(&values), expected);
    }
}

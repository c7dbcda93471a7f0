//! What keeps counters from going down: the last values of each queue, and our own sums.

use std::collections::HashMap;

use exporter_common::Histogram;

use crate::system::{Counter, PARTS, Queue, Statistics};

/// The last values and the sums of every queue that is there, and of some that were.
#[derive(Default)]
pub(crate) struct Memory {
    /// In boxes, since a table is up to twice as large as what is in it.
    queues: HashMap<Queue, Box<Kept>>,
    /// How many whole lists were read.
    lists: u64,
}

/// How many queues that are gone are remembered: one that comes back (a broker that was restarted
/// without its data) goes on from its sums.
const DEPARTED: usize = 10_000;

#[derive(Default)]
struct Kept {
    /// The list that was being read when this queue was last seen.
    seen: u64,
    life: u64,
    counters: [[Followed; PARTS]; Statistics::COUNTERS],
    processing: Option<FollowedHistogram>,
}

/// By how much the counters of a queue have grown since they were last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Increase {
    pub(crate) counters: [Option<u64>; Statistics::COUNTERS],
    /// Before and after.
    pub(crate) processing: Option<(Histogram, Histogram)>,
}

impl Memory {
    /// Puts our sums in place of the source's counters. The first value of a counter is taken as it
    /// is. One that falls is a new baseline and adds 0, unless its source is known to have begun anew:
    /// by its life, or because the queue was gone.
    pub(crate) fn follow(&mut self, queue: &Queue, statistics: &mut Statistics) -> Increase {
        let Some(kept) = self.queues.get_mut(queue) else {
            let mut kept = Box::new(Kept { seen: self.lists, life: statistics.life, ..Kept::default() });
            kept.follow(statistics);
            let counters = statistics.counters_mut().map(|counter| counter.value().map(|_| 0));
            let processing = statistics.processing.clone().map(|now| (now.clone(), now));
            self.queues.insert(queue.clone(), kept);
            return Increase { counters, processing };
        };
        let was_gone = kept.is_gone(self.lists);
        kept.seen = self.lists;
        if kept.life != statistics.life {
            kept.life = statistics.life;
            kept.begin_anew();
        } else if was_gone {
            kept.begin_anew_where_fallen(statistics);
        }
        let before = kept.counters.map(|parts| parts.iter().map(|part| part.total).fold(0, u64::saturating_add));
        let processing = kept.processing.as_ref().map(|processing| processing.total.clone());
        kept.follow(statistics);
        let mut before = before.into_iter();
        let counters = statistics.counters_mut().map(|counter| {
            let before = before.next().unwrap_or_default();
            counter.value().map(|after| after.saturating_sub(before))
        });
        let now = statistics.processing.as_ref();
        let processing = now.map(|now| (processing.unwrap_or_else(|| empty(now)), now.clone()));
        Increase { counters, processing }
    }

    /// Notes that a queue is still there, though its statistics could not be read.
    pub(crate) fn keep(&mut self, queue: &Queue) {
        if let Some(kept) = self.queues.get_mut(queue)
            && !kept.is_gone(self.lists)
        {
            kept.seen = self.lists;
        }
    }

    /// Whether a queue is there, as far as lists tell.
    pub(crate) fn has(&self, queue: &Queue) -> bool {
        self.queues.get(queue).is_some_and(|kept| !kept.is_gone(self.lists))
    }

    /// Notes that a list was read whole. Only what two lists in a row lack is gone: a list read in pages
    /// can miss a queue while others are deleted.
    pub(crate) fn end_of_list(&mut self) {
        self.lists += 1;
        let mut gone: Vec<u64> =
            self.queues.values().filter(|kept| kept.is_gone(self.lists)).map(|kept| kept.seen).collect();
        if gone.len() > DEPARTED {
            gone.sort_unstable();
            let oldest = gone[gone.len() - DEPARTED];
            self.queues.retain(|_, kept| kept.seen >= oldest);
        }
    }
}

impl Kept {
    fn is_gone(&self, lists: u64) -> bool {
        self.seen + 2 < lists
    }

    fn follow(&mut self, statistics: &mut Statistics) {
        for (kept, counter) in self.counters.iter_mut().zip(statistics.counters_mut()) {
            *counter = follow(kept, *counter);
        }
        if let Some(processing) = &mut statistics.processing {
            match &mut self.processing {
                Some(kept) => *processing = kept.follow(processing).clone(),
                None => {
                    self.processing = Some(FollowedHistogram { last: processing.clone(), total: processing.clone() });
                }
            }
        }
    }

    /// For a queue that was gone and is back: what has less than before was made anew and has counted
    /// from 0; what has not is the same as before, which lists have missed.
    fn begin_anew_where_fallen(&mut self, statistics: &mut Statistics) {
        for (kept, counter) in self.counters.iter_mut().zip(statistics.counters_mut()) {
            for (kept, part) in kept.iter_mut().zip(counter.0) {
                if let (Some(last), Some(now)) = (kept.last, part)
                    && now < last
                {
                    kept.last = Some(0);
                }
            }
        }
        if let (Some(kept), Some(now)) = (&mut self.processing, &statistics.processing)
            && now.count < kept.last.count
        {
            kept.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        for part in self.counters.as_flattened_mut() {
            part.last = part.last.map(|_| 0);
        }
        if let Some(processing) = &mut self.processing {
            processing.begin_anew();
        }
    }
}

/// One part of a counter: the last value seen, and the sum of all increases.
#[derive(Clone, Copy, Default)]
struct Followed {
    last: Option<u64>,
    total: u64,
}

fn follow(kept: &mut [Followed; PARTS], counter: Counter) -> Counter {
    if counter.value().is_none() {
        return counter; // unknown now: our sum is not what the source says
    }
    let mut parts = counter.0;
    for (kept, part) in kept.iter_mut().zip(&mut parts) {
        if let Some(value) = *part {
            // a part that turns up later has counted from 0
            kept.total = kept.total.saturating_add(value.saturating_sub(kept.last.unwrap_or(0)));
            kept.last = Some(value);
        }
        // a part that has vanished keeps its share: the others alone would be a step down
        *part = kept.last.map(|_| kept.total);
    }
    Counter(parts)
}

/// A histogram is followed as one: what falls anywhere in it makes all of it a new baseline.
struct FollowedHistogram {
    last: Histogram,
    total: Histogram,
}

impl FollowedHistogram {
    fn follow(&mut self, now: &Histogram) -> &Histogram {
        if !same_bounds(&self.last, now) {
            // other buckets: what was counted before can be placed in none but +Inf
            self.total.buckets = now.buckets.iter().map(|(bound, _)| (*bound, 0)).collect();
            if self.last.count == 0 {
                self.last = empty(now);
            }
        }
        if same_bounds(&self.last, now) && grown(&self.last, now) {
            let increases = now.buckets.iter().zip(&self.last.buckets).map(|((_, now), (_, last))| now - last);
            for ((_, total), increase) in self.total.buckets.iter_mut().zip(increases) {
                *total = total.saturating_add(increase);
            }
            self.total.count = self.total.count.saturating_add(now.count - self.last.count);
            let increase = now.sum.zip(self.last.sum).map(|(now, last)| now - last);
            self.total.sum = self.total.sum.zip(increase).map(|(total, increase)| total + increase);
        }
        self.last = now.clone();
        &self.total
    }

    fn begin_anew(&mut self) {
        self.last = empty(&self.last);
    }
}

fn empty(like: &Histogram) -> Histogram {
    let buckets = like.buckets.iter().map(|(bound, _)| (*bound, 0)).collect();
    Histogram { buckets, sum: like.sum.map(|_| 0.0), count: 0 }
}

fn same_bounds(a: &Histogram, b: &Histogram) -> bool {
    a.buckets.iter().map(|(bound, _)| bound).eq(b.buckets.iter().map(|(bound, _)| bound))
}

fn grown(last: &Histogram, now: &Histogram) -> bool {
    last.count <= now.count
        && last.sum.zip(now.sum).is_none_or(|(last, now)| last <= now)
        && last.buckets.iter().zip(&now.buckets).all(|((_, last), (_, now))| last <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> Queue {
        Queue { name: name.to_owned(), scope: String::new() }
    }

    /// What is exported, in turn, for the successes of a queue that the source counts so, in lives.
    fn followed(seen: &[(u64, [Option<u64>; PARTS])]) -> Vec<Option<u64>> {
        let mut memory = Memory::default();
        let mut one = |(life, parts): &(u64, _)| {
            let mut statistics = Statistics { life: *life, success: Counter(*parts), ..Statistics::default() };
            memory.follow(&queue("q"), &mut statistics);
            statistics.success.value()
        };
        seen.iter().map(&mut one).collect()
    }

    fn whole(value: u64) -> [Option<u64>; PARTS] {
        [Some(value), None, None]
    }

    #[test]
    fn a_counter_is_taken_as_it_is_and_then_followed() {
        assert_eq!(followed(&[(0, whole(7)), (0, whole(9))]), [Some(7), Some(9)]);
    }

    #[test]
    fn a_counter_that_falls_adds_nothing_and_is_followed_from_there() {
        assert_eq!(followed(&[(0, whole(7)), (0, whole(2)), (0, whole(5))]), [Some(7), Some(7), Some(10)]);
    }

    #[test]
    fn a_source_known_to_be_new_adds_what_it_has_counted() {
        assert_eq!(followed(&[(0, whole(7)), (1, whole(2)), (1, whole(5))]), [Some(7), Some(9), Some(12)]);
        assert_eq!(followed(&[(0, whole(7)), (1, whole(8))]), [Some(7), Some(15)], "even where nothing fell");
        assert_eq!(followed(&[(0, whole(7)), (0, whole(2)), (1, whole(3))]), [Some(7), Some(7), Some(10)]);
    }

    #[test]
    fn a_counter_that_is_unknown_is_absent_and_comes_back_where_it_was() {
        let unknown = [None; PARTS];
        assert_eq!(followed(&[(0, whole(7)), (0, unknown), (0, whole(8))]), [Some(7), None, Some(8)]);
        assert_eq!(followed(&[(0, whole(7)), (1, unknown), (1, whole(2))]), [Some(7), None, Some(9)]);
    }

    #[test]
    fn a_part_that_vanishes_keeps_its_share_and_is_not_counted_again_when_it_returns() {
        let [both, one] = [[Some(5), Some(3), None], [Some(6), None, None]];
        assert_eq!(followed(&[(0, both), (0, one), (0, both)]), [Some(8), Some(9), Some(9)]);
        assert_eq!(followed(&[(0, one), (0, [Some(6), Some(2), None])]), [Some(6), Some(8)]);
    }

    #[test]
    fn queues_that_two_whole_lists_lack_are_gone() {
        let mut memory = Memory::default();
        memory.follow(&queue("gone"), &mut Statistics::default());
        memory.follow(&queue("broken"), &mut Statistics::default());
        for here in [true, true, false, false] {
            memory.keep(&queue("broken"));
            memory.end_of_list();
            assert_eq!([memory.has(&queue("gone")), memory.has(&queue("broken"))], [here, true]);
        }
    }

    #[test]
    fn a_queue_that_was_gone_goes_on_from_its_sums() {
        let mut memory = Memory::default();
        let mut seen = |value, lists_without| {
            for _ in 0..lists_without {
                memory.end_of_list();
            }
            let mut statistics = Statistics { success: Counter::whole(Some(value)), ..Statistics::default() };
            memory.follow(&queue("q"), &mut statistics);
            statistics.success.value()
        };
        assert_eq!(seen(100, 0), Some(100));
        assert_eq!(seen(5, 3), Some(105), "made anew");
        assert_eq!(seen(3, 1), Some(105), "not gone: a reset that nothing explains");
        assert_eq!(seen(9, 3), Some(111), "missed by the lists");
    }

    #[test]
    fn of_the_queues_that_are_gone_only_so_many_are_remembered() {
        let mut memory = Memory::default();
        for n in 0..DEPARTED + 5000 {
            memory.follow(&queue(&n.to_string()), &mut Statistics::default());
            if n % 1000 == 0 {
                memory.end_of_list();
            }
        }
        assert!(memory.queues.len() <= DEPARTED + 4000, "{}", memory.queues.len());
        assert!(memory.queues.contains_key(&queue(&DEPARTED.to_string())) && !memory.queues.contains_key(&queue("0")));
    }

    #[test]
    fn an_increase_is_what_was_added_since_the_last_read() {
        let mut memory = Memory::default();
        let mut seen = |life, value| {
            let mut statistics = Statistics { life, enqueued: Counter::whole(value), ..Statistics::default() };
            memory.follow(&queue("q"), &mut statistics).counters[2]
        };
        assert_eq!([seen(0, Some(7)), seen(0, Some(9)), seen(0, Some(3))], [Some(0), Some(2), Some(0)]);
        assert_eq!([seen(1, Some(4)), seen(1, None), seen(1, Some(5))], [Some(4), None, Some(1)]);
    }

    fn histogram(buckets: &[(f64, u64)], sum: f64, count: u64) -> Histogram {
        Histogram { buckets: buckets.to_vec(), sum: Some(sum), count }
    }

    fn followed_histograms(seen: &[(u64, Histogram)]) -> Vec<Histogram> {
        let mut memory = Memory::default();
        let mut one = |(life, seen): &(u64, Histogram)| {
            let mut statistics = Statistics { life: *life, processing: Some(seen.clone()), ..Statistics::default() };
            memory.follow(&queue("q"), &mut statistics);
            statistics.processing.unwrap()
        };
        seen.iter().map(&mut one).collect()
    }

    #[test]
    fn a_histogram_that_falls_anywhere_is_a_new_baseline_for_all_of_it() {
        let seen = [
            (0, histogram(&[(1.0, 4)], 2.0, 5)),
            (0, histogram(&[(1.0, 3)], 9.0, 9)),
            (0, histogram(&[(1.0, 4)], 9.5, 11)),
        ];
        let exported = [seen[0].1.clone(), seen[0].1.clone(), histogram(&[(1.0, 5)], 2.5, 7)];
        assert_eq!(followed_histograms(&seen), exported);
    }

    #[test]
    fn a_histogram_of_a_new_source_is_added() {
        let seen = [(0, histogram(&[(1.0, 4)], 2.0, 5)), (1, histogram(&[(1.0, 1)], 0.5, 2))];
        assert_eq!(followed_histograms(&seen)[1], histogram(&[(1.0, 5)], 2.5, 7));
        let other_bounds = [seen[0].clone(), (1, histogram(&[(2.0, 1)], 0.5, 2))];
        assert_eq!(followed_histograms(&other_bounds)[1], histogram(&[(2.0, 1)], 2.5, 7));
    }

    #[test]
    fn other_buckets_begin_at_nothing_and_the_count_stays() {
        let seen = [
            (0, histogram(&[(1.0, 4)], 2.0, 5)),
            (0, histogram(&[(2.0, 1)], 0.5, 2)),
            (0, histogram(&[(2.0, 2)], 1.0, 4)),
        ];
        let exported = [seen[0].1.clone(), histogram(&[(2.0, 0)], 2.0, 5), histogram(&[(2.0, 1)], 2.5, 7)];
        assert_eq!(followed_histograms(&seen), exported);
    }
}

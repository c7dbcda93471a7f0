//! `--queue.max-queues`: the deepest queues are exported one by one, the rest as one.

use std::collections::HashSet;

use exporter_common::Histogram;

use crate::memory::{Increase, Memory};
use crate::metrics::Read;
use crate::system::{Counter, Queue, Statistics};

/// The name that the rest has.
const OTHER: &str = "_other";

/// Which queues are exported one by one, and what the others have counted.
#[derive(Default)]
pub(crate) struct Limit {
    /// `None`: all.
    max: Option<usize>,
    /// Chosen once, so that series do not come and go with the depth of queues.
    chosen: HashSet<Queue>,
    /// Once there have been queues over the limit.
    other: Option<Increases>,
}

/// What the queues over the limit have counted while they were.
#[derive(Default)]
struct Increases {
    counters: [Option<u64>; Statistics::COUNTERS],
    processing: Sum,
}

#[derive(Default)]
enum Sum {
    #[default]
    Nothing,
    Of(Histogram),
    /// Queues have different buckets, which cannot be added.
    Unequal,
}

/// Where a queue belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Exported,
    /// To be decided when all are known.
    Undecided,
    Other,
}

/// The queues over the limit in one read.
#[derive(Default)]
pub(crate) struct Rest {
    pub(crate) queues: u64,
    /// Their gauges, added up.
    sum: Statistics,
}

impl Limit {
    pub(crate) fn new(max: Option<usize>) -> Self {
        Self { max, ..Self::default() }
    }

    pub(crate) fn place(&self, queue: &Queue) -> Place {
        match self.max {
            None => Place::Exported,
            _ if queue.name.is_empty() || self.chosen.contains(queue) => Place::Exported,
            Some(max) if self.chosen.len() < max && !is_other(queue) => Place::Undecided,
            Some(_) => Place::Other,
        }
    }

    /// Gives the free places to the deepest of the undecided queues; the others stay there. The choice
    /// lasts when it was made among all queues.
    pub(crate) fn choose(&mut self, undecided: &mut Vec<(Queue, Statistics, Increase)>, all: bool) -> Read {
        let free = self.max.unwrap_or(usize::MAX).saturating_sub(self.chosen.len());
        undecided.sort_by(|(a, deep_a, _), (b, deep_b, _)| deep_b.ready.cmp(&deep_a.ready).then_with(|| a.cmp(b)));
        let deepest: Read = undecided.drain(..free.min(undecided.len())).map(|(queue, it, _)| (queue, it)).collect();
        if all {
            self.chosen.extend(deepest.iter().map(|(queue, _)| queue.clone()));
        }
        deepest
    }

    /// Adds a queue to the rest.
    pub(crate) fn add(&mut self, rest: &mut Rest, statistics: &Statistics, increase: Increase) {
        rest.queues += 1;
        add_gauges(&mut rest.sum, statistics);
        let other = self.other.get_or_insert_default();
        for (total, increase) in other.counters.iter_mut().zip(increase.counters) {
            *total = add(*total, increase);
        }
        if let Some((before, after)) = increase.processing {
            other.processing.add(&before, &after);
        }
    }

    /// The rest as one queue. Its gauges are left out unless they are those of the whole rest.
    pub(crate) fn other(&self, rest: Rest, whole: bool) -> Option<(Queue, Statistics)> {
        let other = self.other.as_ref()?;
        let mut statistics = if whole { rest.sum } else { Statistics::default() };
        for (counter, total) in statistics.counters_mut().into_iter().zip(other.counters) {
            *counter = Counter::whole(total);
        }
        if let Sum::Of(processing) = &other.processing {
            statistics.processing = Some(processing.clone());
        }
        Some((Queue::named(OTHER), statistics))
    }

    /// Frees the places of queues that are gone.
    pub(crate) fn free(&mut self, memory: &Memory) {
        self.chosen.retain(|queue| memory.has(queue));
    }
}

/// A queue of that very name cannot be told from the rest, so it is in it.
fn is_other(queue: &Queue) -> bool {
    queue.name == OTHER && queue.scope.is_empty()
}

fn add(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().reduce(u64::saturating_add)
}

/// Depths, consumers and bytes are added up; of ages the greatest is kept. What is no sum (a limit, whether
/// it is paused, what it is) the rest does not have.
fn add_gauges(sum: &mut Statistics, one: &Statistics) {
    for (sum, one) in [
        (&mut sum.ready, one.ready),
        (&mut sum.in_flight, one.in_flight),
        (&mut sum.delayed, one.delayed),
        (&mut sum.retry, one.retry),
        (&mut sum.dead, one.dead),
        (&mut sum.blocked, one.blocked),
        (&mut sum.completed, one.completed),
        (&mut sum.consumers, one.consumers),
        (&mut sum.consumers_busy, one.consumers_busy),
        (&mut sum.memory_bytes, one.memory_bytes),
        (&mut sum.message_bytes, one.message_bytes),
    ] {
        *sum = add(*sum, one);
    }
    for (sum, one) in [(&mut sum.oldest, one.oldest), (&mut sum.oldest_in_flight, one.oldest_in_flight)] {
        *sum = [*sum, one].into_iter().flatten().reduce(f64::max);
    }
}

impl Sum {
    fn add(&mut self, before: &Histogram, after: &Histogram) {
        let bounds = |histogram: &Histogram| histogram.buckets.iter().map(|(bound, _)| *bound).collect::<Vec<_>>();
        if let Self::Nothing = self {
            let buckets = after.buckets.iter().map(|(bound, _)| (*bound, 0)).collect();
            *self = Self::Of(Histogram { buckets, sum: after.sum.map(|_| 0.0), count: 0 });
        }
        let Self::Of(total) = self else { return };
        if bounds(total) != bounds(after) || bounds(before) != bounds(after) {
            *self = Self::Unequal;
            return;
        }
        for ((total, before), after) in total.buckets.iter_mut().zip(&before.buckets).zip(&after.buckets) {
            total.1 = total.1.saturating_add(after.1.saturating_sub(before.1));
        }
        total.count = total.count.saturating_add(after.count.saturating_sub(before.count));
        let grown = after.sum.zip(before.sum).map(|(after, before)| after - before);
        total.sum = total.sum.zip(grown).map(|(total, grown)| total + grown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Depth and processed.
    type Seen = (Option<u64>, Option<u64>);

    /// One read of queues by name with their depth and how many messages they have processed: who is
    /// exported, and depth and processed of the rest.
    fn read(limit: &mut Limit, memory: &mut Memory, queues: &[(&str, u64, u64)]) -> (Vec<String>, Option<Seen>) {
        let (mut exported, mut undecided, mut rest) = (Vec::new(), Vec::new(), Rest::default());
        for (name, depth, processed) in queues {
            let queue = Queue::named(*name);
            let mut statistics =
                Statistics { ready: Some(*depth), success: Counter::whole(Some(*processed)), ..Statistics::default() };
            let increase = memory.follow(&queue, &mut statistics);
            match limit.place(&queue) {
                Place::Exported => exported.push(queue.name),
                Place::Undecided => undecided.push((queue, statistics, increase)),
                Place::Other => limit.add(&mut rest, &statistics, increase),
            }
        }
        exported.extend(limit.choose(&mut undecided, true).into_iter().map(|(queue, _)| queue.name));
        for (_, statistics, increase) in undecided {
            limit.add(&mut rest, &statistics, increase);
        }
        memory.end_of_list();
        limit.free(memory);
        exported.sort();
        let other = limit.other(rest, true).map(|(_, other)| (other.ready, other.success.value()));
        (exported, other)
    }

    #[test]
    fn the_deepest_are_chosen_once_and_their_places_refilled_when_they_are_gone() {
        let (mut limit, mut memory) = (Limit::new(Some(2)), Memory::default());
        let mut read = |queues: &[_]| read(&mut limit, &mut memory, queues);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(read(&[("a", 9, 0), ("b", 1, 50), ("c", 5, 0)]), (names(&["a", "c"]), Some((Some(1), Some(0)))));
        assert_eq!(read(&[("a", 0, 0), ("b", 99, 53), ("c", 5, 0)]), (names(&["a", "c"]), Some((Some(99), Some(3)))));
        let without_a = [("b", 2, 54), ("c", 5, 0), ("d", 7, 8)];
        assert_eq!(read(&without_a), (names(&["c"]), Some((Some(9), Some(4)))), "one list may miss a queue");
        assert_eq!(read(&without_a), (names(&["c"]), Some((Some(9), Some(4)))));
        assert_eq!(read(&without_a), (names(&["c", "d"]), Some((Some(2), Some(4)))));
        assert_eq!(read(&[("c", 5, 0), ("d", 7, 8)]), (names(&["c", "d"]), Some((None, Some(4)))), "never down");
    }

    #[test]
    fn without_a_limit_there_is_no_rest() {
        let (mut limit, mut memory) = (Limit::default(), Memory::default());
        let (exported, other) = read(&mut limit, &mut memory, &[("a", 9, 0), ("_other", 1, 50)]);
        assert_eq!((exported.len(), other), (2, None));
    }

    #[test]
    fn a_queue_with_the_name_of_the_rest_is_in_it() {
        let (mut limit, mut memory) = (Limit::new(Some(2)), Memory::default());
        let (exported, other) = read(&mut limit, &mut memory, &[("a", 9, 0), ("_other", 1, 50)]);
        assert_eq!((exported, other), (vec!["a".to_owned()], Some((Some(1), Some(0)))));
    }

    #[test]
    fn histograms_with_different_buckets_have_no_sum() {
        let histogram = |bound, count| Histogram { buckets: vec![(bound, count)], sum: Some(1.0), count };
        let mut sum = Sum::default();
        sum.add(&histogram(1.0, 2), &histogram(1.0, 5));
        assert!(matches!(&sum, Sum::Of(total) if total.count == 3 && total.buckets == [(1.0, 3)]));
        sum.add(&histogram(2.0, 2), &histogram(2.0, 5));
        assert!(matches!(sum, Sum::Unequal));
    }
}

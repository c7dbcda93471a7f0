//! Detects queues that the broker stops reporting: their node is down, and the list has only their names.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::page::Items;
use crate::queue_system::ListedQueue;
use crate::read_error::{Reason, read_error};

/// The queues in one list that had statistics, by the hashes of their names. When a node stops, its queues stay in the
/// list without statistics, for a while or until it returns.
#[derive(Default)]
pub(super) struct ReportedQueues {
    hashes: HashSet<u64>,
    hasher: RandomState,
    /// Whether no queue of the list has statistics: then the cause is not one node.
    pub(super) none_reported: bool,
}

impl ReportedQueues {
    /// Records the queues with statistics. A queue that had some in the previous list and has none now is an error.
    pub(super) fn check(&mut self, items: &mut Items, previous: &Self) {
        for item in items {
            let Ok(ListedQueue { queue, statistics: Some(statistics) }) = item else { continue };
            let was_reported = previous.hashes.contains(&previous.hasher.hash_one(&*queue));
            let is_reported = statistics.as_ref().is_ok_and(|statistics| statistics.ready.is_some());
            if is_reported || was_reported && !self.none_reported {
                self.hashes.insert(self.hasher.hash_one(&*queue));
            }
            if !is_reported && was_reported && !self.none_reported && statistics.is_ok() {
                *statistics = Err(read_error(Reason::Partial, "the broker no longer reports its statistics"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::*;
    use crate::queue_system::{QueueId, Statistics};

    #[test]
    fn a_queue_without_statistics_is_an_error_until_it_is_deleted() {
        let item = |name: &str, ready: Option<u64>| {
            Ok(ListedQueue {
                queue: QueueId::named(name),
                statistics: Some(Ok(Statistics { ready, ..Statistics::default() })),
            })
        };
        let mut before = ReportedQueues::default();
        let mut read = |items: Vec<Result<ListedQueue>>, none_reported| {
            let (mut items, mut reported) = (items, ReportedQueues { none_reported, ..ReportedQueues::default() });
            reported.check(&mut items, &before);
            before = reported;
            items.iter().map(|item| item.as_ref().unwrap().statistics.as_ref().unwrap().is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(read(vec![item("a", None), item("b", Some(1))], false), [true, true], "just declared");
        assert_eq!(read(vec![item("a", Some(0)), item("b", None)], false), [true, false]);
        assert_eq!(read(vec![item("a", Some(0)), item("b", None)], false), [true, false]);
        assert_eq!(read(vec![item("a", Some(0))], false), [true]);
        assert_eq!(read(vec![item("a", Some(0)), item("b", None)], false), [true, true], "declared again");
        assert_eq!(read(vec![item("a", None), item("b", None)], true), [true, true], "statistics are turned off");
        assert_eq!(
            read(vec![item("a", None), item("b", None)], false),
            [true, true],
            "and no queue was reported since"
        );
    }
}

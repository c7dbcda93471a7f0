//! Queues that exist only while they have messages: they are remembered, so that an empty queue has 0 messages.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::queue_system::QueueId;

/// Queues that had messages, and when they last had some.
#[derive(Default)]
pub(super) struct RememberedQueues(Mutex<HashMap<QueueId, Instant>>);

/// The time for which a queue is remembered. A queue that is used daily does not vanish in between.
const REMEMBERED: Duration = Duration::from_hours(24);

/// The largest number of remembered queues.
const MAX_REMEMBERED: usize = 10_000;

impl RememberedQueues {
    /// Remembers the queues that were found, and returns the missing ones, sorted.
    pub(super) fn missing(&self, found: &[QueueId]) -> Vec<QueueId> {
        let now = Instant::now();
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.extend(found.iter().map(|queue| (queue.clone(), now)));
        queues.retain(|_, last| now.duration_since(*last) < REMEMBERED);
        let found: HashSet<&QueueId> = found.iter().collect();
        if queues.len() > MAX_REMEMBERED {
            queues.retain(|queue, _| found.contains(queue));
        }
        let mut missing: Vec<QueueId> = queues.keys().filter(|queue| !found.contains(queue)).cloned().collect();
        missing.sort();
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(remembered: &RememberedQueues, found: &[&str]) -> Vec<String> {
        let found: Vec<_> = found.iter().map(|name| QueueId::named(*name)).collect();
        remembered.missing(&found).into_iter().map(|queue| queue.name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_missing_for_a_day() {
        let remembered = RememberedQueues::default();
        assert!(missing(&remembered, &["a", "b"]).is_empty());
        tokio::time::advance(REMEMBERED / 2).await;
        assert_eq!(missing(&remembered, &["a"]), ["b"]);
        tokio::time::advance(REMEMBERED / 2).await;
        assert!(missing(&remembered, &["a"]).is_empty());
    }

    #[test]
    fn the_number_of_remembered_queues_is_limited() {
        let remembered = RememberedQueues::default();
        let many: Vec<_> = (0..=MAX_REMEMBERED).map(|n| QueueId::named(format!("q{n}"))).collect();
        assert_eq!(remembered.missing(&many[..10]), []);
        assert_eq!(remembered.missing(&many[1..]).len(), 0);
    }
}

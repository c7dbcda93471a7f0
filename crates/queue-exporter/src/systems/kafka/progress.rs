//! The number of processed messages of consumer groups, counted from committed offsets. An offset itself is not such a
//! number: a group may start anywhere in a topic.

use std::collections::HashMap;

use crate::queue_system::QueueId;

/// The committed offsets of the last read.
#[derive(Default)]
pub(super) struct ProgressMemory {
    groups: HashMap<QueueId, Progress>,
    reads: u64,
}

#[derive(Default)]
struct Progress {
    committed: HashMap<i32, i64>,
    processed: u64,
    last_read: u64,
}

/// The largest number of topics of groups to remember, deleted ones included.
const MAX_GROUPS: usize = 50_000;

impl ProgressMemory {
    /// The number of messages between committed offsets since the first read. Each partition has its committed offset and
    /// its oldest one: messages that were deleted before the group came to them were not processed.
    pub(super) fn update(&mut self, queue: &QueueId, partitions: impl Iterator<Item = (i32, i64, i64)>) -> u64 {
        self.reads += 1;
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(queue) {
            let oldest_kept = self.reads.saturating_sub(MAX_GROUPS as u64 / 2);
            self.groups.retain(|_, progress| progress.last_read >= oldest_kept);
        }
        let progress = self.groups.entry(queue.clone()).or_default();
        progress.last_read = self.reads;
        for (partition, committed, start) in partitions {
            if let Some(before) = progress.committed.insert(partition, committed) {
                let added = committed.saturating_sub(before.max(start));
                progress.processed = progress.processed.saturating_add(u64::try_from(added).unwrap_or(0));
            }
        }
        progress.processed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The processed messages after each read of one partition: committed offset and oldest offset.
    fn processed(reads: &[(i64, i64)]) -> Vec<u64> {
        let mut memory = ProgressMemory::default();
        let queue = QueueId::named("orders");
        reads.iter().map(|(committed, start)| memory.update(&queue, [(0, *committed, *start)].into_iter())).collect()
    }

    #[test]
    fn messages_between_committed_offsets_are_counted() {
        assert_eq!(processed(&[(1000, 0), (1000, 0), (1007, 0)]), [0, 0, 7]);
        assert_eq!(processed(&[(1000, 0), (10, 0), (15, 0)]), [0, 0, 5], "the group was set back");
    }

    #[test]
    fn messages_deleted_before_they_were_read_are_not_processed() {
        assert_eq!(processed(&[(100, 50), (5000, 4900)]), [0, 100]);
        assert_eq!(processed(&[(100, 50), (100, 4900), (5000, 4900)]), [0, 0, 100]);
    }

    #[test]
    fn a_partition_counts_from_its_first_committed_offset() {
        let mut memory = ProgressMemory::default();
        let queue = QueueId::named("orders");
        memory.update(&queue, [(0, 5, 0)].into_iter());
        assert_eq!(memory.update(&queue, [(0, 6, 0), (1, 900, 0)].into_iter()), 1);
        assert_eq!(memory.update(&queue, [(0, 6, 0), (1, 902, 0)].into_iter()), 3);
    }

    #[test]
    fn the_number_of_remembered_groups_is_limited() {
        let mut memory = ProgressMemory::default();
        for n in 0..=MAX_GROUPS {
            memory.update(&QueueId::named(format!("t{n}")), std::iter::empty());
        }
        assert!(memory.groups.len() <= MAX_GROUPS / 2 + 1);
    }
}

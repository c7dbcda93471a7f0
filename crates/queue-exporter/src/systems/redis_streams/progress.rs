//! The deliveries of consumer groups, counted from their positions. Redis keeps positions only: an entry that was trimmed
//! before the group read it moves the position, but was not delivered.

use std::collections::HashMap;

use super::group::{EntryId, Group, Stream};
use crate::queue_system::{Counter, QueueId};

/// The positions of groups in the last read, and their deliveries since the first read.
#[derive(Default)]
pub(super) struct ProgressMemory {
    groups: HashMap<QueueId, Progress>,
    reads: u64,
}

struct Progress {
    id: EntryId,
    position: u64,
    added: u64,
    /// Deliveries, including the pending ones of the first read.
    delivered: u64,
    last_read: u64,
}

/// The largest number of groups to remember, deleted ones included.
const MAX_GROUPS: usize = 50_000;

impl ProgressMemory {
    /// The numbers of delivered and acknowledged entries. They are unknown in the first read of a group on a trimmed
    /// stream, and whenever entries between two positions were trimmed: they may have been delivered before, or not.
    pub(super) fn update(
        &mut self,
        queue: &QueueId,
        stream: &Stream,
        group: &Group,
        ready: Option<u64>,
    ) -> (Counter, Counter) {
        let unknown = (Counter::default(), Counter::default());
        let (Some(position), Some(added)) = (group.position_number(stream, ready), stream.added) else {
            return unknown;
        };
        // a group that was created at the end of the stream, or with a number that is wrong, has read less than that
        let initially = match group.entries_read {
            _ if group.is_new() => Some(0),
            Some(read) if stream.trimmed() == 0 && read == position => Some(read),
            _ => None,
        };
        let pending = group.pending.unwrap_or(0);
        self.reads += 1;
        let last_read = self.reads;
        let Some(known) = self.groups.get_mut(queue) else {
            self.limit();
            let delivered = initially.unwrap_or(pending);
            self.groups
                .insert(queue.clone(), Progress { id: group.position_id, position, added, delivered, last_read });
            return initially.map_or(unknown, |delivered| counters(delivered, pending));
        };
        let has_moved = std::mem::replace(&mut known.id, group.position_id) != group.position_id;
        let previous = std::mem::replace(&mut known.position, position);
        let is_recreated = added < std::mem::replace(&mut known.added, added);
        known.last_read = last_read;
        if is_recreated {
            known.delivered = known.delivered.saturating_add(initially.unwrap_or(0));
            return counters(known.delivered, pending);
        }
        if !has_moved {
            return counters(known.delivered, pending); // trimming alone may have changed its number
        }
        // all entries after this one still exist, so the group has not missed any of them
        let certain_after = stream.trimmed().max(previous);
        known.delivered = known.delivered.saturating_add(position.saturating_sub(certain_after));
        if certain_after > previous && position > previous { unknown } else { counters(known.delivered, pending) }
    }

    /// Forgets the half of the groups that were read longest ago, if there are too many.
    fn limit(&mut self) {
        if self.groups.len() >= MAX_GROUPS {
            let mut reads: Vec<u64> = self.groups.values().map(|progress| progress.last_read).collect();
            let middle = MAX_GROUPS / 2;
            let (_, median, _) = reads.select_nth_unstable(middle);
            let median = *median;
            self.groups.retain(|_, progress| progress.last_read >= median);
        }
    }
}

fn counters(delivered: u64, pending: u64) -> (Counter, Counter) {
    (Counter::single(Some(delivered)), Counter::single(Some(delivered.saturating_sub(pending))))
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::{group, stream};
    use super::*;

    /// The delivered entries after each read: position, length and number of entries ever added.
    fn delivered(reads: &[(u64, i64, i64)]) -> Vec<Option<u64>> {
        let mut memory = ProgressMemory::default();
        let mut update = |&(position, length, added): &(u64, i64, i64)| {
            let (stream, entries_read) = (stream(length, added), i64::try_from(position).unwrap());
            let ready = u64::try_from(added).unwrap() - position.max(stream.trimmed());
            let group = group(position, (position > 0).then_some(entries_read), None);
            memory.update(&QueueId::named("s"), &stream, &group, Some(ready)).0.value()
        };
        reads.iter().map(&mut update).collect()
    }

    #[test]
    fn deliveries_of_an_untrimmed_stream_are_its_position() {
        assert_eq!(delivered(&[(0, 7, 7), (3, 7, 7), (9, 10, 10)]), [Some(0), Some(3), Some(9)]);
        assert_eq!(delivered(&[(3, 7, 7)]), [Some(3)]);
    }

    #[test]
    fn entries_that_were_trimmed_unread_are_not_delivered() {
        // 41 of 51 entries are trimmed, and a new group reads two of the others
        assert_eq!(delivered(&[(0, 10, 51), (43, 10, 51), (45, 10, 51)])[2], Some(4));
        assert_eq!(delivered(&[(43, 10, 51), (45, 10, 51)]), [None, Some(2)]);
        let behind = [(3, 10, 10), (3, 10, 110), (110, 10, 110)];
        assert_eq!(delivered(&behind), [3, 3, 13].map(Some));
        let unnoticed = [(3, 10, 10), (110, 10, 110), (110, 10, 110)];
        assert_eq!(
            delivered(&unnoticed),
            [Some(3), None, Some(13)],
            "they may have been read before they were trimmed"
        );
    }

    #[test]
    fn a_capped_stream_is_counted_exactly_while_it_keeps_the_entries_between_two_reads() {
        assert_eq!(delivered(&[(95, 10, 100), (103, 10, 105), (112, 10, 112)]), [None, Some(8), Some(17)]);
    }

    #[test]
    fn a_recreated_stream_continues_the_counter() {
        assert_eq!(delivered(&[(5, 5, 5), (2, 3, 3), (3, 3, 3)]), [Some(5), Some(7), Some(8)]);
    }
}

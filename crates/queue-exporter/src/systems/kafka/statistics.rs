//! The statistics of topics and groups from offsets.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};

use super::errors::check;
use super::groups::GroupTopic;
use super::messages::Partition;
use super::partitions::{Failure, Range, RecordPosition, RecordTime};
use crate::queue_system::{Counter, Statistics};
use crate::timestamp::seconds_since;

/// The ranges of a topic's partitions.
type Ranges = HashMap<i32, Result<Range, Failure>>;

const UNSENT: &str = "the time of the oldest message could not be read: the broker did not send the record";

/// The statistics of a topic without regard to groups.
pub(super) fn of_topic(partitions: &[Partition], ranges: &Ranges) -> Statistics {
    let known: Option<Vec<Range>> = partitions.iter().map(|it| ranges.get(&it.index)?.as_ref().ok().copied()).collect();
    let sum = |value: fn(&Range) -> i64| {
        known.as_ref().map(|ranges| ranges.iter().map(|it| unsigned(value(it))).fold(0, u64::saturating_add))
    };
    let missing = |partition: &&Partition| partition.replicas.saturating_sub(partition.in_sync);
    let worst = partitions.iter().max_by_key(missing);
    Statistics {
        stream_length: sum(|range| range.end - range.start),
        enqueued: Counter::single(sum(|range| range.end)),
        partitions: Some(partitions.len() as u64),
        partitions_under_replicated: Some(partitions.iter().filter(|it| missing(it) > 0).count() as u64),
        replicas: worst.map(|it| it.replicas.into()),
        replicas_in_sync: worst.map(|it| it.in_sync.into()),
        gap: known.is_none().then_some("the offsets of a partition could not be read: its leader is missing or failed"),
        ..Statistics::default()
    }
}

/// The positions of the oldest messages that a group has not processed: partition, committed or oldest existing offset.
pub(super) fn waiting(group: &GroupTopic, ranges: &Ranges) -> Result<Vec<(i32, i64, u64)>> {
    check(group.error)?;
    let mut waiting = Vec::new();
    for (partition, committed) in &group.committed {
        // a partition of a topic that was recreated with fewer
        let Some(range) = ranges.get(partition) else { continue };
        let range = range.as_ref().map_err(Failure::error)?;
        let next = (*committed).max(range.start);
        waiting.push((*partition, next, unsigned(range.end - next)));
    }
    Ok(waiting)
}

/// The positions at which records are waiting.
pub(super) fn oldest_positions<'a>(
    topic: &'a str,
    waiting: &[(i32, i64, u64)],
    positions: &mut BTreeSet<RecordPosition<'a>>,
) {
    positions.extend(waiting.iter().filter(|it| it.2 > 0).map(|(partition, next, _)| (topic, *partition, *next)));
}

/// The statistics of a group in a topic. `processed` counts from committed and oldest offsets.
pub(super) fn of_group(
    topic: &str,
    group: &GroupTopic,
    ranges: Option<&Ranges>,
    times: Option<&HashMap<RecordPosition<'_>, RecordTime>>,
    now: f64,
    processed: impl FnOnce(&mut dyn Iterator<Item = (i32, i64, i64)>) -> u64,
) -> Result<Statistics> {
    let consumers = group.consumers;
    if group.committed.is_empty() {
        check(group.error)?;
        return Ok(Statistics { consumers, ..Statistics::default() });
    }
    let ranges = ranges.context("the topic is missing")?;
    let waiting = waiting(group, ranges)?;
    let starts = |partition: &i32| Some(ranges.get(partition)?.as_ref().ok()?.start);
    let mut committed = group.committed.iter().filter_map(|(index, offset)| Some((*index, *offset, starts(index)?)));
    let processed = processed(&mut committed);
    let (mut oldest, mut gap) = (None, None);
    for (partition, next, _) in waiting.iter().filter(|it| it.2 > 0) {
        match times.and_then(|times| times.get(&(topic, *partition, *next))) {
            Some(RecordTime::At(time)) => oldest = Some(oldest.map_or(*time, |oldest: i64| oldest.min(*time))),
            Some(RecordTime::Unread(text)) => gap = Some(*text),
            Some(RecordTime::After(_)) => gap = Some(UNSENT),
            Some(RecordTime::Missing) | None => {}
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    let age = oldest.and_then(|time| seconds_since(time as f64 / 1000.0, now));
    Ok(Statistics {
        ready: Some(waiting.iter().map(|it| it.2).fold(0, u64::saturating_add)),
        oldest_age: age.filter(|_| gap.is_none()), // another partition may have an older one
        consumers,
        success: Counter::single(Some(processed)),
        gap,
        ..Statistics::default()
    })
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(i64, i64)]) -> Ranges {
        (0..).zip(ranges).map(|(index, (start, end))| (index, Ok(Range { start: *start, end: *end }))).collect()
    }

    fn partition(index: i32, replicas: u32, in_sync: u32) -> Partition {
        Partition { index, leader: 1, replicas, in_sync }
    }

    fn failed() -> Failure {
        crate::read_error::read_error(crate::read_error::Reason::Partial, "partition 1 has no leader").into()
    }

    #[test]
    fn a_topic_has_end_offsets_and_replicas_without_any_group() {
        let partitions = [partition(0, 3, 3), partition(1, 3, 1), partition(2, 4, 3)];
        let topic = of_topic(&partitions, &ranges(&[(0, 10), (5, 7), (0, 0)]));
        assert_eq!((topic.stream_length, topic.enqueued.value(), topic.ready), (Some(12), Some(17), None));
        assert_eq!((topic.partitions, topic.partitions_under_replicated), (Some(3), Some(2)));
        assert_eq!((topic.replicas, topic.replicas_in_sync, topic.gap), (Some(3), Some(1), None));
        let huge = of_topic(&partitions, &ranges(&[(0, i64::MAX); 3]));
        assert_eq!((huge.stream_length, huge.enqueued.value()), (Some(u64::MAX), Some(u64::MAX)));
        let mut known = ranges(&[(0, 10), (5, 7), (0, 0)]);
        known.insert(1, Err(failed()));
        let topic = of_topic(&partitions, &known);
        assert_eq!((topic.stream_length, topic.enqueued.value(), topic.replicas_in_sync), (None, None, Some(1)));
        assert!(topic.gap.is_some());
    }

    fn group(committed: &[i64]) -> GroupTopic {
        GroupTopic { committed: (0..).zip(committed.iter().copied()).collect(), consumers: Some(2), error: 0 }
    }

    fn read(group: &GroupTopic, known: &Ranges, times: &[(i32, i64, RecordTime)]) -> Result<Statistics> {
        let times = times.iter().map(|(partition, offset, time)| (("a", *partition, *offset), *time)).collect();
        of_group("a", group, Some(known), Some(&times), 1.7e9, |committed| committed.count() as u64)
    }

    #[test]
    fn the_lag_counts_existing_messages_after_the_committed_offsets() {
        let known = ranges(&[(0, 10), (50, 70), (0, 5), (0, 5)]);
        // up to date in partition 2, behind a retention in 1, ahead of a recreated partition 3
        let times = [(0, 7, RecordTime::At(1_699_999_990_000)), (1, 50, RecordTime::At(1_699_999_940_000))];
        let statistics = read(&group(&[7, 20, 5, 9]), &known, &times).unwrap();
        assert_eq!((statistics.ready, statistics.oldest_age), (Some(3 + 20), Some(60.0)));
        assert_eq!((statistics.consumers, statistics.success.value(), statistics.gap), (Some(2), Some(4), None));
        assert_eq!(read(&group(&[10]), &known, &[]).unwrap().oldest_age, None);
    }

    #[test]
    fn an_age_is_absent_if_one_partition_is_unread() {
        let known = ranges(&[(0, 10), (0, 10)]);
        let times = [(0, 7, RecordTime::At(1_699_999_990_000)), (1, 7, RecordTime::Unread("x"))];
        let statistics = read(&group(&[7, 7]), &known, &times).unwrap();
        assert_eq!((statistics.ready, statistics.oldest_age, statistics.gap), (Some(6), None, Some("x")));
        let unsent = [(0, 7, RecordTime::At(1_699_999_990_000)), (1, 7, RecordTime::After(8))];
        let statistics = read(&group(&[7, 7]), &known, &unsent).unwrap();
        assert_eq!((statistics.oldest_age, statistics.gap), (None, Some(UNSENT)));
        let markers = [(0, 7, RecordTime::At(1_699_999_990_000)), (1, 7, RecordTime::Missing)];
        assert_eq!(read(&group(&[7, 7]), &known, &markers).unwrap().oldest_age, Some(10.0));
    }

    #[test]
    fn a_group_fails_with_its_partition() {
        let mut known = ranges(&[(0, 10), (0, 10)]);
        known.insert(1, Err(failed()));
        assert_eq!(read(&group(&[7, 7]), &known, &[]).unwrap_err().to_string(), "partition 1 has no leader");
        assert!(read(&group(&[7]), &known, &[]).is_ok());
        let refused = GroupTopic { error: 29, ..GroupTopic::default() };
        assert!(read(&refused, &known, &[]).is_err());
        let only_members = GroupTopic { consumers: Some(1), ..GroupTopic::default() };
        let statistics = read(&only_members, &known, &[]).unwrap();
        assert_eq!((statistics.ready, statistics.consumers), (None, Some(1)));
    }
}

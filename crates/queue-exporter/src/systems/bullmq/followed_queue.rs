//! One followed queue: its counted events, whether some were lost, and when to read it again.

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::events::{EventCounts, EventId, event_id};
use crate::redis::Value;

#[derive(Default)]
pub(super) struct FollowedQueue {
    pub(super) counts: EventCounts,
    /// The number of events that were ever added up to the last counted one; unknown before Redis 7.
    pub(super) added: Option<u64>,
    /// The id of an event, and the number of events added up to it. Compared with the counted ones when they reach it.
    check: Option<(EventId, u64)>,
    /// The counted events at the last such comparison.
    checked_events: u64,
    /// Whether events were lost since the last read of the queue.
    pub(super) has_gap: bool,
    /// When the queue was last listed.
    pub(super) listed: Option<Instant>,
    /// When its events were last read, and the earliest next read between scrapes.
    last_read: Option<Instant>,
    pub(super) due: Option<Instant>,
    /// The number of events in the stream, as of the last time gaps were looked for.
    pub(super) length: Option<u64>,
}

/// The shortest time between two reads of a busy queue.
const MIN_BUSY_INTERVAL: Duration = Duration::from_millis(5);

/// The part of a stream that new events fill between two reads of a busy queue, if they come at the current rate.
const PART_PER_READ: u64 = 40;

/// The number of events that BullMQ keeps by default.
const DEFAULT_LENGTH: u64 = 10_000;

impl FollowedQueue {
    /// A queue whose later events are counted, after the given number of added ones.
    pub(super) fn new(counts: EventCounts, added: Option<u64>, listed: Instant) -> Self {
        Self { counts, added, listed: Some(listed), ..Self::default() }
    }

    /// Counts the events after the last counted one. `is_end` means that the stream has no more of them. Returns
    /// whether earlier events are missing.
    pub(super) fn count(&mut self, events: &[Value], is_end: bool, now: Instant) -> Result<bool> {
        let before = self.counts.events;
        let until = self.check.map_or(0, |(id, _)| events.partition_point(|event| event_id(event) <= id));
        self.add(&events[..until])?;
        let is_reached = self.check.is_some_and(|(id, _)| is_end || until < events.len() || self.counts.last >= id);
        let is_missing_some = is_reached && self.compare();
        self.add(&events[until..])?;
        self.schedule(self.counts.events - before, now);
        Ok(is_missing_some)
    }

    fn add(&mut self, events: &[Value]) -> Result<()> {
        let before = self.counts.events;
        self.counts.count(events)?;
        self.added = self.added.map(|added| added + self.counts.events - before);
        Ok(())
    }

    /// Whether there are events that were not compared with the number of added ones, which must be known.
    pub(super) fn is_unchecked(&self) -> bool {
        self.added.is_some() && self.check.is_none() && self.counts.events != self.checked_events
    }

    /// Sets the last event of the stream and the number of events added up to it. Returns whether the counted events are
    /// behind it.
    pub(super) fn expect(&mut self, last: EventId, added: u64) -> bool {
        // a stream with an earlier last event was recreated
        self.check = (self.counts.last <= last).then_some((last, added));
        self.counts.last < last
    }

    /// Whether events were added that were not counted.
    fn compare(&mut self) -> bool {
        let Some((_, added)) = self.check.take() else { return false };
        self.checked_events = self.counts.events;
        self.added.replace(added).is_some_and(|counted| counted < added)
    }

    /// Schedules the next read of a busy queue by the rate of its new events.
    fn schedule(&mut self, new: u64, now: Instant) {
        let last_read = self.last_read.replace(now);
        let Some(elapsed) = last_read.map(|last| now.duration_since(last)).filter(|_| new > 0) else { return };
        let part = (self.length.unwrap_or(DEFAULT_LENGTH) / PART_PER_READ).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let part_in = elapsed.mul_f64(part as f64 / new as f64).max(MIN_BUSY_INTERVAL);
        self.due = Some(self.due.map_or(now + part_in, |due| due.min(now + part_in)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_before_new_events_fill_its_stream() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let next_read = |length, new| {
            let idle = Some(after(300));
            let mut queue = FollowedQueue { last_read: Some(start), due: idle, length, ..FollowedQueue::default() };
            queue.schedule(new, after(100));
            queue.due.unwrap().duration_since(after(100)).as_millis()
        };
        assert_eq!(next_read(None, 0), 200, "idle");
        assert_eq!(next_read(None, 10), 200, "slower than the idle interval");
        assert_eq!(next_read(None, 500), 50, "500 events in 100 ms: the next 250 of 10,000 in 50 ms");
        assert_eq!(next_read(Some(1000), 500), 5, "25 of 1,000");
    }

    #[test]
    fn lost_events_are_noticed_although_newer_ones_follow() {
        let event = |at: u64| {
            let id = Value::String(format!("{at}-0").into());
            Value::Array(vec![id, Value::Array(Vec::new())])
        };
        let events = |ids: &[u64]| ids.iter().map(|at| event(*at)).collect::<Vec<_>>();
        let now = Instant::now();
        let mut queue = FollowedQueue { added: Some(0), ..FollowedQueue::default() };
        assert!(!queue.count(&events(&[1, 2]), true, now).unwrap());
        assert!(queue.is_unchecked() && queue.expect((4, 0), 4));
        assert!(!queue.count(&events(&[3]), false, now).unwrap(), "not reached");
        assert!(!queue.count(&events(&[4, 5, 6]), false, now).unwrap(), "four events up to the fourth");
        assert_eq!((queue.added, queue.is_unchecked()), (Some(6), true));
        assert!(queue.expect((9, 0), 9));
        assert!(queue.count(&events(&[8, 9, 10]), false, now).unwrap(), "the seventh is missing");
        assert_eq!(queue.added, Some(10));
        assert!(queue.expect((12, 0), 12));
        assert!(queue.count(&[], true, now).unwrap(), "removed before they were read");
        assert!(!queue.expect((12, 0), 12) || queue.count(&[], true, now).is_ok_and(|missing| !missing));
        assert!(!queue.expect((2, 0), 2), "a recreated stream");
    }
}

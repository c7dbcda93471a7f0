//! Counts BullMQ's events of one queue: added, started and finished jobs, and their processing times.

use std::collections::HashMap;

use anyhow::Result;

use super::super::job_times::JobTimes;
use crate::queue_system::{Counter, Statistics};
use crate::read_error::{Reason, read_error};
use crate::redis::{Value, field, list, text};

/// The id of an event: time in milliseconds and sequence number.
pub(super) type EventId = (u64, u64);

/// The counters made of the events of one queue.
#[derive(Default)]
pub(super) struct EventCounts {
    /// The id of the last counted event.
    pub(super) last: EventId,
    /// The number of counted events.
    pub(super) events: u64,
    /// Whether workers counted successes and failures themselves at the start. The source of a counter must not change:
    /// some jobs would be counted twice.
    pub(super) counted_by_workers: [bool; 2],
    added: u64,
    active: u64,
    success: u64,
    failure: u64,
    /// The start of running jobs, in milliseconds.
    started: HashMap<String, u64>,
    times: JobTimes,
}

/// The largest number of running jobs of one queue that are timed.
const MAX_TIMED: usize = 10_000;

impl EventCounts {
    /// Starts after an event.
    pub(super) fn after(last: EventId, counted_by_workers: [bool; 2]) -> Self {
        Self { last, counted_by_workers, ..Self::default() }
    }

    /// Counts events. Those up to the last counted one are skipped, so that two concurrent reads count nothing twice.
    pub(super) fn count(&mut self, events: &[Value]) -> Result<()> {
        for event in events {
            let [_, fields] = list(event)? else {
                return Err(read_error(Reason::Protocol, "expected an id and fields in an event"));
            };
            let id = event_id(event);
            if id <= self.last {
                continue;
            }
            self.count_one(id.0, list(fields)?);
            self.last = id;
            self.events += 1;
        }
        if self.started.is_empty() {
            self.started = HashMap::new(); // frees the memory: of thousands of queues, few have running jobs
        }
        Ok(())
    }

    fn count_one(&mut self, time: u64, fields: &[Value]) {
        let word = |name| field(fields, name).and_then(|value| text(value).ok().flatten());
        let job = word("jobId");
        match word("event") {
            Some("active") => {
                self.active += 1;
                if let Some(job) = job
                    && self.started.len() < MAX_TIMED
                {
                    self.started.insert(job.to_owned(), time);
                }
            }
            Some("completed") => {
                self.success += 1;
                self.finish(job, time);
            }
            Some("failed") => {
                self.failure += 1;
                self.finish(job, time);
            }
            // returned: the next attempt is timed separately
            Some("waiting" | "delayed" | "stalled" | "removed") => {
                job.and_then(|job| self.started.remove(job));
            }
            // not the counter of job ids: it includes duplicates, which are rejected
            Some("added") => self.added += 1,
            _ => {}
        }
    }

    fn finish(&mut self, job: Option<&str>, time: u64) {
        if let Some(started) = job.and_then(|job| self.started.remove(job)) {
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            self.times.observe(time.saturating_sub(started) as f64);
        }
    }

    /// Adds the counters to the statistics of the queue.
    pub(super) fn complete(&self, statistics: &mut Statistics) {
        let [success, failure] = self.counted_by_workers;
        if !success {
            statistics.success = Counter::single(Some(self.success));
        }
        if !failure {
            statistics.failure = Counter::single(Some(self.failure));
        }
        // a job that failed permanently is moved to the failed jobs
        statistics.dead_lettered = statistics.failure;
        statistics.delivered = Counter::single(Some(self.active));
        statistics.enqueued = Counter::single(Some(self.added));
        statistics.processing = Some(self.times.histogram());
    }
}

/// The id of an event; `0-0` if the value is not an event.
pub(super) fn event_id(event: &Value) -> EventId {
    let id = || parse_id(text(list(event).ok()?.first()?).ok()??);
    id().unwrap_or_default()
}

pub(super) fn parse_id(id: &str) -> Option<EventId> {
    let (time, sequence) = id.split_once('-')?;
    Some((time.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::String(text.to_owned().into())
    }

    fn event(id: &str, event: &str, job: &str) -> Value {
        let fields = ["event", event, "jobId", job, "prev", "x"].map(bulk).to_vec();
        Value::Array(vec![bulk(id), Value::Array(fields)])
    }

    #[test]
    fn finished_jobs_are_counted_and_timed() {
        let mut counts = EventCounts::default();
        let first = [event("1000-0", "added", "1"), event("1000-1", "active", "1"), event("1040-0", "completed", "1")];
        let second = [
            event("2000-0", "active", "2"),
            event("2500-0", "delayed", "2"),
            event("9000-0", "active", "2"),
            event("12000-0", "failed", "2"),
            event("13000-0", "completed", "started before"),
        ];
        for events in [&first[..], &second[..], &second[..]] {
            counts.count(events).unwrap();
        }
        let mut read = Statistics::default();
        counts.complete(&mut read);
        let counters = [read.success, read.failure, read.dead_lettered, read.delivered].map(Counter::value);
        assert_eq!(counters, [2, 1, 1, 3].map(Some));
        assert_eq!(read.enqueued.value(), Some(1));
        let processing = read.processing.unwrap();
        assert_eq!((processing.count, processing.sum), (2, Some(3.04)), "the start of one job is unknown");
        assert_eq!(processing.buckets[1], (0.05, 1));
        assert_eq!(processing.buckets[7], (5.0, 2));
        assert_eq!((counts.last, counts.events, counts.started.len()), ((13000, 0), 8, 0));
    }

    #[test]
    fn the_source_of_a_counter_does_not_change() {
        let counted_by_workers = [true, false];
        let counts = EventCounts { counted_by_workers, success: 2, failure: 1, ..EventCounts::default() };
        let by_workers = Counter::single(Some(50));
        let mut read = Statistics { success: by_workers, failure: by_workers, ..Statistics::default() };
        counts.complete(&mut read);
        assert_eq!((read.success.value(), read.failure.value()), (Some(50), Some(1)));
    }
}

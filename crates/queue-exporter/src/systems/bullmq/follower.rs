//! Follows BullMQ's event streams. The streams are capped, so they are read between scrapes as well.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Error, Result};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::events::{EventCounts, EventId, parse_id};
use super::followed_queue::FollowedQueue;
use super::streams::{BEGINNING, EventPosition, StreamEvents, events_key, read_streams};
use crate::queue_system::Statistics;
use crate::redis::{Commands, RedisClient, Replies, Value, command_error, count, field, list, node_error, text};

/// The events of all queues.
#[derive(Default)]
pub(super) struct Follower {
    /// By the common prefix of a queue's keys. Boxed, because the capacity of a hash table may be twice its length.
    queues: Mutex<HashMap<String, Box<FollowedQueue>>>,
    gaps: AtomicU64,
    /// Whether all queues were known at some time, so that an unknown one is new.
    all_known: AtomicBool,
    /// Held during a request, so that the scrape and the follower do not read the same events.
    reading: tokio::sync::Mutex<()>,
}

/// The largest number of followed queues, deleted ones included.
const MAX_QUEUES: usize = 50_000;

/// The largest number of events in all replies of one request, and in one of them.
const EVENTS_PER_REQUEST: usize = 20_000;
const EVENTS_PER_REPLY: usize = 5000;

/// The largest number of events that one scrape reads for a batch of queues. The follower reads the rest.
const EVENTS_PER_SCRAPE: usize = 20_000;

/// How long a queue that is no longer listed is followed.
const UNLISTED: Duration = Duration::from_secs(600);

/// The time between two reads of an idle queue: long enough for 2,000 commands a second at most, and so short that a
/// sudden load does not fill the stream.
const IDLE_INTERVAL_PER_QUEUE: Duration = Duration::from_micros(500);
const MIN_IDLE_INTERVAL: Duration = Duration::from_millis(25);
const MAX_IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// The shortest time between two searches for due queues, which visit all queues.
const PASS_INTERVAL_PER_QUEUE: Duration = Duration::from_micros(2);

/// The number of queues that one request of the follower reads.
const BATCH: usize = 250;

/// How often the nodes of a cluster are updated.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// How long one request of the follower may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) const GAP: &str = "events were removed before they were read: counters lack some jobs";

impl Follower {
    /// The number of times events were lost.
    pub(super) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Adds the counters of a queue to its statistics.
    pub(super) fn complete(&self, base: &str, statistics: &mut Statistics) {
        if let Some(queue) = self.queues().get_mut(base) {
            queue.counts.complete(statistics);
            statistics.gap = std::mem::take(&mut queue.has_gap).then_some(GAP);
        }
    }

    /// Starts to follow the queues of a scrape that are new.
    pub(super) async fn start(&self, redis: &RedisClient, bases: &[String]) -> Result<()> {
        self.follow(redis, bases).await.map(drop)
    }

    /// Starts to follow new queues that were found between scrapes; all others are known.
    pub(super) async fn discovered(&self, redis: &RedisClient, bases: &[String]) -> Result<()> {
        let mut all_followed = true;
        for bases in bases.chunks(BATCH) {
            all_followed &= self.follow(redis, bases).await?;
        }
        if all_followed {
            self.all_known.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns whether all of the queues are followed now.
    async fn follow(&self, redis: &RedisClient, bases: &[String]) -> Result<bool> {
        let new: Vec<&String> = {
            let (now, mut queues) = (Instant::now(), self.queues());
            if queues.len() > MAX_QUEUES {
                queues.clear(); // too many names: the sums of existing queues are kept in the counter memory
                self.all_known.store(false, Ordering::Relaxed);
            }
            for base in bases {
                if let Some(queue) = queues.get_mut(base) {
                    queue.listed = Some(now);
                }
            }
            bases.iter().filter(|base| !queues.contains_key(*base)).collect()
        };
        let mut all_followed = true;
        let mut commands = Commands::with_capacity(new.len() * 3);
        for base in &new {
            commands.add(&["XINFO", "STREAM", &events_key(base)]);
            commands.add(&["HGET", &format!("{base}:metrics:completed"), "count"]);
            commands.add(&["HGET", &format!("{base}:metrics:failed"), "count"]);
        }
        let mut replies = Replies::new(redis.query(&commands).await?);
        for base in new {
            let [events, success, failure] = replies.next();
            if node_error(&events).or_else(|| node_error(&success)).or_else(|| node_error(&failure)).is_some() {
                all_followed = false;
                continue; // reading the queue returns the same error
            }
            let is_counted = |reply: &Value| matches!(count(reply), Ok(Some(_)));
            let Some((last, added)) = start_position(&events)? else { continue };
            let counted_by_workers = [is_counted(&success), is_counted(&failure)];
            let queue = FollowedQueue::new(EventCounts::after(last, counted_by_workers), added, Instant::now());
            // a scrape and the follower may find it at the same time
            match self.queues().entry(base.clone()) {
                Entry::Vacant(entry) => entry.insert(Box::new(queue)),
                Entry::Occupied(_) => continue,
            };
            // the first events of a new queue were removed
            if last != BEGINNING && self.all_known.load(Ordering::Relaxed) {
                self.note_gap(base);
            }
        }
        Ok(all_followed)
    }

    /// Reads the new events of queues in a scrape. Returns the queues whose events could not be read.
    pub(super) async fn catch_up(&self, redis: &RedisClient, bases: &[String]) -> Result<HashMap<String, Error>> {
        let mut errors = self.read_events(redis, bases, EVENTS_PER_SCRAPE).await?;
        errors.extend(self.look_for_gaps(redis, bases).await?);
        Ok(errors)
    }

    /// Reads events between scrapes, for the life of the process.
    pub(super) async fn run(&self, redis: &RedisClient) {
        let mut refreshed = None;
        loop {
            let (due, next) = self.due_queues();
            // errors are reported by the scrape, which reads the same streams
            if !due.is_empty()
                && let Err(error) = self.read_due(redis, &due, &mut refreshed).await
            {
                tracing::debug!(error = format!("{error:#}"), "cannot read events between scrapes");
                refreshed = None;
                sleep(Duration::from_secs(1)).await;
            }
            sleep_until(next).await;
        }
    }

    async fn read_due(&self, redis: &RedisClient, due: &[String], refreshed: &mut Option<Instant>) -> Result<()> {
        if refreshed.is_none_or(|refreshed| refreshed.elapsed() > REFRESH_INTERVAL) {
            redis.refresh().await?;
            *refreshed = Some(Instant::now());
        }
        for bases in due.chunks(BATCH) {
            let errors = timeout(READ_TIMEOUT, self.read_events(redis, bases, usize::MAX)).await??;
            if !errors.is_empty() {
                *refreshed = None; // a node of a cluster may have failed or moved its slots
            }
        }
        Ok(())
    }

    /// The queues to read now, and the time of the next search.
    #[expect(clippy::iter_over_hash_type, reason = "the due queues are sorted")]
    fn due_queues(&self) -> (Vec<String>, Instant) {
        let now = Instant::now();
        let mut queues = self.queues();
        let number = u32::try_from(queues.len()).unwrap_or(u32::MAX);
        let idle_interval = (IDLE_INTERVAL_PER_QUEUE * number).clamp(MIN_IDLE_INTERVAL, MAX_IDLE_INTERVAL);
        let (mut due, mut next) = (Vec::new(), now + MIN_IDLE_INTERVAL);
        for (base, queue) in queues.iter_mut() {
            if queue.listed.is_none_or(|listed| now.duration_since(listed) >= UNLISTED) {
                continue;
            }
            match queue.due {
                Some(due) if due > now => next = next.min(due),
                _ => {
                    queue.due = Some(now + idle_interval);
                    due.push(base.clone());
                }
            }
        }
        due.sort_unstable();
        if !due.is_empty() {
            next = now; // reading them may change when they are due again
        }
        (due, next.max(now + PASS_INTERVAL_PER_QUEUE * number))
    }

    /// Reads the new events of queues, up to a limit. Returns the queues whose events could not be read.
    async fn read_events(&self, redis: &RedisClient, bases: &[String], limit: usize) -> Result<HashMap<String, Error>> {
        let mut errors = HashMap::new();
        let mut read = 0;
        let mut behind: Vec<&str> = bases.iter().map(String::as_str).collect();
        while !behind.is_empty() && read < limit {
            let size = (EVENTS_PER_REQUEST / behind.len()).clamp(1, EVENTS_PER_REPLY);
            let _reading = self.reading.lock().await;
            let (bases, positions): (Vec<&str>, Vec<EventPosition>) = {
                let queues = self.queues();
                let position = |base| {
                    let queue = queues.get(base)?;
                    Some(EventPosition { last: queue.counts.last, check_last: queue.added.is_none() })
                };
                behind.iter().filter_map(|base| Some((*base, position(*base)?))).unzip()
            };
            let streams = read_streams(redis, &bases, &positions, size).await?;
            let mut more = Vec::new();
            for (base, StreamEvents { events, last_is_removed }) in bases.into_iter().zip(streams) {
                let count = |events: Vec<Value>| self.count(base, &events, events.len() < size).map(|()| events.len());
                match events.and_then(count) {
                    Ok(0) => {}
                    Ok(new) => {
                        if last_is_removed {
                            self.note_gap(base);
                        }
                        read += new;
                        if new == size {
                            more.push(base);
                        }
                    }
                    Err(error) => {
                        errors.insert(base.to_owned(), error);
                    }
                }
            }
            behind = more;
        }
        Ok(errors)
    }

    /// Counts the events after a position. Another read may have counted some of them already.
    fn count(&self, base: &str, events: &[Value], is_end: bool) -> Result<()> {
        let counted = self.queues().get_mut(base).map(|queue| queue.count(events, is_end, Instant::now()));
        if counted.transpose()? == Some(true) {
            self.note_gap(base);
        }
        Ok(())
    }

    /// Compares the number of counted events with the number of added ones, for queues with new events. Returns the
    /// queues for which that fails.
    async fn look_for_gaps(&self, redis: &RedisClient, bases: &[String]) -> Result<HashMap<String, Error>> {
        // no event may be counted in between: all counted events must be among the added ones
        let reading = self.reading.lock().await;
        let mut errors = HashMap::new();
        let active: Vec<&String> = {
            let queues = self.queues();
            bases.iter().filter(|base| queues.get(*base).is_some_and(|queue| queue.is_unchecked())).collect()
        };
        let mut commands = Commands::with_capacity(active.len());
        for base in &active {
            commands.add(&["XINFO", "STREAM", &events_key(base)]);
        }
        let mut replies = Replies::new(redis.query(&commands).await?);
        let mut behind = Vec::new();
        for base in active {
            let [reply] = replies.next();
            if let Some(error) = node_error(&reply) {
                errors.insert(base.clone(), error);
                continue;
            }
            let Ok(info) = list(&reply) else { continue };
            let id = field(info, "last-generated-id").and_then(|id| parse_id(text(id).ok()??));
            let number = |name| field(info, name).and_then(|number| count(number).ok()?);
            let (Some(id), Some(added)) = (id, number("entries-added")) else { continue };
            let is_behind = self.queues().get_mut(base).is_some_and(|queue| {
                queue.length = number("length");
                queue.expect(id, added)
            });
            if is_behind {
                behind.push(base.clone());
            } else {
                self.count(base, &[], true)?;
            }
        }
        drop(reading);
        errors.extend(self.read_events(redis, &behind, EVENTS_PER_SCRAPE).await?);
        Ok(errors)
    }

    /// Whether the workers of a queue count successes and failures themselves; both if that is unknown.
    pub(super) fn counted_by_workers(&self, base: &str) -> [bool; 2] {
        self.queues().get(base).map_or([true; 2], |queue| queue.counts.counted_by_workers)
    }

    fn note_gap(&self, base: &str) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        if let Some(queue) = self.queues().get_mut(base) {
            queue.has_gap = true;
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Box<FollowedQueue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The position from which to count events, and the number of events added before it: the beginning if no event was
/// removed, otherwise the end. `None` if that is unknown now.
fn start_position(events: &Value) -> Result<Option<(EventId, Option<u64>)>> {
    const ALL: (EventId, Option<u64>) = (BEGINNING, Some(0));
    let events = match events {
        Value::Error(error) if error.details().contains("no such key") => {
            return Ok(Some(ALL));
        }
        // reading the events returns the error
        Value::Error(error) if error.code() == "WRONGTYPE" => return Ok(Some(ALL)),
        Value::Error(error) => return Err(command_error(error)),
        events => list(events)?,
    };
    let number = |name| field(events, name).map(count).transpose().map(Option::flatten);
    let (length, added) = (number("length")?, number("entries-added")?);
    if length.is_some() && length == added {
        return Ok(Some(ALL));
    }
    let last = field(events, "last-generated-id").and_then(|id| parse_id(text(id).ok()??));
    Ok(last.map(|last| (last, added)))
}

/// Parses one reply about events.
#[cfg(fuzzing)]
pub(super) fn fuzz(reply: &Value) {
    let _ = start_position(reply);
    let mut queue = FollowedQueue::new(EventCounts::default(), Some(0), Instant::now());
    let _ = queue.expect((5, 1), 7);
    super::streams::fuzz(reply);
    let _ = list(reply).and_then(|events| queue.count(events, false, Instant::now()));
    let mut statistics = Statistics::default();
    queue.counts.complete(&mut statistics);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_from_the_beginning_only_if_none_was_removed() {
        let bulk = |text: &str| Value::String(text.to_owned().into());
        let info = |length, added| {
            let fields = [("length", Value::Int(length)), ("entries-added", added), ("last-generated-id", bulk("5-1"))];
            Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
        };
        assert_eq!(start_position(&info(5, Value::Int(5))).unwrap(), Some(((0, 0), Some(0))));
        assert_eq!(start_position(&info(5, Value::Int(9))).unwrap(), Some(((5, 1), Some(9))));
        assert_eq!(start_position(&info(5, Value::Nil)).unwrap(), Some(((5, 1), None)), "before Redis 7");
    }
}

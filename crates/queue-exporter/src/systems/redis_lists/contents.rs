//! The contents of a queue's keys: the commands that count them, and their replies as statistics.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::key::Part;
use crate::queue_system::{Counter, Statistics};
use crate::redis::{Commands, Replies, count, list, text};
use crate::timestamp::{in_seconds, seconds_since};

/// How the content of a key is counted, which depends on its type.
enum Content {
    /// The key does not exist.
    Missing,
    /// Its length, by this command.
    Length(&'static str),
    /// It is a number.
    Number,
    /// It is a hash with a number in the field `count`.
    Count,
    Schedule,
    /// That the key exists is all it says.
    Present,
}

fn content(Key { part, name, key_type }: &Key) -> Result<Content> {
    let is_counter = matches!(part, Part::Success | Part::Failure | Part::Processed);
    let expected = match key_type.as_str() {
        "none" => return Ok(Content::Missing),
        _ if *part == Part::Pause => return Ok(Content::Present),
        "string" if is_counter => return Ok(Content::Number),
        "hash" if is_counter => return Ok(Content::Count),
        _ if is_counter => "string or hash",
        "zset" if *part == Part::Scheduled => return Ok(Content::Schedule),
        _ if *part == Part::Scheduled => "sorted set",
        "list" => return Ok(Content::Length("LLEN")),
        "zset" => return Ok(Content::Length("ZCARD")),
        "hash" => return Ok(Content::Length("HLEN")),
        "set" => return Ok(Content::Length("SCARD")),
        _ => "list, sorted set, hash or set",
    };
    bail!("key {name:?}: expected a {expected}, found a {key_type}")
}

/// A key of a queue.
pub(super) struct Key {
    pub(super) part: Part,
    pub(super) name: String,
    /// As Redis names it, `none` for a missing key.
    pub(super) key_type: String,
}

/// The facts that all queues of one read share.
pub(super) struct Read<'a> {
    /// The identifiers of running messages; `None` if there are too many to look them up.
    pub(super) running: Option<&'a BTreeSet<String>>,
    /// Whether running messages remain in their queues.
    pub(super) runs_in_queue: bool,
    pub(super) now: f64,
}

impl Read<'_> {
    /// Adds the commands for a key.
    pub(super) fn add_commands(&self, commands: &mut Commands, key: &Key) -> Result<()> {
        let Key { name, .. } = key;
        match content(key)? {
            Content::Missing | Content::Present => (),
            Content::Length(command) => commands.add(&[command, name]),
            Content::Number => commands.add(&["GET", name]),
            Content::Count => commands.add(&["HGET", name, "count"]),
            Content::Schedule => {
                let [seconds, milliseconds] = [self.now, self.now * 1000.0].map(|now| now.to_string());
                let last = self.running.map_or(0, BTreeSet::len).to_string();
                commands.add(&["ZCARD", name]);
                commands.add(&["ZCOUNT", name, "-inf", &seconds]);
                commands.add(&["ZCOUNT", name, "-inf", &milliseconds]);
                // one of these is not running
                commands.add(&["ZRANGE", name, "0", &last, "WITHSCORES"]);
                for id in self.running.into_iter().flatten() {
                    commands.add(&["ZSCORE", name, id]);
                }
            }
        }
        Ok(())
    }

    /// The statistics of a queue, from the replies to the commands for its keys.
    pub(super) fn statistics(&self, keys: &[Key], mut replies: Replies) -> Result<Statistics> {
        let mut contents = Contents::default();
        for key in keys {
            contents.add(key, &mut replies, self)?;
        }
        Ok(contents.statistics())
    }
}

/// The statistics of one queue, from the replies to the commands for its keys.
#[derive(Default)]
struct Contents {
    statistics: Statistics,
    unfinished: Option<u64>,
    processed: Option<u64>,
}

impl Contents {
    fn add(&mut self, key: &Key, replies: &mut Replies, read: &Read<'_>) -> Result<()> {
        let Key { part, .. } = key;
        let number = match content(key)? {
            Content::Missing if *part == Part::Scheduled => {
                self.add_schedule(&Schedule::default(), read);
                return Ok(());
            }
            Content::Missing if matches!(part, Part::Success | Part::Failure | Part::Processed) => None,
            Content::Missing => Some(0),
            Content::Present => Some(1),
            Content::Length(_) | Content::Number | Content::Count => count(&replies.next::<1>()[0])?,
            Content::Schedule => {
                self.add_schedule(&Schedule::new(replies, read)?, read);
                return Ok(());
            }
        };
        let statistics = &mut self.statistics;
        let state = match part {
            Part::Ready => &mut statistics.ready,
            Part::Unfinished => &mut self.unfinished,
            Part::InFlight => &mut statistics.in_flight,
            Part::Delayed => &mut statistics.delayed,
            Part::Retry => &mut statistics.retry,
            Part::Dead => &mut statistics.dead,
            Part::Blocked => &mut statistics.blocked,
            Part::Completed => &mut statistics.completed,
            Part::Workers => &mut statistics.consumers,
            Part::Processed => &mut self.processed,
            Part::Success => &mut statistics.success.0[0],
            Part::Failure => &mut statistics.failure.0[0],
            Part::Pause => {
                statistics.paused = number.map(|keys| keys > 0);
                return Ok(());
            }
            Part::Scheduled | Part::Other => return Ok(()),
        };
        *state = [*state, number].into_iter().flatten().reduce(u64::saturating_add);
        Ok(())
    }

    fn add_schedule(&mut self, schedule: &Schedule, read: &Read<'_>) {
        let statistics = &mut self.statistics;
        statistics.delayed = Some(schedule.total.saturating_sub(schedule.due));
        if read.running.is_some() || !read.runs_in_queue {
            let due = schedule.due.saturating_sub(schedule.running);
            statistics.ready = Some(statistics.ready.unwrap_or(0).saturating_add(due));
            statistics.oldest_age = schedule.oldest;
        }
        if read.runs_in_queue {
            statistics.in_flight = read.running.map(|_| schedule.running);
        }
    }

    fn statistics(self) -> Statistics {
        let Self { mut statistics, unfinished, processed } = self;
        if let Some(unfinished) = unfinished {
            match statistics.ready {
                Some(ready) => statistics.in_flight = Some(unfinished.saturating_sub(ready)),
                None => statistics.ready = statistics.in_flight.map(|in_flight| unfinished.saturating_sub(in_flight)),
            }
        }
        if let Some(processed) = processed {
            let failed = statistics.failure.value().unwrap_or(0);
            statistics.success = Counter::single(Some(processed.saturating_sub(failed)));
        }
        statistics
    }
}

/// A sorted set of messages by due time.
#[derive(Default)]
struct Schedule {
    total: u64,
    due: u64,
    running: u64,
    /// How long the oldest message that is due and not running has been due.
    oldest: Option<f64>,
}

impl Schedule {
    fn new(replies: &mut Replies, read: &Read<'_>) -> Result<Self> {
        let [total, due_seconds, due_milliseconds, first] = replies.next();
        let mut running = 0;
        for _ in read.running.into_iter().flatten() {
            running += u64::from(text(&replies.next::<1>()[0])?.is_some());
        }
        let mut first_waiting = None;
        for pair in list(&first)?.chunks_exact(2) {
            let id = text(&pair[0])?.unwrap_or_default();
            if !read.running.is_some_and(|running| running.contains(id)) {
                first_waiting = text(&pair[1])?.and_then(|score| score.parse::<f64>().ok());
                break;
            }
        }
        let due_since = first_waiting.map(in_seconds);
        // without a message that waits, all are running and due
        let in_seconds = due_since.zip(first_waiting).is_some_and(|(since, score)| since >= score);
        let due = if in_seconds { due_seconds } else { due_milliseconds };
        Ok(Self {
            total: count(&total)?.unwrap_or(0),
            due: count(&due)?.unwrap_or(0),
            running,
            oldest: due_since.filter(|since| *since <= read.now).and_then(|since| seconds_since(since, read.now)),
        })
    }
}

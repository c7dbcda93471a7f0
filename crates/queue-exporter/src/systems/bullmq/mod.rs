//! `bullmq`: queues of BullMQ in RedisClient; what has ended is counted from its events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use exporter_common::{Histogram, async_trait};
use futures_util::stream::BoxStream;
use redis::{Pipeline, Value};

use super::listing::list_keys;
use crate::connection::Credentials;
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};
use crate::redis::{
    KeyScanner, RedisClient, Replies, SCHEMES, add_command, command_error, count, escape_glob, field, list, node_error,
    text,
};
use crate::timestamp::{now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "bullmq",
    schemes: SCHEMES,
    connect: |settings| {
        let redis = RedisClient::single_or_cluster(settings)?;
        let prefixes = match redis.prefixes() {
            [] => vec!["bull".to_owned()],
            prefixes => prefixes.to_vec(),
        };
        let pattern = if let [prefix] = &prefixes[..] { escape_glob(prefix) } else { "*".to_owned() };
        let keys = KeyScanner::new(format!("{pattern}:*:meta"), "hash");
        Ok(Box::new(BullMq { redis, prefixes, keys, tails: Mutex::default(), gaps: AtomicU64::new(0) }))
    },
};

struct BullMq {
    redis: RedisClient,
    /// Where there are several, that of a queue is its scope.
    prefixes: Vec<String>,
    keys: KeyScanner,
    /// By what all keys of a queue begin with; in boxes, since a table is up to twice as large as what is in it.
    tails: Mutex<HashMap<String, Box<Tail>>>,
    gaps: AtomicU64,
}

/// How many queues' events are followed, those of queues that are gone included.
const TAILS: usize = 50_000;

/// How many events of each queue come with one call, for all queues and for those that have more.
const EVENTS: [usize; 2] = [100, 2000];

/// How many events are read for one batch of queues; what is left comes with the next read.
const PATIENCE: usize = 200_000;

#[async_trait]
impl QueueSystem for BullMq {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight" | "delayed" | "dead" | "blocked" | "completed")
            | ("queue_depth" | "queue_paused", _) => Origin::Native,
            ("queue_oldest_message_age_seconds" | "messages_enqueued_total", _) => Origin::Derived,
            (
                "messages_processed_total"
                | "messages_delivered_total"
                | "messages_dead_lettered_total"
                | "message_processing_seconds",
                _,
            ) => Origin::Events,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    fn event_gaps(&self) -> Option<u64> {
        Some(self.gaps.load(Ordering::Relaxed))
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_keys(&self.keys, &self.redis, |key| {
            let rest = |prefix: &String| key.strip_prefix(prefix)?.strip_prefix(':')?.strip_suffix(":meta");
            let (prefix, name) = self.prefixes.iter().find_map(|prefix| Some((prefix, rest(prefix)?)))?;
            let scope = if self.prefixes.len() > 1 { prefix.clone() } else { String::new() };
            Some(QueueId { name: name.to_owned(), scope })
        })
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let bases: Vec<String> = queues.iter().map(|queue| self.base(queue)).collect();
        self.begin_tails(&bases).await?;
        let mut commands = Pipeline::with_capacity(queues.len() * COMMANDS.len());
        let mut key = String::new();
        for base in &bases {
            for (before, part, after) in COMMANDS {
                key.clear();
                key.extend([base, ":", part]);
                let mut command = redis::Cmd::with_capacity(4, key.len() + 32);
                command.arg(*before).arg(&key);
                for word in *after {
                    command.arg(*word);
                }
                commands.add_command(command);
            }
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut listed = Vec::with_capacity(queues.len());
        let mut oldest = Vec::new();
        for (queue, base) in queues.iter().zip(&bases) {
            let replies: [Value; COMMANDS.len()] = replies.next();
            let meta = &replies[0];
            if list(meta).is_ok_and(<[_]>::is_empty) {
                self.keys.forget(&key_of(base, "meta"));
                listed.push(ListedQueue { queue: queue.clone(), statistics: None });
                continue;
            }
            let next = [&replies[9], &replies[10]].map(|next| text(next).ok().flatten());
            if let Some(job) = next.into_iter().flatten().next() {
                oldest.push((listed.len(), key_of(base, job)));
            }
            listed.push(ListedQueue { queue: queue.clone(), statistics: Some(statistics(&replies)) });
        }
        self.ages(&mut listed, oldest).await?;
        let mut broken: HashMap<_, _> = self.follow(&bases).await?.into_iter().collect();
        let tails = self.tails();
        for (ListedQueue { statistics, .. }, base) in listed.iter_mut().zip(&bases) {
            if let (Some(Ok(_)), Some(error)) = (&statistics, broken.remove(base.as_str())) {
                *statistics = Some(Err(error.context("its events")));
            }
            if let (Some(Ok(statistics)), Some(tail)) = (statistics, tails.get(base)) {
                tail.complete(statistics);
            }
        }
        Ok(listed)
    }
}

/// What is asked of each queue: a command, a part of the queue, and more words.
const COMMANDS: &[(&str, &str, &[&str]); 14] = &[
    ("HGETALL", "meta", &[]),
    ("LLEN", "wait", &[]),
    ("ZCARD", "prioritized", &[]),
    ("LLEN", "paused", &[]),
    ("LLEN", "active", &[]),
    ("ZCARD", "delayed", &[]),
    ("ZCARD", "failed", &[]),
    ("ZCARD", "waiting-children", &[]),
    ("ZCARD", "completed", &[]),
    ("LINDEX", "wait", &["-1"]),
    ("LINDEX", "paused", &["-1"]),
    ("GET", "id", &[]),
    ("HGET", "metrics:completed", &["count"]),
    ("HGET", "metrics:failed", &["count"]),
];

fn statistics(replies: &[Value; COMMANDS.len()]) -> Result<Statistics> {
    let [meta, wait, prioritized, paused, active, delayed, failed, blocked, completed, waits, pauses, ..] = replies;
    let [.., id, success, failure] = replies;
    let [wait, paused] = [(wait, waits), (paused, pauses)]
        .map(|(length, next)| Ok(count(length)?.map(|length| length.saturating_sub(u64::from(is_marker(next))))));
    let ready = [wait, paused, count(prioritized)].into_iter().collect::<Result<Vec<_>>>()?;
    Ok(Statistics {
        ready: ready.into_iter().flatten().reduce(u64::saturating_add),
        in_flight: count(active)?,
        delayed: count(delayed)?,
        dead: count(failed)?,
        blocked: count(blocked)?,
        completed: count(completed)?,
        paused: Some(field(list(meta)?, "paused").is_some_and(|paused| text(paused).ok().flatten() == Some("1"))),
        enqueued: Counter::single(count(id)?),
        // workers that keep metrics count themselves
        success: Counter::single(count(success)?),
        failure: Counter::single(count(failure)?),
        ..Statistics::default()
    })
}

/// The key of a part of a queue.
fn key_of(base: &str, part: &str) -> String {
    format!("{base}:{part}")
}

/// Whether what is next in a list is no job: before version 5 it tells workers that there are jobs for later.
fn is_marker(next: &Value) -> bool {
    text(next).is_ok_and(|next| next.is_some_and(|next| next.starts_with("0:")))
}

impl BullMq {
    /// What all keys of a queue begin with.
    fn base(&self, QueueId { name, scope }: &QueueId) -> String {
        let prefix = if scope.is_empty() { &self.prefixes[0] } else { scope };
        format!("{prefix}:{name}")
    }

    fn tails(&self) -> MutexGuard<'_, HashMap<String, Box<Tail>>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds how long the job has waited that is next.
    async fn ages(&self, listed: &mut [ListedQueue], oldest: Vec<(usize, String)>) -> Result<()> {
        let mut commands = Pipeline::with_capacity(oldest.len());
        for (_, job) in &oldest {
            add_command(&mut commands, &["HGET", job, "timestamp"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let now = now();
        for (at, _) in oldest {
            let [reply] = replies.next();
            if let Some(error) = node_error(&reply) {
                listed[at].statistics = Some(Err(error));
            }
            if let (Some(Ok(statistics)), Ok(Some(created))) = (&mut listed[at].statistics, text(&reply)) {
                let created: Option<f64> = created.parse().ok(); // milliseconds
                statistics.oldest_age = created.and_then(|created| seconds_since(created / 1000.0, now));
            }
        }
        Ok(())
    }

    /// Begins to follow the events of queues that are new here.
    async fn begin_tails(&self, bases: &[String]) -> Result<()> {
        let new: Vec<&String> = {
            let mut tails = self.tails();
            if tails.len() > TAILS {
                tails.clear(); // names without end; the sums of the queues that are there are kept elsewhere
            }
            bases.iter().filter(|base| !tails.contains_key(*base)).collect()
        };
        let mut commands = Pipeline::with_capacity(new.len() * 3);
        for base in &new {
            add_command(&mut commands, &["XINFO", "STREAM", &key_of(base, "events")]);
            add_command(&mut commands, &["HGET", &key_of(base, "metrics:completed"), "count"]);
            add_command(&mut commands, &["HGET", &key_of(base, "metrics:failed"), "count"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        for base in new {
            let [events, success, failure] = replies.next();
            if node_error(&events).or_else(|| node_error(&success)).or_else(|| node_error(&failure)).is_some() {
                continue; // the same is told when the queue is read
            }
            let counted = |reply: &Value| matches!(count(reply), Ok(Some(_)));
            if let Some(last) = beginning(&events)? {
                let tail = Tail { last, counted: [counted(&success), counted(&failure)], ..Tail::default() };
                self.tails().insert(base.clone(), Box::new(tail));
            }
        }
        Ok(())
    }

    /// Counts what has happened in queues since the last time; and gives those whose events are broken.
    async fn follow<'a>(&self, bases: &'a [String]) -> Result<Vec<(&'a str, anyhow::Error)>> {
        let mut broken = Vec::new();
        let mut read = 0;
        let mut behind: Vec<&str> = bases.iter().map(String::as_str).collect();
        let mut size = EVENTS[0];
        while !behind.is_empty() && read < PATIENCE {
            let (bases, lasts): (Vec<&str>, Vec<String>) = {
                let tails = self.tails();
                behind.iter().filter_map(|base| Some((*base, tails.get(*base)?.last.clone()))).unzip()
            };
            let mut commands = Pipeline::with_capacity(bases.len());
            for (base, last) in bases.iter().zip(&lasts) {
                add_command(
                    &mut commands,
                    &["XREAD", "COUNT", &size.to_string(), "STREAMS", &key_of(base, "events"), last],
                );
            }
            let mut replies = Replies::new(self.redis.query(&commands).await?);
            let mut more = Vec::new();
            let mut fresh = Vec::new();
            for base in bases {
                let [reply] = replies.next();
                let mut tails = self.tails();
                let Some(tail) = tails.get_mut(base) else { continue };
                match events(&reply).and_then(|events| tail.see(events).map(|()| events.len())) {
                    Ok(0) => {}
                    Ok(seen) => {
                        read += seen;
                        fresh.push(base);
                        if seen == size {
                            more.push(base);
                        }
                    }
                    Err(error) => broken.push((base, error)),
                }
            }
            broken.extend(self.look_for_gaps(fresh, &more).await?);
            (behind, size) = (more, EVENTS[1]);
        }
        Ok(broken)
    }

    /// Where all events that there are were new, some may have been lost before they were read. Gives those of which
    /// that cannot be told.
    async fn look_for_gaps<'a>(&self, caught_up: Vec<&'a str>, more: &[&str]) -> Result<Vec<(&'a str, anyhow::Error)>> {
        let mut broken = Vec::new();
        let caught_up: Vec<_> = caught_up.into_iter().filter(|base| !more.contains(base)).collect();
        let mut commands = Pipeline::with_capacity(caught_up.len());
        for base in &caught_up {
            add_command(&mut commands, &["XLEN", &key_of(base, "events")]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        for base in caught_up {
            let [length] = replies.next();
            if let Some(error) = node_error(&length) {
                broken.push((base, error));
                continue;
            }
            if let (Some(length), Some(tail)) = (count(&length)?, self.tails().get_mut(base)) {
                if tail.begun && tail.new >= length && length > 0 {
                    self.gaps.fetch_add(1, Ordering::Relaxed);
                }
                (tail.begun, tail.new) = (true, 0);
            }
        }
        Ok(broken)
    }
}

/// Where to begin to read events: at the first when all that ever happened is there, else after the last.
/// `None` where that cannot be told now.
fn beginning(events: &Value) -> Result<Option<String>> {
    const FIRST: &str = "0-0";
    let events = match events {
        Value::ServerError(error) if error.details().is_some_and(|it| it.contains("no such key")) => {
            return Ok(Some(FIRST.to_owned()));
        }
        // what it is instead is told when it is read
        Value::ServerError(error) if error.code() == "WRONGTYPE" => return Ok(Some(FIRST.to_owned())),
        Value::ServerError(error) => return Err(command_error(error)),
        events => list(events)?,
    };
    let number = |name| field(events, name).map(count).transpose().map(Option::flatten);
    let whole = number("length")?.zip(number("entries-added")?).is_some_and(|(length, added)| length == added);
    let last = field(events, "last-generated-id").map(text).transpose()?.flatten();
    Ok(if whole { Some(FIRST.to_owned()) } else { last.map(str::to_owned) })
}

/// The events in the reply to a read of one stream.
fn events(reply: &Value) -> Result<&[Value]> {
    match list(reply)? {
        [] => Ok(&[]),
        [stream] => match list(stream)? {
            [_, events] => list(events),
            _ => Err(read_error(Reason::Protocol, "a stream that is none")),
        },
        _ => Err(read_error(Reason::Protocol, "more streams than were asked for")),
    }
}

/// What is counted from the events of one queue.
#[derive(Default)]
struct Tail {
    /// The id of the last event read.
    last: String,
    /// Whether all events were read once.
    begun: bool,
    /// How many were new since then.
    new: u64,
    /// Whether workers counted successes and failures themselves when this began; who counts must not
    /// change, lest what both have counted is counted twice.
    counted: [bool; 2],
    active: u64,
    success: u64,
    failure: u64,
    /// When jobs were begun that have not ended, in milliseconds.
    begun_at: HashMap<String, u64>,
    buckets: [u64; BUCKETS.len()],
    milliseconds: u64,
    ended: u64,
}

/// Upper bounds in seconds, and in milliseconds.
const BUCKETS: [(f64, u64); 8] =
    [(0.01, 10), (0.05, 50), (0.1, 100), (0.25, 250), (0.5, 500), (1.0, 1000), (2.5, 2500), (5.0, 5000)];

/// How many jobs of one queue are timed at once.
const TIMED: usize = 10_000;

impl Tail {
    fn see(&mut self, events: &[Value]) -> Result<()> {
        for event in events {
            let [id, fields] = list(event)? else {
                return Err(read_error(Reason::Protocol, "an event that is none"));
            };
            let (id, fields) = (text(id)?.unwrap_or_default(), list(fields)?);
            let word = |name| field(fields, name).and_then(|value| text(value).ok().flatten());
            let at: Option<u64> = id.split('-').next().and_then(|at| at.parse().ok());
            let job = word("jobId");
            match word("event") {
                Some("active") => {
                    self.active += 1;
                    if let (Some(job), Some(at)) = (job, at)
                        && self.begun_at.len() < TIMED
                    {
                        self.begun_at.insert(job.to_owned(), at);
                    }
                }
                Some("completed") => {
                    self.success += 1;
                    self.end(job, at);
                }
                Some("failed") => {
                    self.failure += 1;
                    self.end(job, at);
                }
                // given back: the next attempt is timed by itself
                Some("waiting" | "delayed" | "stalled" | "removed") => {
                    job.and_then(|job| self.begun_at.remove(job));
                }
                _ => {}
            }
            id.clone_into(&mut self.last);
            self.new += 1;
        }
        if self.begun_at.is_empty() {
            self.begun_at = HashMap::new(); // of thousands of queues few have jobs in work
        }
        Ok(())
    }

    fn end(&mut self, job: Option<&str>, at: Option<u64>) {
        let begun = job.and_then(|job| self.begun_at.remove(job));
        if let Some((begun, at)) = begun.zip(at) {
            let took = at.saturating_sub(begun);
            for (count, (_, bound)) in self.buckets.iter_mut().zip(BUCKETS) {
                *count += u64::from(took <= bound);
            }
            self.milliseconds += took;
            self.ended += 1;
        }
    }

    /// Puts in what events have told.
    fn complete(&self, statistics: &mut Statistics) {
        let [success, failure] = self.counted;
        if !success {
            statistics.success = Counter::single(Some(self.success));
        }
        if !failure {
            statistics.failure = Counter::single(Some(self.failure));
        }
        // who fails for good is put aside
        statistics.dead_lettered = statistics.failure;
        statistics.delivered = Counter::single(Some(self.active));
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let sum = self.milliseconds as f64 / 1000.0;
        statistics.processing = Some(Histogram {
            buckets: BUCKETS.iter().zip(self.buckets).map(|((bound, _), count)| (*bound, count)).collect(),
            sum: Some(sum),
            count: self.ended,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn event(id: &str, event: &str, job: &str) -> Value {
        let fields = ["event", event, "jobId", job, "prev", "x"].map(bulk).to_vec();
        Value::Array(vec![bulk(id), Value::Array(fields)])
    }

    #[test]
    fn events_are_counted_and_timed() {
        let mut tail = Tail { last: "0-0".to_owned(), ..Tail::default() };
        let first = [event("1000-0", "added", "1"), event("1000-1", "active", "1"), event("1040-0", "completed", "1")];
        let second = [
            event("2000-0", "active", "2"),
            event("2500-0", "delayed", "2"),
            event("9000-0", "active", "2"),
            event("12000-0", "failed", "2"),
            event("13000-0", "completed", "begun before"),
        ];
        tail.see(&first).unwrap();
        tail.see(&second).unwrap();
        let mut read = Statistics::default();
        tail.complete(&mut read);
        let counters = [read.success, read.failure, read.dead_lettered, read.delivered].map(Counter::value);
        assert_eq!(counters, [2, 1, 1, 3].map(Some));
        let processing = read.processing.unwrap();
        assert_eq!((processing.count, processing.sum), (2, Some(3.04)), "of one the beginning is not known");
        assert_eq!(processing.buckets[1], (0.05, 1));
        assert_eq!(processing.buckets[7], (5.0, 2));
        assert_eq!((tail.last.as_str(), tail.begun_at.len()), ("13000-0", 0));
    }

    #[test]
    fn who_counts_does_not_change() {
        let tail = Tail { counted: [true, false], success: 2, failure: 1, ..Tail::default() };
        let counted = Counter::single(Some(50));
        let mut read = Statistics { success: counted, failure: counted, ..Statistics::default() };
        tail.complete(&mut read);
        assert_eq!((read.success.value(), read.failure.value()), (Some(50), Some(1)));
    }

    #[test]
    fn events_are_read_from_the_first_only_where_none_are_lost() {
        let info = |length, added| {
            let fields = [("length", Value::Int(length)), ("entries-added", added), ("last-generated-id", bulk("5-1"))];
            Value::Array(fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
        };
        assert_eq!(beginning(&info(5, Value::Int(5))).unwrap().unwrap(), "0-0");
        assert_eq!(beginning(&info(5, Value::Int(9))).unwrap().unwrap(), "5-1");
        assert_eq!(beginning(&info(5, Value::Nil)).unwrap().unwrap(), "5-1", "an older Redis does not know");
    }
}

//! `bullmq`: queues of BullMQ in Redis. Finished jobs are counted from its events.

mod ages;
mod discovery;
mod events;
mod followed_queue;
mod follower;
mod predecessor;
mod streams;

use std::collections::HashMap;

use anyhow::Result;
use exporter_common::async_trait;
use futures_util::stream::BoxStream;

use self::ages::{EndOfList, read_ages};
use self::discovery::Discovery;
use self::follower::Follower;
use self::predecessor::Predecessor;
use super::listing::list_keys;
use super::prefix_hint::PrefixHint;
use crate::broker::BrokerHealth;
use crate::connection::Credentials;
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Selects, Statistics, SystemKind};
use crate::redis::{
    Commands, HEALTH, KeyScanner, RedisClient, Replies, SCHEMES, Value, count, escape_glob, field, list, text,
};

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
        Ok(Box::new(BullMq {
            between_scrapes: redis.second_connection(),
            discovery: Discovery::new(redis.second_connection(), &pattern),
            redis,
            keys: KeyScanner::new(format!("{pattern}:*:meta"), "hash"),
            predecessor: Predecessor::new(&pattern),
            hint: PrefixHint::new("*:*:meta", "hash", ":meta"),
            prefixes,
            follower: Follower::default(),
        }))
    },
};

struct BullMq {
    redis: RedisClient,
    /// The connections of the follower.
    between_scrapes: RedisClient,
    discovery: Discovery,
    /// If there are several, the prefix of a queue is its scope.
    prefixes: Vec<String>,
    keys: KeyScanner,
    predecessor: Predecessor,
    hint: PrefixHint,
    follower: Follower,
}

#[async_trait]
impl QueueSystem for BullMq {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight" | "delayed" | "dead" | "blocked" | "completed")
            | ("queue_depth" | "queue_paused", _) => Origin::Native,
            ("queue_oldest_message_age_seconds", _) => Origin::Derived,
            (
                "messages_enqueued_total"
                | "messages_processed_total"
                | "messages_delivered_total"
                | "messages_dead_lettered_total"
                | "message_processing_seconds",
                _,
            ) => Origin::Events,
            _ if HEALTH.contains(&metric) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    fn event_gaps(&self) -> Option<u64> {
        Some(self.follower.gaps())
    }

    fn hidden_queues(&self) -> u64 {
        self.predecessor.queues()
    }

    async fn run(&self, is_selected: &Selects<'_>) {
        let base = |key: &str| {
            self.queue(key, ":meta").filter(|queue| is_selected(&queue.name)).map(|queue| self.base(&queue))
        };
        tokio::join!(self.follower.run(&self.between_scrapes), self.discovery.run(&self.follower, base));
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        self.redis.health().await
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        self.predecessor.reset();
        list_keys(&self.keys, &self.redis, |key| self.queue(key, ":meta"))
    }

    async fn listed(&self, number: u64) {
        let is_bullmq = |key: &str| self.keys.contains(&format!("{}:meta", key.trim_end_matches(":id")));
        self.predecessor.check(&self.redis, is_bullmq).await;
        self.hint.check(&self.redis, number == 0 && self.predecessor.queues() == 0).await;
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let bases: Vec<String> = queues.iter().map(|queue| self.base(queue)).collect();
        self.follower.start(&self.redis, &bases).await?;
        let counted_by_workers: Vec<_> = bases.iter().map(|base| self.follower.counted_by_workers(base)).collect();
        let mut replies = Replies::new(self.redis.query(&commands(&bases, &counted_by_workers)).await?);
        let mut listed = Vec::with_capacity(queues.len());
        let mut ends = Vec::new();
        for ((queue, base), counted_by_workers) in queues.iter().zip(&bases).zip(counted_by_workers) {
            let state: [Value; COMMANDS.len()] = replies.next();
            let counts = counted_by_workers.map(|is_counted| if is_counted { replies.next_one() } else { Value::Nil });
            if list(&state[0]).is_ok_and(<[_]>::is_empty) {
                self.keys.forget(&format!("{base}:meta"));
                listed.push(ListedQueue { queue: queue.clone(), statistics: None });
                continue;
            }
            for (next, last) in [(&state[9], &state[11]), (&state[10], &state[12])] {
                ends.extend(EndOfList::new(listed.len(), base, next, last));
            }
            listed.push(ListedQueue { queue: queue.clone(), statistics: Some(statistics(&state, counts)) });
        }
        read_ages(&self.redis, &mut listed, ends).await?;
        let mut errors: HashMap<_, _> = self.follower.catch_up(&self.redis, &bases).await?;
        for (ListedQueue { statistics, .. }, base) in listed.iter_mut().zip(&bases) {
            if let (Some(Ok(_)), Some(error)) = (&statistics, errors.remove(base)) {
                *statistics = Some(Err(error.context("its events")));
            }
            if let Some(Ok(statistics)) = statistics {
                self.follower.complete(base, statistics);
            }
        }
        Ok(listed)
    }
}

/// The commands for each queue: the command, a part of the queue's keys, and more words.
const COMMANDS: &[(&str, &str, Option<&str>); 13] = &[
    ("HGETALL", "meta", None),
    ("LLEN", "wait", None),
    ("ZCARD", "prioritized", None),
    ("LLEN", "paused", None),
    ("LLEN", "active", None),
    ("ZCARD", "delayed", None),
    ("ZCARD", "failed", None),
    ("ZCARD", "waiting-children", None),
    ("ZCARD", "completed", None),
    ("LINDEX", "wait", Some("-1")),
    ("LINDEX", "paused", Some("-1")),
    ("LINDEX", "wait", Some("0")),
    ("LINDEX", "paused", Some("0")),
];

/// The commands for successes and failures that the workers counted.
const WORKER_COUNTS: [(&str, &str, Option<&str>); 2] =
    [("HGET", "metrics:completed", Some("count")), ("HGET", "metrics:failed", Some("count"))];

fn commands(bases: &[String], counted_by_workers: &[[bool; 2]]) -> Commands {
    let mut commands = Commands::with_capacity(bases.len() * COMMANDS.len());
    let mut key = String::new();
    for (base, counted_by_workers) in bases.iter().zip(counted_by_workers) {
        let counts = WORKER_COUNTS.iter().zip(counted_by_workers).filter(|(_, is_counted)| **is_counted);
        for (before, part, after) in COMMANDS.iter().chain(counts.map(|(command, _)| command)) {
            key.clear();
            key.extend([base, ":", part]);
            match after {
                Some(after) => commands.add(&[before, key.as_str(), after]),
                None => commands.add(&[before, key.as_str()]),
            }
        }
    }
    commands
}

fn statistics(state: &[Value; COMMANDS.len()], [success, failure]: [Value; 2]) -> Result<Statistics> {
    let [meta, wait, prioritized, paused, active, delayed, failed, blocked, completed, next, next_paused, ..] = state;
    let [wait, paused] = [(wait, next), (paused, next_paused)]
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
        // workers with the option `metrics` count themselves
        success: Counter::single(count(&success)?),
        failure: Counter::single(count(&failure)?),
        ..Statistics::default()
    })
}

/// Whether the next item of a list is not a job: before version 5, a marker announces delayed jobs to the workers.
fn is_marker(next: &Value) -> bool {
    text(next).is_ok_and(|next| next.is_some_and(|next| next.starts_with("0:")))
}

impl BullMq {
    /// The common prefix of all keys of a queue.
    fn base(&self, QueueId { name, scope }: &QueueId) -> String {
        let prefix = if scope.is_empty() { &self.prefixes[0] } else { scope };
        format!("{prefix}:{name}")
    }

    /// The queue of a key that ends with `after`.
    fn queue(&self, key: &str, after: &str) -> Option<QueueId> {
        let name = |prefix: &String| key.strip_prefix(prefix)?.strip_prefix(':')?.strip_suffix(after);
        let (prefix, name) = self.prefixes.iter().find_map(|prefix| Some((prefix, name(prefix)?)))?;
        let scope = if self.prefixes.len() > 1 { prefix.clone() } else { String::new() };
        Some(QueueId { name: name.to_owned(), scope })
    }
}

/// Parses one reply as each reply that the system reads.
#[cfg(fuzzing)]
pub(crate) fn fuzz(reply: &Value) {
    follower::fuzz(reply);
    ages::fuzz(reply);
    let _ = statistics(&std::array::from_fn(|_| reply.clone()), std::array::from_fn(|_| reply.clone()));
}

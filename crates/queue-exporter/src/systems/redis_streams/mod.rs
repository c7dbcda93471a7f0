//! `redis-streams`: streams of Redis and their consumer groups.

mod group;
mod progress;

use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use exporter_common::async_trait;
use futures_util::stream::BoxStream;

use self::group::{Group, Stream};
use self::progress::ProgressMemory;
use super::listing::list_keys;
use crate::broker::BrokerHealth;
use crate::connection::Credentials;
use crate::queue_system::{Batch, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::redis::{
    Commands, HEALTH, KeyScanner, RedisClient, Replies, SCHEMES, Value, escape_glob, list, node_error, text,
};
use crate::timestamp::{now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "redis-streams",
    schemes: SCHEMES,
    connect: |settings| {
        let redis = RedisClient::single_or_cluster(settings)?;
        let prefix = if let [prefix] = redis.prefixes() { escape_glob(prefix) } else { String::new() };
        let keys = KeyScanner::new(format!("{prefix}*"), "stream");
        Ok(Box::new(Streams { redis, keys, progress: Mutex::default() }))
    },
};

/// A stream is a queue for each of its groups, whose name is the scope.
struct Streams {
    redis: RedisClient,
    keys: KeyScanner,
    progress: Mutex<ProgressMemory>,
}

/// The largest size of entries that one batch reads to count them.
const COUNTED_BYTES: u64 = 4 << 20;

/// The largest number of entries of one group that are read to count them.
const COUNTED_ENTRIES: u64 = 10_000;

#[async_trait]
impl QueueSystem for Streams {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready") | ("queue_depth" | "messages_delivered_total", _) => Origin::Derived,
            ("messages_processed_total", "success") => Origin::Derived,
            ("queue_oldest_message_age_seconds" | "queue_oldest_in_flight_age_seconds", _) => Origin::Derived,
            ("queue_messages", "in_flight") => Origin::Native,
            ("queue_consumers" | "messages_enqueued_total" | "queue_memory_bytes", _) => Origin::Native,
            ("queue_stream_length", _) => Origin::Native,
            _ if HEALTH.contains(&metric) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 200, concurrency: 1 }
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        self.redis.health().await
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let prefixes = self.redis.prefixes();
        let is_selected = |key: &str| prefixes.is_empty() || prefixes.iter().any(|prefix| key.starts_with(prefix));
        list_keys(&self.keys, &self.redis, move |key| is_selected(key).then(|| QueueId::named(key)))
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Commands::with_capacity(queues.len() * 3);
        for QueueId { name, .. } in queues {
            commands.add(&["XINFO", "STREAM", name]);
            commands.add(&["XINFO", "GROUPS", name]);
            commands.add(&["MEMORY", "USAGE", name, "SAMPLES", "1"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut listed = Vec::with_capacity(queues.len() * 2);
        let mut groups = Vec::new();
        for queue in queues {
            let [stream, group_list, memory] = replies.next();
            if is_deleted(&stream) {
                self.keys.forget(&queue.name);
                listed.push(ListedQueue { queue: queue.clone(), statistics: None });
                continue;
            }
            let parsed = Stream::parse(&stream, &memory).and_then(|stream| Ok((stream.groups(&group_list)?, stream)));
            match parsed {
                Ok((of_stream, stream)) => {
                    let statistics = Some(Ok(stream.statistics()));
                    listed.push(ListedQueue { queue: queue.clone(), statistics });
                    groups.extend(of_stream.into_iter().map(|group| {
                        let queue = QueueId { name: queue.name.clone(), scope: group.name.clone() };
                        (queue, stream.clone(), group)
                    }));
                }
                Err(error) => listed.push(ListedQueue { queue: queue.clone(), statistics: Some(Err(error)) }),
            }
        }
        listed.extend(self.read_groups(groups).await?);
        Ok(listed)
    }
}

impl Streams {
    /// Reads the entries next to the positions of groups: their number where Redis has no reliable lag, and the ages of
    /// the oldest ones. The time of an entry is in its id.
    async fn read_groups(&self, groups: Vec<(QueueId, Stream, Group)>) -> Result<Vec<ListedQueue>> {
        let mut commands = Commands::default();
        let mut bytes_left = COUNTED_BYTES;
        let mut limits = Vec::with_capacity(groups.len());
        for (queue, stream, group) in &groups {
            let limit = if group.lag_is_reliable(stream) {
                1
            } else {
                let limit = stream.length.unwrap_or(1).min(COUNTED_ENTRIES).min(bytes_left / stream.bytes_per_entry());
                bytes_left -= limit * stream.bytes_per_entry();
                limit.max(1)
            };
            limits.push(limit);
            if !group.is_at_end(stream) {
                let after = format!("({}", group.position);
                commands.add(&["XRANGE", &queue.name, &after, "+", "COUNT", &limit.to_string()]);
            }
            if group.pending != Some(0) {
                commands.add(&["XPENDING", &queue.name, &queue.scope]);
            }
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let now = now();
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listed = Vec::with_capacity(groups.len());
        for ((queue, stream, group), limit) in groups.into_iter().zip(limits) {
            let next = if group.is_at_end(&stream) { Value::Nil } else { replies.next_one() };
            let pending = if group.pending == Some(0) { Value::Nil } else { replies.next_one() };
            let statistics = match node_error(&next).or_else(|| node_error(&pending)) {
                Some(error) => Err(error),
                None => list(&next).map(|entries| {
                    let entry_count = entries.len() as u64;
                    let counted = (entry_count < limit || Some(limit) == stream.length).then_some(entry_count);
                    let ready = group.ready(&stream, counted);
                    let (delivered, success) = progress.update(&queue, &stream, &group, ready);
                    let first = entries.first().and_then(|entry| list(entry).ok()?.first());
                    let oldest_pending = list(&pending).ok().and_then(|reply| reply.get(1));
                    Statistics {
                        ready,
                        oldest_age: first.and_then(|id| age(id, now)),
                        oldest_in_flight_age: oldest_pending.and_then(|id| age(id, now)),
                        delivered,
                        success,
                        ..group.statistics()
                    }
                }),
            };
            listed.push(ListedQueue { queue, statistics: Some(statistics) });
        }
        Ok(listed)
    }
}

/// Parses one reply as each reply that the system reads.
#[cfg(fuzzing)]
pub(crate) fn fuzz(reply: &Value) {
    let Ok(stream) = Stream::parse(reply, &Value::Nil) else { return };
    let queue = QueueId::named("a");
    let mut progress = ProgressMemory::default();
    for group in stream.groups(reply).unwrap_or_default() {
        let ready = group.ready(&stream, None);
        progress.update(&queue, &stream, &group, ready);
    }
    let _ = age(reply, now());
}

/// Whether a reply means that the key was deleted, or has another type now.
fn is_deleted(reply: &Value) -> bool {
    matches!(reply, Value::Error(error) if error.code() == "WRONGTYPE"
        || error.code() == "ERR" && error.details().contains("no such key"))
}

/// The age of an entry: its id starts with its time in milliseconds.
fn age(id: &Value, now: f64) -> Option<f64> {
    let milliseconds: f64 = text(id).ok()??.split('-').next()?.parse().ok()?;
    seconds_since(milliseconds / 1000.0, now)
}

//! `redis-streams`: streams of Redis and their groups of consumers.

use anyhow::{Context, Result};
use exporter_common::async_trait;
use futures_util::stream::BoxStream;
use redis::{Pipeline, Value};

use super::listing::list_keys;
use crate::connection::Credentials;
use crate::queue_system::{Batch, Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::redis::{
    KeyScanner, RedisClient, Replies, SCHEMES, add_command, command_error, count, escape_glob, field, list, node_error,
    text,
};
use crate::timestamp::{now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "redis-streams",
    schemes: SCHEMES,
    connect: |settings| {
        let redis = RedisClient::single_or_cluster(settings)?;
        let prefix = if let [prefix] = redis.prefixes() { escape_glob(prefix) } else { String::new() };
        let keys = KeyScanner::new(format!("{prefix}*"), "stream");
        Ok(Box::new(Streams { redis, keys }))
    },
};

/// A stream is a queue for each of its groups, whose name is the scope.
struct Streams {
    redis: RedisClient,
    keys: KeyScanner,
}

#[async_trait]
impl QueueSystem for Streams {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight") => Origin::Native,
            ("messages_processed_total", "success") => Origin::Derived,
            ("queue_oldest_message_age_seconds" | "queue_oldest_in_flight_age_seconds", _) => Origin::Derived,
            (
                "queue_depth"
                | "queue_consumers"
                | "messages_enqueued_total"
                | "messages_delivered_total"
                | "queue_memory_bytes",
                _,
            ) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 200, concurrency: 1 }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let prefixes = self.redis.prefixes();
        let wanted = |key: &str| prefixes.is_empty() || prefixes.iter().any(|prefix| key.starts_with(prefix));
        list_keys(&self.keys, &self.redis, move |key| wanted(key).then(|| QueueId::named(key)))
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Pipeline::with_capacity(queues.len() * 3);
        for QueueId { name, .. } in queues {
            add_command(&mut commands, &["XINFO", "STREAM", name]);
            add_command(&mut commands, &["XINFO", "GROUPS", name]);
            add_command(&mut commands, &["MEMORY", "USAGE", name, "SAMPLES", "1"]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut listed = Vec::with_capacity(queues.len() * 2);
        let mut waiting = Vec::new();
        for queue in queues {
            let [stream, groups, memory] = replies.next();
            if is_gone(&stream) {
                self.keys.forget(&queue.name);
                listed.push(ListedQueue { queue: queue.clone(), statistics: None });
                continue;
            }
            match Stream::parse(&stream, &groups, &memory) {
                Ok(read) => {
                    listed.push(ListedQueue { queue: queue.clone(), statistics: Some(Ok(read.whole)) });
                    for group in read.groups {
                        let queue = QueueId { name: queue.name.clone(), scope: group.name };
                        waiting.push((listed.len(), queue.clone(), group.delivered));
                        listed.push(ListedQueue { queue, statistics: Some(Ok(group.statistics)) });
                    }
                }
                Err(error) => listed.push(ListedQueue { queue: queue.clone(), statistics: Some(Err(error)) }),
            }
        }
        self.ages(&mut listed, waiting).await?;
        Ok(listed)
    }
}

impl Streams {
    /// Adds the ages of the oldest messages of groups, whose positions in the list are given with the last
    /// id that each was delivered. The time of a message is in its id.
    async fn ages(&self, listed: &mut [ListedQueue], waiting: Vec<(usize, QueueId, String)>) -> Result<()> {
        let mut commands = Pipeline::new();
        let mut asked = Vec::new();
        for (at, queue, delivered) in waiting {
            let Some(Ok(statistics)) = &listed[at].statistics else { continue };
            // what is empty has no oldest; what is unknown may be
            if statistics.ready.is_some_and(|ready| ready > 0) {
                add_command(&mut commands, &["XRANGE", &queue.name, &format!("({delivered}"), "+", "COUNT", "1"]);
                asked.push((at, false));
            }
            if statistics.in_flight.is_some_and(|in_flight| in_flight > 0) {
                add_command(&mut commands, &["XPENDING", &queue.name, &queue.scope]);
                asked.push((at, true));
            }
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let now = now();
        for (at, in_flight) in asked {
            let [reply] = replies.next();
            if let Some(error) = node_error(&reply) {
                listed[at].statistics = Some(Err(error));
            }
            let Some(Ok(statistics)) = &mut listed[at].statistics else { continue };
            // of XRANGE the id of the first entry, of XPENDING the smallest id
            let id = list(&reply).ok().and_then(|reply| match in_flight {
                true => reply.get(1),
                false => list(reply.first()?).ok()?.first(),
            });
            let then = id.and_then(|id| text(id).ok().flatten()).and_then(milliseconds);
            let age = then.and_then(|then| seconds_since(then / 1000.0, now));
            if in_flight {
                statistics.oldest_in_flight_age = age;
            } else {
                statistics.oldest_age = age;
            }
        }
        Ok(())
    }
}

/// Whether an answer says that the key is gone, or is now something else.
fn is_gone(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "WRONGTYPE"
        || error.code() == "ERR" && error.details().is_some_and(|it| it.contains("no such key")))
}

fn milliseconds(id: &str) -> Option<f64> {
    id.split('-').next()?.parse().ok()
}

struct Stream {
    whole: Statistics,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    /// The last id that was delivered.
    delivered: String,
    statistics: Statistics,
}

impl Stream {
    fn parse(stream: &Value, groups: &Value, memory: &Value) -> Result<Self> {
        let stream = list(stream)?;
        let length = field(stream, "length").map(count).transpose()?.flatten();
        let last = field(stream, "last-generated-id").and_then(|id| text(id).ok().flatten()).unwrap_or_default();
        let added = field(stream, "entries-added").map(count).transpose()?.flatten();
        let memory = match memory {
            Value::ServerError(error) if error.code() != "NOPERM" => return Err(command_error(error)),
            Value::ServerError(_) => None, // a user who may not ask for it does without
            memory => count(memory)?,
        };
        let whole = Statistics { enqueued: Counter::single(added), memory_bytes: memory, ..Statistics::default() };
        let groups = list(groups)?.iter().map(|group| Group::parse(list(group)?, [length, added], last));
        Ok(Self { whole, groups: groups.collect::<Result<_>>().context("a group")? })
    }
}

impl Group {
    /// With the length of the stream, and how many entries were ever added to it.
    fn parse(group: &[Value], [length, added]: [Option<u64>; 2], last: &str) -> Result<Self> {
        let number = |name| field(group, name).map(count).transpose().map(Option::flatten);
        let word = |name| field(group, name).and_then(|value| text(value).ok().flatten()).map(str::to_owned);
        let delivered = word("last-delivered-id").unwrap_or_default();
        let pending = number("pending")?;
        // what was not read at all is not counted yet (null); but what of it was cut off will count as read later
        let nothing = (delivered == "0-0" && added.is_some() && length == added).then_some(0);
        let read = number("entries-read")?.or(nothing);
        // Redis cannot always tell (null), and older ones never; but who has read to the end has none to
        // come, and who has read nothing has all of it to come
        let ready = match number("lag")? {
            Some(lag) => Some(lag),
            None if reached(&delivered, last) => Some(0),
            None if delivered == "0-0" => length,
            None => None,
        };
        let statistics = Statistics {
            ready,
            in_flight: pending,
            consumers: number("consumers")?,
            delivered: Counter::single(read),
            success: Counter::single(read.zip(pending).map(|(read, pending)| read.saturating_sub(pending))),
            ..Statistics::default()
        };
        Ok(Self { name: word("name").context("no name")?, delivered, statistics })
    }
}

/// Whether an id is another or after it.
fn reached(id: &str, other: &str) -> bool {
    let parts = |id: &str| {
        let (time, sequence) = id.split_once('-')?;
        Some((time.parse::<u64>().ok()?, sequence.parse::<u64>().ok()?))
    };
    parts(id).zip(parts(other)).is_some_and(|(id, other)| id >= other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn group(lag: Value, delivered: &str) -> Statistics {
        let fields = [
            ("name", bulk("g")),
            ("consumers", Value::Int(2)),
            ("pending", Value::Int(3)),
            ("last-delivered-id", bulk(delivered)),
            ("entries-read", Value::Int(10)),
            ("lag", lag),
        ];
        let group: Vec<_> = fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect();
        Group::parse(&group, [Some(7), Some(12)], "1700000000000-5").unwrap().statistics
    }

    #[test]
    fn a_lag_that_redis_does_not_know_is_unknown_and_not_none() {
        assert_eq!(group(Value::Int(4), "1600000000000-0").ready, Some(4));
        assert_eq!(group(Value::Nil, "1600000000000-0").ready, None);
        assert_eq!(group(Value::Nil, "1700000000000-5").ready, Some(0), "it has read to the end");
        assert_eq!(group(Value::Nil, "1700000000000-40").ready, Some(0));
        assert_eq!(group(Value::Nil, "0-0").ready, Some(7), "it has read nothing");
    }

    #[test]
    fn a_group_that_has_read_nothing_of_a_whole_stream_has_counted_nothing() {
        let fields = [("name", bulk("g")), ("last-delivered-id", bulk("0-0")), ("entries-read", Value::Nil)];
        let group: Vec<_> = fields.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect();
        let read = |lengths| Group::parse(&group, lengths, "5-1").unwrap().statistics.delivered.value();
        assert_eq!(read([Some(7), Some(7)]), Some(0));
        assert_eq!(read([Some(7), Some(12)]), None, "the first that it reads is the sixth");
        assert_eq!(read([Some(7), None]), None, "an older Redis does not know");
    }

    #[test]
    fn what_is_pending_is_not_processed() {
        let read = group(Value::Int(0), "1-1");
        assert_eq!((read.success.value(), read.delivered.value(), read.in_flight), (Some(7), Some(10), Some(3)));
    }
}

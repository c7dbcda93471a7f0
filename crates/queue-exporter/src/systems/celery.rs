//! `celery`: queues of Celery with Redis as its broker: what waits, and what workers have taken.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use exporter_common::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use redis::{Pipeline, Value};
use serde::de::IgnoredAny;

use crate::connection::Credentials;
use crate::queue_system::{Batch, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};
use crate::redis::{KeyScanner, RedisClient, Replies, SCHEMES, add_command, count, escape_glob, list, names, text};
use crate::timestamp::{now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "celery",
    schemes: SCHEMES,
    connect: |settings| {
        let redis = RedisClient::single(settings)?;
        let prefix = redis.prefixes().first().cloned().unwrap_or_default();
        let bindings = KeyScanner::new(format!("{}{BINDING}*", escape_glob(&prefix)), "set");
        Ok(Box::new(Celery { redis, prefix, bindings, known: Mutex::default() }))
    },
};

struct Celery {
    redis: RedisClient,
    /// `global_keyprefix`, before every key.
    prefix: String,
    bindings: KeyScanner,
    known: Mutex<Known>,
}

/// What is known of queues from the list, as last read.
#[derive(Default)]
struct Known {
    /// How many messages of each queue are with workers; `None` where that is not known.
    taken: Option<HashMap<String, u64>>,
    /// What stands between each queue and a priority.
    separators: HashMap<String, &'static str>,
}

const BINDING: &str = "_kombu.binding.";

/// Stands between the parts of a binding, and between a queue and a priority: what is usual, and what Celery's
/// documentation has as the example of another.
const SEPARATORS: [&str; 2] = ["\x06\x16", ":"];

/// Where Celery puts messages by priority, whatever its steps are; the first is 0, which has the queue's own name.
const PRIORITIES: [&str; 10] = ["", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// What may be read of the messages that workers have taken, to know whose they are.
const TAKEN_ENTRIES: u64 = 5000;
const TAKEN_BYTES: usize = 4 << 20;

#[async_trait]
impl QueueSystem for Celery {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_depth", _) | ("queue_messages", "ready") => Origin::Native,
            ("queue_messages", "in_flight") | ("queue_oldest_in_flight_age_seconds", _) => Origin::Derived,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let list = async {
            let Bindings { routes, separators, unknown } = self.bindings().await?;
            let (taken, all) = self.read_taken(&routes).await?;
            let queues: BTreeSet<_> = separators.keys().filter(|queue| !is_own(queue)).cloned().collect();
            *self.known() = Known { taken, separators };
            let listed = queues.into_iter().map(|queue| ListedQueue { queue: QueueId::named(queue), statistics: None });
            let all = ListedQueue { queue: QueueId::default(), statistics: Some(Ok(all)) };
            let unknown = unknown.map(|exchange| {
                let text = format!("the queues bound to {exchange:?} are written with a separator that is not known");
                read_error(Reason::Partial, text)
            });
            anyhow::Ok(listed.chain([all]).map(Ok).chain(unknown.map(Err)))
        };
        stream::once(list).map_ok(stream::iter).try_flatten().boxed()
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Pipeline::with_capacity(queues.len() * PRIORITIES.len());
        for QueueId { name, .. } in queues {
            let separator = self.known().separators.get(name).copied().unwrap_or_default();
            for priority in PRIORITIES {
                let separator = if priority.is_empty() { "" } else { separator };
                add_command(&mut commands, &["LLEN", &format!("{}{name}{separator}{priority}", self.prefix)]);
            }
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let known = self.known();
        let listed = queues.iter().map(|queue| {
            let lengths: [Value; PRIORITIES.len()] = replies.next();
            let ready = lengths.iter().map(count).sum::<Result<Option<u64>>>();
            let in_flight = known.taken.as_ref().map(|taken| taken.get(&queue.name).copied().unwrap_or(0));
            let statistics = ready.map(|ready| Statistics { ready, in_flight, ..Statistics::default() });
            ListedQueue { queue: queue.clone(), statistics: Some(statistics) }
        });
        Ok(listed.collect())
    }
}

/// Queues that Celery makes for itself.
fn is_own(queue: &str) -> bool {
    queue.starts_with("celeryev.") || queue.ends_with(".pidbox")
}

/// Queues by exchange and routing key.
type Routes = HashMap<(String, String), Vec<String>>;

#[derive(Default)]
struct Bindings {
    routes: Routes,
    /// Every queue, with what stands between it and a priority.
    separators: HashMap<String, &'static str>,
    /// An exchange whose queues cannot be told.
    unknown: Option<String>,
}

/// The routing key and the queue of a binding, which has a pattern between them, and what stands between its parts.
fn binding(member: &str) -> Option<(&str, &str, &'static str)> {
    let [usual, other] = SEPARATORS;
    let mut parts = member.split(usual);
    if let (Some(routing_key), Some(_), Some(queue)) = (parts.next(), parts.next(), parts.next()) {
        return Some((routing_key, queue, usual));
    }
    // names may have it too: where there is no pattern it stands there twice
    let (routing_key, queue) = member.split_once("::").or_else(|| {
        let (rest, queue) = member.rsplit_once(other)?;
        Some((rest.split_once(other)?.0, queue))
    })?;
    Some((routing_key, queue, other))
}

impl Celery {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bindings(&self) -> Result<Bindings> {
        let keys = self.bindings.find(&self.redis).await?;
        let mut commands = Pipeline::with_capacity(keys.len());
        for key in &keys {
            add_command(&mut commands, &["SMEMBERS", key]);
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let mut bindings = Bindings::default();
        for key in keys {
            let [members] = replies.next();
            let exchange = key.strip_prefix(&self.prefix).and_then(|key| key.strip_prefix(BINDING)).unwrap_or_default();
            for member in names(&members)? {
                match binding(&member) {
                    Some((routing_key, queue, separator)) => {
                        let route = (exchange.to_owned(), routing_key.to_owned());
                        bindings.routes.entry(route).or_default().push(queue.to_owned());
                        bindings.separators.insert(queue.to_owned(), separator);
                    }
                    None => bindings.unknown = Some(exchange.to_owned()),
                }
            }
        }
        Ok(bindings)
    }

    /// Counts what workers have taken by queue, where it is not too much; and says what is known of all of it.
    async fn read_taken(&self, bindings: &Routes) -> Result<(Option<HashMap<String, u64>>, Statistics)> {
        let [hash, index] = ["unacked", "unacked_index"].map(|key| format!("{}{key}", self.prefix));
        let mut commands = Pipeline::new();
        add_command(&mut commands, &["HLEN", &hash]);
        add_command(&mut commands, &["ZRANGE", &index, "0", "0", "WITHSCORES"]);
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let [all, oldest] = replies.next();
        let all = count(&all)?.unwrap_or(0);
        let taken = if all <= TAKEN_ENTRIES { self.by_queue(&hash, bindings).await? } else { None };
        let delivered = list(&oldest)?.get(1).and_then(|score| text(score).ok()??.parse().ok());
        let statistics = Statistics {
            // either by queue or all in one, so that a sum over queues is right
            in_flight: taken.is_none().then_some(all),
            oldest_in_flight_age: delivered.and_then(|delivered| seconds_since(delivered, now())),
            ..Statistics::default()
        };
        Ok((taken, statistics))
    }

    /// How many taken messages each queue has; `None` when that cannot be told of one of them.
    async fn by_queue(&self, hash: &str, bindings: &Routes) -> Result<Option<HashMap<String, u64>>> {
        let mut taken = HashMap::new();
        let mut seen = BTreeSet::new();
        let (mut cursor, mut bytes) = ("0".to_owned(), 0);
        loop {
            let reply = self.redis.query_one(&["HSCAN", hash, &cursor, "COUNT", "100"]).await?;
            let [next, entries] = list(&reply)? else { return Ok(None) };
            for entry in list(entries)?.chunks_exact(2) {
                let (Some(tag), Some(message)) = (text(&entry[0])?, text(&entry[1])?) else { return Ok(None) };
                bytes += message.len();
                if !seen.insert(tag.to_owned()) {
                    continue; // a scan may show an entry twice
                }
                let Some(queue) = queue_of(message, bindings) else { return Ok(None) };
                *taken.entry(queue.to_owned()).or_default() += 1;
            }
            cursor = text(next)?.context("a scan without a cursor")?.to_owned();
            if cursor == "0" {
                return Ok(Some(taken));
            }
            if bytes > TAKEN_BYTES {
                return Ok(None);
            }
        }
    }
}

/// The queue that a taken message came from: `[message, exchange, routing key]`.
fn queue_of<'a>(message: &str, bindings: &'a Routes) -> Option<&'a str> {
    let (_, exchange, routing_key): (IgnoredAny, String, String) = serde_json::from_str(message).ok()?;
    if let Some([queue]) = bindings.get(&(exchange.clone(), routing_key.clone())).map(Vec::as_slice) {
        return Some(queue);
    }
    // the exchange without a name is bound to every queue by the queue's name
    let mut queues = bindings.values().flatten();
    queues.find(|queue| exchange.is_empty() && **queue == routing_key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_is_a_routing_key_and_a_queue() {
        for (member, parts) in [
            ("mail\x06\x16\x06\x16mail", Some(("mail", "mail", SEPARATORS[0]))),
            ("a:b\x06\x16^a$\x06\x16q:1", Some(("a:b", "q:1", SEPARATORS[0]))),
            ("a:b::a:b", Some(("a:b", "a:b", ":"))),
            ("key:^a$:mail", Some(("key", "mail", ":"))),
            ("mail--mail", None),
            ("mail:mail", None),
        ] {
            assert_eq!(binding(member), parts, "{member}");
        }
    }

    #[test]
    fn a_taken_message_is_that_of_the_queue_bound_to_its_exchange_and_key() {
        let route = |exchange: &str, key: &str| (exchange.to_owned(), key.to_owned());
        let bindings = Routes::from([
            (route("celery", "celery"), vec!["celery".to_owned()]),
            (route("news", "all"), vec!["a".to_owned(), "b".to_owned()]),
        ]);
        for (message, queue) in [
            (r#"[{"body":"x","properties":{}},"celery","celery"]"#, Some("celery")),
            (r#"["{}","","b"]"#, Some("b")),
            (r#"["{}","news","all"]"#, None),
            (r#"["{}","gone","gone"]"#, None),
            ("{}", None),
        ] {
            assert_eq!(queue_of(message, &bindings), queue, "{message}");
        }
        assert!(is_own("celeryev.0b7") && is_own("celery@host.celery.pidbox") && !is_own("celery"));
    }
}

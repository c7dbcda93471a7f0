//! `celery`: queues of Celery with Redis as its broker: waiting and unacknowledged messages, and events if requested.

mod events;
mod follower;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{UsageError, async_trait};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::Url;
use serde::de::IgnoredAny;

use self::follower::{EventsRead, Follower};
use crate::broker::{BrokerHealth, WORKERS};
use crate::connection::{Credentials, take_parameters};
use crate::queue_system::{Batch, ListedQueue, Origin, QueueId, QueueSystem, Selects, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};
use crate::redis::{
    Commands, HEALTH, KeyScanner, RedisClient, Replies, SCHEMES, Value, count, escape_glob, list, names, text,
};
use crate::timestamp::{now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "celery",
    schemes: SCHEMES,
    connect: |mut settings| {
        let with_events = take_events(&mut settings.url)?;
        let redis = RedisClient::single(settings)?;
        let prefix = redis.prefixes().first().cloned().unwrap_or_default();
        let bindings = KeyScanner::new(format!("{}{BINDING}*", escape_glob(&prefix)), "set");
        let follower = with_events.then(|| Follower::new(&prefix, redis.database()));
        let known = Mutex::default();
        Ok(Box::new(Celery { redis, prefix, bindings, known, follower, workers: Mutex::default() }))
    },
};

struct Celery {
    redis: RedisClient,
    /// `global_keyprefix`, the prefix of every key.
    prefix: String,
    bindings: KeyScanner,
    known: Mutex<KnownQueues>,
    /// With `?events=true`.
    follower: Option<Follower>,
    /// The number of workers that are alive and lost, as of the last list; `None` if unknown.
    workers: Mutex<Option<[u64; 2]>>,
}

/// Removes `events=true` from the query of the URL, and returns whether it was present.
fn take_events(url: &mut Url) -> Result<bool> {
    match take_parameters(url, |name| name == "events").first().map(|(_, value)| value.as_str()) {
        Some("true") => Ok(true),
        Some("false") | None => Ok(false),
        Some(_) => bail!(UsageError::new("--queue.url: events=… is not true or false")),
    }
}

/// Facts about queues from the last list.
#[derive(Default)]
struct KnownQueues {
    /// The number of unacknowledged messages by queue; `None` if unknown.
    unacked: Option<HashMap<String, u64>>,
    /// The separator between each queue's name and a priority.
    separators: HashMap<String, &'static str>,
}

const BINDING: &str = "_kombu.binding.";

/// The separators of the parts of a binding, and of a queue's name and a priority: the default, and the example in
/// Celery's documentation.
const SEPARATORS: [&str; 2] = ["\x06\x16", ":"];

/// Key suffixes of all priorities. Priority 0 uses the queue's own name.
const PRIORITIES: [&str; 10] = ["", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The largest number and size of unacknowledged messages that are read to attribute them to queues.
const MAX_UNACKED: u64 = 5000;
const MAX_UNACKED_BYTES: usize = 4 << 20;

#[async_trait]
impl QueueSystem for Celery {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    /// Values of a task in all queues have no queue name: events do not contain it.
    fn scope_label(&self) -> &'static str {
        "task"
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_depth", _) | ("queue_messages", "ready") => Origin::Native,
            ("queue_messages", "in_flight") | ("queue_oldest_in_flight_age_seconds", _) => Origin::Derived,
            (
                "messages_processed_total"
                | "messages_delivered_total"
                | "messages_dead_lettered_total"
                | "message_processing_seconds"
                | "queue_workers",
                _,
            ) if self.follower.is_some() => Origin::Events,
            _ if HEALTH.contains(&metric) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        let mut health = self.redis.health().await?;
        if let Some([alive, lost]) = *self.workers.lock().unwrap_or_else(PoisonError::into_inner) {
            health.add_count(&WORKERS, &["alive"], Some(alive));
            health.add_count(&WORKERS, &["lost"], Some(lost));
        }
        Ok(health)
    }

    fn event_gaps(&self) -> Option<u64> {
        self.follower.as_ref().map(Follower::gaps)
    }

    async fn run(&self, _is_selected: &Selects<'_>) {
        match &self.follower {
            Some(follower) => follower.run(&self.redis).await,
            None => std::future::pending().await,
        }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        let list = async {
            let Bindings { routes, separators, unparsed } = self.bindings().await?;
            let (unacked, in_flight) = self.read_unacked(&routes).await?;
            // an error of the events does not affect the queues
            let (EventsRead { tasks, others, workers }, no_events) = match &self.follower {
                Some(follower) => {
                    follower.read().await.map_or_else(|error| (Default::default(), Some(error)), |read| (read, None))
                }
                None => Default::default(),
            };
            *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = workers;
            let Statistics { in_flight, oldest_in_flight_age, .. } = in_flight;
            let totals = Statistics { in_flight, oldest_in_flight_age, ..others };
            let queues: BTreeSet<_> = separators.keys().filter(|queue| !is_internal(queue)).cloned().collect();
            *self.known() = KnownQueues { unacked, separators };
            let listed = queues.into_iter().map(|queue| ListedQueue { queue: QueueId::named(queue), statistics: None });
            let totals = ListedQueue { queue: QueueId::default(), statistics: Some(Ok(totals)) };
            let unparsed = unparsed.map(|exchange| {
                let text =
                    format!("unknown separator in the bindings of exchange {exchange:?}: its queues are missing");
                read_error(Reason::Partial, text)
            });
            let errors = unparsed.into_iter().chain(no_events).map(Err);
            anyhow::Ok(listed.chain([totals]).chain(tasks).map(Ok).chain(errors))
        };
        stream::once(list).map_ok(stream::iter).try_flatten().boxed()
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let mut commands = Commands::with_capacity(queues.len() * PRIORITIES.len());
        for QueueId { name, .. } in queues {
            let separator = self.known().separators.get(name).copied().unwrap_or_default();
            for priority in PRIORITIES {
                let separator = if priority.is_empty() { "" } else { separator };
                commands.add(&["LLEN", &format!("{}{name}{separator}{priority}", self.prefix)]);
            }
        }
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let known = self.known();
        let listed = queues.iter().map(|queue| {
            let lengths: [Value; PRIORITIES.len()] = replies.next();
            let ready = lengths.iter().map(count).sum::<Result<Option<u64>>>();
            let in_flight = known.unacked.as_ref().map(|unacked| unacked.get(&queue.name).copied().unwrap_or(0));
            let statistics = ready.map(|ready| Statistics { ready, in_flight, ..Statistics::default() });
            ListedQueue { queue: queue.clone(), statistics: Some(statistics) }
        });
        Ok(listed.collect())
    }
}

/// Whether Celery uses the queue internally.
fn is_internal(queue: &str) -> bool {
    queue.starts_with("celeryev.") || queue.ends_with(".pidbox")
}

/// Queues by exchange and routing key.
type Routes = HashMap<(String, String), Vec<String>>;

#[derive(Default)]
struct Bindings {
    routes: Routes,
    /// Every queue, with the separator between its name and a priority.
    separators: HashMap<String, &'static str>,
    /// An exchange whose bindings cannot be parsed.
    unparsed: Option<String>,
}

/// The routing key and the queue of a binding, and its separator. The pattern between them is not used.
fn binding(member: &str) -> Option<(&str, &str, &'static str)> {
    let [usual, other] = SEPARATORS;
    let mut parts = member.split(usual);
    if let (Some(routing_key), Some(_), Some(queue)) = (parts.next(), parts.next(), parts.next()) {
        return Some((routing_key, queue, usual));
    }
    // names may contain the other separator; without a pattern, two of them are adjacent
    let (routing_key, queue) = member.split_once("::").or_else(|| {
        let (rest, queue) = member.rsplit_once(other)?;
        Some((rest.split_once(other)?.0, queue))
    })?;
    Some((routing_key, queue, other))
}

impl Celery {
    fn known(&self) -> MutexGuard<'_, KnownQueues> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bindings(&self) -> Result<Bindings> {
        let keys = self.bindings.find(&self.redis).await?;
        let mut commands = Commands::with_capacity(keys.len());
        for key in &keys {
            commands.add(&["SMEMBERS", key]);
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
                    None => bindings.unparsed = Some(exchange.to_owned()),
                }
            }
        }
        Ok(bindings)
    }

    /// Reads the unacknowledged messages: their number by queue, unless there are too many, and their totals.
    async fn read_unacked(&self, bindings: &Routes) -> Result<(Option<HashMap<String, u64>>, Statistics)> {
        let [hash, index] = ["unacked", "unacked_index"].map(|key| format!("{}{key}", self.prefix));
        let mut commands = Commands::default();
        commands.add(&["HLEN", &hash]);
        commands.add(&["ZRANGE", &index, "0", "0", "WITHSCORES"]);
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let [length, oldest] = replies.next();
        let length = count(&length)?.unwrap_or(0);
        let unacked = if length <= MAX_UNACKED { self.unacked_by_queue(&hash, bindings).await? } else { None };
        let delivered = list(&oldest)?.get(1).and_then(|score| text(score).ok()??.parse().ok());
        let statistics = Statistics {
            // either by queue or as a total, so that a sum over queues is right
            in_flight: unacked.is_none().then_some(length),
            oldest_in_flight_age: delivered.and_then(|delivered| seconds_since(delivered, now())),
            ..Statistics::default()
        };
        Ok((unacked, statistics))
    }

    /// The number of unacknowledged messages by queue; `None` if the queue of one of them is unknown.
    async fn unacked_by_queue(&self, hash: &str, bindings: &Routes) -> Result<Option<HashMap<String, u64>>> {
        let mut unacked = HashMap::new();
        let mut seen = BTreeSet::new();
        let (mut cursor, mut bytes) = ("0".to_owned(), 0);
        loop {
            let reply = self.redis.query_one(&["HSCAN", hash, &cursor, "COUNT", "100"]).await?;
            let [next, entries] = list(&reply)? else { return Ok(None) };
            for entry in list(entries)?.chunks_exact(2) {
                let (Some(tag), Some(message)) = (text(&entry[0])?, text(&entry[1])?) else { return Ok(None) };
                bytes += message.len();
                if !seen.insert(tag.to_owned()) {
                    continue; // a scan may return an entry twice
                }
                let Some(queue) = queue_of(message, bindings) else { return Ok(None) };
                *unacked.entry(queue.to_owned()).or_default() += 1;
            }
            cursor = text(next)?.context("the reply to HSCAN has no cursor")?.to_owned();
            if cursor == "0" {
                return Ok(Some(unacked));
            }
            if bytes > MAX_UNACKED_BYTES {
                return Ok(None);
            }
        }
    }
}

/// The queue of an unacknowledged message: `[message, exchange, routing key]`.
fn queue_of<'a>(message: &str, bindings: &'a Routes) -> Option<&'a str> {
    let (_, exchange, routing_key): (IgnoredAny, String, String) = serde_json::from_str(message).ok()?;
    if let Some([queue]) = bindings.get(&(exchange.clone(), routing_key.clone())).map(Vec::as_slice) {
        return Some(queue);
    }
    // the default exchange is bound to every queue by the queue's name
    let mut queues = bindings.values().flatten();
    queues.find(|queue| exchange.is_empty() && **queue == routing_key).map(String::as_str)
}

/// Parses one member of a binding, one unacknowledged message, and one message of events.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    events::fuzz(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((routing_key, queue, _)) = binding(text) {
        let route = (String::new(), routing_key.to_owned());
        let _ = queue_of(text, &Routes::from([(route, vec![queue.to_owned()])]));
    }
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
    fn an_unacknowledged_message_belongs_to_the_queue_bound_to_its_exchange_and_key() {
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
        assert!(is_internal("celeryev.0b7") && is_internal("celery@host.celery.pidbox") && !is_internal("celery"));
    }
}

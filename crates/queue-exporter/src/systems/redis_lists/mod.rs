//! `redis-lists`: lists, sorted sets, hashes and sets of Redis as queues, by patterns of keys or a preset.

mod contents;
mod key;
mod layout;
mod oldest;
mod presets;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Error, Result};
use exporter_common::async_trait;
use futures_util::stream::BoxStream;

use self::contents::{Key, Read};
use self::key::Part;
use self::layout::Layout;
use self::oldest::ages;
use super::listing::list_from;
use super::remembered::RememberedQueues;
use crate::broker::BrokerHealth;
use crate::connection::Credentials;
use crate::queue_system::{Batch, ListedQueue, Origin, QueueId, QueueSystem, SystemKind};
use crate::redis::{Commands, HEALTH, KeyScanner, RedisClient, Replies, SCHEMES, Value, names, text};
use crate::timestamp::now;

pub(super) const KIND: SystemKind = SystemKind {
    name: "redis-lists",
    schemes: SCHEMES,
    connect: |mut settings| {
        let layout = Layout::from_url(&mut settings.url)?;
        let redis = RedisClient::single_or_cluster(settings)?;
        let scanners = layout.scans.iter().map(|(glob, key_type)| KeyScanner::new(glob.clone(), key_type)).collect();
        let running = layout.running.as_ref().map(|ids| KeyScanner::new(ids.key("*"), "string"));
        Ok(Box::new(RedisLists {
            redis,
            layout,
            scanners,
            running,
            remembered: RememberedQueues::default(),
            running_ids: Mutex::default(),
        }))
    },
};

struct RedisLists {
    redis: RedisClient,
    layout: Layout,
    scanners: Vec<KeyScanner>,
    running: Option<KeyScanner>,
    remembered: RememberedQueues,
    /// The identifiers of running messages that remain in their queues, as of the last list.
    running_ids: Mutex<Option<BTreeSet<String>>>,
}

/// The largest number of running messages times queues that one request looks up.
const MAX_LOOKUPS: usize = 20_000;

#[async_trait]
impl QueueSystem for RedisLists {
    fn credentials(&self) -> Option<&Credentials> {
        self.redis.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        if HEALTH.contains(&metric) { Origin::Native } else { self.layout.origin(metric, detail) }
    }

    fn batch(&self) -> Batch {
        Batch { size: 250, concurrency: 1 }
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        self.redis.health().await
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_from(async {
            let (mut queues, errors) = self.find().await?;
            *self.running_ids() = self.find_running().await?;
            if self.layout.forgetful {
                let missing = self.remembered.missing(&queues);
                queues.extend(missing);
            }
            let totals = match self.layout.keys_of(false).next() {
                Some(_) => self.read_keys(&[QueueId::default()], false).await?,
                None => Vec::new(),
            };
            let listed = |queue| ListedQueue { queue, statistics: None };
            Ok(queues.into_iter().map(listed).chain(totals).map(Ok).chain(errors.into_iter().map(Err)))
        })
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        self.read_keys(queues, true).await
    }
}

impl RedisLists {
    /// The queues that have keys, and the errors of servers that may have more.
    async fn find(&self) -> Result<(Vec<QueueId>, Vec<Error>)> {
        if self.scanners.is_empty() {
            self.redis.refresh().await?; // a scan also detects a cluster
        }
        let mut queues: BTreeSet<String> = self.layout.fixed.iter().cloned().collect();
        if let Some(key) = &self.layout.names {
            queues.extend(names(&self.redis.query_one(&["SMEMBERS", key]).await?)?);
        }
        let mut errors = Vec::new();
        for (scanner, (_, key_type)) in self.scanners.iter().zip(&self.layout.scans) {
            let (mut keys, more) = scanner.find_some(&self.redis).await?;
            errors.extend(more);
            if key_type.is_empty() {
                keys = self.collections(keys).await?;
            }
            queues.extend(keys.iter().filter_map(|key| self.layout.queue(key)).map(str::to_owned));
        }
        Ok((queues.into_iter().map(QueueId::named).collect(), errors))
    }

    /// The keys whose type holds messages.
    async fn collections(&self, keys: BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut commands = Commands::with_capacity(keys.len());
        keys.iter().for_each(|key| commands.add(&["TYPE", key]));
        let types = self.redis.query(&commands).await?;
        let is_collection = |reply: &Value| !matches!(text(reply), Ok(Some("string" | "stream" | "none")));
        Ok(keys.into_iter().zip(types).filter(|(_, reply)| is_collection(reply)).map(|(key, _)| key).collect())
    }

    async fn find_running(&self) -> Result<Option<BTreeSet<String>>> {
        let (Some(scanner), Some(pattern)) = (&self.running, &self.layout.running) else { return Ok(None) };
        let keys = scanner.find(&self.redis).await?;
        Ok(Some(keys.iter().filter_map(|key| pattern.queue(key)).map(str::to_owned).collect()))
    }

    /// The statistics of queues from their own keys, or from the keys of all queues together.
    async fn read_keys(&self, queues: &[QueueId], own: bool) -> Result<Vec<ListedQueue>> {
        let running = self.running_ids().clone();
        let running = running.filter(|running| running.len() * queues.len() <= MAX_LOOKUPS);
        let read = Read { running: running.as_ref(), runs_in_queue: self.layout.running.is_some(), now: now() };
        let keys = self.typed_keys(queues, own).await?;
        let mut commands = Commands::default();
        let mut added = Vec::with_capacity(queues.len());
        for keys in keys {
            let before = commands.len();
            let keys = keys.and_then(|keys| {
                keys.iter().try_for_each(|key| read.add_commands(&mut commands, key))?;
                Ok(keys)
            });
            added.push((keys, commands.len() - before));
        }
        let mut replies = self.redis.query(&commands).await?.into_iter();
        let mut listed = Vec::with_capacity(queues.len());
        let mut lists = Vec::new();
        for (queue, (keys, commands)) in queues.iter().zip(added) {
            let replies = Replies::new(replies.by_ref().take(commands).collect());
            let statistics = keys.and_then(|keys| {
                let is_list = |key: &&Key| key.part == Part::Ready && key.key_type == "list";
                lists.extend(keys.iter().filter(is_list).map(|key| (listed.len(), key.name.clone())));
                read.statistics(&keys, replies)
            });
            listed.push(ListedQueue { queue: queue.clone(), statistics: Some(statistics) });
        }
        self.add_ages(&mut listed, &lists, read.now).await?;
        Ok(listed)
    }

    /// The keys of each queue with their types.
    async fn typed_keys(&self, queues: &[QueueId], own: bool) -> Result<Vec<Result<Vec<Key>>>> {
        let keys =
            || queues.iter().map(|queue| self.layout.keys_of(own).map(move |(part, key)| (part, key.key(&queue.name))));
        let mut commands = Commands::default();
        keys().flatten().for_each(|(_, key)| commands.add(&["TYPE", &key]));
        let mut replies = Replies::new(self.redis.query(&commands).await?);
        let typed = keys().map(|keys| {
            let replies: Vec<_> = keys.map(|key| (key, replies.next::<1>())).collect();
            let typed = replies.into_iter().map(|((part, name), [reply])| {
                Ok(Key { part, name, key_type: text(&reply)?.unwrap_or("none").to_owned() })
            });
            typed.collect()
        });
        Ok(typed.collect())
    }

    /// Adds the ages of the oldest messages in lists, each given as its queue's position and its key.
    async fn add_ages(&self, listed: &mut [ListedQueue], lists: &[(usize, String)], now: f64) -> Result<()> {
        let Some((oldest, key)) = &self.layout.oldest else { return Ok(()) };
        let ends: Vec<_> = lists.iter().flat_map(|list| oldest.ends.iter().map(move |end| (list, *end))).collect();
        let mut commands = Commands::with_capacity(ends.len());
        ends.iter().for_each(|((_, key), end)| commands.add(&["LINDEX", key, end]));
        let items = self.redis.query(&commands).await?;
        let items: Vec<_> = ends.iter().map(|((at, _), _)| listed[*at].queue.name.as_str()).zip(items).collect();
        let ages = ages(&self.redis, (oldest, key.as_ref()), &items, now).await?;
        for (((at, _), _), age) in ends.into_iter().zip(ages) {
            if let Some(Ok(statistics)) = &mut listed[*at].statistics {
                statistics.oldest_age = [statistics.oldest_age, age].into_iter().flatten().reduce(f64::max);
            }
        }
        Ok(())
    }

    fn running_ids(&self) -> MutexGuard<'_, Option<BTreeSet<String>>> {
        self.running_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads bytes as the query of a URL and keys, and as messages with a time.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    oldest::fuzz(&text);
    let mut lines = text.lines();
    let Ok(mut url) = reqwest::Url::parse("redis://host") else { return };
    url.set_query(lines.next());
    let Ok(layout) = Layout::from_url(&mut url) else { return };
    for key in lines {
        if let Some(queue) = layout.queue(key) {
            let found = layout.keys.iter().any(|(_, pattern)| pattern.key(queue) == key);
            assert!(found, "{key:?} does not belong to {queue:?}");
        }
    }
}

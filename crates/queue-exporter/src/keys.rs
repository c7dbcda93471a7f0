//! Keys of Redis found by a pattern, on every server that has some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use redis::Value;
use tokio::time::Instant;

use crate::redis::{Redis, list, names, text};
use crate::server::{Address, Server};
use crate::system::{Listed, Queue};

/// Keys found by a pattern, for systems that keep no list of their queues. Looking for them goes over all
/// keys, so where that is not quick it takes a twentieth of the time at most: in between, those found are known.
pub(crate) struct Keys {
    pattern: String,
    /// The type of the keys.
    kind: &'static str,
    found: Mutex<BTreeMap<Address, Found>>,
    /// Keys that were somewhere and are not found there any more, and since when. While slots of a cluster move from
    /// node to node they may be where was looked before they came: they are known until every node was searched anew.
    strays: Mutex<BTreeMap<String, Instant>>,
}

#[derive(Default)]
struct Found {
    keys: BTreeSet<String>,
    /// When the search began that found them.
    searched: Option<Instant>,
    /// Not to be looked for again before.
    rest: Option<Instant>,
    /// A search under way, which a call that ran out of time leaves to the next.
    cursor: String,
    begun: Option<Instant>,
    new: BTreeSet<String>,
    spent: Duration,
}

impl Keys {
    pub(crate) fn new(pattern: String, kind: &'static str) -> Self {
        Self { pattern, kind, found: Mutex::default(), strays: Mutex::default() }
    }

    /// Every key.
    pub(crate) async fn find(&self, redis: &Redis) -> Result<BTreeSet<String>> {
        let (keys, faults) = self.find_all(redis).await?;
        faults.into_iter().next().map_or(Ok(keys), Err)
    }

    /// The queues that keys stand for. Nodes of a cluster that do not tell are faults among them.
    pub(crate) fn list<'a>(
        &'a self,
        redis: &'a Redis,
        queue: impl Fn(&str) -> Option<Queue> + Send + 'a,
    ) -> BoxStream<'a, Result<Listed>> {
        let list = async move {
            let (keys, faults) = self.find_all(redis).await?;
            let listed = move |key: String| Some(Listed { queue: queue(&key)?, statistics: None });
            anyhow::Ok(stream::iter(keys.into_iter().filter_map(listed).map(Ok).chain(faults.into_iter().map(Err))))
        };
        stream::once(list).try_flatten().boxed()
    }

    /// Keys, and what is wrong with servers that may have others.
    async fn find_all(&self, redis: &Redis) -> Result<(BTreeSet<String>, Vec<Error>)> {
        let servers = redis.servers().await?;
        let here = |address: &Address| servers.iter().any(|server| server.address() == address);
        for (_, left) in self.found().extract_if(.., |address, _| !here(address)) {
            self.stray(left.keys);
        }
        let searches = join_all(servers.iter().map(|server| self.search(redis, server))).await;
        let mut faults: Vec<Error> = redis.hole().into_iter().collect();
        let mut keys = BTreeSet::new();
        for (server, search) in servers.iter().zip(searches) {
            match search {
                Ok(()) => {
                    let found = self.found();
                    keys.extend(found.get(server.address()).into_iter().flat_map(|found| found.keys.iter().cloned()));
                }
                Err(error) => faults.push(error),
            }
        }
        let everywhere = {
            let found = self.found();
            servers.iter().map(|server| found.get(server.address())?.searched).min().flatten()
        };
        let mut strays = self.strays();
        strays.retain(|key, since| !keys.contains(key) && everywhere <= Some(*since));
        keys.extend(strays.keys().cloned());
        Ok((keys, faults))
    }

    /// Looks for the keys of one server, unless that rests.
    async fn search(&self, redis: &Redis, server: &Server) -> Result<()> {
        loop {
            let cursor = {
                let mut found = self.found();
                let found = found.entry(server.address().clone()).or_default();
                if found.rest.is_some_and(|rest| Instant::now() < rest) {
                    return Ok(());
                }
                if found.cursor.is_empty() {
                    (found.cursor, found.begun) = ("0".to_owned(), Some(Instant::now()));
                }
                found.cursor.clone()
            };
            let began = Instant::now();
            let scan = ["SCAN", &cursor, "MATCH", &self.pattern, "COUNT", "1000", "TYPE", self.kind];
            let reply = redis.ask_at(server, &scan).await;
            let mut found = self.found();
            let found = found.entry(server.address().clone()).or_default();
            found.spent += began.elapsed();
            match reply
                .and_then(|reply| Ok((text(item(&reply, 0)?)?.unwrap_or("0").to_owned(), names(item(&reply, 1)?)?)))
            {
                Ok((next, names)) => {
                    found.new.extend(names);
                    found.cursor = next;
                }
                Err(error) => {
                    (found.cursor, found.new, found.spent) = Default::default();
                    return Err(error);
                }
            }
            if found.cursor == "0" {
                let before = std::mem::replace(&mut found.keys, std::mem::take(&mut found.new));
                found.searched = found.begun;
                if redis.is_cluster() {
                    self.stray(before.into_iter().filter(|key| !found.keys.contains(key)));
                }
                found.rest = Some(Instant::now() + found.spent.saturating_sub(QUICK) * 19);
                (found.cursor, found.spent) = Default::default();
                return Ok(());
            }
        }
    }

    /// Forgets a key that is gone.
    pub(crate) fn forget(&self, key: &str) {
        for found in self.found().values_mut() {
            found.keys.remove(key);
        }
        self.strays().remove(key);
    }

    /// Notes keys that are not where they were.
    fn stray(&self, keys: impl IntoIterator<Item = String>) {
        let now = Instant::now();
        self.strays().extend(keys.into_iter().map(|key| (key, now)));
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<Address, Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strays(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A search as short as this needs no rest.
const QUICK: Duration = Duration::from_millis(250);

fn item(reply: &Value, at: usize) -> Result<&Value> {
    list(reply)?.get(at).context("an answer that is too short")
}

//! Finds the keys that match a pattern, on every server that has keys.

use crate::connection::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::client::RedisClient;
use super::replies::{list, names, text};
use super::server::Server;
use super::value::Value;

/// Finds keys by a pattern, for queue systems that keep no list of their queues. A scan visits all keys of a server, so
/// a slow one is repeated only after 19 times its duration; until then the keys of the last scan are returned.
pub(crate) struct KeyScanner {
    pattern: String,
    /// The type of the keys; any type if it is empty.
    key_type: &'static str,
    /// The shortest time between two scans.
    interval: Duration,
    scans: Mutex<BTreeMap<Address, Scan>>,
    /// Keys that a scan found earlier and the last one did not, and since when. While the slots of a cluster migrate, a
    /// key may move to a node that was scanned before the move. A missing key is kept until a new scan of every node.
    missing: Mutex<BTreeMap<String, Instant>>,
}

/// The scan of one server.
#[derive(Default)]
struct Scan {
    keys: BTreeSet<String>,
    /// The start of the scan that found the keys.
    started: Option<Instant>,
    /// The earliest start of the next scan.
    next: Option<Instant>,
    /// A scan in progress. If a read runs out of time, the next read continues it.
    cursor: String,
    running_since: Option<Instant>,
    new_keys: BTreeSet<String>,
    time_spent: Duration,
}

/// A scan this short may be repeated immediately.
const SHORT_SCAN: Duration = Duration::from_millis(250);

/// The largest number of missing keys to keep.
const MAX_MISSING: usize = 10_000;

impl KeyScanner {
    pub(crate) fn new(pattern: String, key_type: &'static str) -> Self {
        let interval = Duration::ZERO;
        Self { pattern, key_type, interval, scans: Mutex::default(), missing: Mutex::default() }
    }

    /// Scans at most once in an interval.
    pub(crate) fn at_most_every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// All matching keys, or the first error.
    pub(crate) async fn find(&self, redis: &RedisClient) -> Result<BTreeSet<String>> {
        let (keys, errors) = self.find_some(redis).await?;
        errors.into_iter().next().map_or(Ok(keys), Err)
    }

    /// The matching keys, and the errors of servers that may have more.
    pub(crate) async fn find_some(&self, redis: &RedisClient) -> Result<(BTreeSet<String>, Vec<Error>)> {
        let servers = redis.servers().await?;
        let is_current = |address: &Address| servers.iter().any(|server| server.address() == address);
        for (_, removed) in self.scans().extract_if(.., |address, _| !is_current(address)) {
            self.add_missing(removed.keys);
        }
        let results = join_all(servers.iter().map(|server| self.scan(redis, server))).await;
        let mut errors: Vec<Error> = redis.uncovered_slots().into_iter().collect();
        let mut keys = BTreeSet::new();
        for (server, result) in servers.iter().zip(results) {
            match result {
                Ok(()) => {
                    let scans = self.scans();
                    keys.extend(scans.get(server.address()).into_iter().flat_map(|scan| scan.keys.iter().cloned()));
                }
                Err(error) => errors.push(error),
            }
        }
        let all_scanned_since = {
            let scans = self.scans();
            servers.iter().map(|server| scans.get(server.address())?.started).min().flatten()
        };
        let mut missing = self.missing();
        missing.retain(|key, since| !keys.contains(key) && all_scanned_since <= Some(*since));
        keys.extend(missing.keys().cloned());
        Ok((keys, errors))
    }

    /// Scans one server, unless its last scan is recent enough.
    async fn scan(&self, redis: &RedisClient, server: &Server) -> Result<()> {
        loop {
            let cursor = {
                let mut scans = self.scans();
                let scan = scans.entry(server.address().clone()).or_default();
                if scan.next.is_some_and(|next| Instant::now() < next) {
                    return Ok(());
                }
                if scan.cursor.is_empty() {
                    (scan.cursor, scan.running_since) = ("0".to_owned(), Some(Instant::now()));
                }
                scan.cursor.clone()
            };
            let start = Instant::now();
            let command = ["SCAN", &cursor, "MATCH", &self.pattern, "COUNT", "1000", "TYPE", self.key_type];
            let words = if self.key_type.is_empty() { &command[..6] } else { &command[..] };
            let reply = redis.query_server(server, words).await;
            let mut scans = self.scans();
            let scan = scans.entry(server.address().clone()).or_default();
            scan.time_spent += start.elapsed();
            match reply.and_then(|reply| scan_reply(&reply)) {
                Ok((next, names)) => {
                    scan.new_keys.extend(names);
                    scan.cursor = next;
                }
                Err(error) => {
                    (scan.cursor, scan.new_keys, scan.time_spent) = Default::default();
                    return Err(error);
                }
            }
            if scan.cursor == "0" {
                let previous = std::mem::replace(&mut scan.keys, std::mem::take(&mut scan.new_keys));
                scan.started = scan.running_since;
                if redis.is_cluster() {
                    self.add_missing(previous.into_iter().filter(|key| !scan.keys.contains(key)));
                }
                let pause = (scan.time_spent.saturating_sub(SHORT_SCAN) * 19).max(self.interval);
                scan.next = Some(Instant::now() + pause);
                (scan.cursor, scan.time_spent) = Default::default();
                return Ok(());
            }
        }
    }

    /// Whether the last scans found a key.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.scans().values().any(|scan| scan.keys.contains(key)) || self.missing().contains_key(key)
    }

    /// Forgets a key that was deleted.
    pub(crate) fn forget(&self, key: &str) {
        for scan in self.scans().values_mut() {
            scan.keys.remove(key);
        }
        self.missing().remove(key);
    }

    fn add_missing(&self, keys: impl IntoIterator<Item = String>) {
        let now = Instant::now();
        let mut missing = self.missing();
        missing.extend(keys.into_iter().map(|key| (key, now)));
        if missing.len() > MAX_MISSING {
            missing.clear(); // with a node that is never scanned, they would be kept forever
        }
    }

    fn scans(&self) -> MutexGuard<'_, BTreeMap<Address, Scan>> {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next cursor and the keys of one reply to `SCAN`.
fn scan_reply(reply: &Value) -> Result<(String, Vec<String>)> {
    let item = |at| list(reply)?.get(at).context("the reply to SCAN is too short");
    Ok((text(item(0)?)?.unwrap_or("0").to_owned(), names(item(1)?)?))
}

//! Finds new queues between scrapes, before their first events are removed.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep, timeout};

use super::follower::Follower;
use crate::redis::{KeyScanner, RedisClient};

pub(super) struct Discovery {
    redis: RedisClient,
    keys: KeyScanner,
}

/// The shortest time between two scans.
const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// The time between two scans as a multiple of the duration of one, which visits all keys of a server.
const PAUSE: u32 = 99;

/// The longest time after an error.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How long one scan may take. A scan that takes longer continues with the next one.
const SCAN_TIMEOUT: Duration = Duration::from_secs(10);

impl Discovery {
    pub(super) fn new(redis: RedisClient, prefix_pattern: &str) -> Self {
        Self { redis, keys: KeyScanner::new(format!("{prefix_pattern}:*:meta"), "hash") }
    }

    /// Follows new queues, for the life of the process. `base` returns the common prefix of the keys of a queue.
    pub(super) async fn run(&self, follower: &Follower, base: impl Fn(&str) -> Option<String>) {
        loop {
            let start = Instant::now();
            let scanned = self.scan(follower, &base).await;
            let mut pause = (start.elapsed() * PAUSE).max(MIN_INTERVAL);
            // the scrape, which scans the same keys, reports errors
            if let Err(error) = scanned {
                tracing::debug!(error = format!("{error:#}"), "cannot look for new queues between scrapes");
                pause = pause.min(RETRY_INTERVAL);
            }
            sleep(pause).await;
        }
    }

    async fn scan(&self, follower: &Follower, base: impl Fn(&str) -> Option<String>) -> Result<()> {
        // a scan of very many keys takes that long each time
        let Ok(keys) = timeout(SCAN_TIMEOUT, self.keys.find(&self.redis)).await else { return Ok(()) };
        let keys = keys?;
        let bases: Vec<String> = keys.iter().filter_map(|key| base(key)).collect();
        follower.discovered(&self.redis, &bases).await
    }
}

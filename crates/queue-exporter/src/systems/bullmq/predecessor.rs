//! Detects queues of Bull, the predecessor of BullMQ with the same default prefix. They are not exported.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::redis::{KeyScanner, RedisClient};

pub(super) struct Predecessor {
    /// The counters of job ids, which both have. Only BullMQ's queues also have `meta`.
    ids: KeyScanner,
    queues: AtomicU64,
    /// Whether they were logged since there were none.
    logged: AtomicBool,
}

/// How often to scan.
const INTERVAL: Duration = Duration::from_secs(60);

impl Predecessor {
    pub(super) fn new(prefix_pattern: &str) -> Self {
        let ids = KeyScanner::new(format!("{prefix_pattern}:*:id"), "string").at_most_every(INTERVAL);
        Self { ids, queues: AtomicU64::new(0), logged: AtomicBool::new(false) }
    }

    /// Forgets their number until the next check.
    pub(super) fn reset(&self) {
        self.queues.store(0, Ordering::Relaxed);
    }

    /// The number of Bull's queues, as of the last complete list.
    pub(super) fn queues(&self) -> u64 {
        self.queues.load(Ordering::Relaxed)
    }

    /// Counts the queues that are not BullMQ's, and logs them when they appear.
    pub(super) async fn check(&self, redis: &RedisClient, is_bullmq: impl Fn(&str) -> bool) {
        let Ok(ids) = self.ids.find(redis).await else { return };
        let others: Vec<_> = ids.iter().filter(|key| !is_bullmq(key)).collect();
        self.queues.store(others.len() as u64, Ordering::Relaxed);
        let logged = self.logged.swap(!others.is_empty(), Ordering::Relaxed);
        if let (false, Some(first)) = (logged, others.first()) {
            let queue = first.trim_end_matches(":id");
            let queues = others.len();
            tracing::warn!(
                "{queues} queues of Bull 3 or 4 found (the first: {queue}), which bullmq does not export: use another \
                 exporter with --queue.system redis-lists and ?preset=bull in --queue.url"
            );
        }
    }
}

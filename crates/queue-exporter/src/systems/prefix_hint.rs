//! Warns about queues under another key prefix if the configured prefix has none.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::redis::{KeyScanner, RedisClient};

pub(super) struct PrefixHint {
    /// Finds a key that every installation of the queue system has, under any prefix.
    keys: KeyScanner,
    /// The part of that key after the prefix.
    after: &'static str,
    /// The last warning, which is not repeated.
    warned: Mutex<Option<String>>,
}

/// How often to scan while there are no queues.
const INTERVAL: Duration = Duration::from_secs(60);

impl PrefixHint {
    pub(super) fn new(pattern: &str, key_type: &'static str, after: &'static str) -> Self {
        let keys = KeyScanner::new(pattern.to_owned(), key_type).at_most_every(INTERVAL);
        Self { keys, after, warned: Mutex::default() }
    }

    /// If the list is empty, looks for other prefixes and logs them once.
    pub(super) async fn check(&self, redis: &RedisClient, is_empty: bool) {
        let warning = if is_empty { self.warning(redis).await } else { None };
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(warning) = &warning
            && warned.as_ref() != Some(warning)
        {
            tracing::warn!("{warning}");
        }
        *warned = warning;
    }

    async fn warning(&self, redis: &RedisClient) -> Option<String> {
        const SHOWN: usize = 3;
        let keys = self.keys.find(redis).await.ok()?;
        // the part before the first colon of the rest is the prefix, unless the key has no more parts
        let prefixes: Vec<_> = keys.iter().filter_map(|key| key.strip_suffix(self.after)).take(SHOWN).collect();
        let first = prefixes.first()?;
        let prefixes = prefixes.iter().map(|prefix| format!("{prefix:?}")).collect::<Vec<_>>().join(", ");
        Some(format!("no queues found, but keys with another prefix ({prefixes}): add ?prefix={first} to --queue.url?"))
    }
}

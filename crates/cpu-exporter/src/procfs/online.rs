//! Keeps static facts about CPUs between scrapes, until a CPU goes offline or online.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use exporter_common::{Faults, Scrape};

/// The list of online CPUs; `None` if it is not readable.
pub(crate) type Online = Option<Arc<Vec<u8>>>;

/// Facts that are read again only after the list of online CPUs changed, or after [`MAX_AGE`].
#[derive(Debug)]
pub(crate) struct OnlineCache<T>(Mutex<Option<Cached<T>>>);

#[derive(Debug)]
struct Cached<T> {
    online: Arc<Vec<u8>>,
    read: Instant,
    facts: Arc<T>,
}

/// Age at which facts are read again even if no CPU went offline or online: a driver or the microcode may have changed.
const MAX_AGE: Duration = Duration::from_secs(600);

impl<T> Default for OnlineCache<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Send + Sync + 'static> OnlineCache<T> {
    /// The cached facts, or the result of `read`.
    pub(crate) async fn get(
        self: &Arc<Self>,
        scrape: &Scrape,
        online: &Online,
        read: impl FnOnce(&mut Faults) -> T + Send + 'static,
    ) -> (Arc<T>, Faults) {
        if let Some(facts) = self.valid(online) {
            return (facts, Faults::default());
        }
        let (cache, online) = (self.clone(), online.clone());
        scrape.blocking(move || cache.fill(online, read)).await
    }

    fn valid(&self, online: &Online) -> Option<Arc<T>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = cached.as_ref().filter(|cached| Some(&cached.online) == online.as_ref());
        cached.filter(|cached| cached.read.elapsed() < MAX_AGE).map(|cached| cached.facts.clone())
    }

    /// The result of `read`, which is cached if it has no faults and there is a list.
    fn fill(&self, online: Online, read: impl FnOnce(&mut Faults) -> T) -> (Arc<T>, Faults) {
        let mut faults = Faults::default();
        let facts = Arc::new(read(&mut faults));
        let cached = online.filter(|_| faults.is_empty());
        let cached = cached.map(|online| Cached { online, read: Instant::now(), facts: facts.clone() });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cached;
        (facts, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Online {
        Some(Arc::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn facts_are_kept_until_a_cpu_goes_offline() {
        let cache = OnlineCache::default();
        assert_eq!(cache.valid(&list("0-1\n")), None);
        assert_eq!(*cache.fill(list("0-1\n"), |_| 1).0, 1);
        assert_eq!(cache.valid(&list("0-1\n")).as_deref(), Some(&1));
        assert_eq!(cache.valid(&list("0\n")), None);
    }

    #[test]
    fn incomplete_facts_and_facts_without_a_list_are_not_kept() {
        let cache = OnlineCache::default();
        let (facts, faults) = cache.fill(list("0\n"), |faults| {
            faults.note(anyhow::anyhow!("unreadable"));
            1
        });
        assert!(*facts == 1 && !faults.is_empty());
        assert_eq!(cache.valid(&list("0\n")), None);
        cache.fill(None, |_| 2);
        assert_eq!(cache.valid(&None), None);
    }
}

//! Keeps static facts about CPUs between scrapes, until a CPU goes offline or online.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use exporter_common::Faults;

use super::file::read;

/// Facts that are read again only after the list of online CPUs changed, or after [`MAX_AGE`].
#[derive(Debug)]
pub(crate) struct OnlineCache<T> {
    /// `/sys/devices/system/cpu/online`.
    list: PathBuf,
    cached: Mutex<Option<Cached<T>>>,
}

#[derive(Debug)]
struct Cached<T> {
    online: String,
    read: Instant,
    facts: Arc<T>,
}

/// Age at which facts are read again even if no CPU went offline or online: a driver or the microcode may have changed.
const MAX_AGE: Duration = Duration::from_secs(600);

impl<T> OnlineCache<T> {
    /// An empty cache; `sys_cpu` is the directory of all CPUs in sysfs.
    pub(crate) fn new(sys_cpu: &std::path::Path) -> Self {
        Self { list: sys_cpu.join("online"), cached: Mutex::new(None) }
    }

    /// The cached facts, or the result of `read`, which is cached if it has no faults. It blocks.
    pub(crate) fn get(&self, read_facts: impl FnOnce(&mut Faults) -> T) -> (Arc<T>, Faults) {
        // Without a readable list nothing is cached. The collector `topology` reports the error.
        let online = read(&self.list).ok().flatten();
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let valid = |cached: &&Cached<T>| Some(&cached.online) == online.as_ref() && cached.read.elapsed() < MAX_AGE;
        if let Some(cached) = cached.as_ref().filter(valid) {
            return (cached.facts.clone(), Faults::default());
        }
        let mut faults = Faults::default();
        let facts = Arc::new(read_facts(&mut faults));
        *cached = online.filter(|_| faults.is_empty()).map(|online| Cached {
            online,
            read: Instant::now(),
            facts: facts.clone(),
        });
        (facts, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache, and the directory with its list.
    fn cache() -> (tempfile::TempDir, OnlineCache<u32>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("online"), "0-1\n").unwrap();
        let cache = OnlineCache::new(directory.path());
        (directory, cache)
    }

    #[test]
    fn facts_are_kept_until_a_cpu_goes_offline() {
        let (directory, cache) = cache();
        assert_eq!([*cache.get(|_| 1).0, *cache.get(|_| 2).0], [1, 1]);
        std::fs::write(directory.path().join("online"), "0\n").unwrap();
        assert_eq!([*cache.get(|_| 3).0, *cache.get(|_| 4).0], [3, 3]);
        std::fs::remove_file(directory.path().join("online")).unwrap();
        assert_eq!([*cache.get(|_| 5).0, *cache.get(|_| 6).0], [5, 6]);
    }

    #[test]
    fn incomplete_facts_are_not_kept() {
        let (_directory, cache) = cache();
        let (facts, faults) = cache.get(|faults| {
            faults.note(anyhow::anyhow!("unreadable"));
            1
        });
        assert!(*facts == 1 && !faults.is_empty());
        let (facts, faults) = cache.get(|_| 2);
        assert!(*facts == 2 && faults.is_empty());
    }
}

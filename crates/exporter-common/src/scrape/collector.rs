//! The seam between the library and an exporter: a collector, and the scrape it is asked in.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::reload::ReloadStatus;
use crate::exposition::family::Family;

/// Something that can be read and translated into families: a file of the kernel, a page, a broker.
#[async_trait::async_trait]
pub trait Collector: Send + Sync + 'static {
    /// The value of the label `collector`, and of the flag that turns it off where there are several.
    fn name(&self) -> &'static str;

    /// Reads the source once and adds what it saw to `scrape`, each family as soon as it is whole:
    /// what was added is answered even when this fails later or runs out of time.
    ///
    /// It must not block for long: what can wait for a device goes through [`Scrape::blocking`].
    ///
    /// # Errors
    /// Any error makes this collector's success 0; it is logged once, when the state changes. A thing
    /// that this host does not have is no error: add nothing, return `Ok`.
    async fn collect(&self, scrape: &Scrape) -> anyhow::Result<()>;

    /// What goes on between scrapes, for the life of the process; by default nothing. It is
    /// dropped when the process stops.
    ///
    /// # Errors
    /// Once it has ended, well or badly, every read fails: a follower that has died must not look
    /// like a quiet source.
    async fn run(&self) -> anyhow::Result<()> {
        std::future::pending().await
    }

    /// Whether it may be asked yet. Until it may, `/metrics` and `/-/ready` answer 503: for counters
    /// that go on where an earlier process left them, and must first catch up with what it showed.
    fn ready(&self) -> bool {
        true
    }

    /// What it keeps for the life of the process, such as counts of its own failures. It is asked for in every
    /// scrape, whatever came of the read.
    fn kept(&self) -> Vec<Family> {
        Vec::new()
    }

    /// Reads its configuration files again, on SIGHUP. When they are broken the last good ones stay in effect,
    /// which it logs itself.
    async fn reload(&self) {}

    /// How the last load of its configuration files went; `None` where it has none.
    fn reloaded(&self) -> Option<ReloadStatus> {
        None
    }

    /// A second name for this collector's `exporter_scrape_success`, where users know one.
    fn success_metric(&self) -> Option<&'static str> {
        None
    }
}

/// One read of one collector: the fresh place where it puts what it saw, and its deadline.
pub struct Scrape {
    families: Mutex<Vec<Arc<Family>>>,
    /// The latest one of those who wait for this read.
    deadline: Mutex<Instant>,
    blocked: Blocked,
}

impl Scrape {
    pub(crate) fn new(deadline: Instant, blocked: Blocked) -> Self {
        Self { families: Mutex::default(), deadline: Mutex::new(deadline), blocked }
    }

    /// Gives the read more time, for somebody who waits longer.
    pub(crate) fn extend(&self, deadline: Instant) {
        let mut present = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        *present = deadline.max(*present);
    }

    /// Adds a family. One without series is not written.
    pub fn add(&self, family: Family) {
        self.lock().push(Arc::new(family));
    }

    /// How long this read may still take: until the last of those who wait for it gives up. A collector that
    /// ends by itself a little before says what was late; one that does not is cut off.
    pub fn time_left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    pub(crate) fn deadline(&self) -> Instant {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what may wait (a file of sysfs asks hardware, a user's file lies on a network) on a
    /// thread of its own. If it outlives its scrape, this collector is not started again before it
    /// has ended.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let running = self.blocked.one_more();
        let task = tokio::task::spawn_blocking(move || {
            let _running = running;
            work()
        });
        match task.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),      // the read that asked for it answers for it
                Err(_) => std::future::pending().await, // the process is stopping
            },
        }
    }

    /// What was added so far.
    pub(crate) fn families(&self) -> Vec<Arc<Family>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Family>>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner) // a Vec is whole at any time
    }
}

/// The blocking parts of one collector's reads that are running, of earlier reads too.
#[derive(Clone)]
pub(crate) struct Blocked(Arc<watch::Sender<usize>>);

/// Counts a blocking part for as long as it runs.
struct Running(Blocked);

impl Default for Blocked {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Blocked {
    /// Whether one is running.
    pub(crate) fn any(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until none is running.
    pub(crate) async fn none(&self) {
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await; // the sender is here
    }

    fn one_more(&self) -> Running {
        self.0.send_modify(|count| *count += 1);
        Running(self.clone())
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// The faults of a read that goes on after one: a broken part costs only itself, and success.
#[derive(Debug, Default)]
pub struct Faults {
    first: Option<anyhow::Error>,
    count: usize,
}

impl Faults {
    /// Notes an error and goes on.
    pub fn note(&mut self, error: anyhow::Error) {
        self.count += 1;
        self.first.get_or_insert(error);
    }

    /// The value, or `None` with its error noted.
    pub fn keep<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.note(error)).ok()
    }

    /// Whether nothing was noted so far.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Success if nothing was noted.
    ///
    /// # Errors
    /// The first fault, and how many there were.
    pub fn result(self) -> anyhow::Result<()> {
        match (self.first, self.count) {
            (None, _) => Ok(()),
            (Some(first), 1) => Err(first),
            (Some(first), count) => Err(first.context(format!("{count} faults, the first"))),
        }
    }
}

//! One read of a collector, which is cancelled when its last waiter gives up.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::collector::Scrape;

/// One read, in progress or finished. It is cancelled when its last waiter gives up.
pub(super) struct Read {
    pub(super) scrape: Arc<Scrape>,
    pub(super) outcome: OnceLock<ReadOutcome>,
    /// When it times out, even if another waiter has a later deadline.
    pub(super) limit: Instant,
    pub(super) done: watch::Receiver<bool>,
    pub(super) task: OnceLock<AbortHandle>,
    /// The number of waiters.
    pub(super) waiting: AtomicUsize,
}

/// A waiter, which keeps the read alive.
pub(super) struct Waiter(pub(super) Arc<Read>);

pub(super) struct ReadOutcome {
    pub(super) error: Option<String>,
    pub(super) duration: Duration,
    pub(super) ended: Instant,
}

impl Waiter {
    pub(super) fn new(read: Arc<Read>) -> Self {
        read.waiting.fetch_add(1, Ordering::Relaxed);
        Self(read)
    }
}

impl Deref for Waiter {
    type Target = Read;

    fn deref(&self) -> &Read {
        &self.0
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort(); // no effect on a finished task
        }
    }
}

//! The collector: hands out what was counted, while the logs are followed between scrapes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use exporter_common::duration::human;
use exporter_common::{Collector, Faults, Scrape, async_trait};

use crate::book::Shared;
use crate::follow::{follow, stop};
use crate::metrics;
use crate::tail::Tail;

/// The access logs of one server.
pub(crate) struct AccessLog {
    book: Shared,
    /// The logs to follow, until they are followed.
    tails: Mutex<Vec<Tail>>,
}

/// For how long the thread that reads may be away before its counters are not believed: it hangs in
/// a file system that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl AccessLog {
    /// The collector of a book that is written from these logs.
    pub(crate) fn new(book: Shared, tails: Vec<Tail>) -> Self {
        Self { book, tails: Mutex::new(tails) }
    }
}

#[async_trait]
impl Collector for AccessLog {
    fn name(&self) -> &'static str {
        "access_log"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let mut faults = Faults::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let book = self.book.lock();
        for family in metrics::families(&book.counts, &book.logs, now) {
            scrape.add(family);
        }
        if let Some(away) = book.came_by.map(|came_by| came_by.elapsed()).filter(|away| *away > PATIENCE) {
            faults.note(anyhow!("a log has not answered for {}", human(away)));
        }
        for fault in book.logs.iter().filter_map(|log| log.fault.clone()) {
            faults.note(anyhow!(fault));
        }
        faults.result()
    }

    async fn run(&self) -> Result<()> {
        let tails = std::mem::take(&mut *self.tails.lock().unwrap_or_else(PoisonError::into_inner));
        let (_stop, wakes) = stop(); // dropped with this future
        let book = self.book.clone();
        let reading = tokio::task::spawn_blocking(move || follow(tails, &book, wakes));
        reading.await.context("the thread that reads the logs has died")
    }
}

//! The collector: hands out what was counted, while the logs are followed between scrapes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use exporter_common::duration::human;
use exporter_common::{Collector, Faults, Scrape, async_trait};

use crate::input::stream::{InputStream, dropped};
use crate::metrics::families::families;
use crate::metrics::registry::SharedRegistry;
use crate::state::StateWriter;
use crate::tail::follow::{follow, stop};
use crate::tail::{CATCHING_UP, Tail};

/// The access logs of one server.
pub(crate) struct AccessLogCollector {
    registry: SharedRegistry,
    /// What is to be read between scrapes, until it is.
    work: Mutex<Option<LogReaders>>,
    started: Instant,
}

/// What is read between scrapes.
#[derive(Debug, Default)]
pub(crate) struct LogReaders {
    pub(crate) tails: Vec<Tail>,
    /// With their places in the book.
    pub(crate) streams: Vec<(usize, InputStream)>,
    pub(crate) state_writer: Option<StateWriter>,
    /// Whether it goes on where an earlier process was.
    pub(crate) resumed: bool,
}

/// For how long the thread that reads may be away before its counters are not believed: it hangs in
/// a file system that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl AccessLogCollector {
    /// The collector of a book, and the work by which it is written.
    pub(crate) fn new(registry: SharedRegistry, work: LogReaders) -> Self {
        registry.lock().caught_up = !work.resumed;
        Self { registry, work: Mutex::new(Some(work)), started: Instant::now() }
    }
}

#[async_trait]
impl Collector for AccessLogCollector {
    fn name(&self) -> &'static str {
        "access_log"
    }

    fn ready(&self) -> bool {
        self.registry.lock().caught_up || self.started.elapsed() > CATCHING_UP
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let mut faults = Faults::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut registry = self.registry.lock();
        for log in &mut registry.logs {
            log.dropped = log.udp_inode.and_then(dropped).max(log.dropped); // the kernel's count is 32 bits wide
        }
        for family in families(&registry, now) {
            scrape.add(family);
        }
        if let Some(away) = registry.last_pass.map(|last_pass| last_pass.elapsed()).filter(|away| *away > PATIENCE) {
            faults.note(anyhow!("a log has not answered for {}", human(away)));
        }
        for fault in registry.logs.iter().filter_map(|log| log.fault.clone()) {
            faults.note(anyhow!(fault));
        }
        faults.result()
    }

    async fn run(&self) -> Result<()> {
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let LogReaders { tails, streams, state_writer, .. } = work.unwrap_or_default();
        let _sockets = Sockets(streams.iter().filter_map(|(_, stream)| stream.socket()).collect());
        for (index, stream) in streams {
            self.registry.lock().logs[index].udp_inode = stream.udp_inode();
            stream.start(index, self.registry.clone())?;
        }
        let (_stop, wakes) = stop(); // dropped with this future
        let registry = self.registry.clone();
        let reading = tokio::task::spawn_blocking(move || follow(tails, state_writer, &registry, wakes));
        reading.await.context("the thread that reads the logs has died")
    }
}

/// Sockets of this process, which go with it.
struct Sockets(Vec<PathBuf>);

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path); // it may be gone
        }
    }
}

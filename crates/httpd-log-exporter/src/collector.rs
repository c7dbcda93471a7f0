//! The collector: starts the log readers, and exports their counters at each scrape.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use exporter_common::duration::human;
use exporter_common::{Collector, Faults, Scrape, Source, async_trait};

use crate::input::stream::{InputStream, dropped_messages};
use crate::metrics::families::families;
use crate::metrics::registry::SharedRegistry;
use crate::metrics::saved_metrics::SavedMetrics;
use crate::state::{SavedSource, StateWriter};
use crate::tail::follow::{follow, stop};
use crate::tail::log_paths::LogPaths;
use crate::tail::{CATCHING_UP, Tail};

/// The access logs of one server.
struct AccessLogCollector {
    registry: SharedRegistry,
    /// The metrics in the state file, if there is one.
    saved: Option<SavedMetrics>,
}

/// All readers that run between scrapes.
#[derive(Debug, Default)]
pub(crate) struct LogReaders {
    pub(crate) tails: Vec<Tail>,
    /// Logs that an earlier process read, which are opened between scrapes: this takes long for thousands of files.
    pub(crate) resuming: Vec<(usize, LogPaths, SavedSource)>,
    /// Streams, each with its index in [`Registry::logs`](crate::metrics::registry::Registry::logs).
    pub(crate) streams: Vec<(usize, InputStream)>,
    pub(crate) state_writer: Option<StateWriter>,
}

/// How long a pass of the reader thread may take before scrapes report an error: a file system may block forever.
const MAX_PASS: Duration = Duration::from_secs(5);

/// The collector of a registry, and the readers that fill it.
pub(crate) fn source(registry: SharedRegistry, readers: LogReaders) -> Source {
    registry.lock().caught_up = readers.resuming.is_empty();
    let saved = readers.state_writer.as_ref().map(|_| SavedMetrics::new());
    let (reading, started) = (registry.clone(), Instant::now());
    let wakes = saved.clone().unwrap_or_else(SavedMetrics::new);
    Source::new(AccessLogCollector { registry: registry.clone(), saved })
        .run(read(reading, readers, wakes))
        .ready(move || registry.lock().caught_up || started.elapsed() > CATCHING_UP)
}

#[async_trait]
impl Collector for AccessLogCollector {
    fn name(&self) -> &'static str {
        "access_log"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let mut faults = Faults::default();
        for log in &mut self.registry.lock().logs {
            log.dropped = log.udp_inode.and_then(dropped_messages).max(log.dropped); // the kernel's 32-bit counter may wrap
        }
        match &self.saved {
            None => families(&self.registry.lock()).into_iter().for_each(|family| scrape.add(family)),
            Some(saved) => {
                let patience = MAX_PASS.min(scrape.time_left() / 2);
                let families = saved.request(patience).await.unwrap_or_else(|last| {
                    faults.note(anyhow!("the state was not saved within {}: the metrics are older", human(patience)));
                    last
                });
                families.iter().for_each(|family| scrape.add(family.clone()));
            }
        }
        let registry = self.registry.lock();
        if let Some(age) = registry.last_pass.map(|last_pass| last_pass.elapsed()).filter(|age| *age > MAX_PASS) {
            faults.note(anyhow!("the log reader thread has not responded for {}", human(age)));
        }
        for fault in registry.logs.iter().filter_map(|log| log.fault.clone()) {
            faults.note(anyhow!(fault));
        }
        faults.result()
    }
}

/// Runs the readers.
async fn read(registry: SharedRegistry, readers: LogReaders, metrics: SavedMetrics) -> Result<()> {
    let LogReaders { mut tails, resuming, streams, state_writer } = readers;
    let _sockets = Sockets(streams.iter().filter_map(|(_, stream)| stream.socket_path()).collect());
    for (index, stream) in streams {
        registry.lock().logs[index].udp_inode = stream.udp_inode();
        stream.start(index, registry.clone())?;
    }
    let (_stop, wakes) = stop(metrics); // stops the thread when this future is dropped
    let reading = tokio::task::spawn_blocking(move || {
        for (index, log_paths, saved) in resuming {
            tails.push(Tail::resume(index, log_paths, &saved, &registry, Instant::now()));
        }
        follow(tails, state_writer, &registry, wakes);
    });
    reading.await.context("the log reader thread panicked")
}

/// Socket files to delete at shutdown.
struct Sockets(Vec<PathBuf>);

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path); // it may be deleted already
        }
    }
}

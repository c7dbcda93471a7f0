//! The collector: starts the log readers, and exports their counters at each scrape.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use exporter_common::duration::human;
use exporter_common::{Collector, Faults, Scrape, Source, async_trait};

use crate::input::stream::{InputStream, dropped_messages};
use crate::metrics::families::families;
use crate::metrics::registry::SharedRegistry;
use crate::state::StateWriter;
use crate::tail::follow::{follow, stop};
use crate::tail::{CATCHING_UP, Tail};

/// The access logs of one server.
struct AccessLogCollector {
    registry: SharedRegistry,
}

/// All readers that run between scrapes.
#[derive(Debug, Default)]
pub(crate) struct LogReaders {
    pub(crate) tails: Vec<Tail>,
    /// Streams, each with its index in [`Registry::logs`](crate::metrics::registry::Registry::logs).
    pub(crate) streams: Vec<(usize, InputStream)>,
    pub(crate) state_writer: Option<StateWriter>,
    /// Whether the readers resume from a saved state.
    pub(crate) resumed: bool,
}

/// How long a pass of the reader thread may take before scrapes report an error: a file system may block forever.
const MAX_PASS: Duration = Duration::from_secs(5);

/// The collector of a registry, and the readers that fill it.
pub(crate) fn source(registry: SharedRegistry, readers: LogReaders) -> Source {
    registry.lock().caught_up = !readers.resumed;
    let (reading, started) = (registry.clone(), Instant::now());
    Source::new(AccessLogCollector { registry: registry.clone() })
        .run(read(reading, readers))
        .ready(move || registry.lock().caught_up || started.elapsed() > CATCHING_UP)
}

#[async_trait]
impl Collector for AccessLogCollector {
    fn name(&self) -> &'static str {
        "access_log"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let mut faults = Faults::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut registry = self.registry.lock();
        for log in &mut registry.logs {
            log.dropped = log.udp_inode.and_then(dropped_messages).max(log.dropped); // the kernel's 32-bit counter may wrap
        }
        for family in families(&registry, now) {
            scrape.add(family);
        }
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
async fn read(registry: SharedRegistry, readers: LogReaders) -> Result<()> {
    let LogReaders { tails, streams, state_writer, .. } = readers;
    let _sockets = Sockets(streams.iter().filter_map(|(_, stream)| stream.socket_path()).collect());
    for (index, stream) in streams {
        registry.lock().logs[index].udp_inode = stream.udp_inode();
        stream.start(index, registry.clone())?;
    }
    let (_stop, wakes) = stop(); // stops the thread when this future is dropped
    let reading = tokio::task::spawn_blocking(move || follow(tails, state_writer, &registry, wakes));
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

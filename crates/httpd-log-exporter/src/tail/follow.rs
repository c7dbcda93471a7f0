//! The thread that follows all logs: it sleeps until a directory changes, then reads at a fixed interval.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::metrics::families::families;
use crate::metrics::registry::SharedRegistry;
use crate::metrics::saved_metrics::SavedMetrics;
use crate::state::StateWriter;
use crate::tail::Tail;

/// How often logs are read while they are written to.
const TICK: Duration = Duration::from_millis(100);
/// How often idle logs are read. Events only cause earlier reads, since some file systems have none.
const POLL: Duration = Duration::from_millis(250);
/// How long all logs must be idle before the thread waits for events. An event for every line would cost more than reads
/// at a fixed interval.
const SETTLE: Duration = Duration::from_secs(2);
/// Minimum pause after a pass, as a multiple of the pass's duration, if no more can be read.
const REST: u32 = 20;
/// Maximum pause: on a busy machine even a small pass takes long.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// Number of bytes read with one call.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Stops the thread when it is dropped, and waits until the thread has written the state.
#[derive(Debug)]
pub(crate) struct StopHandle {
    stopped: Arc<AtomicBool>,
    wake: SyncSender<()>,
    ended: Receiver<()>,
}

/// How long to wait for the thread to exit: a file system may hang.
const ENDING: Duration = Duration::from_secs(3);

/// Wakes the thread or stops it.
#[derive(Debug)]
pub(crate) struct Wakeups {
    stopped: Arc<AtomicBool>,
    woken: Receiver<()>,
    directories: DirectoryWatcher,
    /// Requests of scrapes for a saved state.
    metrics: SavedMetrics,
    /// Dropped when the thread exits.
    _ending: SyncSender<()>,
}

/// A pair: the handle stops the thread that has the wakeups. Scrapes that request metrics wake it, too.
pub(crate) fn stop(metrics: SavedMetrics) -> (StopHandle, Wakeups) {
    let (wake, woken) = sync_channel(1); // one pending wakeup is enough
    let (ending, ended) = sync_channel(1);
    let stop = StopHandle { stopped: Arc::default(), wake, ended };
    let directories = DirectoryWatcher::new(stop.wake.clone());
    metrics.set_wake(stop.wake.clone());
    let wakes = Wakeups { stopped: stop.stopped.clone(), woken, directories, metrics, _ending: ending };
    (stop, wakes)
}

impl Drop for StopHandle {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(()); // full: a wakeup is already pending
        let _ = self.ended.recv_timeout(ENDING); // nothing is sent: the thread drops its side
    }
}

/// Follows logs until it is stopped, and writes their state.
pub(crate) fn follow(
    mut tails: Vec<Tail>,
    mut state_writer: Option<StateWriter>,
    registry: &SharedRegistry,
    mut wakes: Wakeups,
) {
    if let Some(state_writer) = &mut state_writer {
        state_writer.save(&tails, registry); // before the first line is counted
    }
    let mut buffer = vec![0; BUFFER];
    let mut active = Instant::now();
    loop {
        let now = Instant::now();
        let stopped = wakes.stopped.load(Ordering::Relaxed);
        let mut more = false;
        for tail in &mut tails {
            let seen = tail.pass(registry, &mut buffer, now);
            more |= seen.more;
            if seen.active {
                active = now;
            }
        }
        let took = now.elapsed();
        let caught_up_now = !more && !tails.iter().any(Tail::is_waiting);
        let caught_up = {
            let mut registry = registry.lock();
            registry.last_pass = Some(Instant::now());
            caught_up_now && !registry.caught_up
        };
        match &mut state_writer {
            Some(state_writer) if wakes.metrics.is_requested() || caught_up => {
                let requests = wakes.metrics.requests();
                let families = state_writer.save_and(&tails, registry, families);
                wakes.metrics.fulfill(requests, families);
            }
            Some(state_writer) if stopped => state_writer.save(&tails, registry),
            Some(state_writer) => state_writer.tick(&tails, registry),
            None => {}
        }
        registry.lock().caught_up |= caught_up_now; // scrapes are served from here on, and find saved metrics
        if stopped {
            return;
        }
        if more {
            continue;
        }
        // a pass over thousands of files takes long; the pause limits the share of a core
        let rest = (took * REST).min(LONGEST_REST);
        let (tick, poll) = (TICK.max(rest), POLL.max(rest));
        if active.elapsed() < SETTLE {
            wakes.directories.ignore();
            let _ = wakes.woken.recv_timeout(tick); // an earlier event may end the pause
        } else if wakes.directories.watch(&tails) {
            continue; // changes before the watch have no event
        } else if wakes.woken.recv_timeout(poll) != Err(RecvTimeoutError::Timeout) && !wakes.metrics.is_requested() {
            active = Instant::now();
        }
    }
}

/// Watches the directories of the logs. Their events include file events.
struct DirectoryWatcher {
    /// `None` if the system has no file events.
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    /// Whether the directories are watched.
    watching: bool,
}

impl DirectoryWatcher {
    fn new(wake: SyncSender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // this thread's own reads cause access events; a lost event or an error is a reason to read
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                let _ = wake.try_send(()); // full: a wakeup is already pending
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "inotify is unavailable; polling the logs every 250 ms");
        }
        Self { watcher: watcher.ok(), watched: Vec::new(), watching: false }
    }

    /// Watches the directories that exist. Returns false if they were watched before.
    fn watch(&mut self, tails: &[Tail]) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        if std::mem::replace(&mut self.watching, true) {
            return false;
        }
        let directories: BTreeSet<_> = tails.iter().flat_map(|tail| tail.log_paths.directories()).collect();
        for directory in directories {
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(directory),
                Err(error) => tracing::debug!(directory = %directory.display(), %error, "cannot watch the directory"),
            }
        }
        true
    }

    /// Stops watching.
    fn ignore(&mut self) {
        self.watching = false;
        for directory in self.watched.drain(..) {
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&directory); // it may have been removed
            }
        }
    }
}

impl std::fmt::Debug for DirectoryWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.watched).finish()
    }
}

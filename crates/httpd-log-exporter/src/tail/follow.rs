//! The thread that follows all logs: it sleeps until something happens, then reads on a tick.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::metrics::registry::SharedRegistry;
use crate::state::StateWriter;
use crate::tail::Tail;

/// How often the files of logs that are written to are read.
const TICK: Duration = Duration::from_millis(100);
/// How often idle logs are looked at. Events only make it sooner: some file systems have none.
const POLL: Duration = Duration::from_millis(250);
/// How long nothing must have happened before the tick gives way to waiting for an event. While logs
/// are written to, an event for every line would cost more than reading them.
const SETTLE: Duration = Duration::from_secs(2);
/// How many times longer than a look it rests at least, when there is no more to read.
const REST: u32 = 20;
/// But never longer than this: on a busy machine a look takes long that is little work.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How much is read at once.
pub(crate) const BUFFER: usize = 256 * 1024;

/// Stops the thread when it is dropped, and waits for its last deeds.
#[derive(Debug)]
pub(crate) struct StopHandle {
    stopped: Arc<AtomicBool>,
    wake: SyncSender<()>,
    ended: Receiver<()>,
}

/// How long the thread may take to end: a file system may not answer.
const ENDING: Duration = Duration::from_secs(3);

/// What wakes the thread, and whether it is to stop.
#[derive(Debug)]
pub(crate) struct Wakeups {
    stopped: Arc<AtomicBool>,
    woken: Receiver<()>,
    directories: DirectoryWatcher,
    /// Dropped when the thread has ended.
    _ending: SyncSender<()>,
}

/// A pair: one stops, the other is woken.
pub(crate) fn stop() -> (StopHandle, Wakeups) {
    let (wake, woken) = sync_channel(1); // one that waits stands for all
    let (ending, ended) = sync_channel(1);
    let stop = StopHandle { stopped: Arc::default(), wake, ended };
    let directories = DirectoryWatcher::new(stop.wake.clone());
    let wakes = Wakeups { stopped: stop.stopped.clone(), woken, directories, _ending: ending };
    (stop, wakes)
}

impl Drop for StopHandle {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(()); // full: it wakes up anyway
        let _ = self.ended.recv_timeout(ENDING); // nothing is sent: the other side is dropped
    }
}

/// Follows logs until it is stopped, and keeps their state.
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
        let all_there = !more && !tails.iter().any(Tail::is_waiting);
        let caught_up = {
            let mut registry = registry.lock();
            registry.last_pass = Some(Instant::now());
            let first = all_there && !registry.caught_up;
            registry.caught_up |= all_there;
            first
        };
        match &mut state_writer {
            Some(state_writer) if caught_up || stopped => state_writer.save(&tails, registry),
            Some(state_writer) => state_writer.tick(&tails, registry),
            None => {}
        }
        if stopped {
            return;
        }
        if more {
            continue;
        }
        // thousands of files take their time; not more than this part of a core
        let rest = (took * REST).min(LONGEST_REST);
        let (tick, poll) = (TICK.max(rest), POLL.max(rest));
        if active.elapsed() < SETTLE {
            wakes.directories.ignore();
            let _ = wakes.woken.recv_timeout(tick); // an event from before is as good as a tick
        } else if wakes.directories.watch(&tails) {
            continue; // what happened before the watch had no event
        } else if wakes.woken.recv_timeout(poll) != Err(RecvTimeoutError::Timeout) {
            active = Instant::now();
        }
    }
}

/// The directories of the logs, watched or not. Their events stand for those of the files in them.
struct DirectoryWatcher {
    /// `None` where there are no events to be had.
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    /// Whether all that can be watched is watched.
    watching: bool,
}

impl DirectoryWatcher {
    fn new(wake: SyncSender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // opening and reading are our own doing; a lost event or an error is a reason to look
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                let _ = wake.try_send(()); // full: it wakes up anyway
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no events of files to be had; looking at the logs four times a second instead");
        }
        Self { watcher: watcher.ok(), watched: Vec::new(), watching: false }
    }

    /// Watches the directories that are there; false if they were watched before.
    fn watch(&mut self, tails: &[Tail]) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        if std::mem::replace(&mut self.watching, true) {
            return false;
        }
        let directories: BTreeSet<_> = tails.iter().flat_map(|tail| tail.log_paths.directories()).collect();
        for directory in directories {
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(directory),
                Err(error) => tracing::debug!(directory = %directory.display(), %error, "cannot watch"),
            }
        }
        true
    }

    /// Watches nothing.
    fn ignore(&mut self) {
        self.watching = false;
        for directory in self.watched.drain(..) {
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&directory); // it may be gone
            }
        }
    }
}

impl std::fmt::Debug for DirectoryWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.watched).finish()
    }
}

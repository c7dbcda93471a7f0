//! Writes the state file: every second in which anything changed, and once a minute a copy that is synced to disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::lock::StateLock;
use super::{SavedSource, SavedState, with_ending};
use crate::metrics::registry::{Registry, SharedRegistry};
use crate::tail::Tail;

/// How often the state is written while anything changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// Minimum pause after a write, as a multiple of the write's duration.
const REST: u32 = 20;
/// How often a copy is synced to disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Writes the state to its file.
#[derive(Debug)]
pub(crate) struct StateWriter {
    path: PathBuf,
    _lock: StateLock,
    last: Option<SavedState>,
    next: Instant,
    failing: bool,
    /// The thread that writes the synced copy.
    syncing: Option<JoinHandle<()>>,
    next_sync: Instant,
}

impl StateWriter {
    /// A writer of a state file, which it locks.
    ///
    /// # Errors
    ///
    /// Returns an error if another process holds the lock.
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        let now = Instant::now();
        let lock = StateLock::acquire(&path)?;
        Ok(Self { path, _lock: lock, last: None, next: now, failing: false, syncing: None, next_sync: now })
    }

    /// The path of the state file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the state if the interval is over.
    pub(crate) fn tick(&mut self, tails: &[Tail], registry: &SharedRegistry) {
        if Instant::now() >= self.next {
            self.save(tails, registry);
        }
    }

    /// Writes the state if it differs from the last one. A failure is logged once and retried.
    pub(crate) fn save(&mut self, tails: &[Tail], registry: &SharedRegistry) {
        self.save_and(tails, registry, |_| ());
    }

    /// The same, and reads from the counters that were saved.
    pub(crate) fn save_and<T>(
        &mut self,
        tails: &[Tail],
        registry: &SharedRegistry,
        read: impl Fn(&Registry) -> T,
    ) -> T {
        let started = Instant::now();
        let (state, mut saved) = {
            let registry = registry.lock();
            (SavedState::of(tails, &registry), read(&registry))
        };
        if self.last.as_ref().is_none_or(|last| differs(last, &state)) {
            match write(&self.path, &state) {
                Ok(()) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(path = %self.path.display(), "the state file is writable again");
                    }
                    self.sync(&state);
                    self.last = Some(state);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let path = self.path.display();
                        tracing::warn!(%path, %error, "cannot write the state file; continuing without it");
                    }
                    let mut registry = registry.lock();
                    *registry.state_errors.get_or_insert(0) += 1;
                    saved = read(&registry);
                }
            }
        }
        self.next = started + INTERVAL.max(started.elapsed() * REST);
        saved
    }

    /// Writes a copy that survives a power failure. The state file itself is not synced: the page cache survives a crash of
    /// the process, and a sync every second would wear out the disk and keep it awake. On some file systems the state file
    /// is empty after a power failure. The copy is older, but its positions match its counters. A separate thread writes
    /// it, since a sync can take long. Errors are reported for the state file only.
    fn sync(&mut self, state: &SavedState) {
        let idle = self.syncing.as_ref().is_none_or(JoinHandle::is_finished);
        if Instant::now() >= self.next_sync && idle {
            let (path, state) = (on_disk(&self.path), state.clone());
            let writing = move || drop(write_synced(&path, &state));
            self.syncing = thread::Builder::new().name("state".to_owned()).spawn(writing).ok();
            self.next_sync = Instant::now() + SYNC_INTERVAL;
        }
    }
}

/// Whether states differ in more than the time of the last look.
fn differs(a: &SavedState, b: &SavedState) -> bool {
    let same_sources = a.sources.len() == b.sources.len()
        && a.sources.iter().zip(&b.sources).all(|(a, b)| *a == SavedSource { last_look: a.last_look, ..b.clone() });
    !same_sources || *a != SavedState { sources: a.sources.clone(), ..b.clone() }
}

/// Writes a state to a temporary file, and renames that to the state file.
pub(super) fn write(path: &Path, state: &SavedState) -> io::Result<()> {
    let temporary = with_ending(path, ".new");
    std::fs::write(&temporary, serde_json::to_vec(state)?)?;
    std::fs::rename(&temporary, path)
}

/// The same, but syncs the content before the rename. The rename is not synced: after a power failure the old or the new
/// file has the name, and both are complete.
fn write_synced(path: &Path, state: &SavedState) -> io::Result<()> {
    let temporary = with_ending(path, ".new");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// The path of the synced copy of a state file.
pub(crate) fn on_disk(path: &Path) -> PathBuf {
    with_ending(path, ".synced")
}

#[cfg(test)]
mod tests {
    use super::super::tests::registry;
    use super::*;

    #[test]
    fn a_on_disk_is_written_next_to_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state_writer = StateWriter::new(path.clone()).unwrap();
        state_writer.save(&[], &SharedRegistry::new(registry("common", &[])));
        state_writer.syncing.take().unwrap().join().unwrap();
        assert_eq!(std::fs::read(on_disk(&path)).unwrap(), std::fs::read(&path).unwrap());
        state_writer.last = None;
        state_writer.save(&[], &SharedRegistry::new(registry("common", &[])));
        assert!(state_writer.syncing.is_none(), "not every time");
    }

    #[test]
    fn what_a_scrape_reads_is_in_the_state_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state_writer = StateWriter::new(path.clone()).unwrap();
        let shared = SharedRegistry::new(registry("common", &[]));
        shared.lock().logs[0].rotations = 1;
        let read = |registry: &Registry| registry.logs[0].rotations;
        assert_eq!(state_writer.save_and(&[], &shared, read), 1);
        let rotations = || SavedState::load(&path).unwrap().unwrap().sources[0].rotations;
        assert_eq!(rotations(), 1);
        shared.lock().logs[0].rotations = 2;
        assert_eq!(state_writer.save_and(&[], &shared, read), 2);
        assert_eq!(rotations(), 2);
        std::fs::create_dir(with_ending(&path, ".new")).unwrap(); // makes writes fail
        shared.lock().logs[0].rotations = 3;
        let errors = |registry: &Registry| (registry.logs[0].rotations, registry.state_errors);
        assert_eq!(state_writer.save_and(&[], &shared, errors), (3, Some(1)), "with the failure");
    }
}

//! The state file as it is written: each second in which anything changed, and now and then a copy forced onto the disk.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{SavedSource, SavedState};
use crate::metrics::registry::SharedRegistry;
use crate::tail::Tail;

/// How often it is written while anything changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many times longer than writing it took it is left alone.
const REST: u32 = 20;
/// How often a copy of it is forced onto the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Writes the state, now and then.
#[derive(Debug)]
pub(crate) struct StateWriter {
    path: PathBuf,
    last: Option<SavedState>,
    next: Instant,
    failing: bool,
    /// The thread that last wrote what is on the disk for sure, and when it is to be written again.
    syncing: Option<JoinHandle<()>>,
    next_sync: Instant,
}

impl StateWriter {
    /// A keeper of a file.
    pub(crate) fn new(path: PathBuf) -> Self {
        let now = Instant::now();
        Self { path, last: None, next: now, failing: false, syncing: None, next_sync: now }
    }

    /// Writes the state if it is time to.
    pub(crate) fn tick(&mut self, tails: &[Tail], registry: &SharedRegistry) {
        if Instant::now() >= self.next {
            self.save(tails, registry);
        }
    }

    /// Writes the state if it is another one than last time. If that fails it is said once, and tried again.
    pub(crate) fn save(&mut self, tails: &[Tail], registry: &SharedRegistry) {
        let begun = Instant::now();
        let state = SavedState::of(tails, &registry.lock());
        if self.last.as_ref().is_none_or(|last| differs(last, &state)) {
            match write(&self.path, &state) {
                Ok(()) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(path = %self.path.display(), "the state file can be written again");
                    }
                    self.sync(&state);
                    let mut registry = registry.lock();
                    for (log, saved) in registry.logs.iter_mut().zip(&state.sources) {
                        log.saved = Some(saved.incidents());
                    }
                    self.last = Some(state);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let path = self.path.display();
                        tracing::warn!(%path, %error, "cannot write the state file; going on without");
                    }
                    let mut registry = registry.lock();
                    registry.logs.iter_mut().for_each(|log| log.saved = None);
                    *registry.state_errors.get_or_insert(0) += 1;
                }
            }
        }
        self.next = begun + INTERVAL.max(begun.elapsed() * REST);
    }

    /// Writes a copy that outlives a loss of power. What the kernel has outlives the process, so the state itself is not
    /// forced onto the disk, which once a second would wear it and keep it awake. But after a loss of power that file may
    /// be empty, with some file systems; the copy is older, and its positions fit its counters. It is written on a thread
    /// of its own, since a busy disk takes its time; errors are told where the state itself is written.
    fn sync(&mut self, state: &SavedState) {
        let idle = self.syncing.as_ref().is_none_or(JoinHandle::is_finished);
        if Instant::now() >= self.next_sync && idle {
            let (path, state) = (on_disk(&self.path), state.clone());
            let writing = move || drop(write_to_disk(&path, &state));
            self.syncing = thread::Builder::new().name("state".to_owned()).spawn(writing).ok();
            self.next_sync = Instant::now() + SYNC_INTERVAL;
        }
    }
}

/// Whether states differ in more than when they were looked at.
fn differs(a: &SavedState, b: &SavedState) -> bool {
    let same_sources = a.sources.len() == b.sources.len()
        && a.sources.iter().zip(&b.sources).all(|(a, b)| *a == SavedSource { last_look: a.last_look, ..b.clone() });
    !same_sources || *a != SavedState { sources: a.sources.clone(), ..b.clone() }
}

/// Writes a state beside the file, and puts it in its place.
pub(super) fn write(path: &Path, state: &SavedState) -> io::Result<()> {
    let beside = with_ending(path, ".new");
    std::fs::write(&beside, serde_json::to_vec(state)?)?;
    std::fs::rename(&beside, path)
}

/// The same, with the content on the disk before it has its name. Which of two names is there after a loss of power does
/// not matter: both are whole.
fn write_to_disk(path: &Path, state: &SavedState) -> io::Result<()> {
    let beside = with_ending(path, ".new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Where the copy of a state file is that is on the disk for sure.
pub(crate) fn on_disk(path: &Path) -> PathBuf {
    with_ending(path, ".synced")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::registry;
    use super::*;

    #[test]
    fn a_copy_is_written_to_the_disk_beside_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state_writer = StateWriter::new(path.clone());
        state_writer.save(&[], &SharedRegistry::new(registry("common", &[])));
        state_writer.syncing.take().unwrap().join().unwrap();
        assert_eq!(std::fs::read(on_disk(&path)).unwrap(), std::fs::read(&path).unwrap());
        state_writer.last = None;
        state_writer.save(&[], &SharedRegistry::new(registry("common", &[])));
        assert!(state_writer.syncing.is_none(), "not every time");
    }

    #[test]
    fn what_happened_to_a_log_is_shown_once_it_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut state_writer = StateWriter::new(path.clone());
        let shared = SharedRegistry::new(registry("common", &[]));
        let shown = || shared.lock().logs[0].incidents().rotations;
        shared.lock().logs[0].rotations = 1;
        assert_eq!(shown(), 1, "without a state there is nothing to wait for");
        state_writer.save(&[], &shared);
        shared.lock().logs[0].rotations = 2;
        assert_eq!(shown(), 1);
        state_writer.save(&[], &shared);
        assert_eq!(shown(), 2);
        std::fs::create_dir(with_ending(&path, ".new")).unwrap(); // cannot be written any more
        shared.lock().logs[0].rotations = 3;
        state_writer.save(&[], &shared);
        assert_eq!(shown(), 3);
    }
}

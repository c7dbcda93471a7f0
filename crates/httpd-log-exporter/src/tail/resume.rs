//! Continues where an earlier process stopped: finds its files, and waits for those whose directory cannot be read.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::metrics::registry::SharedRegistry;
use crate::state::SavedSource;
use crate::tail::compressed;
use crate::tail::log_file::LogFile;
use crate::tail::log_paths::{LogPaths, directory};
use crate::tail::log_tail::{CATCHING_UP, CompressedLogs, PlaceVersion, SEARCH, Tail};
use crate::tail::rotated::{self, FileErrors, SearchWindow};
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

/// A file that may be one of the earlier process, and its path of the log. `None` if it is at another path.
type Candidate = (Option<PathBuf>, LogFile);

impl Tail {
    /// Opens a log where an earlier process stopped. Its files are recognized by identity and content, or by content
    /// alone. Files that appeared since are read from their beginning.
    pub(crate) fn resume(
        index: usize,
        log_paths: LogPaths,
        saved: &SavedSource,
        registry: &SharedRegistry,
        now: Instant,
    ) -> Self {
        let mut tail = Self::new(index, log_paths);
        tail.last_look = saved.last_look();
        tail.catch_up.deadline = Some(now + CATCHING_UP);
        tail.files = saved.files.iter().map(TrackedFile::saved).collect();
        tail.find_missing(saved.searched_since(), registry, now);
        tail.first_look(registry, now);
        tail.search(registry, now);
        tail.remove_forgotten();
        tail
    }

    /// Searches for hidden files again, if anything changed in their directories or the wait for them is over.
    pub(super) fn retry_hidden(&mut self, registry: &SharedRegistry, now: Instant) {
        let is_away = |row: &TrackedFile| matches!(row.status, FileStatus::Hidden | FileStatus::GivenUp);
        if !self.files.iter().any(is_away) {
            return;
        }
        let timed_out = self.is_waiting() && self.catch_up.deadline.is_some_and(|deadline| now >= deadline);
        if !timed_out && self.places() == self.catch_up.places {
            return;
        }
        for row in self.files.iter_mut().filter(|row| is_away(row)) {
            if timed_out && row.status == FileStatus::Hidden {
                row.report_lost();
            }
            row.apply(FileEvent::Retried);
        }
        self.find_missing(self.last_look, registry, now);
    }

    /// Versions of the paths and directories at which hidden files can return.
    fn places(&self) -> Vec<Option<PlaceVersion>> {
        let away = self.files.iter().filter(|row| matches!(row.status, FileStatus::Hidden | FileStatus::GivenUp));
        let files = away.flat_map(|row| row.path.iter().chain(&row.target)).cloned();
        let paths: BTreeSet<_> = files.chain(self.single_path().map(Path::to_path_buf)).collect();
        let directories: BTreeSet<_> = paths.iter().map(|path| directory(path).to_path_buf()).collect();
        let all: BTreeSet<_> = paths.into_iter().chain(directories).chain(self.log_paths.directories()).collect();
        let version = |path: PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
        };
        all.into_iter().map(version).collect()
    }

    fn single_path(&self) -> Option<&Path> {
        match &self.log_paths {
            LogPaths::Path(path) => Some(path),
            LogPaths::Glob(_) => None,
        }
    }

    /// Finds the missing files of an earlier process, and starts the search for generations that appeared since a time.
    fn find_missing(&mut self, since: SystemTime, registry: &SharedRegistry, now: Instant) {
        let listed = SystemTime::now();
        let missing = self.rows(|row| row.status == FileStatus::Missing);
        let known: Vec<_> = missing.iter().filter_map(|row| self.files[*row].path.clone()).collect();
        let (mut candidates, compressed) = self.candidates(&missing, now);
        self.catch_up.compressed = Some(CompressedLogs { paths: compressed, listed });
        self.known_paths.extend(known.iter().cloned());
        // by identity first: two files can have the same first lines
        let mut unmatched = Vec::new();
        for row in missing {
            let TrackedFile { identity, position, .. } = &self.files[row];
            match candidates.iter().position(|(_, candidate)| candidate.identity == *identity) {
                // a file that cannot be compared now is recognized by its identity; the next read compares it again
                Some(at) if position.is_start() || candidates[at].1.contains(position).unwrap_or(true) => {
                    self.resume_in(row, candidates.swap_remove(at), registry);
                }
                found => unmatched.push((row, found.is_some())),
            }
        }
        for (row, overwritten) in unmatched {
            self.find_by_content(row, overwritten, &mut candidates, since, registry, now);
        }
        // generations that were rotated since can be compressed at any moment, so they are opened before compressed logs
        // are read
        for path in known {
            self.search.windows.entry(path).or_insert(SearchWindow { since, until: now + SEARCH });
        }
        self.hide_missing(registry);
    }

    /// The files that may be missing ones, and the compressed logs.
    fn candidates(&self, missing: &[usize], now: Instant) -> (Vec<Candidate>, Vec<PathBuf>) {
        let missing: Vec<_> = missing.iter().map(|row| &self.files[*row]).collect();
        let listed: Vec<_> = self.log_paths.list().into_iter().map(|(path, _)| path).collect();
        // the name of a symbolic link does not lead to the file once the link has another target
        let targets = || missing.iter().filter_map(|row| row.target.as_ref());
        let saved = missing.iter().filter_map(|row| row.path.as_ref());
        let paths: BTreeSet<_> = listed.iter().chain(saved).chain(targets()).collect();
        let compressed = paths.iter().flat_map(|path| compressed::siblings(path)).collect();
        let mut seen = self.open_identities();
        let mut candidates: Vec<Candidate> = Vec::new();
        // the second attempt finds files whose names changed during the first one
        for _ in 0..2 {
            let at_paths = listed.iter().filter_map(|path| Some((Some(path.clone()), LogFile::open(path, now).ok()?)));
            let linked = targets().filter_map(|path| LogFile::open(path, now).ok());
            // a file that does not open is not found, and then reported
            let siblings = |path: &&PathBuf| rotated::siblings(path, |_| true, now, &mut FileErrors::new());
            let rotated = paths.iter().flat_map(siblings).chain(linked).map(|file| (None, file));
            candidates.extend(at_paths.chain(rotated).filter(|(_, file)| seen.insert(file.identity)));
            if missing.iter().all(|row| seen.contains(&row.identity)) {
                break;
            }
        }
        (candidates, compressed)
    }

    /// Finds a missing file that no candidate is by its identity. It was truncated or overwritten if a candidate has its
    /// identity, but not its content.
    fn find_by_content(
        &mut self,
        row: usize,
        overwritten: bool,
        candidates: &mut Vec<Candidate>,
        since: SystemTime,
        registry: &SharedRegistry,
        now: Instant,
    ) {
        let TrackedFile { position, path, .. } = &mut self.files[row];
        if let Some(path) = path.as_ref().filter(|_| overwritten) {
            registry.lock().logs[self.index].truncations += 1;
            self.known_paths.remove(path);
            self.search.windows.insert(path.clone(), SearchWindow { since, until: now + SEARCH });
        }
        if position.is_start() {
            // nothing of it was read: it is read from its beginning once it exists, and waited for until then
            if overwritten {
                self.files[row].apply(FileEvent::Dropped);
            }
            return;
        }
        if let Some(at) = candidates.iter().position(|(_, file)| matches!(file.contains(position), Ok(true))) {
            return self.resume_in(row, candidates.swap_remove(at), registry);
        }
        if !overwritten {
            return;
        }
        let copy = candidates.iter().enumerate().find_map(|(at, (_, file))| {
            let in_copy = file.position_in_copy(position).ok()??;
            Some((at, in_copy))
        });
        if let Some((at, in_copy)) = copy {
            let (path, file) = candidates.swap_remove(at);
            let _ = registry.lock().ownership.claim(file.identity, self.index); // no other log has it yet
            self.files[row].continue_in_copy(file, in_copy, path.as_deref());
        }
    }

    /// Continues a missing file in the candidate that is the same file.
    fn resume_in(&mut self, row: usize, (path, file): Candidate, registry: &SharedRegistry) {
        let row = &mut self.files[row];
        if registry.lock().ownership.claim(file.identity, self.index).is_err() {
            row.apply(FileEvent::Dropped);
            return;
        }
        registry.lock().ownership.forget(file.identity);
        row.resumed_from = (!row.position.is_start()).then(|| row.position.to_resumed());
        row.continue_in(file, path.as_deref());
    }

    /// Waits for all missing files while nothing is visible where one of them was.
    fn hide_missing(&mut self, registry: &SharedRegistry) {
        let missing = self.rows(|row| row.status == FileStatus::Missing);
        if missing.iter().all(|row| self.files[*row].reported) || !self.is_nothing_visible() {
            return;
        }
        for row in missing {
            let row = &mut self.files[row];
            row.allow_return(registry);
            row.apply(FileEvent::NothingVisible { reported: row.reported });
        }
        if !std::mem::replace(&mut self.catch_up.wait_reported, true) {
            let source = &registry.lock().logs[self.index].source;
            tracing::info!(source, "waiting for logs that were read before: their directory cannot be read");
        }
        if let Some(compressed) = &mut self.catch_up.compressed {
            compressed.paths.clear(); // listed again once the files are visible
        }
        self.catch_up.places = self.places();
    }

    /// Whether nothing is visible where a missing file was: its directory is missing or unreadable, or has no file of the
    /// log, like a directory on which nothing is mounted.
    fn is_nothing_visible(&self) -> bool {
        let listed = self.log_paths.list();
        let is_glob = self.log_paths.is_glob();
        let has_siblings = |path: &Path| {
            is_glob && listed.iter().any(|(other, _)| directory(other) == directory(path))
                || rotated::has_rotated_file(path)
        };
        let is_hidden = |path: &Path| match LogFile::open(path, Instant::now()) {
            Err(error) if error.kind() == ErrorKind::NotFound => !has_siblings(path),
            opened => opened.is_err(),
        };
        let missing = self.files.iter().filter(|row| row.status == FileStatus::Missing);
        let is_unreadable = is_glob && listed.iter().any(|(_, metadata)| metadata.is_err());
        is_unreadable || missing.filter_map(|row| row.path.as_deref()).chain(self.single_path()).any(is_hidden)
    }

    /// Gives up the missing files that were found nowhere, not even in a compressed log.
    pub(super) fn give_up_missing(&mut self, registry: &SharedRegistry) {
        let missing = self.rows(|row| row.status == FileStatus::Missing);
        if missing.is_empty() {
            return;
        }
        let nothing_visible = self.is_nothing_visible();
        let open = self.open_identities();
        for row in missing {
            let row = &mut self.files[row];
            if row.position.is_start() {
                row.apply(FileEvent::Dropped);
                continue;
            }
            if !open.contains(&row.identity) {
                row.allow_return(registry);
            }
            if !row.reported {
                row.report_lost();
            }
            let is_unreadable = |path: &PathBuf| LogFile::open(path, Instant::now()).is_err();
            let can_return = row.path.as_ref().map_or(nothing_visible, is_unreadable);
            row.apply(FileEvent::NotFound { can_return });
        }
        self.catch_up.places = self.places();
    }
}

impl TrackedFile {
    /// Remembers the position for the case that the file returns.
    fn allow_return(&self, registry: &SharedRegistry) {
        if !self.position.is_start() {
            registry.lock().ownership.close(self.identity, self.position.to_resumed());
        }
    }

    fn report_lost(&mut self) {
        self.reported = true;
        let path = self.path.as_ref().map_or("a rotated log".into(), |path| path.to_string_lossy());
        tracing::warn!(%path, "previously read file not found; its unread lines are lost");
    }
}

//! Continues where an earlier process stopped: finds its files, and waits for those whose directory cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::metrics::registry::SharedRegistry;
use crate::state::SavedSource;
use crate::tail::candidates::{Candidate, Candidates};
use crate::tail::log_file::LogFile;
use crate::tail::log_paths::{LogPaths, directory};
use crate::tail::log_tail::{CATCHING_UP, CompressedLogs, PathVersion, SEARCH, Tail};
use crate::tail::rotated::{FileErrors, Generations, SearchWindow};
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

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
        tail.search(registry, None, now);
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
        if !timed_out && self.path_versions() == self.catch_up.path_versions {
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
    fn path_versions(&self) -> Vec<Option<PathVersion>> {
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
        let rows = missing.iter().map(|row| &self.files[*row]);
        let mut candidates = Candidates::list(&self.log_paths, rows, &self.open_identities(), now);
        let compressed = candidates.compressed();
        self.catch_up.compressed = Some(CompressedLogs { paths: compressed, listed });
        self.known_paths.extend(known);
        // by identity first: two files can have the same first lines
        let mut unmatched = Vec::new();
        for row in missing {
            let TrackedFile { identity, position, .. } = &self.files[row];
            match candidates.take(*identity) {
                // a file that cannot be compared now is recognized by its identity; the next read compares it again
                Some(candidate) if position.is_start() || candidate.1.contains(position).unwrap_or(true) => {
                    self.resume_in(row, candidate, registry);
                }
                found => {
                    unmatched.push((row, found.is_some()));
                    found.into_iter().for_each(|candidate| candidates.put_back(candidate));
                }
            }
        }
        let windows = self.search_paths();
        for (row, overwritten) in unmatched {
            self.find_by_content(row, overwritten, &mut candidates, registry, now);
        }
        // generations that were rotated since can be compressed at any moment, so they are opened before compressed logs
        // are read
        for (path, is_target) in windows {
            let window = SearchWindow { since, until: now + SEARCH, is_target };
            self.search.windows.entry(path).or_insert(window);
        }
        self.hide_missing(registry);
    }

    /// The paths next to which generations may have appeared: the log's paths, and the paths of the earlier process's files.
    /// Each with whether a symbolic link leads to it.
    fn search_paths(&self) -> BTreeMap<PathBuf, bool> {
        let listed = self.log_paths.list().into_iter().filter_map(|(path, metadata)| metadata.is_ok().then_some(path));
        let listed: Vec<_> = listed.chain(self.single_path().map(Path::to_path_buf)).collect();
        let targets =
            listed.iter().filter(|path| path.is_symlink()).filter_map(|path| std::fs::canonicalize(path).ok());
        let mut paths: BTreeMap<_, _> = targets.map(|target| (target, true)).collect();
        for row in &self.files {
            paths.extend(row.path.iter().map(|path| (path.clone(), false)));
            paths.extend(row.origin.iter().map(|origin| (origin.clone(), row.target.is_some())));
        }
        for path in listed {
            paths.entry(path).or_insert(false);
        }
        paths
    }

    /// Finds a missing file by content if no candidate has its identity. It was truncated or overwritten if a candidate
    /// has its identity, but not its content.
    fn find_by_content(
        &mut self,
        row: usize,
        overwritten: bool,
        candidates: &mut Candidates,
        registry: &SharedRegistry,
        now: Instant,
    ) {
        let TrackedFile { position, path, origin, .. } = &mut self.files[row];
        if let Some(path) = path.as_ref().filter(|_| overwritten) {
            registry.lock().logs[self.index].truncations += 1;
            self.known_paths.remove(path);
        }
        if position.is_start() {
            // nothing of it was read: it is read from its beginning once it exists, and waited for until then
            if overwritten {
                self.files[row].apply(FileEvent::Dropped);
            }
            return;
        }
        let is_same = |file: &LogFile| matches!(file.contains(position), Ok(true));
        if let Some(candidate) = candidates.find(origin.as_deref(), now, |file| is_same(file).then_some(())) {
            return self.resume_in(row, candidate.0, registry);
        }
        if !overwritten {
            return;
        }
        let copy = candidates.find(origin.as_deref(), now, |file| file.position_in_copy(position).ok()?);
        if let Some(((path, file), in_copy)) = copy {
            let _ = registry.lock().ownership.take(file.identity, self.index); // no other log has it yet
            self.files[row].continue_in_copy(file, in_copy, path.as_deref());
        }
    }

    /// Continues a missing file in the candidate that is the same file.
    fn resume_in(&mut self, row: usize, (path, file): Candidate, registry: &SharedRegistry) {
        let row = &mut self.files[row];
        if registry.lock().ownership.take(file.identity, self.index).is_err() {
            row.apply(FileEvent::Dropped);
            return;
        }
        registry.lock().ownership.forget(file.identity);
        row.continue_in(file, path.as_deref());
    }

    /// Marks missing files as hidden if nothing is visible at one of their paths.
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
        self.catch_up.path_versions = self.path_versions();
    }

    /// Whether nothing is visible where a missing file was: its directory is missing or unreadable, or has no file of the
    /// log, like a directory on which nothing is mounted.
    fn is_nothing_visible(&self) -> bool {
        let listed = self.log_paths.list();
        let is_glob = self.log_paths.is_glob();
        if is_glob && listed.iter().any(|(_, metadata)| metadata.is_err()) {
            return true;
        }
        let missing = self.files.iter().filter(|row| row.status == FileStatus::Missing);
        let paths: BTreeSet<_> = missing.filter_map(|row| row.path.as_deref()).chain(self.single_path()).collect();
        let generations = Generations::next_to(paths.iter().map(|path| (*path, false)), &mut FileErrors::new());
        let visible: BTreeSet<_> = listed.iter().filter(|_| is_glob).map(|(path, _)| directory(path)).collect();
        let is_hidden = |path: &Path| match LogFile::open(path, Instant::now()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                !generations.has_any(path) && !visible.contains(directory(path))
            }
            opened => opened.is_err(),
        };
        paths.into_iter().any(is_hidden)
    }

    /// Gives up the missing files that were found nowhere, not even in a compressed log.
    pub(super) fn give_up_missing(&mut self, registry: &SharedRegistry) {
        let missing = self.rows(|row| row.status == FileStatus::Missing);
        if missing.is_empty() {
            return;
        }
        let nothing_visible = self.is_nothing_visible();
        let open = self.open_identities();
        for at in missing {
            let row = &mut self.files[at];
            if row.position.is_start() {
                row.apply(FileEvent::Dropped);
                continue;
            }
            if !open.contains(&row.identity) {
                row.allow_return(registry);
            }
            let is_new = !row.reported;
            if is_new {
                row.report_lost();
            }
            let is_unreadable = |path: &PathBuf| LogFile::open(path, Instant::now()).is_err();
            let can_return = row.path.as_ref().map_or(nothing_visible, is_unreadable);
            row.apply(FileEvent::NotFound { can_return });
            if is_new && row.status == FileStatus::GivenUp {
                self.count_lost(at, registry);
            }
        }
        self.catch_up.path_versions = self.path_versions();
    }
}

impl TrackedFile {
    /// Remembers the position for the case that the file returns.
    fn allow_return(&self, registry: &SharedRegistry) {
        if !self.position.is_start() {
            registry.lock().ownership.close(self.identity, &self.position);
        }
    }

    fn report_lost(&mut self) {
        self.reported = true;
        let path = self.path.as_ref().map_or("a rotated log".into(), |path| path.to_string_lossy());
        tracing::warn!(%path, "previously read file not found; its unread lines are lost");
    }
}

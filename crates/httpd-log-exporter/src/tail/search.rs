//! Searches for generations of a log that no pass saw at its path: rotated between two passes, or copied and truncated.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::log_paths::directory;
use crate::tail::log_tail::{SEARCH, Tail};
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated::{self, FileErrors, Generations};
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

impl Tail {
    /// Opens generations that appeared and were rotated between two passes, and reads the compressed ones
    /// if there is a buffer. Returns the error, if there is one: a file that cannot be opened may have lines that are not
    /// counted.
    pub(super) fn search(
        &mut self,
        registry: &SharedRegistry,
        buffer: Option<&mut [u8]>,
        now: Instant,
    ) -> Option<String> {
        if self.search.windows.is_empty() {
            return None;
        }
        let mut faults = FileErrors::new();
        let windows = self.search.windows.iter().map(|(path, window)| (path.as_path(), window.is_target));
        let generations = Generations::next_to(windows, &mut faults);
        self.find_copies(&generations, registry, now, &mut faults);
        let known = self.open_identities();
        let found = rotated::since(&self.search.windows, &generations, &known, now, &mut faults);
        // a copy may have just been created: it is compared once it has content
        let (new_copies, found): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, file)| file.is_new_and_empty(SEARCH));
        let new_copies: BTreeSet<_> = new_copies.into_iter().map(|(path, _)| path).collect();
        self.open_unseen(found, registry, &mut faults);
        if let Some(buffer) = buffer {
            self.search_compressed(&generations, registry, buffer, &mut faults);
        }
        let fault = self.report(&faults, registry);
        self.end_search(&new_copies, registry, now);
        fault
    }

    /// Reads the rotated files whose lines were never seen at the log's path.
    fn open_unseen(&mut self, found: Vec<(PathBuf, LogFile)>, registry: &SharedRegistry, faults: &mut FileErrors) {
        let mut current = BTreeMap::new();
        for (row, file) in self.files.iter().enumerate() {
            current.extend(file.path.as_deref().filter(|_| file.status == FileStatus::Open).map(|path| (path, row)));
            current.extend(file.target.as_deref().filter(|_| file.status.is_open()).map(|target| (target, row)));
        }
        let unseen = found.into_iter().filter_map(|(path, file)| {
            let row = current.get(path.as_path()).map(|row| &self.files[*row]);
            match was_unseen(row, &file) {
                Ok(unseen) => unseen.then_some(Ok((path, file))),
                Err(error) => Some(Err((path, error))),
            }
        });
        for result in unseen.collect::<Vec<_>>() {
            let rest = result.and_then(|(path, file)| match self.continue_in_copy(&path, file, registry) {
                Ok(rest) => Ok((path, rest)),
                Err(error) => Err((path, error)),
            });
            match rest {
                Ok((path, Some(file))) => {
                    if registry.lock().ownership.take(file.identity, self.index).is_err() {
                        continue;
                    }
                    match registry.reopen(&file) {
                        Ok(position) => {
                            registry.lock().logs[self.index].rotations += u64::from(position.is_none());
                            self.files.push(TrackedFile::rotated(file, position.unwrap_or_default(), path));
                        }
                        Err(error) => faults.push((path, error)),
                    }
                }
                Ok((_, None)) => {}
                Err(fault) => faults.push(fault),
            }
        }
    }

    /// Reads the compressed generations that appeared.
    fn search_compressed(
        &mut self,
        generations: &Generations,
        registry: &SharedRegistry,
        buffer: &mut [u8],
        faults: &mut FileErrors,
    ) {
        for (base, path) in generations.all_compressed() {
            let Some(window) = self.search.windows.get(base).copied() else { continue };
            let read = std::fs::metadata(path).and_then(|metadata| {
                let is_young = metadata.created().is_ok_and(|born| born + rotated::COARSE >= window.since);
                let identity = FileIdentity::of(&metadata);
                if is_young
                    && !self.search.examined.contains(&identity)
                    && self.read_compressed_log(path, base, window.since, registry, buffer)?
                {
                    self.search.examined.insert(identity);
                }
                Ok(())
            });
            match read {
                Err(error) if error.kind() != ErrorKind::NotFound => faults.push((path.to_path_buf(), error)),
                _ => {}
            }
        }
    }

    /// Ends the search next to paths whose time is over, except where a copy was just created, where the directory is
    /// missing, or if a file was never checked: it may have been copied and truncated.
    fn end_search(&mut self, new_copies: &BTreeSet<PathBuf>, registry: &SharedRegistry, now: Instant) {
        let unchecked =
            |row: &TrackedFile| row.status == FileStatus::Open && row.file.as_ref().is_some_and(LogFile::is_unchecked);
        let all_checked = !self.files.iter().any(unchecked);
        self.search.windows.retain(|path, window| {
            now < window.until || !all_checked || new_copies.contains(path) || !directory(path).exists()
        });
        if self.search.windows.is_empty() {
            for row in self.rows(|row| matches!(row.status, FileStatus::Truncated | FileStatus::Lost)) {
                self.count_lost(row, registry);
            }
            self.apply_to_all(FileEvent::SearchEnded);
            self.search.reported.clear();
            self.search.examined.clear();
        }
    }

    /// Counts the unread bytes of a generation that is gone.
    pub(super) fn count_lost(&self, row: usize, registry: &SharedRegistry) {
        let row = &self.files[row];
        let bytes = row.unread();
        if bytes > 0 {
            let lost = &mut registry.lock().logs[self.index].lost_bytes;
            *lost = lost.saturating_add(bytes);
            let path = row.origin.as_ref().map_or("a rotated log".into(), |path| path.to_string_lossy());
            tracing::warn!(%path, bytes, "unread lines are lost: the file and its copies are gone");
        }
    }

    /// Searches for the copies of truncated files, and for files of an earlier process.
    fn find_copies(
        &mut self,
        generations: &Generations,
        registry: &SharedRegistry,
        now: Instant,
        faults: &mut FileErrors,
    ) {
        let searched = self.files.iter().filter(|row| row.is_searched());
        let bases: BTreeSet<_> = if searched.clone().any(|row| row.origin.is_none()) {
            self.search.windows.keys().cloned().collect()
        } else {
            searched.filter_map(|row| row.origin.clone()).collect()
        };
        let known = self.open_identities();
        for base in bases {
            for file in rotated::copies(generations.plain(&base), &known, self.last_look, now, faults) {
                if let Err(error) = self.continue_in_copy(&base, file, registry) {
                    faults.push((base.clone(), error));
                }
            }
        }
    }

    /// Continues a searched generation of a path in its copy. Returns the file if it is not a copy of any.
    pub(super) fn continue_in_copy(
        &mut self,
        base: &Path,
        file: LogFile,
        registry: &SharedRegistry,
    ) -> Result<Option<LogFile>, Error> {
        for row in self.files.iter_mut().filter(|row| row.is_searched() && row.comes_from(base)) {
            let Some(position) = file.position_in_copy(&mut row.position)? else { continue };
            if registry.lock().ownership.take(file.identity, self.index).is_ok() {
                row.continue_in_copy(file, position, None);
            } else {
                row.apply(FileEvent::Dropped);
            }
            return Ok(None);
        }
        Ok(Some(file))
    }

    /// Handles the truncation of a file that was read to a position. A copy that was made before has the unread rest.
    pub(super) fn on_truncation(&mut self, row: usize, mut position: ReadPosition, registry: &SharedRegistry) {
        let TrackedFile { identity, origin: Some(path), .. } = &self.files[row] else { return };
        let identity = *identity;
        tracing::info!(path = %path.display(), "log truncated; reading it from its beginning");
        registry.lock().logs[self.index].truncations += 1;
        let mut found = false;
        for copy in self.files.iter_mut().filter(|row| row.status == FileStatus::CopyOf(identity)) {
            let Some(file) = &copy.file else { continue };
            // an unreadable copy still counts as a copy; it is compared when it is readable again
            let in_copy = file.position_in_copy(&mut position).unwrap_or_else(|_| Some(std::mem::take(&mut position)));
            // otherwise it is a copy of newer lines
            if let Some(in_copy) = in_copy {
                copy.position = in_copy;
                copy.apply(FileEvent::Separate);
                found = true;
            }
        }
        if !found {
            let truncated = self.files[row].truncated(position);
            self.files.push(truncated);
        }
    }

    /// Reads a supposed copy as a separate file if it differs from its original. The next pass compares a copy that cannot
    /// be read now.
    pub(super) fn compare_copies(&mut self) {
        for row in self.rows(|row| matches!(row.status, FileStatus::CopyOf(_))) {
            let FileStatus::CopyOf(original) = self.files[row].status else { continue };
            let original = self.open_files().find(|other| other.identity == original);
            if let Some((original, file)) = original.and_then(|original| Some((original, original.file.as_ref()?)))
                && let Some(copy) = &self.files[row].file
                && matches!(copy.may_copy(file, &original.position), Ok(false))
            {
                self.files[row].apply(FileEvent::Separate);
            }
        }
    }

    /// Counts the errors of a search and logs one for each path. Returns the last one.
    fn report(&mut self, faults: &FileErrors, registry: &SharedRegistry) -> Option<String> {
        for (path, error) in faults {
            registry.lock().logs[self.index].open_errors += 1;
            if self.search.reported.insert(path.clone()) {
                let error = permission::explain(path, error, "read");
                tracing::warn!(error, "a rotated log may have lines that are not counted");
            }
        }
        faults.last().map(|(path, error)| permission::explain(path, error, "read"))
    }
}

/// Whether a rotated file has lines that were never seen at its path, where another file is now.
fn was_unseen(current: Option<&TrackedFile>, file: &LogFile) -> Result<bool, Error> {
    // a copy of the file at the path has only lines of that file, until that file is truncated
    match current.and_then(|row| Some((row, row.file.as_ref()?))) {
        Some((row, _)) if file.size()? == 0 => Ok(!row.position.is_start()),
        Some((row, original)) => Ok(!file.may_copy(original, &row.position)?),
        None => Ok(true),
    }
}

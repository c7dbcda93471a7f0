//! Searches for generations of a log that no pass saw at its path: rotated between two passes, or copied and truncated.

use std::collections::BTreeSet;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::log_file::LogFile;
use crate::tail::log_tail::{SEARCH, Tail};
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated::{self, FileErrors};
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

impl Tail {
    /// Opens generations that appeared and were rotated between two passes. Returns the error, if there is one: a file that
    /// cannot be opened may have lines that are not counted.
    pub(super) fn search(&mut self, registry: &SharedRegistry, now: Instant) -> Option<String> {
        if self.search.windows.is_empty() {
            return None;
        }
        let mut faults = FileErrors::new();
        if self.files.iter().any(TrackedFile::is_searched) {
            let paths: Vec<_> = self.search.windows.keys().cloned().collect();
            paths.iter().for_each(|path| self.find_copies(path, registry, now, &mut faults));
        }
        let found = rotated::since(&self.search.windows, &self.open_identities(), now, &mut faults);
        // a copy may be just begun: it is compared once there is something in it
        let (begun, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, file)| file.has_just_begun(SEARCH));
        let begun: BTreeSet<_> = begun.into_iter().map(|(path, _)| path.to_path_buf()).collect();
        let found: Vec<_> = found.into_iter().map(|(path, file)| (path.to_path_buf(), file)).collect();
        let unseen = found.into_iter().filter_map(|(path, file)| match self.was_unseen(&path, &file) {
            Ok(unseen) => unseen.then_some(Ok((path, file))),
            Err(error) => Some(Err((path, error))),
        });
        for result in unseen.collect::<Vec<_>>() {
            let rest =
                result.and_then(|(path, file)| self.continue_in_copy(file, registry).map_err(|error| (path, error)));
            match rest {
                Ok(Some(file)) => {
                    let mut registry = registry.lock();
                    if registry.ownership.claim(file.identity, self.index).is_ok() {
                        registry.logs[self.index].rotations += 1;
                        let (position, status) = (ReadPosition::default(), FileStatus::Rotated);
                        self.files.push(TrackedFile::opened(file, position, status, None));
                    }
                }
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        let fault = self.report(&faults, registry);
        self.end_search(&begun, now);
        fault
    }

    /// Ends the search next to paths whose time is over, except where a copy is just begun, or a file was never checked: it
    /// may have been copied and truncated.
    fn end_search(&mut self, begun: &BTreeSet<PathBuf>, now: Instant) {
        let unchecked =
            |row: &TrackedFile| row.status == FileStatus::Open && row.file.as_ref().is_some_and(LogFile::is_unchecked);
        let all_checked = !self.files.iter().any(unchecked);
        self.search.windows.retain(|path, window| now < window.until || !all_checked || begun.contains(path));
        if self.search.windows.is_empty() {
            self.apply_to_all(FileEvent::SearchEnded);
            self.search.reported.clear();
        }
    }

    /// Whether a rotated file next to a path has lines that were never seen at the path.
    fn was_unseen(&self, path: &Path, file: &LogFile) -> Result<bool, Error> {
        // a copy of the file at the path has no other lines until that is truncated
        let current = self.open_files().find(|row| row.is_at(path));
        match current.and_then(|row| Some((row, row.file.as_ref()?))) {
            Some((row, _)) if file.size()? == 0 => Ok(!row.position.is_start()),
            Some((row, original)) => Ok(!file.may_copy(original, &row.position)?),
            None => Ok(true),
        }
    }

    /// Searches for the copies of truncated files, and for files of an earlier process.
    fn find_copies(&mut self, path: &Path, registry: &SharedRegistry, now: Instant, faults: &mut FileErrors) {
        let open = self.open_identities();
        let copies = rotated::copies(path, self.last_look, now, faults);
        for file in copies.into_iter().filter(|file| !open.contains(&file.identity)) {
            if let Err(error) = self.continue_in_copy(file, registry) {
                faults.push((path.to_path_buf(), error));
            }
        }
    }

    /// Continues a searched generation in its copy. Returns the file if it is not a copy of any.
    fn continue_in_copy(&mut self, file: LogFile, registry: &SharedRegistry) -> Result<Option<LogFile>, Error> {
        for row in self.files.iter_mut().filter(|row| row.is_searched()) {
            let Some(position) = file.position_in_copy(&mut row.position)? else { continue };
            if registry.lock().ownership.claim(file.identity, self.index).is_ok() {
                row.continue_in_copy(file, position, None);
            } else {
                row.apply(FileEvent::Dropped);
            }
            return Ok(None);
        }
        Ok(Some(file))
    }

    /// Handles the truncation of a file that was read to a position. A copy that was made before has the unread rest.
    pub(super) fn on_truncation(
        &mut self,
        row: usize,
        mut position: ReadPosition,
        registry: &SharedRegistry,
        now: Instant,
    ) {
        let TrackedFile { identity, status: FileStatus::Open, path: Some(path), .. } = &self.files[row] else { return };
        let identity = *identity;
        tracing::info!(path = %path.display(), "log truncated; reading it from its beginning");
        let rotation_path = self.files[row].rotation_path().map(Path::to_path_buf);
        registry.lock().logs[self.index].truncations += 1;
        let mut found = false;
        for copy in self.files.iter_mut().filter(|row| row.status == FileStatus::CopyOf(identity)) {
            let Some(file) = &copy.file else { continue };
            // a copy that cannot be read now was one while it could be read; the next read compares it again
            let in_copy = file.position_in_copy(&mut position).unwrap_or_else(|_| Some(std::mem::take(&mut position)));
            // otherwise it is a copy of newer lines
            if let Some(in_copy) = in_copy {
                copy.position = in_copy;
                copy.apply(FileEvent::Separate);
                found = true;
            }
        }
        if !found {
            self.files.push(TrackedFile::truncated(identity, position));
            if let Some(path) = rotation_path {
                self.find_copies(&path, registry, now, &mut FileErrors::new()); // the search repeats this and reports errors
            }
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

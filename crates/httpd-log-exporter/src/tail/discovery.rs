//! Looks up a log's paths: opens new files, and notices renamed, replaced and removed ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::{Instant, SystemTime};

use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::log_tail::{SEARCH, Tail};
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated::{self, SearchWindow};
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

impl Tail {
    /// Looks up the log's paths and opens new files. Returns whether the files are others than before, and the error, if
    /// there is one; open files are kept then.
    pub(super) fn look(&mut self, registry: &SharedRegistry, now: Instant) -> (bool, Option<String>) {
        let looked = SystemTime::now();
        let mut fault = None;
        let mut changed = false;
        // paths at which there is a file, and the files at them
        let mut occupied = BTreeSet::new();
        let mut listed = BTreeSet::new();
        let open = self.rows(|row| row.status.is_open());
        let open: BTreeMap<_, _> = open.into_iter().map(|row| (self.files[row].identity, row)).collect();
        for (path, metadata) in self.log_paths.list() {
            let found = metadata.map(|metadata| FileIdentity::of(&metadata)).and_then(|identity| {
                match open.get(&identity) {
                    _ if listed.contains(&identity) => Ok((identity, false)), // another name of the same file
                    Some(&row) => Ok((identity, self.record_path(row, &path))),
                    None => self.open_new(&path, identity, registry, now),
                }
            });
            match found {
                Ok((identity, new)) => {
                    changed |= new;
                    listed.insert(identity);
                    occupied.insert(path);
                }
                Err(error) => {
                    if error.kind() != ErrorKind::NotFound {
                        registry.lock().logs[self.index].open_errors += 1;
                        occupied.insert(path.clone());
                    }
                    fault = Some(permission::explain_waiting(&path, &error, "open"));
                }
            }
        }
        let is_glob = self.log_paths.is_glob();
        for row in self.files.iter_mut().filter(|row| !listed.contains(&row.identity)) {
            let is_occupied = row.path.as_ref().is_some_and(|path| occupied.contains(path));
            let replaced = is_glob || is_occupied && fault.is_none();
            if row.apply(if replaced { FileEvent::Replaced } else { FileEvent::Vanished })
                && let Some(file) = &mut row.file
            {
                file.wait_from(now);
            }
        }
        if is_glob && fault.is_none() && occupied.is_empty() && !std::mem::replace(&mut self.no_match_logged, true) {
            let source = &registry.lock().logs[self.index].source;
            tracing::info!(source, "no file matches the glob yet; matching files are read when they appear");
        }
        // compressed logs younger than this are new, for the next process too, if this one is killed before it reads them
        if (fault.is_none() || is_glob) && !self.is_catching_up() {
            self.last_look = looked;
        }
        (changed, fault)
    }

    /// Records that a path leads to an open file. Returns whether the file was elsewhere before.
    fn record_path(&mut self, row: usize, path: &Path) -> bool {
        let row = &mut self.files[row];
        if matches!(row.status, FileStatus::Open | FileStatus::CopyOf(_)) && row.path.as_deref() == Some(path) {
            return false;
        }
        row.set_path(path);
        row.apply(FileEvent::AtPath);
        // it was moved here, and may have replaced another file
        self.known_paths.insert(path.to_path_buf());
        self.forget_start_sizes();
        true
    }

    /// Opens the file at a path that was listed with an identity. Returns the file's identity and whether it is new: the
    /// path may lead to another open file by now.
    fn open_new(
        &mut self,
        path: &Path,
        listed: FileIdentity,
        registry: &SharedRegistry,
        now: Instant,
    ) -> Result<(FileIdentity, bool), Error> {
        let file = LogFile::open(path, now)?;
        let identity = file.identity;
        if identity != listed && self.open_files().any(|other| other.identity == identity) {
            return Ok((identity, false));
        }
        // the copy of a truncated file can appear in the glob after the truncation
        let mut file = file;
        let is_glob = self.log_paths.is_glob();
        for base in rotated::base_paths(path).filter(|_| is_glob) {
            match self.continue_in_copy(&base, file, registry)? {
                Some(other) => file = other,
                None => return Ok((identity, true)),
            }
        }
        let original = if is_glob { self.original_of(path, &file)? } else { None };
        {
            let mut registry = registry.lock();
            if let Err(owner) = registry.ownership.take(identity, self.index) {
                let owner = &registry.logs[owner].source;
                return Err(Error::other(format!("it is the same file as in {owner}, and read there")));
            }
        }
        if let Some(original) = original {
            let status = FileStatus::CopyOf(original);
            self.files.push(TrackedFile::opened(file, ReadPosition::default(), status, path));
            return Ok((identity, true));
        }
        let reopened = registry.reopen(&file)?;
        let position = match (reopened, self.start_sizes.get(&identity)) {
            (Some(position), _) => {
                for row in self.files.iter_mut().filter(|row| row.is_unfound() && row.identity == identity) {
                    row.apply(FileEvent::Dropped);
                }
                position
            }
            (None, Some(size)) => file.position_at(*size)?,
            (None, None) => ReadPosition::default(),
        };
        let row = TrackedFile::opened(file, position, FileStatus::Open, path);
        let target = row.target.clone();
        self.files.push(row);
        let is_rotation = !self.known_paths.insert(path.to_path_buf());
        if is_rotation {
            tracing::info!(path = %path.display(), "log rotated");
            registry.lock().logs[self.index].rotations += 1;
            self.forget_start_sizes();
        }
        // earlier generations may have been rotated before they were seen here
        if is_rotation || self.has_looked {
            for (path, is_target) in
                target.into_iter().map(|target| (target, true)).chain([(path.to_path_buf(), false)])
            {
                let since = self.search.windows.get(&path).map_or(self.last_look, |window| window.since);
                self.search.windows.insert(path, SearchWindow { since, until: now + SEARCH, is_target });
            }
        }
        Ok((identity, true))
    }

    /// Forgets sizes at startup: after a rotation, a new file can get the inode of one that existed then.
    fn forget_start_sizes(&mut self) {
        if !self.log_paths.is_glob() {
            self.start_sizes.clear();
        }
    }

    /// The original of a new file in the glob, if that is a copy: its name is a rotated one, and both have the same first lines.
    fn original_of(&self, path: &Path, copy: &LogFile) -> Result<Option<FileIdentity>, Error> {
        let bases: Vec<_> = rotated::base_paths(path).collect();
        // a cheap comparison: there may be thousands of files, and few are rotated ones
        let is_base = |path: &Path| bases.iter().any(|base| base.as_os_str() == path.as_os_str());
        for row in self.files.iter().filter(|row| !bases.is_empty() && row.status == FileStatus::Open) {
            if let (Some(file), Some(original)) = (&row.file, &row.path)
                && is_base(original)
                && leads_to(original, row.identity)?
                && copy.may_copy(file, &row.position)?
            {
                return Ok(Some(row.identity));
            }
        }
        Ok(None)
    }
}

/// Whether a path leads to a file.
fn leads_to(path: &Path, file: FileIdentity) -> Result<bool, Error> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        metadata => metadata.map(|metadata| FileIdentity::of(&metadata) == file),
    }
}

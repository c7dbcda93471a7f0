//! One pass over a log: looks up its files, reads their new lines, and closes finished files.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::header;
use crate::tail::log_file::LogFile;
use crate::tail::log_tail::{GRACE, SEARCH, Tail};
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated::SearchWindow;
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

/// The name of a file without a path in messages.
const ROTATED: &str = "a rotated log";

/// Result of one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassResult {
    /// Whether anything was read, or the files are others than before.
    pub(crate) active: bool,
    /// Whether more can be read immediately.
    pub(crate) more: bool,
}

/// Result of reading all files of a log.
#[derive(Debug, Default)]
struct FilesRead {
    result: PassResult,
    /// Number of bytes left in all files.
    lag: u64,
    /// The last read error.
    fault: Option<String>,
    /// Rows whose file was truncated, and the positions until then.
    truncated: Vec<(usize, ReadPosition)>,
    /// Rows whose file changed while nothing of it had been read.
    changed_unread: Vec<usize>,
}

impl Tail {
    /// Looks up the log's files and reads their new lines.
    pub(crate) fn pass(&mut self, registry: &SharedRegistry, buffer: &mut [u8], now: Instant) -> PassResult {
        self.retry_hidden(registry, now);
        self.read_compressed(registry, buffer);
        let before = self.last_look;
        let (changed, look_fault) = self.look(registry, now);
        let search_fault = self.search(registry, Some(&mut *buffer), now);
        self.compare_copies();
        let FilesRead { mut result, lag, fault, truncated, mut changed_unread } =
            self.read_files(registry, buffer, now);
        result.active |= changed;
        for (row, position) in truncated {
            self.on_truncation(row, position, registry);
            changed_unread.push(row);
        }
        for row in changed_unread.into_iter().map(|row| &self.files[row]) {
            let Some(path) = row.origin.clone() else { continue };
            let window = SearchWindow { since: before, until: now + SEARCH, is_target: row.target.is_some() };
            self.search.windows.entry(path).or_insert(window);
            result.more = true; // there may be copies
        }
        self.close_quiet(registry, now);
        self.remove_forgotten();
        let health = &mut registry.lock().logs[self.index];
        health.lag = lag;
        health.fault = fault.or(look_fault).or(search_fault);
        result
    }

    /// Reads the new lines of all open files, except of copies.
    fn read_files(&mut self, registry: &SharedRegistry, buffer: &mut [u8], now: Instant) -> FilesRead {
        let mut all = FilesRead::default();
        let index = self.index;
        let described = registry.lock().described_stream();
        for row in 0..self.files.len() {
            self.inherit_parts(row);
            let TrackedFile { file, position, size, status, path, origin, target, .. } = &mut self.files[row];
            let Some(file) = file.as_mut().filter(|_| !matches!(status, FileStatus::CopyOf(_))) else { continue };
            let before = all.lag;
            if let Some(container) = described
                && let Err(error) = header::find(file, position, container, registry, buffer)
            {
                registry.lock().logs[index].read_errors += 1;
                all.fault =
                    Some(permission::explain_waiting(path.as_deref().unwrap_or(Path::new(ROTATED)), &error, "read"));
                continue;
            }
            let progress = file.catch_up(position, now, buffer, |position, bytes, left| {
                let mut registry = registry.lock();
                registry.set_log(path.iter().chain(&*origin).chain(&*target).map(PathBuf::as_path));
                registry.read(index, &mut position.lines, &mut position.parts, &mut position.header, bytes);
                registry.logs[index].lag = before + left;
                registry.last_pass = Some(Instant::now());
            });
            match progress {
                Ok(progress) => {
                    all.result.active |= progress.read > 0 || progress.truncated.is_some();
                    all.result.more |= progress.read > 0 && progress.left > 0;
                    all.lag += progress.left;
                    if progress.truncated.is_none() {
                        *size = position.offset + progress.left;
                    }
                    all.truncated.extend(progress.truncated.map(|position| (row, position)));
                    all.changed_unread.extend(progress.changed_unread.then_some(row));
                }
                Err(error) => {
                    let path = path.as_deref().unwrap_or(Path::new(ROTATED));
                    registry.lock().logs[index].read_errors += 1;
                    all.fault = Some(permission::explain_waiting(path, &error, "read"));
                }
            }
        }
        all
    }

    /// Gives a new file the parts of the line with which its predecessor ends: the runtime may rotate a log between two parts.
    fn inherit_parts(&mut self, row: usize) {
        let new = &self.files[row];
        let is_written = |file: &LogFile| file.size().is_ok_and(|size| size > 0);
        if !new.position.is_start() || !new.file.as_ref().is_some_and(is_written) {
            return;
        }
        let is_predecessor = |old: &TrackedFile| {
            !old.position.parts.is_empty() && old.unread() == 0 && old.origin == new.origin && old.path != new.path
        };
        if let Some(old) = self.files[..row].iter().rposition(is_predecessor) {
            self.files[row].position.parts = std::mem::take(&mut self.files[old].position.parts);
        }
    }

    /// Closes files to which nothing is written any more.
    fn close_quiet(&mut self, registry: &SharedRegistry, now: Instant) {
        let index = self.index;
        for row in &mut self.files {
            let Some(file) = &row.file else { continue };
            let is_finished = match row.status {
                FileStatus::Rotated => true,
                // an open file keeps its space on the disk though it is deleted
                FileStatus::Absent => file.is_deleted(),
                _ => false,
            };
            if is_finished && now.saturating_duration_since(file.quiet_since()) >= GRACE {
                let mut position = std::mem::take(&mut row.position);
                let mut registry = registry.lock();
                registry.set_log(row.paths());
                registry.finish(index, &mut position.lines, &mut position.parts, position.header.as_ref());
                registry.ownership.close(row.identity, &position);
                row.apply(FileEvent::Quiet);
            }
        }
    }

    /// Reads everything and closes all files. A last line without its end counts.
    pub(crate) fn read_to_end(mut self, registry: &SharedRegistry, buffer: &mut [u8]) {
        while self.pass(registry, buffer, Instant::now()).more {}
        for row in self.files.iter_mut().filter(|row| row.status.is_open()) {
            let mut position = std::mem::take(&mut row.position);
            let mut registry = registry.lock();
            registry.set_log(row.paths());
            registry.finish(self.index, &mut position.lines, &mut position.parts, position.header.as_ref());
        }
    }

    /// Since when the running search covers files that appeared; the next process continues it.
    pub(crate) fn searched_since(&self) -> Option<SystemTime> {
        self.search.windows.values().map(|window| window.since).min()
    }
}

//! Reads compressed logs after a restart: the unread rest of an earlier process's files, and whole generations.

use std::io::{Error, Read};
use std::path::Path;
use std::time::Instant;

use crate::lines::{self, LineSplitter};
use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::compressed;
use crate::tail::log_tail::Tail;
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

impl Tail {
    /// Whether compressed logs are still to be read, or files are waited for.
    pub(super) fn is_catching_up(&self) -> bool {
        self.catch_up.compressed.as_ref().is_some_and(|compressed| !compressed.paths.is_empty()) || self.is_waiting()
    }

    /// Reads the unread rest of compressed logs. Gives up the missing files that were not found.
    pub(super) fn read_compressed(&mut self, registry: &SharedRegistry, buffer: &mut [u8]) {
        if self.is_waiting() {
            return; // only a part of the files may be visible
        }
        let Some(compressed) = self.catch_up.compressed.take() else { return };
        for path in &compressed.paths {
            if let Err(error) = self.read_compressed_log(path, registry, buffer) {
                registry.lock().logs[self.index].read_errors += 1;
                let error = permission::explain(path, &error, "read");
                tracing::warn!(error, "a compressed log was not read to its end");
            }
        }
        // compressed logs older than this are not read again, even if the log itself is missing
        if !compressed.paths.is_empty() {
            self.last_look = compressed.listed.max(self.last_look);
        }
        for row in &mut self.files {
            row.resumed_from = None;
            if row.status == FileStatus::Closed {
                row.apply(FileEvent::Dropped);
            }
        }
        self.give_up_missing(registry);
    }

    /// Reads the unread lines of one compressed log.
    fn read_compressed_log(&mut self, path: &Path, registry: &SharedRegistry, buffer: &mut [u8]) -> Result<(), Error> {
        let missing = self.rows(|row| row.status == FileStatus::Missing && !row.position.is_start());
        for row in missing {
            let from = self.files[row].position.before_unfinished_line();
            if let Some(log) = compressed::open_at(path, &self.files[row].position.head, &from)? {
                self.files[row].apply(FileEvent::Dropped);
                return self.read_whole(log, from.lines, registry, buffer);
            }
        }
        for position in self.files.iter().filter_map(|row: &TrackedFile| row.resumed_from.as_ref()) {
            if compressed::open_at(path, &position.head, &position.before_unfinished_line())?.is_some() {
                return Ok(()); // the same log is read uncompressed
            }
        }
        if !compressed::is_younger(path, self.last_look)? {
            return Ok(()); // the earlier process read it
        }
        registry.lock().logs[self.index].rotations += 1;
        self.read_whole(compressed::open(path)?, LineSplitter::default(), registry, buffer)
    }

    /// Counts the lines of a compressed log to its end.
    fn read_whole(
        &self,
        mut log: compressed::Decoder,
        mut lines: LineSplitter,
        registry: &SharedRegistry,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        loop {
            let read = log.read(buffer);
            let mut registry = registry.lock();
            let Some(bytes) = read.as_ref().ok().filter(|read| **read > 0).map(|read| &buffer[..*read]) else {
                lines.finish(|line| registry.count_line(self.index, line));
                return read.map(drop);
            };
            lines.feed(bytes, |line| registry.count_line(self.index, line));
            registry.record_time(self.index, lines::last(bytes));
            registry.logs[self.index].read_bytes += bytes.len() as u64;
            registry.last_pass = Some(Instant::now());
        }
    }
}

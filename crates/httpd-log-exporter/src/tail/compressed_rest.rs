//! Reads compressed logs: the unread rest of a generation that was compressed before it was read, and whole generations.

use std::io::{Error, Read};
use std::path::Path;
use std::time::{Instant, SystemTime};

use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::compressed;
use crate::tail::file_ownership::ClosedFile;
use crate::tail::fingerprint::Fingerprint;
use crate::tail::header;
use crate::tail::log_file::FileIdentity;
use crate::tail::log_tail::Tail;
use crate::tail::read_position::ReadPosition;
use crate::tail::tracked_file::FileEvent;

impl Tail {
    /// Whether compressed logs are still to be read, or files are waited for.
    pub(super) fn is_catching_up(&self) -> bool {
        self.catch_up.compressed.as_ref().is_some_and(|compressed| !compressed.paths.is_empty()) || self.is_waiting()
    }

    /// Reads the compressed logs of an earlier process. Gives up the missing files that were not found.
    pub(super) fn read_compressed(&mut self, registry: &SharedRegistry, buffer: &mut [u8]) {
        if self.is_waiting() {
            return; // only a part of the files may be visible
        }
        let Some(compressed) = self.catch_up.compressed.take() else { return };
        for (base, path) in &compressed.paths {
            if let Err(error) = self.read_compressed_log(path, base, self.last_look, registry, buffer) {
                registry.lock().logs[self.index].read_errors += 1;
                let error = permission::explain(path, &error, "read");
                tracing::warn!(error, "a compressed log was not read to its end");
            }
        }
        // compressed logs older than this are not read again, even if the log itself is missing
        if !compressed.paths.is_empty() {
            self.last_look = compressed.listed.max(self.last_look);
        }
        self.give_up_missing(registry);
    }

    /// Reads the lines of a compressed log that were not read before: the rest of a searched or closed generation, or all
    /// of a generation that was written and compressed after a time. Returns false if it is the log of an open file, which
    /// may be truncated by now: then its rest is read once the truncation is noticed.
    pub(super) fn read_compressed_log(
        &mut self,
        path: &Path,
        base: &Path,
        since: SystemTime,
        registry: &SharedRegistry,
        buffer: &mut [u8],
    ) -> Result<bool, Error> {
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(true); // a FIFO or a directory with the name of a log
        }
        let searched = self.rows(|row| row.is_searched() && row.comes_from(base));
        let is_young = compressed::is_younger(path, since)?;
        if searched.is_empty() && !is_young {
            return Ok(true); // the earlier process read it
        }
        let head = compressed::head(path)?;
        for row in searched {
            let position = &self.files[row].position;
            if let Some((log, _)) = compressed::open_after(path, &head, &Fingerprint::before_unfinished_line(position))?
            {
                let position = position.before_unfinished_line();
                self.files[row].apply(FileEvent::Dropped);
                return self.read_rest(log, position, path, base, registry, buffer).map(|()| true);
            }
        }
        if self.is_open(path, &head)? {
            return Ok(false);
        }
        let closed: Vec<_> = registry.lock().ownership.closed().rev().copied().collect();
        for closed in closed {
            if let Some((log, anchor)) = compressed::open_after(path, &head, &closed.content)? {
                let position = ReadPosition { anchor, ..closed.position(head) };
                return self.read_rest(log, position, path, base, registry, buffer).map(|()| true);
            }
        }
        if !is_young {
            return Ok(true);
        }
        registry.lock().logs[self.index].rotations += 1;
        self.read_rest(compressed::open(path)?, ReadPosition::default(), path, base, registry, buffer).map(|()| true)
    }

    /// Whether a compressed log has the content of an open file, or the content that was read of it before it was truncated.
    fn is_open(&self, path: &Path, head: &[u8]) -> Result<bool, Error> {
        for (row, file) in self.open_files().filter_map(|row| Some((row, row.file.as_ref()?))) {
            let read = Fingerprint::before_unfinished_line(&row.position);
            if !row.position.is_start() && compressed::open_after(path, head, &read)?.is_some() {
                return Ok(true);
            }
            if file.has(head, 0)? {
                let (end, size) = compressed::end(path)?;
                if file.has(&end, size - end.len() as u64)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Counts the lines of a compressed log after a position, and remembers how far it was read, also after an error: the
    /// log may still grow, and its lines are not counted again.
    fn read_rest(
        &self,
        mut log: compressed::Decoder,
        mut position: ReadPosition,
        path: &Path,
        base: &Path,
        registry: &SharedRegistry,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let identity = FileIdentity::of(&log.get_ref().get_ref().metadata()?);
        let described = registry.lock().described_stream();
        if let Some(container) = described.filter(|_| position.offset > 0 && position.header.is_none()) {
            let before = compressed::open(path)?.take(position.offset);
            position.header = Some(header::last(before, container, registry, buffer)?);
        }
        loop {
            let read = log.read(buffer);
            let mut registry = registry.lock();
            let Some(bytes) = read.as_ref().ok().filter(|read| **read > 0).map(|read| &buffer[..*read]) else {
                if read.is_ok() {
                    registry.set_log([base]);
                    registry.finish(self.index, &mut position.lines, &mut position.parts, position.header.as_ref());
                }
                registry.ownership.remember(ClosedFile::at(identity, &position));
                return read.map(drop);
            };
            registry.set_log([base]);
            registry.read(self.index, &mut position.lines, &mut position.parts, &mut position.header, bytes);
            position.advance(bytes);
            registry.last_pass = Some(Instant::now());
        }
    }
}

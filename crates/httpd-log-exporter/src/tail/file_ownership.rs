//! Ownership of files: when two configured logs resolve to the same file, the first one reads it. Also remembers the files
//! that were closed, since they may return or be compressed.

use std::collections::{BTreeMap, VecDeque};

use crate::lines::LineSplitter;
use crate::tail::fingerprint::Fingerprint;
use crate::tail::log_file::FileIdentity;
use crate::tail::read_position::ReadPosition;

/// The files of all logs.
#[derive(Debug, Default)]
pub(crate) struct FileOwnership {
    /// The open files, and the index of the log that reads each.
    open: BTreeMap<FileIdentity, usize>,
    closed: VecDeque<ClosedFile>,
}

/// A file that was closed, and how far its complete lines were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedFile {
    pub(crate) identity: FileIdentity,
    pub(crate) content: Fingerprint,
    /// Whether the offset is in a line that is skipped.
    pub(crate) skipping: bool,
}

/// Number of closed files that are remembered.
const CLOSED: usize = 1000;
/// The same for each open file, if that is more.
const CLOSED_PER_OPEN: usize = 2;

impl ClosedFile {
    /// A file whose complete lines were read up to a position.
    pub(crate) fn at(identity: FileIdentity, position: &ReadPosition) -> Self {
        let position = position.before_unfinished_line();
        Self { identity, content: Fingerprint::of(&position), skipping: position.lines.is_skipping() }
    }

    /// The position in a file with these first bytes. Its last bytes are only known as a hash.
    pub(crate) fn position(&self, mut head: Vec<u8>) -> ReadPosition {
        head.truncate(self.content.head.length.into());
        ReadPosition { offset: self.content.offset, head, lines: self.lines(), ..ReadPosition::default() }
    }

    pub(crate) fn lines(&self) -> LineSplitter {
        if self.skipping { LineSplitter::inside_a_line() } else { LineSplitter::default() }
    }
}

impl FileOwnership {
    /// Takes ownership of a file for a log. If another log reads the file, returns that log's index as the error.
    pub(crate) fn take(&mut self, file: FileIdentity, log: usize) -> Result<(), usize> {
        match *self.open.entry(file).or_insert(log) {
            owner if owner == log => Ok(()),
            owner => Err(owner),
        }
    }

    /// Releases a file and remembers the position in it.
    pub(crate) fn close(&mut self, file: FileIdentity, position: &ReadPosition) {
        self.open.remove(&file);
        self.remember(ClosedFile::at(file, position));
        let limit = CLOSED.max(CLOSED_PER_OPEN * self.open.len());
        self.closed.drain(..self.closed.len().saturating_sub(limit));
    }

    /// Remembers a closed file. An older file with other content can have the same identity.
    pub(crate) fn remember(&mut self, file: ClosedFile) {
        if file.content.offset == 0 {
            return;
        }
        self.closed.retain(|known| known.identity != file.identity || known.content.head != file.content.head);
        self.closed.push_back(file);
    }

    /// Forgets the position in a closed file.
    pub(crate) fn forget(&mut self, file: FileIdentity) {
        self.closed.retain(|known| known.identity != file);
    }

    /// The closed files, the last one at the end.
    pub(crate) fn closed(&self) -> impl DoubleEndedIterator<Item = &ClosedFile> {
        self.closed.iter()
    }

    /// Forgets one closed file.
    pub(crate) fn forget_closed(&mut self, file: &ClosedFile) {
        self.closed.retain(|known| known != file);
    }
}

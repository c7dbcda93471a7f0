//! Ownership of files: when two configured logs resolve to the same file, the first one reads it.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::read_position::ReadPosition;

/// The files of all logs.
#[derive(Debug, Default)]
pub(crate) struct FileOwnership {
    /// The open files, and the index of the log that reads each.
    open: BTreeMap<FileIdentity, usize>,
    /// Positions in closed files, which may return.
    closed: VecDeque<(FileIdentity, ReadPosition)>,
}

/// Number of closed files that are remembered.
const CLOSED: usize = 1000;

impl FileOwnership {
    /// Claims a file for a log. If another log reads the file, returns that log's index as the error.
    pub(crate) fn claim(&mut self, file: FileIdentity, log: usize) -> Result<(), usize> {
        match *self.open.entry(file).or_insert(log) {
            owner if owner == log => Ok(()),
            owner => Err(owner),
        }
    }

    /// Releases a file and remembers the position in it.
    pub(crate) fn close(&mut self, file: FileIdentity, position: ReadPosition) {
        self.open.remove(&file);
        self.forget(file);
        self.closed.push_back((file, position));
        self.closed.drain(..self.closed.len().saturating_sub(CLOSED));
    }

    /// Forgets the position in a closed file.
    pub(crate) fn forget(&mut self, file: FileIdentity) {
        self.closed.retain(|(known, _)| *known != file);
    }

    /// The position in a file that was closed before, if the content up to it is unchanged.
    pub(crate) fn reopen(&mut self, file: &LogFile) -> io::Result<Option<ReadPosition>> {
        let Some(at) = self.closed.iter().position(|(known, _)| *known == file.identity) else { return Ok(None) };
        let same = file.contains(&self.closed[at].1)?;
        Ok(if same { self.closed.remove(at).map(|(_, position)| position) } else { None })
    }
}

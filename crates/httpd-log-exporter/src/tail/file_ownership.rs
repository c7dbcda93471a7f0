//! Which log reads which file: one that two logs come to have, through a link made later, is read by the first.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::read_position::ReadPosition;

/// The files of all logs.
#[derive(Debug, Default)]
pub(crate) struct FileOwnership {
    /// Those that are open, with their logs' places in the book.
    open: BTreeMap<FileIdentity, usize>,
    /// How far files were read that are closed: they may come back.
    closed: VecDeque<(FileIdentity, ReadPosition)>,
}

/// How many closed files are remembered.
const CLOSED: usize = 1000;

impl FileOwnership {
    /// FileOwnership a file for a log; if another one reads it, that one's place.
    pub(crate) fn claim(&mut self, file: FileIdentity, log: usize) -> Result<(), usize> {
        match *self.open.entry(file).or_insert(log) {
            owner if owner == log => Ok(()),
            owner => Err(owner),
        }
    }

    /// Notes how far a file was read that is closed.
    pub(crate) fn close(&mut self, file: FileIdentity, position: ReadPosition) {
        self.open.remove(&file);
        self.forget(file);
        self.closed.push_back((file, position));
        self.closed.drain(..self.closed.len().saturating_sub(CLOSED));
    }

    /// Forgets how far a file was read that is closed.
    pub(crate) fn forget(&mut self, file: FileIdentity) {
        self.closed.retain(|(known, _)| *known != file);
    }

    /// How far a file was read before, if it was closed since and is still the same.
    pub(crate) fn reopen(&mut self, file: &LogFile) -> io::Result<Option<ReadPosition>> {
        let Some(at) = self.closed.iter().position(|(known, _)| *known == file.identity) else { return Ok(None) };
        let same = file.contains(&self.closed[at].1)?;
        Ok(if same { self.closed.remove(at).map(|(_, position)| position) } else { None })
    }
}

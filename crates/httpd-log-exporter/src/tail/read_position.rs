//! A position in a file, with the bytes before it that identify the file.

use crate::container::Parts;
use crate::format::w3c::Header;
use crate::lines::LineSplitter;

/// A position in one file.
#[derive(Debug, Default)]
pub(crate) struct ReadPosition {
    /// Number of bytes read from the beginning of the file.
    pub(crate) offset: u64,
    /// First bytes of the file. They identify its copies.
    pub(crate) head: Vec<u8>,
    /// Last bytes before the offset. They differ if the file was truncated and has grown again.
    pub(crate) anchor: Vec<u8>,
    pub(crate) lines: LineSplitter,
    /// The incomplete lines of a container.
    pub(crate) parts: Parts,
    /// The description of the lines after the offset; `None` if it was not searched yet, or the format has none.
    pub(crate) header: Option<Header>,
    /// Number of bytes before the offset to read again: an earlier process read them of an unfinished line.
    pub(crate) reread: u64,
}

/// Number of bytes remembered at the beginning of a file and before the offset.
pub(crate) const REMEMBERED: usize = 256;

impl ReadPosition {
    /// Whether nothing of the file was read.
    pub(crate) fn is_start(&self) -> bool {
        self.offset == 0
    }

    /// Number of bytes before the offset that belong to an unfinished line.
    pub(crate) fn unfinished(&self) -> u64 {
        self.lines.waiting() as u64 + self.reread
    }

    /// Moves the position after bytes that were read there.
    pub(crate) fn advance(&mut self, read: &[u8]) {
        if self.head.len() as u64 == self.offset {
            self.head.extend_from_slice(&read[..read.len().min(REMEMBERED.saturating_sub(self.head.len()))]);
        }
        let new = &read[read.len().saturating_sub(REMEMBERED)..];
        let surplus = (self.anchor.len() + new.len()).saturating_sub(REMEMBERED);
        self.anchor.drain(..surplus);
        self.anchor.extend_from_slice(new);
        self.offset += read.len() as u64;
    }

    /// A copy of the position whose unfinished line is read again.
    pub(crate) fn to_resumed(&self) -> Self {
        Self {
            offset: self.offset,
            head: self.head.clone(),
            anchor: self.anchor.clone(),
            lines: if self.lines.is_skipping() { LineSplitter::inside_a_line() } else { LineSplitter::default() },
            parts: self.parts.clone(),
            header: self.header.clone(),
            reread: self.unfinished(),
        }
    }

    /// A copy of the position at the beginning of the unfinished line.
    pub(crate) fn before_unfinished_line(&self) -> Self {
        let mut position = self.to_resumed();
        let unfinished = std::mem::take(&mut position.reread);
        position.offset -= unfinished.min(position.offset);
        let anchor = position.anchor.len().saturating_sub(usize::try_from(unfinished).unwrap_or(usize::MAX));
        position.anchor.truncate(anchor);
        position.head.truncate(usize::try_from(position.offset).unwrap_or(usize::MAX));
        position
    }
}

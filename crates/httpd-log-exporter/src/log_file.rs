//! One open file of a log: how far it was read, and whether it is still what was read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Instant, SystemTime};

use memchr::memrchr;

use crate::lines::{Line, Lines, MAX_LINE};

/// What a file is, whatever its name. While it is open nobody else gets its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// An open file that is read as it grows.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    pub(crate) identity: Identity,
    /// When it was made, where the file system knows.
    pub(crate) born: Option<SystemTime>,
    offset: u64,
    /// The last bytes before the offset, by which a file is known that was written anew in place.
    anchor: Vec<u8>,
    lines: Lines,
    /// Size and time of the last change when it was last looked at.
    seen: Option<(u64, i64, i64)>,
    /// When it was last seen to grow.
    grew: Instant,
}

/// What a look at a file found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// How much was read.
    pub(crate) read: u64,
    /// How much is left.
    pub(crate) left: u64,
    /// Whether it was cut or written anew, and is read from its beginning.
    pub(crate) truncated: bool,
}

/// How much of a file is remembered to know it again.
const ANCHOR: usize = 256;
/// How much of one file is read before another has its turn.
const TURN: u64 = 16 << 20;

impl Identity {
    /// The identity of what metadata belong to.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl LogFile {
    /// Opens a file to read it from its beginning.
    pub(crate) fn open(path: &Path, now: Instant) -> io::Result<Self> {
        // what is no regular file is not even opened: a FIFO would be waited for
        regular(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        regular(&metadata)?;
        Ok(Self {
            file,
            identity: Identity::of(&metadata),
            born: metadata.created().ok(),
            offset: 0,
            anchor: Vec::new(),
            lines: Lines::default(),
            seen: None,
            grew: now,
        })
    }

    /// Goes to where the file ended when it had this size. A last line that was still being written is
    /// read from its beginning.
    pub(crate) fn go_to(&mut self, size: u64) -> io::Result<()> {
        let mut tail = vec![0; MAX_LINE.min(usize::try_from(size).unwrap_or(MAX_LINE))];
        let start = size - tail.len() as u64;
        match self.file.read_exact_at(&mut tail, start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()), // cut since: all is new
            read => read?,
        }
        match memrchr(b'\n', &tail) {
            Some(end) => {
                self.offset = start + end as u64 + 1;
                tail.truncate(end + 1);
            }
            None if start == 0 => return Ok(()), // all of it is one line
            None => {
                self.offset = size;
                self.lines = Lines::within_a_line();
            }
        }
        self.anchor = tail.split_off(tail.len().saturating_sub(ANCHOR));
        Ok(())
    }

    /// Reads what is new, through `buffer`, and hands over its pieces: with the lines they belong to and
    /// with how much is left behind them.
    pub(crate) fn catch_up(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        mut each: impl FnMut(&mut Lines, &[u8], u64),
    ) -> io::Result<Progress> {
        let metadata = self.file.metadata()?;
        let state = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let mut progress = Progress::default();
        if self.seen != Some(state) {
            if metadata.len() < self.offset || !self.is_what_was_read()? {
                progress.truncated = true;
                self.offset = 0;
                self.anchor.clear();
                self.lines = Lines::default();
            }
            self.seen = Some(state);
        }
        // no further than it was checked for
        while self.offset < metadata.len() && progress.read < TURN {
            let wanted = buffer.len().min(usize::try_from(metadata.len() - self.offset).unwrap_or(usize::MAX));
            let read = match self.file.read_at(&mut buffer[..wanted], self.offset) {
                Ok(0) => break, // cut just now
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.offset += read as u64;
            each(&mut self.lines, &buffer[..read], metadata.len() - self.offset);
            self.remember(&buffer[..read]);
            progress.read += read as u64;
            self.grew = now;
        }
        progress.left = metadata.len().saturating_sub(self.offset);
        Ok(progress)
    }

    /// Since when it has not grown.
    pub(crate) fn quiet_since(&self) -> Instant {
        self.grew
    }

    /// Starts to wait for it to become quiet.
    pub(crate) fn wait_from(&mut self, now: Instant) {
        self.grew = now;
    }

    /// Whether its last name was removed.
    pub(crate) fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Hands over its last line, if that has no end: nobody will write it.
    pub(crate) fn finish(mut self, each: impl FnMut(Line<'_>)) {
        self.lines.finish(each);
    }

    /// Whether what stands before the offset is what was read there.
    fn is_what_was_read(&self) -> io::Result<bool> {
        let mut there = vec![0; self.anchor.len()];
        match self.file.read_exact_at(&mut there, self.offset - self.anchor.len() as u64) {
            Ok(()) => Ok(there == self.anchor),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn remember(&mut self, read: &[u8]) {
        let new = &read[read.len().saturating_sub(ANCHOR)..];
        let surplus = (self.anchor.len() + new.len()).saturating_sub(ANCHOR);
        self.anchor.drain(..surplus);
        self.anchor.extend_from_slice(new);
    }
}

/// Refuses what cannot be followed.
fn regular(metadata: &Metadata) -> io::Result<()> {
    match metadata {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

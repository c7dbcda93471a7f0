//! One open file of a log: how far it was read, and whether it is still what was read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use memchr::memrchr;

use crate::lines::{Line, LineSplitter, MAX_LINE};

/// What a file is, whatever its name. While it is open nobody else gets its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileIdentity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// An open file that is read as it grows.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    pub(crate) identity: FileIdentity,
    /// When it was made, where the file system knows.
    pub(crate) born: Option<SystemTime>,
    /// Its own path, where it was opened through a symbolic link.
    pub(crate) target: Option<PathBuf>,
    pub(crate) position: ReadPosition,
    /// What was to be seen of it when it was opened.
    opened: Sight,
    /// What was to be seen when it was last looked at and known to be what was read.
    seen: Option<Sight>,
    /// When it was last seen to grow.
    grew: Instant,
}

/// Size and time of the last change.
type Sight = (u64, i64, i64);

/// How far a file was read, and by which bytes it is known again.
#[derive(Debug, Default)]
pub(crate) struct ReadPosition {
    pub(crate) offset: u64,
    /// Its first bytes, by which a copy is known.
    pub(crate) head: Vec<u8>,
    /// The last bytes before the offset, by which a file is known that was written anew in place.
    pub(crate) anchor: Vec<u8>,
    pub(crate) lines: LineSplitter,
    /// How many bytes before the offset are read again: an earlier process had them of a line without an end.
    pub(crate) reread: u64,
}

/// What a look at a file found.
#[derive(Debug, Default)]
pub(crate) struct ReadProgress {
    /// How much was read.
    pub(crate) read: u64,
    /// How much is left.
    pub(crate) left: u64,
    /// If it was cut or written anew, and is read from its beginning: how far it was read before.
    pub(crate) truncated: Option<ReadPosition>,
    /// Whether something happened to it since the last look, at which nothing of it was read: it may have been written,
    /// copied, and cut.
    pub(crate) begun: bool,
}

/// How much of a file is remembered to know it again, at its beginning and before the offset.
const REMEMBERED: usize = 256;
/// How much of one file is read before another has its turn.
const TURN: u64 = 16 << 20;

impl FileIdentity {
    /// The identity of what metadata belong to.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl ReadPosition {
    /// Whether a file has what was read before the offset. A file that cannot be read is not another one for that.
    pub(crate) fn is_of(&self, file: &LogFile) -> io::Result<bool> {
        let begin = self.offset - self.anchor.len() as u64;
        Ok(self.offset > 0
            && file.size()? >= self.offset
            && file.has(&self.head, 0)?
            && file.has(&self.anchor, begin)?)
    }

    fn remember(&mut self, read: &[u8]) {
        if self.head.len() as u64 == self.offset {
            self.head.extend_from_slice(&read[..read.len().min(REMEMBERED.saturating_sub(self.head.len()))]);
        }
        let new = &read[read.len().saturating_sub(REMEMBERED)..];
        let surplus = (self.anchor.len() + new.len()).saturating_sub(REMEMBERED);
        self.anchor.drain(..surplus);
        self.anchor.extend_from_slice(new);
        self.offset += read.len() as u64;
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
        file.read_at(&mut [0], 0)?; // what can be opened and not read is no better than what may not be opened
        Ok(Self {
            file,
            identity: FileIdentity::of(&metadata),
            born: metadata.created().ok(),
            target: target(path, FileIdentity::of(&metadata)),
            position: ReadPosition::default(),
            opened: sight(&metadata),
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
        let mut position = ReadPosition { offset: size, ..ReadPosition::default() };
        match memrchr(b'\n', &tail) {
            Some(end) => {
                position.offset = start + end as u64 + 1;
                tail.truncate(end + 1);
            }
            None if start == 0 => return Ok(()), // all of it is one line
            None => position.lines = LineSplitter::inside_a_line(),
        }
        position.anchor = tail.split_off(tail.len().saturating_sub(REMEMBERED));
        position.head = vec![0; REMEMBERED.min(usize::try_from(position.offset).unwrap_or(REMEMBERED))];
        self.file.read_exact_at(&mut position.head, 0)?;
        self.position = position;
        Ok(())
    }

    /// Reads what is new, through `buffer`, and hands over its pieces: with the lines they belong to and
    /// with how much is left behind them.
    pub(crate) fn catch_up(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        mut each: impl FnMut(&mut LineSplitter, &[u8], u64),
    ) -> io::Result<ReadProgress> {
        let metadata = self.file.metadata()?;
        let sight = sight(&metadata);
        let mut progress = ReadProgress::default();
        if self.seen != Some(sight) {
            if metadata.len() < self.position.offset || !self.is_what_was_read()? || !self.step_back()? {
                progress.truncated = Some(std::mem::take(&mut self.position));
            }
            let is_other = self.seen.unwrap_or(self.opened) != sight;
            progress.begun = is_other && self.position.offset == 0 && progress.truncated.is_none();
            self.seen = Some(sight);
        }
        // no further than it was checked for
        while self.position.offset < metadata.len() && progress.read < TURN {
            let left = metadata.len() - self.position.offset;
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match self.file.read_at(&mut buffer[..wanted], self.position.offset) {
                Ok(0) => break, // cut just now
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // cut and grown again beyond this place while it was read: what was read is of another line
            if !self.is_what_was_read()? && self.size()? >= self.position.offset + read as u64 {
                self.seen = None;
                break;
            }
            self.position.remember(&buffer[..read]);
            each(&mut self.position.lines, &buffer[..read], metadata.len() - self.position.offset);
            progress.read += read as u64;
            self.grew = now;
        }
        progress.left = metadata.len().saturating_sub(self.position.offset);
        Ok(progress)
    }

    /// Goes back to the beginning of the line that is read again; false if the file is not the same any more. It has to be
    /// known again from there on, and what stands before that is read before it is compared: it may be cut at any moment.
    fn step_back(&mut self) -> io::Result<bool> {
        if self.position.reread == 0 {
            return Ok(true);
        }
        let offset = self.position.offset.saturating_sub(self.position.reread);
        let length = REMEMBERED.min(usize::try_from(offset).unwrap_or(REMEMBERED));
        let mut anchor = vec![0; length];
        match self.file.read_exact_at(&mut anchor, offset - length as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        let same = self.position.is_of(self)?;
        if same {
            self.position.head.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
            (self.position.offset, self.position.anchor, self.position.reread) = (offset, anchor, 0);
        }
        Ok(same)
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

    /// Whether it begins as another file did: as far as there is anything in it, it may be a copy.
    fn begins_as(&self, position: &ReadPosition) -> io::Result<bool> {
        let both = position.head.len().min(usize::try_from(self.size()?).unwrap_or(usize::MAX));
        self.has(&position.head[..both], 0)
    }

    /// Goes on where another file was read to of which this is a copy, or to its end if it has no more than was read;
    /// false if it is no copy.
    pub(crate) fn goes_on(&mut self, position: &mut ReadPosition) -> io::Result<bool> {
        let size = self.size()?;
        if position.is_of(self)? {
            self.position = std::mem::take(position);
            return Ok(true);
        }
        let is_part = size > 0 && size < position.offset && self.begins_as(position)?;
        if is_part {
            self.go_to(size)?;
        }
        Ok(is_part)
    }

    /// Whether it is a copy of another file, or may be one that is still being made: of what is in that at present, which may
    /// be others than the lines that were read if it was cut since, or of what was read.
    pub(crate) fn may_copy(&self, original: &Self) -> io::Result<bool> {
        if self.born.zip(original.born).is_some_and(|(copy, original)| copy < original) {
            return Ok(false); // it was rotated away before the other one was made
        }
        let (size, position) = (self.size()?, &original.position);
        match position.offset {
            _ if size == 0 || self.is_begin_of(original, size)? => Ok(true),
            0 => Ok(false),
            offset if size < offset => self.begins_as(position),
            _ => position.is_of(self),
        }
    }

    /// Whether another file begins with as much as is in this, by its first and its last bytes.
    fn is_begin_of(&self, other: &Self, size: u64) -> io::Result<bool> {
        let mut part = vec![0; REMEMBERED.min(usize::try_from(size).unwrap_or(REMEMBERED))];
        for at in [0, size - part.len() as u64] {
            match self.file.read_exact_at(&mut part, at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false), // cut just now
                read => read?,
            }
            if !other.has(&part, at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether it was made a moment ago, and is empty.
    pub(crate) fn has_just_begun(&self, moment: Duration) -> bool {
        let age = self.born.and_then(|born| born.elapsed().ok());
        age.is_some_and(|age| age < moment) && self.size().is_ok_and(|size| size == 0)
    }

    /// Whether nobody has looked yet at what is in it.
    pub(crate) fn is_unseen(&self) -> bool {
        self.seen.is_none()
    }

    /// How much is in it at present.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// From now on it cannot be read, as if its disk were broken; or it can be again.
    #[cfg(test)]
    pub(crate) fn break_disk(&mut self, path: &Path, broken: bool) {
        self.file = File::options().read(!broken).write(broken).open(path).unwrap();
    }

    /// Hands over its last line, if that has no end: nobody will write it. And how far it was read.
    pub(crate) fn finish(mut self, each: impl FnMut(Line<'_>)) -> ReadPosition {
        self.position.lines.finish(each);
        self.position
    }

    /// Whether what stands at the beginning and before the offset is what was read there. Either alone may be in another
    /// file, too: long lines are alike in the middle.
    fn is_what_was_read(&self) -> io::Result<bool> {
        Ok(self.has(&self.position.anchor, self.position.offset - self.position.anchor.len() as u64)?
            && self.has(&self.position.head, 0)?)
    }

    fn has(&self, bytes: &[u8], at: u64) -> io::Result<bool> {
        let mut there = vec![0; bytes.len()];
        match self.file.read_exact_at(&mut there, at) {
            Ok(()) => Ok(there == bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn sight(metadata: &Metadata) -> Sight {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Where a symbolic link leads to, if that is still this file.
fn target(path: &Path, identity: FileIdentity) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let target = is_link.then(|| std::fs::canonicalize(path).ok()).flatten()?;
    std::fs::metadata(&target).is_ok_and(|metadata| FileIdentity::of(&metadata) == identity).then_some(target)
}

/// Refuses what cannot be followed.
fn regular(metadata: &Metadata) -> io::Result<()> {
    match metadata {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

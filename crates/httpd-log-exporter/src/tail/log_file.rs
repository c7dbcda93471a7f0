//! One open log file: reads its new bytes, and checks whether the bytes read before are unchanged.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use memchr::memrchr;

use crate::lines::{LineSplitter, MAX_LINE};
use crate::regular_file;
use crate::tail::fingerprint::Fingerprint;
use crate::tail::read_position::{REMEMBERED, ReadPosition};

/// A file's identity, whatever its name. No other file gets the inode while the file is open.
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
    /// When the file was created, if the file system knows.
    pub(crate) born: Option<SystemTime>,
    /// The file's own path, if it was opened through a symbolic link.
    pub(crate) target: Option<PathBuf>,
    /// Version of the file when it was opened.
    opened: FileVersion,
    /// Version of the file at the last successful check of its content.
    checked: Option<FileVersion>,
    /// When the file was last seen to grow.
    grew: Instant,
}

/// Size and time of the last change.
type FileVersion = (u64, i64, i64);

/// Result of one read of a file.
#[derive(Debug, Default)]
pub(crate) struct ReadProgress {
    /// Number of bytes read.
    pub(crate) read: u64,
    /// Number of bytes left.
    pub(crate) left: u64,
    /// The position before the file was truncated or overwritten, if it was. The file is then read from its beginning.
    pub(crate) truncated: Option<ReadPosition>,
    /// Whether the file changed while nothing of it had been read: it may have been written, copied and truncated.
    pub(crate) changed_unread: bool,
}

/// Number of bytes read of one file before the next file is read.
const TURN: u64 = 16 << 20;

impl FileIdentity {
    /// The identity of the file that metadata describe.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl LogFile {
    /// Opens a file to read it from its beginning.
    pub(crate) fn open(path: &Path, now: Instant) -> io::Result<Self> {
        let (file, metadata) = regular_file::open(path)?;
        file.read_at(&mut [0], 0)?; // a file that opens but cannot be read is reported like one that does not open
        Ok(Self {
            file,
            identity: FileIdentity::of(&metadata),
            born: metadata.created().ok(),
            target: link_target(path, FileIdentity::of(&metadata)),
            opened: version(&metadata),
            checked: None,
            grew: now,
        })
    }

    /// The position at the end of the file when it had this size. If the last line was unfinished, the position is at its
    /// beginning.
    pub(crate) fn position_at(&self, size: u64) -> io::Result<ReadPosition> {
        let mut tail = vec![0; MAX_LINE.min(usize::try_from(size).unwrap_or(MAX_LINE))];
        let start = size - tail.len() as u64;
        match self.file.read_exact_at(&mut tail, start) {
            // truncated in the meantime: everything is new
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(ReadPosition::default()),
            read => read?,
        }
        let mut position = ReadPosition { offset: size, ..ReadPosition::default() };
        match memrchr(b'\n', &tail) {
            Some(end) => {
                position.offset = start + end as u64 + 1;
                tail.truncate(end + 1);
            }
            None if start == 0 => return Ok(ReadPosition::default()), // the whole file is one line
            None => position.lines = LineSplitter::inside_a_line(),
        }
        position.anchor = tail.split_off(tail.len().saturating_sub(REMEMBERED));
        position.head = vec![0; REMEMBERED.min(usize::try_from(position.offset).unwrap_or(REMEMBERED))];
        self.file.read_exact_at(&mut position.head, 0)?;
        Ok(position)
    }

    /// The position after a content, if the file starts with it.
    pub(crate) fn position_after(&self, content: &Fingerprint) -> io::Result<Option<ReadPosition>> {
        let &Fingerprint { offset, head, anchor } = content;
        let read = |length: u16, at: u64| {
            let mut bytes = vec![0; length.into()];
            match self.file.read_exact_at(&mut bytes, at) {
                Ok(()) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(error),
            }
        };
        let Some(first) = read(head.length, 0)?.filter(|bytes| head.begins(bytes)) else { return Ok(None) };
        let Some(start) = offset.checked_sub(anchor.length.into()) else { return Ok(None) };
        let Some(last) = read(anchor.length, start)?.filter(|bytes| anchor.begins(bytes)) else { return Ok(None) };
        Ok(Some(ReadPosition { offset, head: first, anchor: last, ..ReadPosition::default() }))
    }

    /// Reads the bytes after a position through `buffer`. Passes each piece to `each`, with the position after it and
    /// the number of bytes left.
    pub(crate) fn catch_up(
        &mut self,
        position: &mut ReadPosition,
        now: Instant,
        buffer: &mut [u8],
        mut each: impl FnMut(&mut ReadPosition, &[u8], u64),
    ) -> io::Result<ReadProgress> {
        let metadata = self.file.metadata()?;
        let version = version(&metadata);
        let mut progress = ReadProgress::default();
        if self.checked != Some(version) {
            if metadata.len() < position.offset || !self.is_unchanged(position)? || !self.step_back(position)? {
                // servers do not describe their lines again after a truncation
                let header = position.header.clone();
                progress.truncated = Some(std::mem::replace(position, ReadPosition { header, ..Default::default() }));
            }
            let is_other = self.checked.unwrap_or(self.opened) != version;
            progress.changed_unread = is_other && position.is_start() && progress.truncated.is_none();
            self.checked = Some(version);
        }
        // bytes beyond this length were not checked
        while position.offset < metadata.len() && progress.read < TURN {
            let left = metadata.len() - position.offset;
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match self.file.read_at(&mut buffer[..wanted], position.offset) {
                Ok(0) => break, // truncated during the read
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            // truncated during the read, and already larger than the position: the bytes are of other lines
            if !self.is_unchanged(position)? && self.size()? >= position.offset + read as u64 {
                self.checked = None;
                break;
            }
            position.advance(&buffer[..read]);
            each(position, &buffer[..read], left - read as u64);
            progress.read += read as u64;
            self.grew = now;
        }
        progress.left = metadata.len().saturating_sub(position.offset);
        Ok(progress)
    }

    /// Moves a position back to the beginning of the line that is read again. Returns false if the bytes read
    /// before have changed. The bytes before the new offset are read before the comparison, since a truncation can follow at any
    /// moment.
    fn step_back(&self, position: &mut ReadPosition) -> io::Result<bool> {
        if position.reread == 0 {
            return Ok(true);
        }
        let offset = position.offset.saturating_sub(position.reread);
        let length = REMEMBERED.min(usize::try_from(offset).unwrap_or(REMEMBERED));
        let mut anchor = vec![0; length];
        match self.file.read_exact_at(&mut anchor, offset - length as u64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        let same = self.contains(position)?;
        if same {
            position.head.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
            (position.offset, position.anchor, position.reread) = (offset, anchor, 0);
        }
        Ok(same)
    }

    /// The content before an offset.
    pub(crate) fn content_before(&self, offset: u64) -> io::Result<impl Read + '_> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(file.take(offset))
    }

    /// When the file last grew, or the wait for it to become quiet started.
    pub(crate) fn quiet_since(&self) -> Instant {
        self.grew
    }

    /// Starts to wait for the file to become quiet.
    pub(crate) fn wait_from(&mut self, now: Instant) {
        self.grew = now;
    }

    /// Whether the file has no name any more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether the file has the bytes that were read before a position. An unreadable file returns an error, since it is
    /// not known to be another file.
    pub(crate) fn contains(&self, position: &ReadPosition) -> io::Result<bool> {
        Ok(!position.is_start() && self.size()? >= position.offset && self.is_unchanged(position)?)
    }

    /// Whether the file has the same first bytes as the file that was read, as far as both have bytes.
    fn has_head_of(&self, position: &ReadPosition) -> io::Result<bool> {
        let both = position.head.len().min(usize::try_from(self.size()?).unwrap_or(usize::MAX));
        self.has(&position.head[..both], 0)
    }

    /// The position in this file at which reading continues, if this is a copy of a file that was read to `original`:
    /// the same position, or the end of a copy that has less. Takes the position if it is the same.
    pub(crate) fn position_in_copy(&self, original: &mut ReadPosition) -> io::Result<Option<ReadPosition>> {
        let size = self.size()?;
        if self.contains(original)? {
            return Ok(Some(std::mem::take(original)));
        }
        let is_part = size > 0 && size < original.offset && self.has_head_of(original)?;
        is_part.then(|| self.position_at(size)).transpose()
    }

    /// Whether the file is a copy of `original`, or may be an unfinished copy: of its current content, which differs from
    /// the lines that were read if it was truncated since, or of the content that was read.
    pub(crate) fn may_copy(&self, original: &Self, position: &ReadPosition) -> io::Result<bool> {
        if self.born.zip(original.born).is_some_and(|(copy, original)| copy < original) {
            return Ok(false); // rotated before the other file was created
        }
        let size = self.size()?;
        match position.offset {
            _ if size == 0 || self.is_beginning_of(original, size)? => Ok(true),
            0 => Ok(false),
            offset if size < offset => self.has_head_of(position),
            _ => self.contains(position),
        }
    }

    /// Whether another file starts with the content of this one, judged by its first and last bytes.
    fn is_beginning_of(&self, other: &Self, size: u64) -> io::Result<bool> {
        let mut part = vec![0; REMEMBERED.min(usize::try_from(size).unwrap_or(REMEMBERED))];
        for at in [0, size - part.len() as u64] {
            match self.file.read_exact_at(&mut part, at) {
                // truncated in the meantime
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
            if !other.has(&part, at)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the file is empty and younger than `age`.
    pub(crate) fn is_new_and_empty(&self, age: Duration) -> bool {
        let elapsed = self.born.and_then(|born| born.elapsed().ok());
        elapsed.is_some_and(|elapsed| elapsed < age) && self.size().is_ok_and(|size| size == 0)
    }

    /// Whether the file's content was never checked.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.checked.is_none()
    }

    /// Current size of the file.
    pub(crate) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Makes reads fail as on a broken disk, or succeed again.
    #[cfg(test)]
    pub(crate) fn break_disk(&mut self, path: &Path, broken: bool) {
        self.file = File::options().read(!broken).write(broken).open(path).unwrap();
    }

    /// Whether the bytes at the beginning and before the offset are unchanged. Both are compared, because long lines can
    /// have the same bytes in the middle.
    fn is_unchanged(&self, position: &ReadPosition) -> io::Result<bool> {
        let anchor = position.offset - position.anchor.len() as u64;
        Ok(self.has(&position.head, 0)? && self.has(&position.anchor, anchor)?)
    }

    /// Whether the file has these bytes at an offset.
    pub(crate) fn has(&self, bytes: &[u8], at: u64) -> io::Result<bool> {
        let mut found = vec![0; bytes.len()];
        match self.file.read_exact_at(&mut found, at) {
            Ok(()) => Ok(found == bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn version(metadata: &Metadata) -> FileVersion {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The target of a symbolic link, if it is still this file.
fn link_target(path: &Path, identity: FileIdentity) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let target = is_link.then(|| std::fs::canonicalize(path).ok()).flatten()?;
    std::fs::metadata(&target).is_ok_and(|metadata| FileIdentity::of(&metadata) == identity).then_some(target)
}

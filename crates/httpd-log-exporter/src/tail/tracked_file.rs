//! One row of a log's table of tracked files, and every change of its status.
//!
//! A row is one generation of the log: the content of one file from its creation or truncation until the next one. Two
//! rows can have the same identity, because a truncated file keeps its inode.
//!
//! | status    | the generation …                                                       | file open | in the state file   |
//! |-----------|------------------------------------------------------------------------|-----------|---------------------|
//! | Open      | is at a path of the log                                                | yes       | yes, with its path  |
//! | Absent    | was at a path that no longer exists                                    | yes       | yes, with its path  |
//! | Rotated   | has lost its path; it is read until it is quiet                        | yes       | yes                 |
//! | CopyOf    | is a copy of another row's file, and not read                          | yes       | no                  |
//! | Truncated | was truncated; the exporter searches for a copy with its unread lines  | no        | yes                 |
//! | Missing   | was read by an earlier process and is searched                         | no        | yes, with its path  |
//! | Hidden    | waits until its directory is readable                                  | no        | yes, with its path  |
//! | GivenUp   | was reported as lost; reading continues if it returns                  | no        | yes, as missing     |
//! | Lost      | was reported as lost; only the running search can find it              | no        | no                  |
//! | Forgotten | has no row any more                                                    | no        | no                  |
//!
//! | event             | Open     | Absent  | Rotated | CopyOf | Truncated | Missing         | Hidden    | GivenUp   | Lost      |
//! |-------------------|----------|---------|---------|--------|-----------|-----------------|-----------|-----------|-----------|
//! | AtPath            | Open     | Open    | Open    | CopyOf |           |                 |           |           |           |
//! | Replaced          | Rotated  | Rotated |         |        |           |                 |           |           |           |
//! | Vanished          | Absent   |         |         |        |           |                 |           |           |           |
//! | Separate          |          |         |         | Open   |           |                 |           |           |           |
//! | Quiet             |          | Forgotten | Forgotten |    |           |                 |           |           |           |
//! | FoundAtPath       |          |         |         |        |           | Open            |           |           |           |
//! | FoundElsewhere    |          |         |         |        | Rotated   | Rotated         |           |           | Rotated   |
//! | NothingVisible    |          |         |         |        |           | Hidden, GivenUp |           |           |           |
//! | Retried           |          |         |         |        |           |                 | Missing   | Missing   |           |
//! | NotFound          |          |         |         |        |           | GivenUp, Lost   |           |           |           |
//! | SearchEnded       |          |         |         |        | Forgotten |                 |           |           | Forgotten |
//! | Dropped           |          |         |         |        | Forgotten | Forgotten       | Forgotten | Forgotten | Forgotten |
//!
//! An event without an entry does not change the status. `FileOwnership` remembers the rows that became quiet.

use std::path::{Path, PathBuf};

use crate::state::saved_file::SavedFile;
use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated;

/// One generation of a log.
#[derive(Debug)]
pub(crate) struct TrackedFile {
    pub(crate) identity: FileIdentity,
    pub(crate) position: ReadPosition,
    pub(crate) status: FileStatus,
    /// The path of the log at which the file is or was last seen. `None` once another file may have that path.
    pub(crate) path: Option<PathBuf>,
    /// The file's own path, if the log's path is a symbolic link.
    pub(crate) target: Option<PathBuf>,
    /// The path next to which rotation puts the file.
    pub(crate) origin: Option<PathBuf>,
    /// Size of the file when it was last looked at.
    pub(crate) size: u64,
    /// The open file, exactly while [`FileStatus::is_open`].
    pub(crate) file: Option<LogFile>,
    /// Whether the file was logged as lost.
    pub(crate) reported: bool,
}

/// Status of a generation; see the table of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileStatus {
    Open,
    Absent,
    Rotated,
    CopyOf(FileIdentity),
    Truncated,
    Missing,
    Hidden,
    GivenUp,
    Lost,
    Forgotten,
}

/// An event in the life of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileEvent {
    /// A path of the log leads to the file.
    AtPath,
    /// Another file is at its path, or no glob matches its path any more.
    Replaced,
    /// Nothing is at its path, or the path cannot be looked up.
    Vanished,
    /// The copy has separate lines: it differs from the original, or the original was truncated.
    Separate,
    /// Nothing was written to it for the grace period.
    Quiet,
    /// Its content is at a path of the log.
    FoundAtPath,
    /// Its content is in a rotated file or a copy.
    FoundElsewhere,
    /// Its directory cannot be read.
    NothingVisible { reported: bool },
    /// Its directory changed, or the wait for it is over.
    Retried,
    /// It was searched everywhere.
    NotFound { can_return: bool },
    /// No search is running any more.
    SearchEnded,
    /// Nothing is left to read.
    Dropped,
}

impl FileStatus {
    /// The status after an event.
    fn after(self, event: FileEvent) -> Self {
        use FileEvent as Event;
        match (self, event) {
            (Self::Open | Self::Absent | Self::Rotated, Event::AtPath) => Self::Open,
            (Self::Open | Self::Absent, Event::Replaced) => Self::Rotated,
            (Self::Open, Event::Vanished) => Self::Absent,
            (Self::CopyOf(_), Event::Separate) => Self::Open,
            (Self::Absent | Self::Rotated, Event::Quiet) => Self::Forgotten,
            (Self::Missing, Event::FoundAtPath) => Self::Open,
            (Self::Truncated | Self::Missing | Self::Lost, Event::FoundElsewhere) => Self::Rotated,
            (Self::Missing, Event::NothingVisible { reported: false }) => Self::Hidden,
            (Self::Missing, Event::NothingVisible { reported: true }) => Self::GivenUp,
            (Self::Hidden | Self::GivenUp, Event::Retried) => Self::Missing,
            (Self::Missing, Event::NotFound { can_return: true }) => Self::GivenUp,
            (Self::Missing, Event::NotFound { can_return: false }) => Self::Lost,
            (Self::Truncated | Self::Lost, Event::SearchEnded) => Self::Forgotten,
            (Self::Truncated | Self::Missing | Self::Hidden | Self::GivenUp | Self::Lost, Event::Dropped) => {
                Self::Forgotten
            }
            (status, _) => status,
        }
    }

    /// Whether the file is held open.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Absent | Self::Rotated | Self::CopyOf(_))
    }
}

impl TrackedFile {
    fn new(identity: FileIdentity, position: ReadPosition, status: FileStatus) -> Self {
        Self {
            identity,
            size: position.offset,
            position,
            status,
            path: None,
            target: None,
            origin: None,
            file: None,
            reported: false,
        }
    }

    /// A row of a file that was just opened at a path of the log.
    pub(crate) fn opened(mut file: LogFile, position: ReadPosition, status: FileStatus, path: &Path) -> Self {
        let (identity, target) = (file.identity, file.target.take());
        Self {
            path: Some(path.to_path_buf()),
            origin: target.clone().or_else(|| Some(path.to_path_buf())),
            target,
            file: Some(file),
            ..Self::new(identity, position, status)
        }
    }

    /// A row of a rotated file that was found next to the log's path, which is `origin`.
    pub(crate) fn rotated(file: LogFile, position: ReadPosition, origin: PathBuf) -> Self {
        let new = Self::new(file.identity, position, FileStatus::Rotated);
        Self { origin: Some(origin), file: Some(file), ..new }
    }

    /// A row of the content that this file had before it was truncated.
    pub(crate) fn truncated(&self, position: ReadPosition) -> Self {
        let new = Self::new(self.identity, position, FileStatus::Truncated);
        Self { origin: self.origin.clone(), size: self.size, ..new }
    }

    /// A row of a file that an earlier process read.
    pub(crate) fn saved(saved: &SavedFile) -> Self {
        Self {
            path: saved.path.clone(),
            target: saved.target.clone(),
            origin: saved.origin().map(Path::to_path_buf),
            size: saved.size.unwrap_or(saved.offset),
            reported: saved.missing,
            ..Self::new(saved.identity(), saved.position(), FileStatus::Missing)
        }
    }

    /// Changes the status after an event. Returns whether the status changed.
    pub(crate) fn apply(&mut self, event: FileEvent) -> bool {
        let before = self.status;
        self.status = before.after(event);
        if self.status == FileStatus::Rotated {
            self.path = None;
        }
        if !self.status.is_open() {
            self.file = None;
        }
        self.status != before
    }

    /// Notes that a path of the log leads to the file. Rotation puts it next to its own path, unless that path is already
    /// a rotated one.
    pub(crate) fn set_path(&mut self, path: &Path) {
        self.path = Some(path.to_path_buf());
        let is_rotated = self.origin.as_ref().is_some_and(|origin| rotated::is_rotation_of(path, origin));
        if !is_rotated {
            self.origin = self.target.clone().or_else(|| self.path.clone());
        }
    }

    /// Continues the generation in a file that was found at a path of the log, or elsewhere.
    pub(crate) fn continue_in(&mut self, mut file: LogFile, path: Option<&Path>) {
        self.identity = file.identity;
        self.target = file.target.take().or(self.target.take());
        self.file = Some(file);
        self.path = None;
        if let Some(path) = path {
            self.set_path(path);
        }
        self.reported = false;
        self.apply(if path.is_some() { FileEvent::FoundAtPath } else { FileEvent::FoundElsewhere });
    }

    /// Continues the generation at a position in a copy.
    pub(crate) fn continue_in_copy(&mut self, file: LogFile, position: ReadPosition, path: Option<&Path>) {
        self.target = None;
        self.position = position;
        self.continue_in(file, path);
    }

    /// Whether a file with the unread rest of the generation is searched.
    pub(crate) fn is_searched(&self) -> bool {
        matches!(self.status, FileStatus::Truncated | FileStatus::Missing | FileStatus::Lost)
            && !self.position.is_start()
    }

    /// Whether the generation is not open, but may be found again.
    pub(crate) fn is_unfound(&self) -> bool {
        matches!(
            self.status,
            FileStatus::Truncated | FileStatus::Missing | FileStatus::Hidden | FileStatus::GivenUp | FileStatus::Lost
        )
    }

    /// Whether rotation can have put the file next to a path.
    pub(crate) fn comes_from(&self, path: &Path) -> bool {
        self.origin.as_deref().is_none_or(|origin| origin == path) || self.path.as_deref() == Some(path)
    }

    /// The paths that the file has or had.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.path.iter().chain(&self.origin).chain(&self.target).map(PathBuf::as_path)
    }

    /// Number of bytes that were seen in the file, but not counted.
    pub(crate) fn unread(&self) -> u64 {
        self.size.saturating_sub(self.position.offset.saturating_sub(self.position.unfinished()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPY: FileStatus = FileStatus::CopyOf(FileIdentity { device: 1, inode: 2 });

    #[test]
    fn only_the_transitions_of_the_table_change_a_status() {
        use FileStatus::{Absent, Forgotten, GivenUp, Hidden, Lost, Missing, Open, Rotated, Truncated};
        let statuses = [Open, Absent, Rotated, COPY, Truncated, Missing, Hidden, GivenUp, Lost, Forgotten];
        let events = [
            (FileEvent::AtPath, vec![(Absent, Open), (Rotated, Open)]),
            (FileEvent::Replaced, vec![(Open, Rotated), (Absent, Rotated)]),
            (FileEvent::Vanished, vec![(Open, Absent)]),
            (FileEvent::Separate, vec![(COPY, Open)]),
            (FileEvent::Quiet, vec![(Absent, Forgotten), (Rotated, Forgotten)]),
            (FileEvent::FoundAtPath, vec![(Missing, Open)]),
            (FileEvent::FoundElsewhere, vec![(Truncated, Rotated), (Missing, Rotated), (Lost, Rotated)]),
            (FileEvent::NothingVisible { reported: false }, vec![(Missing, Hidden)]),
            (FileEvent::NothingVisible { reported: true }, vec![(Missing, GivenUp)]),
            (FileEvent::Retried, vec![(Hidden, Missing), (GivenUp, Missing)]),
            (FileEvent::NotFound { can_return: true }, vec![(Missing, GivenUp)]),
            (FileEvent::NotFound { can_return: false }, vec![(Missing, Lost)]),
            (FileEvent::SearchEnded, vec![(Truncated, Forgotten), (Lost, Forgotten)]),
            (
                FileEvent::Dropped,
                [Truncated, Missing, Hidden, GivenUp, Lost].map(|status| (status, Forgotten)).to_vec(),
            ),
        ];
        for (event, changes) in events {
            for status in statuses {
                let change = changes.iter().find(|(before, _)| *before == status);
                let expected = change.map_or(status, |(_, after)| *after);
                assert_eq!(status.after(event), expected, "{status:?} {event:?}");
            }
        }
    }
}

//! The position in one file, as it is in the state file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::text;
use crate::container::{Part, Parts};
use crate::lines::LineSplitter;
use crate::tail::log_file::FileIdentity;
use crate::tail::read_position::ReadPosition;

/// The position in one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedFile {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// The path of the file, unless it was rotated.
    pub(crate) path: Option<PathBuf>,
    /// The file's own path, if it was opened through a symbolic link.
    #[serde(default)]
    pub(crate) target: Option<PathBuf>,
    pub(crate) offset: u64,
    /// Number of bytes before the offset that belong to an unfinished line.
    pub(super) waiting: usize,
    pub(super) skipping: bool,
    #[serde(with = "text")]
    pub(super) head: Vec<u8>,
    #[serde(with = "text")]
    pub(super) anchor: Vec<u8>,
    /// Whether the log message was written that the file is lost.
    #[serde(default)]
    pub(crate) missing: bool,
    /// The path next to which rotation puts the file.
    #[serde(default)]
    pub(crate) origin: Option<PathBuf>,
    /// Size of the file when it was last looked at.
    #[serde(default)]
    pub(crate) size: Option<u64>,
    /// The incomplete lines of a container: on standard output, and on standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<[SavedPart; 2]>,
}

/// The parts of an incomplete line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPart {
    #[serde(with = "text")]
    pub(super) text: Vec<u8>,
    skipping: bool,
}

impl SavedFile {
    /// How far a file was read, without its paths.
    pub(crate) fn at(FileIdentity { device, inode }: FileIdentity, position: &ReadPosition) -> Self {
        Self {
            device,
            inode,
            path: None,
            target: None,
            offset: position.offset,
            waiting: usize::try_from(position.unfinished()).unwrap_or(usize::MAX),
            skipping: position.lines.is_skipping(),
            head: position.head.clone(),
            anchor: position.anchor.clone(),
            missing: false,
            origin: None,
            size: None,
            parts: (!position.parts.is_empty()).then(|| position.parts.0.clone().map(SavedPart::from)),
        }
    }

    /// The path next to which rotation puts the file. Earlier versions did not save it for a rotated file.
    pub(crate) fn origin(&self) -> Option<&Path> {
        self.origin.as_deref().or(self.target.as_deref()).or(self.path.as_deref())
    }

    /// The file's identity.
    pub(crate) fn identity(&self) -> FileIdentity {
        FileIdentity { device: self.device, inode: self.inode }
    }

    /// The position at which the file is read again.
    pub(crate) fn position(&self) -> ReadPosition {
        let parts = self.parts.clone().map(|parts| Parts(parts.map(Part::from))).unwrap_or_default();
        if self.offset == 0 {
            return ReadPosition { parts, ..ReadPosition::default() };
        }
        ReadPosition {
            offset: self.offset,
            head: self.head.clone(),
            anchor: self.anchor.clone(),
            lines: if self.skipping { LineSplitter::inside_a_line() } else { LineSplitter::default() },
            parts,
            header: None, // it is in the file
            reread: self.waiting as u64,
        }
    }
}

impl From<Part> for SavedPart {
    fn from(Part { text, skipping }: Part) -> Self {
        Self { text, skipping }
    }
}

impl From<SavedPart> for Part {
    fn from(SavedPart { text, skipping }: SavedPart) -> Self {
        Self { text, skipping }
    }
}

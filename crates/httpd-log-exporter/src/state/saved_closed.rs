//! A closed file, as it is in the state file: it may be compressed later, or return.

use serde::{Deserialize, Serialize};

use crate::tail::file_ownership::ClosedFile;
use crate::tail::fingerprint::Fingerprint;
use crate::tail::log_file::FileIdentity;

/// How far a closed file was read, and hashes of its content.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedClosed {
    device: u64,
    inode: u64,
    #[serde(flatten)]
    content: Fingerprint,
    #[serde(default)]
    skipping: bool,
}

impl SavedClosed {
    pub(super) fn of(closed: &ClosedFile) -> Self {
        let &ClosedFile { identity: FileIdentity { device, inode }, content, skipping } = closed;
        Self { device, inode, content, skipping }
    }

    pub(super) fn file(&self) -> ClosedFile {
        let identity = FileIdentity { device: self.device, inode: self.inode };
        ClosedFile { identity, content: self.content, skipping: self.skipping }
    }

    /// Whether an exporter can have written it: the remembered pieces are in the file, and not empty.
    pub(super) fn is_valid(&self) -> bool {
        let Fingerprint { offset, head, anchor } = self.content;
        let fits = |length: u16| u64::from(length) <= offset;
        i64::try_from(offset).is_ok() && head.length > 0 && fits(head.length) && fits(anchor.length)
    }
}

//! The part of a log's table that goes into the state file.

use std::path::PathBuf;

use crate::state::saved_file::SavedFile;
use crate::tail::log_tail::Tail;
use crate::tail::tracked_file::{FileStatus, TrackedFile};

impl Tail {
    /// The files that the next process needs: open ones first, then the searched and missing ones.
    pub(crate) fn saved_files(&self) -> Vec<SavedFile> {
        let open = self.open_files().filter(|row| !matches!(row.status, FileStatus::CopyOf(_)));
        let truncated = self.files.iter().filter(|row| row.status == FileStatus::Truncated && row.is_searched());
        let missing =
            |row: &&TrackedFile| matches!(row.status, FileStatus::Missing | FileStatus::Hidden | FileStatus::GivenUp);
        open.chain(truncated).chain(self.files.iter().filter(missing)).map(saved_file).collect()
    }
}

fn saved_file(row: &TrackedFile) -> SavedFile {
    // JSON has no paths that are not UTF-8
    let utf8 = |path: &Option<PathBuf>| path.clone().filter(|path| path.to_str().is_some());
    let mut saved = SavedFile::at(row.identity, &row.position);
    (saved.path, saved.target, saved.origin) = (utf8(&row.path), utf8(&row.target), utf8(&row.origin));
    (saved.missing, saved.size) = (row.reported, Some(row.size));
    saved
}

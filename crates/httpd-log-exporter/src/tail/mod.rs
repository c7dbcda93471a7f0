//! Follows logs by the identity of their files, not by name: a rotated file is read until it is quiet, and the new file
//! at its path is read from its beginning.
//!
//! [`log_tail::Tail`] is one log. Its table of [`tracked_file::TrackedFile`]s has a row for every generation of the log
//! that is open or searched; `tracked_file` documents the states and transitions of a row. One pass over a log
//! (`pass`) looks up its paths (`discovery`), searches for generations that were rotated or truncated unseen
//! (`search`), and reads. `resume` finds the files that an earlier process read among the `candidates`, `compressed_rest`
//! reads the unread lines of compressed ones, and `snapshot` writes the table to the state file. Closed files are remembered
//! by a `fingerprint` of their content, since they may be compressed later.

mod candidates;
pub(crate) mod compressed;
mod compressed_rest;
mod discovery;
#[cfg(test)]
mod drills;
pub(crate) mod file_ownership;
pub(crate) mod fingerprint;
pub(crate) mod follow;
mod glob;
mod header;
pub(crate) mod log_file;
pub(crate) mod log_paths;
pub(crate) mod log_tail;
mod pass;
pub(crate) mod read_position;
mod resume;
pub(crate) mod rotated;
mod search;
mod snapshot;
pub(crate) mod tracked_file;

pub(crate) use self::log_tail::{CATCHING_UP, StartAt, Tail};
#[cfg(test)]
pub(crate) use self::log_tail::{GRACE, SEARCH};

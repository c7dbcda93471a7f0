//! The lock of a state file: two exporters that write the same one would overwrite each other's counters.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Result, bail};

use super::with_ending;
use crate::regular_file;

/// A locked state file. It is unlocked when this is dropped, or the process exits in any way.
#[derive(Debug)]
pub(crate) struct StateLock {
    /// `None` if the file system has no locks or is not writable.
    _file: Option<File>,
}

impl StateLock {
    /// Locks a state file. The state file itself is replaced by each write, so the lock is on a file next to it.
    ///
    /// # Errors
    ///
    /// Returns an error with the process that holds the lock.
    pub(crate) fn acquire(state_file: &Path) -> Result<Self> {
        let path = with_ending(state_file, ".lock");
        match lock(&path) {
            Ok(file) => Ok(Self { _file: Some(file) }),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error, "cannot lock the state file; continuing without a lock");
                Ok(Self { _file: None })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // the text only explains
                let _ = regular_file::open(&path).and_then(|(mut file, _)| file.read_to_string(&mut holder));
                let holder = if holder.is_empty() { "another process" } else { holder.trim_end() };
                bail!(
                    "--state.file {} is used by {holder}: stop it, or give each exporter its own state file",
                    state_file.display()
                )
            }
        }
    }
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = open.map_err(TryLockError::Error)?;
    file.try_lock()?;
    let name_holder = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        writeln!(file, "process {}", std::process::id())
    };
    name_holder(&mut file).map_err(TryLockError::Error)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_state_file_is_refused_and_the_error_names_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let held = StateLock::acquire(&path).unwrap();
        let error = StateLock::acquire(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("is used by process {}:", std::process::id())), "{error}");
        drop(held);
        StateLock::acquire(&path).unwrap();
    }

    #[test]
    fn without_a_writable_directory_there_is_no_lock() {
        StateLock::acquire(Path::new("/proc/none/state")).unwrap();
    }
}

//! The roots of the kernel's files, `--path.procfs` and `--path.sysfs`, and how a file is read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the kernel's files are.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(crate) procfs: PathBuf,
    pub(crate) sysfs: PathBuf,
}

impl Roots {
    /// The text of a file below procfs; `None` where this host does not have it.
    pub(crate) fn proc(&self, file: &str) -> Result<Option<String>> {
        read(&self.procfs.join(file))
    }

    /// The text of a file below sysfs; `None` where this host does not have it.
    pub(crate) fn sys(&self, file: &str) -> Result<Option<String>> {
        read(&self.sysfs.join(file))
    }
}

/// The text of a file; `None` where it is missing or the kernel does not support it.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    // without O_NONBLOCK a FIFO in place of a file would be waited for
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut text = String::new();
    let read = File::options().read(true).custom_flags(nonblocking).open(path);
    match read.and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn absent(error: &std::io::Error) -> bool {
    // ENOTSUP is what pressure files answer where PSI is off; ENODEV what a CPU answers that has gone
    use rustix::io::Errno;
    let number = error.raw_os_error();
    error.kind() == ErrorKind::NotFound
        || [Errno::OPNOTSUPP, Errno::NODEV, Errno::NXIO].iter().any(|errno| Some(errno.raw_os_error()) == number)
}

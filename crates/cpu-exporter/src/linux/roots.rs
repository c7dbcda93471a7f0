//! The roots of the kernel's files (the flags `--path.*`), and how a file is read.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where the kernel's files are.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(crate) procfs: PathBuf,
    pub(crate) sysfs: PathBuf,
    /// The cgroup to report on, where one was named.
    pub(crate) cgroup: Option<PathBuf>,
}

impl Roots {
    /// The text of a file below procfs; `None` where this host does not have it.
    pub(crate) fn proc(&self, file: &str) -> Result<Option<String>> {
        read(&self.procfs.join(file))
    }

    /// The file that every Linux host has.
    pub(crate) fn proc_stat(&self) -> PathBuf {
        self.procfs.join("stat")
    }

    /// The directory of all CPUs in sysfs.
    pub(crate) fn sys_cpu(&self) -> PathBuf {
        self.sysfs.join("devices/system/cpu")
    }

    /// The directory of each CPU in sysfs, with its number, in their order; none where there is no sysfs.
    pub(crate) fn sys_cpus(&self) -> Result<Vec<(u32, PathBuf)>> {
        let directory = self.sys_cpu();
        let cannot = || format!("cannot list {}", directory.display());
        let entries = match directory.read_dir() {
            Ok(entries) => entries,
            Err(error) if absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(cannot),
        };
        let mut cpus = Vec::new();
        for entry in entries {
            let entry = entry.with_context(cannot)?;
            // besides cpu0, cpu1, … there are cpufreq, cpuidle and files
            let number = entry.file_name().to_str().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
            cpus.extend(number.map(|number| (number, entry.path())));
        }
        cpus.sort_unstable();
        Ok(cpus)
    }
}

/// The text of a file; `None` where it is missing or the kernel does not support it.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    read_at_most(LIMIT, path)
}

/// The same for a file that may be longer than most.
pub(crate) fn read_at_most(limit: u64, path: &Path) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    if !read_into(&mut bytes, limit, path)? {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).with_context(|| format!("{} is not text", path.display()))
}

/// A file that holds one number; `None` where this host does not have it.
pub(crate) fn number(path: &Path) -> Result<Option<u64>> {
    let Some(text) = read(path)? else { return Ok(None) };
    let number = text.trim().parse();
    number.map(Some).with_context(|| format!("{}: not a number: {:?}", path.display(), excerpt(&text)))
}

/// Puts the bytes of a file in `bytes`, in place of what was there; `false` where it is missing or
/// the kernel does not support it.
pub(crate) fn read_into(bytes: &mut Vec<u8>, limit: u64, path: &Path) -> Result<bool> {
    bytes.shrink_to(2 * bytes.len()); // what a far longer file has left is not kept for later ones
    bytes.clear();
    match read_regular(bytes, limit, path) {
        Ok(length) if length as u64 > limit => {
            *bytes = Vec::new();
            bail!("{} is longer than {} KiB: is it a file of the kernel?", path.display(), limit >> 10);
        }
        Ok(_) => Ok(true),
        Err(error) if absent(&error) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Reads a file, of a longer one than the limit a byte more. What stands in place of a file may wait or
/// never end: a FIFO, a device.
fn read_regular(bytes: &mut Vec<u8>, limit: u64, path: &Path) -> std::io::Result<usize> {
    // without O_NONBLOCK opening a FIFO would wait
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    file.take(limit + 1).read_to_end(bytes)
}

/// The beginning of a text, for messages.
pub(crate) fn excerpt(text: &str) -> &str {
    let end = text.trim_end().len().min(60);
    &text[..text.floor_char_boundary(end)]
}

fn absent(error: &std::io::Error) -> bool {
    // ENOTSUP is what pressure files answer where PSI is off; ENODEV what a CPU answers that has gone
    use rustix::io::Errno;
    let number = error.raw_os_error();
    error.kind() == ErrorKind::NotFound
        || [Errno::OPNOTSUPP, Errno::NODEV, Errno::NXIO].iter().any(|errno| Some(errno.raw_os_error()) == number)
}

/// How long a file may be: what stands in its place must not eat the memory. Most are a page at most.
const LIMIT: u64 = 64 << 10;

/// /proc/stat has about 100 bytes for each of 8,192 CPUs at most, and a number for each interrupt.
pub(crate) const STAT_LIMIT: u64 = 2 << 20;

/// No file is longer than /proc/cpuinfo: up to 2 kB for each CPU.
pub(crate) const CPUINFO_LIMIT: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, content).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_as_long_as_the_limit_is_read() {
        let (_directory, path) = file(b"0123\n");
        assert_eq!(read_at_most(5, &path).unwrap().as_deref(), Some("0123\n"));
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_and_leaves_no_buffer() {
        let (_directory, path) = file(&[b'x'; 2049]);
        let mut bytes = Vec::with_capacity(1 << 20);
        let error = read_into(&mut bytes, 2048, &path).unwrap_err();
        assert!(error.to_string().ends_with("/file is longer than 2 KiB: is it a file of the kernel?"), "{error}");
        assert_eq!(bytes.capacity(), 0);
    }

    #[test]
    fn a_buffer_that_has_become_far_too_large_is_given_back() {
        let (_directory, path) = file(&[b'x'; 100_000]);
        let mut bytes = Vec::new();
        assert!(read_into(&mut bytes, STAT_LIMIT, &path).unwrap());
        std::fs::write(&path, "x\n").unwrap();
        for _ in 0..2 {
            assert!(read_into(&mut bytes, STAT_LIMIT, &path).unwrap());
        }
        assert_eq!(bytes, b"x\n");
        assert!(bytes.capacity() < 100, "{}", bytes.capacity());
    }

    #[test]
    fn devices_and_directories_are_not_read() {
        let directory = tempfile::tempdir().unwrap();
        for path in [Path::new("/dev/zero"), Path::new("/dev/null"), directory.path()] {
            assert_eq!(
                format!("{:#}", read(path).unwrap_err()),
                format!("cannot read {}: it is not a regular file", path.display())
            );
        }
    }

    #[test]
    fn a_file_that_is_missing_is_no_fault() {
        assert_eq!(read(Path::new("/nowhere/at/all")).unwrap(), None);
    }
}

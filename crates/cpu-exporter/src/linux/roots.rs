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
    let mut bytes = Vec::new();
    if !read_into(path, &mut bytes)? {
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
pub(crate) fn read_into(path: &Path, bytes: &mut Vec<u8>) -> Result<bool> {
    bytes.clear();
    // without O_NONBLOCK a FIFO in place of a file would be waited for
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(nonblocking).open(path);
    match file.and_then(|file| file.take(LIMIT + 1).read_to_end(bytes)) {
        Ok(length) if length as u64 > LIMIT => bail!("{} is longer than {} MiB", path.display(), LIMIT >> 20),
        Ok(_) => Ok(true),
        Err(error) if absent(&error) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
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

/// No file of the kernel comes near; what stands in its place must not eat the memory. The largest,
/// /proc/cpuinfo, is 1.5 kB for each CPU.
const LIMIT: u64 = 32 << 20;

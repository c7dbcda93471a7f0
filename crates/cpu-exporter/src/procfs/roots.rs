//! The mount points of the kernel's file systems (the flags `--path.*`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::cpuinfo::CpuInfoFile;
use super::file::{LIMIT, is_absent, read};
use super::online::Online;
use super::shared_file::SharedFile;

/// Size limit of /proc/stat: about 100 bytes for each of at most 8,192 CPUs, plus a number for each interrupt.
const STAT_LIMIT: u64 = 2 << 20;

/// Default mount points.
pub(crate) const PROCFS: &str = "/proc";
pub(crate) const SYSFS: &str = "/sys";

/// The mount points, and the files that several collectors read.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(crate) procfs: PathBuf,
    pub(crate) sysfs: PathBuf,
    /// The cgroup to report, if one is configured.
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) stat: Arc<SharedFile>,
    /// The list of online CPUs.
    pub(crate) online: Arc<SharedFile>,
    pub(crate) cpuinfo: Arc<CpuInfoFile>,
}

impl Roots {
    pub(crate) fn new(procfs: impl AsRef<Path>, sysfs: impl AsRef<Path>, cgroup: Option<PathBuf>) -> Self {
        let (procfs, sysfs) = (procfs.as_ref().to_owned(), sysfs.as_ref().to_owned());
        let stat = Arc::new(SharedFile::new(procfs.join("stat"), STAT_LIMIT));
        let online = Arc::new(SharedFile::new(sys_cpu(&sysfs).join("online"), LIMIT));
        // sysinfo always describes this machine, whatever the roots are.
        let this_machine = procfs == Path::new(PROCFS) && sysfs == Path::new(SYSFS);
        let cpuinfo = Arc::new(CpuInfoFile::new(&procfs, this_machine));
        Self { procfs, sysfs, cgroup, stat, online, cpuinfo }
    }

    /// The list of online CPUs, for [`OnlineCache`](super::OnlineCache). The collector `topology` reports its errors.
    pub(crate) async fn online(&self) -> Online {
        self.online.read_unless_it_hangs().await
    }

    /// The text of a file below procfs; `None` if this host does not have it.
    pub(crate) fn proc(&self, file: &str) -> Result<Option<String>> {
        read(&self.procfs.join(file))
    }

    /// The directory of all CPUs in sysfs.
    pub(crate) fn sys_cpu(&self) -> PathBuf {
        sys_cpu(&self.sysfs)
    }

    /// Number and directory of each CPU in sysfs, in ascending order; empty if there is no sysfs.
    pub(crate) fn sys_cpus(&self) -> Result<Vec<(u32, PathBuf)>> {
        let directory = self.sys_cpu();
        let cannot_list = || format!("cannot list {}", directory.display());
        let entries = match directory.read_dir() {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(cannot_list),
        };
        let mut cpus = Vec::new();
        for entry in entries {
            let entry = entry.with_context(cannot_list)?;
            // The directory also contains cpufreq, cpuidle and files.
            let number = entry.file_name().to_str().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
            cpus.extend(number.map(|number| (number, entry.path())));
        }
        cpus.sort_unstable();
        Ok(cpus)
    }
}

fn sys_cpu(sysfs: &Path) -> PathBuf {
    sysfs.join("devices/system/cpu")
}

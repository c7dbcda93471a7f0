//! Finds and reads the cgroups of a host: v1, v2, or both.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::Faults;

use crate::cgroup_files::{Counts, parse_max, parse_stat, parsed, v1_limit};
use crate::procfs::number;
use crate::procfs::stalls::Stalls;

/// The directories of the controllers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    cpu: PathBuf,
    /// `None` for v2, whose cpu.stat contains the usage.
    cpuacct: Option<PathBuf>,
    pressure: Option<PathBuf>,
}

/// One read of all cgroups.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Those without children, and those with children that have a limit, by path.
    pub(super) by_path: BTreeMap<String, Cgroup>,
    /// All with children.
    pub(super) parents: BTreeSet<Identity>,
}

/// Device and inode.
pub(super) type Identity = (u64, u64);

/// The values of one cgroup.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cgroup {
    /// Whether it has no children, or children below the maximum depth.
    pub(super) leaf: bool,
    /// In CPUs.
    pub(super) limit: Option<f64>,
    pub(super) counts: Counts,
    /// Time in which some and all processes waited for a CPU, in µs.
    pub(super) stalls: [Option<u64>; 2],
    pub(super) identity: Identity,
}

/// Number of cgroups that are read. A host with more has a leak, or runs more containers than one kernel supports.
const MAX_CGROUPS: usize = 20_000;

impl Hierarchy {
    /// The hierarchy that counts CPU time below a mount point, usually /sys/fs/cgroup.
    pub(super) fn find(root: &Path) -> Result<Self> {
        let unified =
            |directory: &Path| Self { cpu: directory.to_owned(), cpuacct: None, pressure: Some(directory.to_owned()) };
        if root.join("cgroup.controllers").exists() {
            return Ok(unified(root));
        }
        let hybrid = Some(root.join("unified")).filter(|path| path.join("cgroup.controllers").exists());
        let v1 = |controller: &str| {
            [controller, "cpu,cpuacct", "cpuacct,cpu"].iter().map(|name| root.join(name)).find(|path| path.is_dir())
        };
        match (v1("cpu"), hybrid) {
            (Some(cpu), pressure) => {
                let cpuacct = Some(v1("cpuacct").unwrap_or_else(|| cpu.clone()));
                Ok(Self { cpu, cpuacct, pressure })
            }
            (None, Some(hybrid)) => Ok(unified(&hybrid)),
            (None, None) => bail!("no cgroups in {}: mount the host's and set --path.sysfs", root.display()),
        }
    }

    /// The cgroups down to a depth.
    pub(super) fn cgroups(&self, depth: usize) -> (Cgroups, Faults) {
        let mut cgroups = Cgroups::default();
        let mut faults = Faults::default();
        self.walk(Path::new(""), depth, &mut cgroups, &mut faults);
        (cgroups, faults)
    }

    /// Adds the children of a cgroup, and returns whether it has any; `None` if they cannot be listed.
    fn walk(&self, parent: &Path, depth: usize, into: &mut Cgroups, faults: &mut Faults) -> Option<bool> {
        let children = faults.keep(children(&self.cpu.join(parent)))?;
        for name in &children {
            if into.by_path.len() >= MAX_CGROUPS {
                faults.note(anyhow!(
                    "more than {MAX_CGROUPS} cgroups in {}: the others are not read",
                    self.cpu.display()
                ));
                break;
            }
            let path = parent.join(name);
            let has_children = if depth > 1 { self.walk(&path, depth - 1, into, faults) } else { Some(false) };
            // it may be gone by now
            let Ok(found) = self.cpu.join(&path).metadata() else { continue };
            let identity = (found.dev(), found.ino());
            if has_children == Some(true) {
                into.parents.insert(identity);
            }
            if let Some(cgroup) = self.read(&path, has_children == Some(false), identity, faults) {
                into.by_path.insert(format!("/{}", path.display()), cgroup);
            }
        }
        Some(!children.is_empty())
    }

    /// The values of a cgroup; `None` if it is gone, or if it has children and no limit.
    fn read(&self, path: &Path, leaf: bool, identity: Identity, faults: &mut Faults) -> Option<Cgroup> {
        let directory = self.cpu.join(path);
        let limit = match &self.cpuacct {
            None => parsed(&directory.join("cpu.max"), parse_max).map(Option::flatten),
            Some(_) => v1_limit(&directory.join("cpu.cfs_quota_us"), &directory.join("cpu.cfs_period_us")),
        };
        let limit = faults.keep(limit).flatten();
        if !leaf && limit.is_none() {
            return None;
        }
        let mut counts = faults.keep(parsed(&directory.join("cpu.stat"), parse_stat)).flatten().unwrap_or_default();
        if let Some(cpuacct) = &self.cpuacct {
            let files = [(0, "cpuacct.usage"), (4, "cpuacct.usage_user"), (5, "cpuacct.usage_sys")];
            for (at, file) in files {
                counts[at] = faults.keep(number(&cpuacct.join(path).join(file))).flatten();
            }
        }
        let pressure = self.pressure.as_ref().map(|pressure| pressure.join(path).join("cpu.pressure"));
        let stalls = pressure.and_then(|file| faults.keep(parsed(&file, Stalls::parse)).flatten()).unwrap_or_default();
        let stalls = [stalls.some, stalls.full];
        counts[0].map(|_| Cgroup { leaf, limit, counts, stalls, identity })
    }
}

/// The names of the directories in a directory, in ascending order; none if it is gone.
fn children(directory: &Path) -> Result<Vec<std::ffi::OsString>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", directory.display())),
    };
    // A cgroup that is removed while it is listed is not an error.
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut names: Vec<_> = directories.map(|entry| entry.file_name()).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    /// The cgroups without their identities, which differ.
    fn cgroups(host: &tempfile::TempDir, depth: usize) -> Vec<(String, Cgroup)> {
        let (cgroups, faults) = Hierarchy::find(host.path()).unwrap().cgroups(depth);
        faults.result().unwrap();
        cgroups.by_path.into_iter().map(|(name, cgroup)| (name, Cgroup { identity: (0, 0), ..cgroup })).collect()
    }

    const STAT: &str = "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 1\nthrottled_usec 9\n";
    const COUNTS: Counts = [Some(5_000), Some(7), Some(1), Some(9_000), Some(3_000), Some(2_000)];
    const PRESSURE: &str =
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=8\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=6\n";

    fn cgroup(leaf: bool, limit: Option<f64>) -> Cgroup {
        Cgroup { leaf, limit, counts: COUNTS, stalls: [Some(8), Some(6)], identity: (0, 0) }
    }

    #[test]
    fn v2_services_and_slices_with_a_limit_are_read() {
        let host = host(&[
            ("cgroup.controllers", "cpu\n"),
            ("a.slice/cpu.max", "max 100000\n"),
            ("a.slice/cpu.stat", STAT),
            ("a.slice/x.service/cpu.max", "50000 100000\n"),
            ("a.slice/x.service/cpu.stat", STAT),
            ("a.slice/x.service/cpu.pressure", PRESSURE),
            ("b.slice/cpu.max", "200000 100000\n"),
            ("b.slice/cpu.stat", STAT),
            ("b.slice/cpu.pressure", PRESSURE),
            ("b.slice/y.service/cpu.stat", STAT),
            ("b.slice/y.service/cpu.pressure", PRESSURE),
        ]);
        let expected = [
            ("/a.slice/x.service", cgroup(true, Some(0.5))),
            ("/b.slice", cgroup(false, Some(2.0))),
            ("/b.slice/y.service", cgroup(true, None)),
        ];
        assert_eq!(cgroups(&host, 4), expected.map(|(name, cgroup)| (name.to_owned(), cgroup)));
        assert_eq!(Hierarchy::find(host.path()).unwrap().cgroups(4).0.parents.len(), 2);
        let names: Vec<_> = cgroups(&host, 1).into_iter().map(|(name, cgroup)| (name, cgroup.leaf)).collect();
        assert_eq!(names, [("/a.slice".to_owned(), true), ("/b.slice".to_owned(), true)]);
    }

    #[test]
    fn v1_controllers_and_the_pressure_of_v2_belong_together() {
        let host = host(&[
            ("cpu/x/cpu.stat", "nr_periods 7\nnr_throttled 1\nthrottled_time 9000\n"),
            ("cpu/x/cpu.cfs_quota_us", "50000\n"),
            ("cpu/x/cpu.cfs_period_us", "100000\n"),
            ("cpuacct/x/cpuacct.usage", "5000\n"),
            ("cpuacct/x/cpuacct.usage_user", "3000\n"),
            ("cpuacct/x/cpuacct.usage_sys", "2000\n"),
            ("unified/cgroup.controllers", "\n"),
            ("unified/x/cpu.pressure", PRESSURE),
        ]);
        assert_eq!(cgroups(&host, 4), [("/x".to_owned(), cgroup(true, Some(0.5)))]);
    }

    #[test]
    fn an_invalid_file_loses_only_its_own_values() {
        let host = host(&[
            ("cgroup.controllers", "cpu\n"),
            ("x/cpu.stat", STAT),
            ("x/cpu.max", "x\n"),
            ("x/cpu.pressure", "garbage\n"),
            ("y/cpu.stat", "garbage\n"),
        ]);
        let (cgroups, faults) = Hierarchy::find(host.path()).unwrap().cgroups(1);
        assert!(faults.result().unwrap_err().to_string().starts_with("3 errors"));
        let cgroups = cgroups.by_path;
        assert_eq!((cgroups.len(), cgroups["/x"].counts, cgroups["/x"].stalls), (1, COUNTS, [None, None]));
    }

    #[test]
    fn a_host_without_cgroups_is_an_error() {
        assert!(Hierarchy::find(host(&[]).path()).unwrap_err().to_string().contains("no cgroups in"));
    }
}

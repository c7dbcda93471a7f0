//! How often cores and packages were throttled because of heat: cpu*/thermal_throttle in sysfs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use super::rising::Rising;
use super::roots::{Roots, excerpt, number, read};

/// The thermal throttling of the host's CPUs.
pub(crate) struct Throttle {
    roots: Roots,
    kept: Mutex<Kept>,
}

impl Throttle {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), kept: Mutex::default() }
    }
}

#[async_trait]
impl Collector for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.roots.clone();
        let (throttles, faults) = scrape.blocking(move || Throttles::read(&roots)).await;
        // only assignments happen under the lock: what is kept is whole at any time
        let totals = self.kept.lock().unwrap_or_else(PoisonError::into_inner).add(throttles);
        for family in families(&totals) {
            scrape.add(family);
        }
        faults.result()
    }
}

/// Counts once for each core and package: every CPU of one shows the same, or would if none had been
/// offline. The first CPU that is there tells, as in node_exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Throttles {
    /// By package and core.
    cores: BTreeMap<(u64, u64), Told>,
    packages: BTreeMap<u64, Told>,
}

/// A count, and the CPU that told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    by: u32,
    count: u64,
}

impl Throttles {
    fn read(roots: &Roots) -> (Self, Faults) {
        let mut throttles = Self::default();
        let mut faults = Faults::default();
        for (cpu, directory) in faults.keep(roots.sys_cpus()).unwrap_or_default() {
            // most virtual machines have no such directory, and are done with their CPUs here
            let count = |file| number(&directory.join("thermal_throttle").join(file));
            let core_count = faults.keep(count("core_throttle_count")).flatten();
            let package_count = faults.keep(count("package_throttle_count")).flatten();
            if core_count.is_none() && package_count.is_none() {
                continue;
            }
            let topology = directory.join("topology");
            let package = faults.keep(id(&topology.join("physical_package_id"))).flatten();
            let core = faults.keep(id(&topology.join("core_id"))).flatten();
            let Some((package, core)) = package.zip(core) else { continue };
            if let Some(count) = core_count {
                throttles.cores.entry((package, core)).or_insert(Told { by: cpu, count });
            }
            if let Some(count) = package_count {
                throttles.packages.entry(package).or_insert(Told { by: cpu, count });
            }
        }
        (throttles, faults)
    }
}

/// What keeps the counters from going down when the CPU that told them has gone offline.
#[derive(Debug, Default)]
struct Kept {
    cores: BTreeMap<(u64, u64), Counter>,
    packages: BTreeMap<u64, Counter>,
}

/// A counter, and the CPU that told it last.
#[derive(Debug, Default)]
struct Counter {
    told_by: u32,
    rising: Rising,
}

impl Kept {
    /// The totals after one more read.
    fn add(&mut self, throttles: Throttles) -> Totals {
        Totals { cores: add(&mut self.cores, throttles.cores), packages: add(&mut self.packages, throttles.packages) }
    }
}

fn add<K: Ord + Copy>(kept: &mut BTreeMap<K, Counter>, told: BTreeMap<K, Told>) -> Vec<(K, u64)> {
    let total = |(key, Told { by, count })| {
        let counter = kept.entry(key).or_default();
        if by != counter.told_by {
            counter.told_by = by;
            counter.rising.change_witness();
        }
        (key, counter.rising.add(count))
    };
    told.into_iter().map(total).collect()
}

/// What is exported: counts that never go down.
struct Totals {
    /// By package and core.
    cores: Vec<((u64, u64), u64)>,
    packages: Vec<(u64, u64)>,
}

/// The number of a package or core; `None` where the kernel does not know it, which it shows as -1.
fn id(path: &Path) -> Result<Option<u64>> {
    let Some(text) = read(path)? else { return Ok(None) };
    match text.trim() {
        "-1" => Ok(None),
        text => {
            let id = text.parse();
            id.map(Some).with_context(|| format!("{}: not a number: {:?}", path.display(), excerpt(text)))
        }
    }
}

fn families(totals: &Totals) -> [Family; 2] {
    let mut cores = Family::counter(
        "cpu_exporter_cpu_core_throttles_total",
        "Number of times this CPU core has been throttled.",
        &["package", "core"],
    );
    for ((package, core), count) in &totals.cores {
        cores.push(&[package.to_string(), core.to_string()], *count);
    }
    let mut packages = Family::counter(
        "cpu_exporter_cpu_package_throttles_total",
        "Number of times this CPU package has been throttled.",
        &["package"],
    );
    for (package, count) in &totals.packages {
        packages.push(&[package.to_string()], *count);
    }
    [cores, packages]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysfs(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join("devices/system/cpu").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let roots = Roots { procfs: "/nowhere".into(), sysfs: root.path().to_owned(), cgroup: None };
        (root, roots)
    }

    #[test]
    fn the_threads_of_a_core_are_counted_once() {
        let (_root, roots) = sysfs(&[
            ("cpu0/topology/physical_package_id", "0\n"),
            ("cpu0/topology/core_id", "4\n"),
            ("cpu0/thermal_throttle/core_throttle_count", "5\n"),
            ("cpu0/thermal_throttle/package_throttle_count", "30\n"),
            ("cpu1/topology/physical_package_id", "0\n"),
            ("cpu1/topology/core_id", "4\n"),
            ("cpu1/thermal_throttle/core_throttle_count", "5\n"),
            ("cpu1/thermal_throttle/package_throttle_count", "30\n"),
        ]);
        let (throttles, faults) = Throttles::read(&roots);
        assert!(faults.result().is_ok());
        assert_eq!(throttles.cores, BTreeMap::from([((0, 4), Told { by: 0, count: 5 })]));
        assert_eq!(throttles.packages, BTreeMap::from([(0, Told { by: 0, count: 30 })]));
    }

    #[test]
    fn a_cpu_whose_place_is_unknown_is_left_out() {
        let (_root, roots) = sysfs(&[
            ("cpu0/topology/physical_package_id", "-1\n"),
            ("cpu0/topology/core_id", "0\n"),
            ("cpu0/thermal_throttle/core_throttle_count", "5\n"),
            ("cpu1/thermal_throttle/core_throttle_count", "5\n"),
        ]);
        let (throttles, faults) = Throttles::read(&roots);
        assert!(faults.result().is_ok());
        assert_eq!(throttles, Throttles::default());
    }

    #[test]
    fn an_unreadable_count_costs_only_itself_and_success() {
        let (_root, roots) = sysfs(&[
            ("cpu0/topology/physical_package_id", "0\n"),
            ("cpu0/topology/core_id", "0\n"),
            ("cpu0/thermal_throttle/core_throttle_count/not_a_file", ""),
            ("cpu0/thermal_throttle/package_throttle_count", "30\n"),
        ]);
        let (throttles, faults) = Throttles::read(&roots);
        assert!(faults.result().unwrap_err().to_string().contains("core_throttle_count"));
        assert_eq!(throttles.packages, BTreeMap::from([(0, Told { by: 0, count: 30 })]));
    }

    #[test]
    fn the_count_of_a_core_goes_on_when_another_of_its_cpus_tells_it() {
        let mut kept = Kept::default();
        let mut read = |by, count| {
            let told = Throttles { cores: BTreeMap::from([((0, 4), Told { by, count })]), ..Throttles::default() };
            kept.add(told).cores
        };
        for (cpu, count, total) in [
            (0, 10, 10),
            (1, 4, 10), // CPU 0 is offline; its sibling has counted less
            (1, 6, 12),
            (0, 10, 12), // it is back
            (0, 11, 13),
            (0, 3, 13), // and begins anew
            (0, 4, 14),
            (1, 15, 15), // what the other has seen beyond that did happen
        ] {
            assert_eq!(read(cpu, count), [((0, 4), total)], "CPU {cpu}: {count}");
        }
    }

    #[test]
    fn a_host_without_cpus_in_sysfs_has_no_throttles() {
        let (_root, roots) = sysfs(&[("online", "0\n")]);
        assert!(Throttles::read(&roots).1.result().is_ok());
        let nowhere = Roots { sysfs: "/nowhere".into(), ..roots };
        assert!(Throttles::read(&nowhere).1.result().is_ok());
    }
}

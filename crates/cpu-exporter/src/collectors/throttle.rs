//! Collector `throttle`: thermal throttling of cores and packages, from cpu*/thermal_throttle in sysfs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::monotonic_counter::MonotonicCounter;
use crate::procfs::{Roots, excerpt, number, read};

/// Thermal throttling of the host's CPUs.
pub(super) struct ThrottleCollector {
    roots: Roots,
    counters: Mutex<ThrottleCounters>,
}

impl ThrottleCollector {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for ThrottleCollector {
    fn name(&self) -> &'static str {
        "throttle"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.roots.clone();
        let (throttles, faults) = scrape.blocking(move || Throttles::read(&roots)).await;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let totals = self.counters.lock().unwrap_or_else(PoisonError::into_inner).add(throttles);
        for family in families(&totals) {
            scrape.add(family);
        }
        faults.result()
    }
}

/// One count for each core and package. All CPUs of a core have the same count unless one was offline, so the lowest
/// CPU number is read, like in node_exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Throttles {
    /// By package and core.
    cores: BTreeMap<(u64, u64), Reading>,
    packages: BTreeMap<u64, Reading>,
}

/// A count and the CPU it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    cpu: u32,
    count: u64,
}

impl Throttles {
    fn read(roots: &Roots) -> (Self, Faults) {
        let mut throttles = Self::default();
        let mut faults = Faults::default();
        for (cpu, directory) in faults.keep(roots.sys_cpus()).unwrap_or_default() {
            // Most virtual machines lack this directory, so their topology is not read.
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
                throttles.cores.entry((package, core)).or_insert(Reading { cpu, count });
            }
            if let Some(count) = package_count {
                throttles.packages.entry(package).or_insert(Reading { cpu, count });
            }
        }
        (throttles, faults)
    }
}

/// Keeps the counters monotonic when the CPU they were read from goes offline.
#[derive(Debug, Default)]
struct ThrottleCounters {
    cores: BTreeMap<(u64, u64), Counter>,
    packages: BTreeMap<u64, Counter>,
}

/// A counter and the CPU it was last read from.
#[derive(Debug, Default)]
struct Counter {
    cpu: u32,
    count: MonotonicCounter,
}

impl ThrottleCounters {
    /// Adds one read and returns the totals.
    fn add(&mut self, throttles: Throttles) -> Totals {
        Totals { cores: add(&mut self.cores, throttles.cores), packages: add(&mut self.packages, throttles.packages) }
    }
}

fn add<K: Ord + Copy>(counters: &mut BTreeMap<K, Counter>, readings: BTreeMap<K, Reading>) -> Vec<(K, u64)> {
    let total = |(key, Reading { cpu, count })| {
        let counter = counters.entry(key).or_default();
        if cpu != counter.cpu {
            counter.cpu = cpu;
            counter.count.change_source();
        }
        (key, counter.count.add(count))
    };
    readings.into_iter().map(total).collect()
}

/// The exported counts, which never decrease.
struct Totals {
    /// By package and core.
    cores: Vec<((u64, u64), u64)>,
    packages: Vec<(u64, u64)>,
}

/// The number of a package or core; `None` if the kernel does not know it and reports -1.
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
        let roots = Roots::new("/nowhere", root.path(), None);
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
        assert_eq!(throttles.cores, BTreeMap::from([((0, 4), Reading { cpu: 0, count: 5 })]));
        assert_eq!(throttles.packages, BTreeMap::from([(0, Reading { cpu: 0, count: 30 })]));
    }

    #[test]
    fn a_cpu_without_a_known_package_is_skipped() {
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
    fn an_unreadable_count_loses_only_its_own_value_and_success() {
        let (_root, roots) = sysfs(&[
            ("cpu0/topology/physical_package_id", "0\n"),
            ("cpu0/topology/core_id", "0\n"),
            ("cpu0/thermal_throttle/core_throttle_count/not_a_file", ""),
            ("cpu0/thermal_throttle/package_throttle_count", "30\n"),
        ]);
        let (throttles, faults) = Throttles::read(&roots);
        assert!(faults.result().unwrap_err().to_string().contains("core_throttle_count"));
        assert_eq!(throttles.packages, BTreeMap::from([(0, Reading { cpu: 0, count: 30 })]));
    }

    #[test]
    fn the_count_of_a_core_continues_from_another_of_its_cpus() {
        let mut counters = ThrottleCounters::default();
        let mut read = |cpu, count| {
            let throttles =
                Throttles { cores: BTreeMap::from([((0, 4), Reading { cpu, count })]), ..Throttles::default() };
            counters.add(throttles).cores
        };
        for (cpu, count, total) in [
            (0, 10, 10),
            (1, 4, 10), // CPU 0 is offline; its sibling has a lower count
            (1, 6, 12),
            (0, 10, 12), // CPU 0 is online again
            (0, 11, 13),
            (0, 3, 13), // and restarted its count
            (0, 4, 14),
            (1, 15, 15), // the excess of the other CPU over the total is real
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

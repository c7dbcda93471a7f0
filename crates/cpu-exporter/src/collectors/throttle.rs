//! Collector `throttle`: thermal throttling of cores and packages, from cpu*/thermal_throttle in sysfs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::monotonic_counter::MonotonicCounter;
use crate::procfs::{OnlineCache, Roots, excerpt, number, read};
use crate::settings::Settings;

/// Thermal throttling of the host's CPUs.
pub(super) struct ThrottleCollector {
    settings: Settings,
    throttle_files: Arc<OnlineCache<Vec<ThrottleFiles>>>,
    counters: Mutex<ThrottleCounters>,
}

impl ThrottleCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), throttle_files: Arc::default(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for ThrottleCollector {
    fn name(&self) -> &'static str {
        "throttle"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.settings.roots.clone();
        let online = roots.online().await;
        let (throttle_files, faults) =
            self.throttle_files.get(scrape, &online, move |faults| ThrottleFiles::all(&roots, faults)).await;
        let (throttles, faults) = match throttle_files.is_empty() {
            true => (Throttles::default(), faults),
            false => scrape.blocking(move || Throttles::read(&throttle_files, faults)).await,
        };
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let each = self.settings.exports_each_of(throttles.cores.len());
        let totals = counters.add(throttles);
        let cores = if each { cores(&totals) } else { counters.cores_by_package() };
        drop(counters);
        for family in [cores, packages(&totals)] {
            scrape.add(self.settings.names.apply(family));
        }
        faults.result()
    }
}

/// The throttle counts of one CPU that are read.
#[derive(Debug)]
struct ThrottleFiles {
    cpu: u32,
    directory: PathBuf,
    package: u64,
    core: u64,
    /// Whether this is the first CPU with a count of its core.
    of_core: bool,
    /// Whether this is the first CPU with a count of its package.
    of_package: bool,
}

impl ThrottleFiles {
    /// The first CPU of each core and package.
    fn all(roots: &Roots, faults: &mut Faults) -> Vec<Self> {
        let (mut cores, mut packages) = (BTreeSet::new(), BTreeSet::new());
        let mut throttle_files = Vec::new();
        for (cpu, path) in faults.keep(roots.sys_cpus()).unwrap_or_default() {
            // Most virtual machines lack this directory, so their topology is not read.
            let directory = path.join("thermal_throttle");
            let mut exists = |file| {
                let path = directory.join(file);
                faults.keep(path.try_exists().with_context(|| format!("cannot read {}", path.display()))) == Some(true)
            };
            let (has_core, has_package) = (exists(CORE_COUNT), exists(PACKAGE_COUNT));
            if !has_core && !has_package {
                continue;
            }
            let topology = path.join("topology");
            let package = faults.keep(id(&topology.join("physical_package_id"))).flatten();
            let core = faults.keep(id(&topology.join("core_id"))).flatten();
            let Some((package, core)) = package.zip(core) else { continue };
            let of_core = has_core && cores.insert((package, core));
            let of_package = has_package && packages.insert(package);
            if of_core || of_package {
                throttle_files.push(Self { cpu, directory, package, core, of_core, of_package });
            }
        }
        throttle_files
    }
}

const CORE_COUNT: &str = "core_throttle_count";
const PACKAGE_COUNT: &str = "package_throttle_count";

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
    fn read(throttle_files: &[ThrottleFiles], mut faults: Faults) -> (Self, Faults) {
        let mut throttles = Self::default();
        for ThrottleFiles { cpu, directory, package, core, of_core, of_package } in throttle_files {
            let mut count = |wanted: &bool, file| {
                let count = wanted.then(|| faults.keep(number(&directory.join(file))).flatten()).flatten();
                count.map(|count| Reading { cpu: *cpu, count })
            };
            throttles.cores.extend(count(of_core, CORE_COUNT).map(|count| ((*package, *core), count)));
            throttles.packages.extend(count(of_package, PACKAGE_COUNT).map(|count| (*package, count)));
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

    /// The counts of all cores seen so far, summed by package, for hosts with many cores.
    fn cores_by_package(&self) -> Family {
        let mut sums = BTreeMap::<u64, u64>::new();
        for ((package, _), counter) in &self.cores {
            let sum = sums.entry(*package).or_default();
            *sum = sum.saturating_add(counter.count.total());
        }
        let mut family = Family::counter(CORES.0, CORES.1, &["package"]);
        for (package, count) in sums {
            family.push(&[package.to_string()], count);
        }
        family
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

/// Name and HELP of the counts of cores.
const CORES: (&str, &str) =
    ("cpu_exporter_cpu_core_throttles_total", "Number of times this CPU core has been throttled.");

fn cores(totals: &Totals) -> Family {
    let mut family = Family::counter(CORES.0, CORES.1, &["package", "core"]);
    for ((package, core), count) in &totals.cores {
        family.push(&[package.to_string(), core.to_string()], *count);
    }
    family
}

fn packages(totals: &Totals) -> Family {
    let mut family = Family::counter(
        "cpu_exporter_cpu_package_throttles_total",
        "Number of times this CPU package has been throttled.",
        &["package"],
    );
    for (package, count) in &totals.packages {
        family.push(&[package.to_string()], *count);
    }
    family
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

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

    fn read(roots: &Roots) -> (Throttles, Faults) {
        let mut faults = Faults::default();
        let throttle_files = ThrottleFiles::all(roots, &mut faults);
        Throttles::read(&throttle_files, faults)
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
        let (throttles, faults) = read(&roots);
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
        let (throttles, faults) = read(&roots);
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
        let (throttles, faults) = read(&roots);
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
    fn many_cores_are_summed_by_package_and_the_sum_does_not_decrease() {
        let mut counters = ThrottleCounters::default();
        let mut read = |cores: &[(u64, u64, u64)]| {
            let reading = |&(package, core, count): &(u64, u64, u64)| ((package, core), Reading { cpu: 0, count });
            counters.add(Throttles { cores: cores.iter().map(reading).collect(), ..Throttles::default() });
            to_text([counters.cores_by_package()]).lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let sums = |first: u64| {
            let sum = |package, sum| format!("cpu_exporter_cpu_core_throttles_total{{package=\"{package}\"}} {sum}");
            [sum(0, first), sum(1, 7)]
        };
        assert_eq!(read(&[(0, 0, 1), (0, 1, 2), (1, 0, 7)]), sums(3));
        assert_eq!(read(&[(0, 0, 2), (1, 0, 7)]), sums(4), "core 1 is offline");
    }

    #[test]
    fn a_host_without_cpus_in_sysfs_has_no_throttles() {
        let (_root, roots) = sysfs(&[("online", "0\n")]);
        assert!(read(&roots).1.result().is_ok());
        let nowhere = Roots { sysfs: "/nowhere".into(), ..roots };
        assert!(read(&nowhere).1.result().is_ok());
    }
}

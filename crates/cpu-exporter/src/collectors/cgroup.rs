//! The CPU limit, usage and throttling of one cgroup, v1 or v2: the directory `--path.cgroup`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::cgroup_files::{parse_max, parse_stat, parsed, seconds, v1_limit};
use crate::monotonic_counter::MonotonicCounter;
use crate::procfs::number;
use crate::settings::Settings;

/// CPU accounting of one cgroup.
pub(super) struct CgroupCollector {
    directory: Option<PathBuf>,
    counters: Mutex<CgroupCounters>,
}

impl CgroupCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { directory: settings.roots.cgroup.clone(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for CgroupCollector {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let directory = self.directory.clone().context("no cgroup is configured: set --path.cgroup")?;
        let (usage, faults) = scrape.blocking(move || Usage::read(&directory)).await?;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let counts = self.counters.lock().unwrap_or_else(PoisonError::into_inner).add(&usage);
        for family in families(usage.limit, &counts) {
            scrape.add(family);
        }
        faults.result()
    }
}

/// The values of a cgroup's files; a missing file gives `None`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Usage {
    /// In CPUs; `None` if the cgroup has no limit.
    limit: Option<f64>,
    counts: CgroupCounts,
    /// Device and inode of the directory, which differ if the cgroup was recreated under the same name.
    identity: (u64, u64),
}

/// Usage in ns, periods, throttled periods, throttled time in ns.
type CgroupCounts = [Option<u64>; 4];

impl Usage {
    fn read(directory: &Path) -> Result<(Self, Faults)> {
        let found = directory.metadata().with_context(|| format!("cannot read {}", directory.display()))?;
        let mut faults = Faults::default();
        let stat = faults.keep(parsed(&v1(directory, "cpu.stat"), parse_stat)).flatten();
        let [usage, periods, throttled_periods, throttled, ..] = stat.unwrap_or_default();
        let mut counts = [usage, periods, throttled_periods, throttled];
        if counts[0].is_none() {
            counts[0] = faults.keep(number(&v1(directory, "cpuacct.usage"))).flatten();
        }
        let v2_limit = faults.keep(parsed(&directory.join("cpu.max"), parse_max)).flatten();
        let limit = match v2_limit {
            Some(limit) => limit,
            None => {
                let limit = v1_limit(&v1(directory, "cpu.cfs_quota_us"), &v1(directory, "cpu.cfs_period_us"));
                faults.keep(limit).flatten()
            }
        };
        let usage = Self { limit, counts, identity: (found.dev(), found.ino()) };
        if stat.is_none() && counts[0].is_none() && faults.is_empty() {
            bail!("neither cpu.stat nor cpuacct.usage in {}: it does not seem to be a cgroup", directory.display());
        }
        Ok((usage, faults))
    }
}

/// The path of a v1 file: in the directory itself, or in its controller's directory if all controllers are below the
/// directory (/sys/fs/cgroup in a container), or in the hierarchy of its controller if each is mounted separately.
fn v1(directory: &Path, file: &str) -> PathBuf {
    let controller = file.split('.').next().unwrap_or_default();
    let candidates = [
        Some(directory.join(file)),
        Some(directory.join(controller).join(file)),
        sibling(directory, controller).map(|sibling| sibling.join(file)),
    ];
    // If access is denied, return the path, so that reading it reports the error.
    let existing = candidates.iter().flatten().find(|path| path.try_exists().unwrap_or(true));
    existing.cloned().unwrap_or_else(|| directory.join(file))
}

/// The same v1 cgroup in the hierarchy of another controller: /sys/fs/cgroup/cpuacct/x for /sys/fs/cgroup/cpu/x.
fn sibling(directory: &Path, controller: &str) -> Option<PathBuf> {
    let other = match controller {
        "cpu" => "cpuacct",
        _ => "cpu",
    };
    let mount = directory.ancestors().find(|path| path.file_name().is_some_and(|name| name == other))?;
    Some(mount.with_file_name(controller).join(directory.strip_prefix(mount).ok()?))
}

/// Keeps the counters monotonic when a cgroup is recreated under the same name, which happens when its service or
/// container restarts.
#[derive(Debug, Default)]
struct CgroupCounters {
    identity: (u64, u64),
    counters: [MonotonicCounter; 4],
}

impl CgroupCounters {
    /// Adds one read and returns the totals. A count that was not read is absent; its total is kept.
    fn add(&mut self, usage: &Usage) -> CgroupCounts {
        if usage.identity != self.identity {
            self.identity = usage.identity;
            self.counters.iter_mut().for_each(MonotonicCounter::restart);
        }
        let mut counts = usage.counts;
        for (count, counter) in counts.iter_mut().zip(&mut self.counters) {
            *count = count.map(|now| counter.add(now));
        }
        counts
    }
}

fn families(limit: Option<f64>, &[usage, periods, throttled_periods, throttled]: &CgroupCounts) -> Vec<Family> {
    let limit = limit.map(|limit| {
        Family::gauge(
            "cpu_exporter_cgroup_cpu_limit_cores",
            "CPU limit of the cgroup in CPUs, from cpu.max or cpu.cfs_quota_us; absent without a limit.",
            &[],
        )
        .value(limit)
    });
    let usage = usage.map(|nanoseconds| {
        Family::counter(
            "cpu_exporter_cgroup_cpu_usage_seconds_total",
            "CPU time used by the cgroup in seconds, from cpu.stat or cpuacct.usage.",
            &[],
        )
        .value(seconds(nanoseconds))
    });
    let periods = periods.map(|periods| {
        Family::counter(
            "cpu_exporter_cgroup_cpu_periods_total",
            "Total number of enforcement periods of the CPU limit in which the cgroup was runnable, from nr_periods in cpu.stat.",
            &[],
        )
        .value(periods)
    });
    let throttled_periods = throttled_periods.map(|periods| {
        Family::counter(
            "cpu_exporter_cgroup_cpu_throttled_periods_total",
            "Total number of enforcement periods in which the cgroup was throttled, from nr_throttled in cpu.stat.",
            &[],
        )
        .value(periods)
    });
    let throttled = throttled.map(|nanoseconds| {
        Family::counter(
            "cpu_exporter_cgroup_cpu_throttled_seconds_total",
            "Time the cgroup was throttled in seconds, summed over CPUs, from cpu.stat.",
            &[],
        )
        .value(seconds(nanoseconds))
    });
    [limit, usage, periods, throttled_periods, throttled].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        directory
    }

    fn usage(files: &[(&str, &str)]) -> Result<(Option<f64>, CgroupCounts)> {
        let directory = cgroup(files);
        let (usage, faults) = Usage::read(directory.path())?;
        faults.result().map(|()| (usage.limit, usage.counts))
    }

    const V1_STAT: &str = "nr_periods 40\nnr_throttled 3\nthrottled_time 1500000000\nnr_bursts 0\nburst_time 0\n";
    const V1_COUNTS: CgroupCounts = [Some(312_489_444_376), Some(40), Some(3), Some(1_500_000_000)];

    #[test]
    fn v2_counts_in_microseconds() {
        let stat = include_str!("../../tests/fixtures/laptop/cgroup/cpu.stat");
        let counts = [Some(15_623_456_000), Some(1200), Some(60), Some(4_500_000_000)];
        assert_eq!(usage(&[("cpu.max", "150000 100000\n"), ("cpu.stat", stat)]).unwrap(), (Some(1.5), counts));
    }

    #[test]
    fn v1_counts_in_nanoseconds() {
        let files = [
            ("cpu.cfs_quota_us", "50000\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("cpu.stat", V1_STAT),
            ("cpuacct.usage", "312489444376\n"),
        ];
        assert_eq!(usage(&files).unwrap(), (Some(0.5), V1_COUNTS));
    }

    #[test]
    fn v1_controllers_may_be_mounted_in_separate_directories() {
        let files = [
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("cpu/cpu.stat", V1_STAT),
            ("cpuacct/cpuacct.usage", "312489444376\n"),
        ];
        assert_eq!(usage(&files).unwrap(), (None, V1_COUNTS));
    }

    #[test]
    fn v1_hierarchies_of_cpu_and_cpuacct_may_be_mounted_separately() {
        let root = cgroup(&[
            ("cpu/shop/web/cpu.cfs_quota_us", "50000\n"),
            ("cpu/shop/web/cpu.cfs_period_us", "100000\n"),
            ("cpu/shop/web/cpu.stat", V1_STAT),
            ("cpuacct/shop/web/cpuacct.usage", "312489444376\n"),
        ]);
        for directory in ["cpu/shop/web", "cpuacct/shop/web"] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
            let (usage, faults) = Usage::read(&root.path().join(directory)).unwrap();
            assert!(faults.result().is_ok());
            assert_eq!((usage.limit, usage.counts), (Some(0.5), V1_COUNTS), "{directory}");
        }
    }

    #[test]
    fn a_cgroup_without_a_limit_has_no_limit_series() {
        let counts = [Some(5_000), None, None, None];
        assert_eq!(usage(&[("cpu.max", "max 100000\n"), ("cpu.stat", "usage_usec 5\n")]).unwrap(), (None, counts));
        assert_eq!(usage(&[("cpu.stat", "usage_usec 5\nuser_usec 5\n")]).unwrap(), (None, counts));
    }

    #[test]
    fn a_directory_that_is_not_a_cgroup_is_an_error() {
        assert!(usage(&[]).unwrap_err().to_string().contains("it does not seem to be a cgroup"));
        assert!(Usage::read(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn an_invalid_file_loses_only_its_own_values_and_success() {
        for limit in ["", "\n", "max\n", "x 100000\n", "50000 0\n", "50000 x\n", "-5 100000\n"] {
            let directory = cgroup(&[("cpu.max", limit), ("cpu.stat", "usage_usec 5\n")]);
            let (usage, faults) = Usage::read(directory.path()).unwrap();
            assert_eq!((usage.limit, usage.counts[0]), (None, Some(5000)), "{limit:?}");
            assert!(faults.result().is_err(), "{limit:?}");
        }
        for stat in ["", "usage_usec\n", "usage_usec x\n", "usage_usec 18446744073709551615\n"] {
            let directory = cgroup(&[("cpu.max", "200000 100000\n"), ("cpu.stat", stat)]);
            let (usage, faults) = Usage::read(directory.path()).unwrap();
            assert_eq!((usage.limit, usage.counts), (Some(2.0), CgroupCounts::default()), "{stat:?}");
            assert!(faults.result().is_err(), "{stat:?}");
        }
    }

    fn totals(reads: &[(u64, Option<u64>)]) -> Vec<Option<u64>> {
        let mut counters = CgroupCounters::default();
        let read = |&(inode, usage): &(u64, Option<u64>)| {
            counters.add(&Usage { limit: None, counts: [usage, None, None, None], identity: (1, inode) })[0]
        };
        reads.iter().map(read).collect()
    }

    #[test]
    fn a_recreated_cgroup_adds_its_whole_count() {
        assert_eq!(
            totals(&[(7, Some(100)), (7, Some(110)), (8, Some(5)), (8, Some(6))]),
            [100, 110, 115, 116].map(Some)
        );
    }

    #[test]
    fn a_lower_count_is_a_new_baseline() {
        assert_eq!(totals(&[(7, Some(100)), (7, Some(40)), (7, Some(41))]), [100, 100, 101].map(Some));
    }

    #[test]
    fn a_missing_count_is_absent() {
        assert_eq!(totals(&[(7, Some(100)), (7, None), (7, Some(105))]), [Some(100), None, Some(105)]);
    }
}

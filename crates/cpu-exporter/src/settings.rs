//! What to read and what to export, from the flags.

use exporter_common::Family;

use crate::procfs::Roots;

/// The settings of all collectors.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) roots: Roots,
    pub(crate) names: Names,
    /// Whether to export every CPU, however many there are, and CPU time by CPU.
    pub(crate) per_cpu: bool,
    /// Whether to export the time spent in guests.
    pub(crate) guest: bool,
    /// Whether to export clock rates of /proc/cpuinfo on hosts without frequencies in sysfs.
    pub(crate) clock_rates: bool,
    /// Whether to export softirqs by vector.
    pub(crate) softirqs: bool,
    pub(crate) cgroups: CgroupLimits,
    /// Number of process names that are exported.
    pub(crate) processes_max: usize,
    /// Whether the zone of an energy counter is a label instead of a part of the metric's name.
    pub(crate) rapl_zone_label: bool,
}

impl Settings {
    /// The defaults, for tests.
    #[cfg(test)]
    pub(crate) fn new(roots: Roots) -> Self {
        Self {
            roots,
            names: Names::Own,
            per_cpu: false,
            guest: true,
            clock_rates: true,
            softirqs: true,
            cgroups: CgroupLimits { depth: 4, max: 100 },
            processes_max: 20,
            rapl_zone_label: true,
        }
    }

    /// Whether this many CPUs have a series each. Beyond [`CPU_SERIES_LIMIT`] only the user may request that.
    pub(crate) fn exports_each_of(&self, cpus: usize) -> bool {
        self.per_cpu || cpus <= CPU_SERIES_LIMIT
    }
}

/// Which cgroups the collector `cgroups` exports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CgroupLimits {
    pub(crate) depth: usize,
    pub(crate) max: usize,
}

/// Number of CPUs up to which frequencies, states, facts and throttles are exported by CPU without `--collector.cpu.per-cpu`.
pub(crate) const CPU_SERIES_LIMIT: usize = 64;

/// The names of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Names {
    /// Names of this exporter, with CPU time summed over CPUs
    Own,
    /// Names, labels and defaults of node_exporter
    Node,
}

impl Names {
    /// The family under its exported name: collectors name their families with the prefix `cpu_exporter_`.
    pub(crate) fn apply(self, family: Family) -> Family {
        match self {
            Self::Own => family,
            Self::Node => family.replace_prefix("cpu_exporter_", "node_"),
        }
    }
}

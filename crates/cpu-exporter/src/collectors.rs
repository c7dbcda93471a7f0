//! The list of collectors; each is one file.

mod cgroup;
mod cgroups;
mod cpu;
mod cpufreq;
mod cpuidle;
mod info;
mod interrupts;
mod loadavg;
mod pressure;
mod processes;
mod rapl;
mod schedstat;
mod softirqs;
mod stat;
mod throttle;
mod time;
mod topology;
mod uname;

use exporter_common::Collector;

use crate::settings::Settings;

/// Name, whether it is enabled by default, the collector of node_exporter that has its metrics, and constructor of a
/// collector.
pub(crate) type Entry = (&'static str, bool, InNode, fn(&Settings) -> Box<dyn Collector>);

/// The collector of node_exporter that has a collector's metrics.
pub(crate) enum InNode {
    /// Part of this collector, which node_exporter enables by default.
    On(&'static str),
    /// Part of this collector, which a flag enables.
    Off(&'static str),
    /// node_exporter does not have these metrics.
    Absent,
    /// node_exporter has other metrics in a collector of this name.
    Different,
}

use InNode::{Absent, Different, Off, On};

/// Every collector.
pub(crate) const COLLECTORS: &[Entry] = &[
    ("cpu", true, On("cpu"), |settings| Box::new(cpu::CpuCollector::new(settings))),
    ("loadavg", true, On("loadavg"), |settings| Box::new(loadavg::LoadavgCollector::new(settings))),
    ("stat", true, On("stat"), |settings| Box::new(stat::StatCollector::new(settings))),
    ("pressure", true, On("pressure"), |settings| Box::new(pressure::PressureCollector::new(settings))),
    ("cpufreq", true, On("cpufreq"), |settings| Box::new(cpufreq::CpufreqCollector::new(settings))),
    ("topology", true, On("cpu"), |settings| Box::new(topology::TopologyCollector::new(settings))),
    (INFO, true, Off("cpu"), |settings| Box::new(info::InfoCollector::new(settings))),
    ("throttle", true, On("cpu"), |settings| Box::new(throttle::ThrottleCollector::new(settings))),
    ("schedstat", true, On("schedstat"), |settings| Box::new(schedstat::SchedstatCollector::new(settings))),
    ("rapl", true, On("rapl"), |settings| Box::new(rapl::RaplCollector::new(settings))),
    ("softirqs", false, Off("softirqs"), |settings| Box::new(softirqs::SoftirqsCollector::new(settings))),
    ("interrupts", false, Off("interrupts"), |settings| Box::new(interrupts::InterruptsCollector::new(settings))),
    ("cpuidle", false, Absent, |settings| Box::new(cpuidle::CpuidleCollector::new(settings))),
    ("time", false, On("time"), |settings| Box::new(time::TimeCollector::new(settings))),
    ("uname", false, On("uname"), |settings| Box::new(uname::UnameCollector::new(settings))),
    ("cgroups", false, Different, |settings| Box::new(cgroups::CgroupsCollector::new(settings))),
    (PROCESSES, false, Different, |settings| Box::new(processes::ProcessesCollector::new(settings))),
    (CGROUP, false, Absent, |settings| Box::new(cgroup::CgroupCollector::new(settings))),
];

/// The collector that `--path.cgroup` enables.
pub(crate) const CGROUP: &str = "cgroup";

/// The collector that always reads this host's /proc.
pub(crate) const PROCESSES: &str = "processes";

/// The collector that node_exporter's `--collector.cpu.info` enables.
pub(crate) const INFO: &str = "info";

/// The parsers of the collectors, for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    /// The path of a cgroup.
    pub(crate) fn path(text: &str) {
        super::cgroups::fuzz(text);
    }

    /// Contents of /proc/stat in turn.
    pub(crate) fn stat(reads: &[&[u8]]) {
        super::cpu::fuzz(reads);
    }

    /// Text of a file of /proc or sysfs.
    pub(crate) fn parse(text: &str) {
        super::cpufreq::fuzz(text);
        super::interrupts::fuzz(text);
        super::rapl::fuzz(text);
        super::schedstat::fuzz(text);
        super::stat::fuzz(text);
        super::loadavg::fuzz(text);
    }
}

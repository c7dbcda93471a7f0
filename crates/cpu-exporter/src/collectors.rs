//! The list of collectors; each is one file.

mod cgroup;
mod cpu;
mod cpufreq;
mod info;
mod loadavg;
mod pressure;
mod stat;
mod throttle;
mod topology;

use exporter_common::Collector;

use crate::procfs::Roots;

/// Name, whether it is enabled by default, and constructor of a collector.
type Entry = (&'static str, bool, fn(&Roots) -> Box<dyn Collector>);

/// Every collector.
pub(crate) const COLLECTORS: &[Entry] = &[
    ("cpu", true, |roots| Box::new(cpu::CpuCollector::new(roots))),
    ("loadavg", true, |roots| Box::new(loadavg::LoadavgCollector::new(roots))),
    ("stat", true, |roots| Box::new(stat::StatCollector::new(roots))),
    ("pressure", true, |roots| Box::new(pressure::PressureCollector::new(roots))),
    ("cpufreq", true, |roots| Box::new(cpufreq::CpufreqCollector::new(roots))),
    ("topology", true, |roots| Box::new(topology::TopologyCollector::new(roots))),
    ("info", true, |roots| Box::new(info::InfoCollector::new(roots))),
    ("throttle", true, |roots| Box::new(throttle::ThrottleCollector::new(roots))),
    (CGROUP, false, |roots| Box::new(cgroup::CgroupCollector::new(roots))),
];

/// The collector that `--path.cgroup` enables.
pub(crate) const CGROUP: &str = "cgroup";

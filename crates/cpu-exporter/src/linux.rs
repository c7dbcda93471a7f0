//! The exporter: its flags, and the list of its collectors, each of which is one file.

mod cgroup;
mod cpu;
mod cpufreq;
mod cpulist;
mod info;
mod loadavg;
mod pressure;
mod rising;
mod roots;
mod stat;
mod throttle;
mod topology;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Program, Source, UsageError};

use self::roots::Roots;

/// Where procfs and sysfs are mounted unless a flag says otherwise.
const PROCFS: &str = "/proc";
const SYSFS: &str = "/sys";

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {
    /// Where procfs is mounted
    #[arg(long = "path.procfs", value_name = "DIR", default_value = PROCFS)]
    procfs: PathBuf,

    /// Where sysfs is mounted
    #[arg(long = "path.sysfs", value_name = "DIR", default_value = SYSFS)]
    sysfs: PathBuf,

    /// Directory of a cgroup (v1 or v2) to report on; turns the collector cgroup on
    #[arg(long = "path.cgroup", value_name = "DIR")]
    cgroup: Option<PathBuf>,
}

type Make = fn(&Roots) -> Box<dyn Collector>;

/// Every collector: its name, whether it is on by default, how it is made.
const COLLECTORS: &[(&str, bool, Make)] = &[
    ("cpu", true, |roots| Box::new(cpu::Cpu::new(roots))),
    ("loadavg", true, |roots| Box::new(loadavg::Loadavg(roots.clone()))),
    ("stat", true, |roots| Box::new(stat::Stat::new(roots))),
    ("pressure", true, |roots| Box::new(pressure::Pressure::new(roots))),
    ("cpufreq", true, |roots| Box::new(cpufreq::Cpufreq(roots.clone()))),
    ("topology", true, |roots| Box::new(topology::Topology(roots.clone()))),
    ("info", true, |roots| Box::new(info::Info::new(roots))),
    ("throttle", true, |roots| Box::new(throttle::Throttle::new(roots))),
    (CGROUP, false, |roots| Box::new(cgroup::Cgroup::new(roots))),
];

/// The one collector that a path turns on.
const CGROUP: &str = "cgroup";

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    program().main(|flags: Flags, startup| {
        // a host without /sys costs the metrics that come from there; a path that was given must be right
        if flags.procfs != Path::new(PROCFS) {
            must_be_directory("--path.procfs", &flags.procfs)?;
        }
        if flags.sysfs != Path::new(SYSFS) {
            must_be_directory("--path.sysfs", &flags.sysfs)?;
        }
        match &flags.cgroup {
            Some(directory) => must_be_directory("--path.cgroup", directory)?,
            None if startup.enabled(CGROUP) => {
                let what = "--collector.cgroup needs --path.cgroup: name the directory of the cgroup";
                return Err(UsageError::new(what).into());
            }
            None => {}
        }
        let cgroup = flags.cgroup.is_some() && startup.named(CGROUP) != Some(false);
        let roots = Roots { procfs: flags.procfs, sysfs: flags.sysfs, cgroup: flags.cgroup };
        let enabled = COLLECTORS.iter().filter(|(name, ..)| startup.enabled(name) || (cgroup && *name == CGROUP));
        Ok(enabled.map(|(_, _, make)| Source::boxed(make(&roots))).collect())
    })
}

/// The command line, for what is made from it: man pages, completions.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new("cpu-exporter", env!("CARGO_PKG_VERSION"), "Exports the CPU time of this Linux host.", 8000)
        .collectors(COLLECTORS.iter().map(|(name, default, _)| (*name, *default)))
}

fn must_be_directory(flag: &str, path: &Path) -> Result<()> {
    let found = path.metadata().with_context(|| format!("{flag}: cannot find {}", path.display()))?;
    if !found.is_dir() {
        bail!("{flag}: {} is not a directory", path.display());
    }
    Ok(())
}

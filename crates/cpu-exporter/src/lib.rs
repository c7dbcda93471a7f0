//! Prometheus exporter for the CPU time of a Linux host.

mod loadavg;
mod roots;

use std::path::PathBuf;
use std::process::ExitCode;

use exporter_common::{Collector, Program, Source};

use crate::roots::Roots;

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {
    /// Where procfs is mounted
    #[arg(long = "path.procfs", value_name = "DIR", default_value = "/proc")]
    procfs: PathBuf,

    /// Where sysfs is mounted
    #[arg(long = "path.sysfs", value_name = "DIR", default_value = "/sys")]
    sysfs: PathBuf,
}

type Make = fn(&Roots) -> Box<dyn Collector>;

/// Every collector: its name, whether it is on by default, how it is made.
const COLLECTORS: &[(&str, bool, Make)] = &[("loadavg", true, |roots| Box::new(loadavg::Loadavg(roots.clone())))];

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    Program::new("cpu-exporter", env!("CARGO_PKG_VERSION"), "Exports the CPU time of this Linux host.", 8000)
        .collectors(COLLECTORS.iter().map(|(name, default, _)| (*name, *default)))
        .main(|flags: Flags, startup| {
            let roots = Roots { procfs: flags.procfs, sysfs: flags.sysfs };
            let enabled = COLLECTORS.iter().filter(|(name, ..)| startup.enabled(name));
            Ok(enabled.map(|(_, _, make)| Source::boxed(make(&roots))).collect())
        })
}

//! The program: its flags, and which collectors they enable.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use exporter_common::{Program, Purpose, Source, UsageError};

use crate::collectors::{CGROUP, COLLECTORS};
use crate::procfs::{PROCFS, Roots, SYSFS};

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {
    /// Mount point of procfs
    #[arg(long = "path.procfs", value_name = "DIR", default_value = PROCFS)]
    procfs: PathBuf,

    /// Mount point of sysfs
    #[arg(long = "path.sysfs", value_name = "DIR", default_value = SYSFS)]
    sysfs: PathBuf,

    /// Directory of the cgroup (v1 or v2) to report; enables the collector cgroup
    #[arg(long = "path.cgroup", value_name = "DIR")]
    cgroup: Option<PathBuf>,
}

/// Runs the exporter until it exits.
pub fn main() -> ExitCode {
    program().main(|flags: Flags, startup| {
        // A host without the default /sys loses only the metrics from there; a path that the user set must exist.
        if flags.procfs != Path::new(PROCFS) {
            must_be_directory("--path.procfs", &flags.procfs)?;
        }
        if flags.sysfs != Path::new(SYSFS) {
            must_be_directory("--path.sysfs", &flags.sysfs)?;
        }
        match &flags.cgroup {
            // The cgroup of a service exists only while it runs, so it may appear later.
            Some(directory) if startup.purpose == Purpose::Check || directory.exists() => {
                must_be_directory("--path.cgroup", directory)?;
            }
            Some(directory) => tracing::warn!(
                path = %directory.display(),
                "--path.cgroup does not exist yet: no cgroup metrics until it appears",
            ),
            None if startup.enabled(CGROUP) => {
                let error = "--collector.cgroup needs --path.cgroup: set it to the directory of the cgroup";
                return Err(UsageError::new(error).into());
            }
            None => {}
        }
        let cgroup = flags.cgroup.is_some() && startup.named(CGROUP) != Some(false);
        let roots = Roots::new(&flags.procfs, &flags.sysfs, flags.cgroup);
        let enabled = COLLECTORS.iter().filter(|(name, ..)| startup.enabled(name) || (cgroup && *name == CGROUP));
        Ok(enabled.map(|(_, _, new)| Source::new(new(&roots))).collect::<Vec<_>>())
    })
}

/// The command line, from which man pages and completions are generated.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new("cpu-exporter", env!("CARGO_PKG_VERSION"), "Exports CPU metrics of this Linux host.", 8000)
        .revision(option_env!("EXPORTER_REVISION"))
        .examples(&[
            ("cpu-exporter --web.listen-address 127.0.0.1:8000", "Serve only this host"),
            ("cpu-exporter --once --collector.disable-defaults --collector.cpu", "Print the CPU time and exit"),
            (
                "cpu-exporter --path.cgroup /sys/fs/cgroup/system.slice/nginx.service",
                "Also export the CPU time and throttling of a service",
            ),
        ])
        .files(&[("/etc/default/cpu-exporter", "Flags of the systemd service of the Debian package")])
        .collectors(COLLECTORS.iter().map(|(name, default, _)| (*name, *default)))
}

fn must_be_directory(flag: &str, path: &Path) -> Result<()> {
    let found = path.metadata().with_context(|| format!("{flag}: cannot read {}", path.display()))?;
    if !found.is_dir() {
        bail!("{flag}: {} is not a directory", path.display());
    }
    Ok(())
}

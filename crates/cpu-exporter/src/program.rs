//! The program: its flags, and which collectors they enable.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Program, Purpose, Source, Startup, UsageError};

use crate::collectors::{CGROUP, COLLECTORS, Entry, INFO, InNode, PROCESSES};
use crate::node_collector::NodeCollector;
use crate::node_flags::{NodeFlags, without_effect};
use crate::procfs::{PROCFS, Roots, SYSFS};
use crate::settings::{CgroupLimits, Names, Settings};

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {
    /// Names of the metrics
    #[arg(long = "metrics.names", value_name = "NAMES", default_value = "own", value_enum)]
    names: Names,

    /// Mount point of procfs
    #[arg(long = "path.procfs", value_name = "DIR", default_value = PROCFS)]
    procfs: PathBuf,

    /// Mount point of sysfs
    #[arg(long = "path.sysfs", value_name = "DIR", default_value = SYSFS)]
    sysfs: PathBuf,

    /// Directory of the cgroup (v1 or v2) to report; enables the collector cgroup
    #[arg(long = "path.cgroup", value_name = "DIR")]
    cgroup: Option<PathBuf>,

    /// Levels of cgroups below the root that the collector cgroups reads
    #[arg(long = "collector.cgroups.depth", value_name = "LEVELS", default_value = "4", help_heading = "Collectors")]
    #[arg(value_parser = positive)]
    cgroups_depth: u16,

    /// Number of cgroups that the collector cgroups exports; the others are summed as _other
    #[arg(long = "collector.cgroups.max", value_name = "NUMBER", default_value = "100", help_heading = "Collectors")]
    #[arg(value_parser = positive)]
    cgroups_max: u16,

    /// Number of process names that the collector processes exports; the others are summed as _other
    #[arg(long = "collector.processes.max", value_name = "NUMBER", default_value = "20", help_heading = "Collectors")]
    #[arg(value_parser = positive)]
    processes_max: u16,

    #[command(flatten)]
    node: NodeFlags,
}

/// Runs the exporter until it exits.
pub fn main() -> ExitCode {
    program().main(|flags: Flags, startup| {
        flags.check(startup)?;
        let settings = flags.settings();
        Ok(match flags.names {
            Names::Own => own(&flags, &settings, startup),
            Names::Node => node(&flags, &settings, startup),
        })
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
        .ignored(without_effect())
        .collectors(COLLECTORS.iter().map(|(name, default, ..)| (*name, *default)))
}

impl Flags {
    fn check(&self, startup: &Startup) -> Result<()> {
        self.check_names(startup)?;
        // A host without the default /sys loses only the metrics from there; a path that the user set must exist.
        if self.procfs != Path::new(PROCFS) {
            must_be_directory("--path.procfs", &self.procfs)?;
        }
        if self.sysfs != Path::new(SYSFS) {
            must_be_directory("--path.sysfs", &self.sysfs)?;
        }
        match &self.cgroup {
            // The cgroup of a service exists only while it runs, so it may appear later.
            Some(directory) if startup.purpose == Purpose::Check || directory.exists() => {
                must_be_directory("--path.cgroup", directory)
            }
            Some(directory) => {
                tracing::warn!(
                    path = %directory.display(),
                    "--path.cgroup does not exist yet: no cgroup metrics until it appears",
                );
                Ok(())
            }
            None if startup.enabled(CGROUP) => {
                let error = "--collector.cgroup needs --path.cgroup: set it to the directory of the cgroup";
                Err(UsageError::new(error).into())
            }
            None => Ok(()),
        }
    }

    /// Refuses flags and collectors of node_exporter that are not covered, and sources that have only one path.
    fn check_names(&self, startup: &Startup) -> Result<()> {
        if let Some((flag, reason)) = self.node.not_covered {
            return Err(UsageError::new(format!("--{flag}: {reason}: omit the flag")).into());
        }
        let different =
            |(name, _, in_node, _): &&Entry| matches!(in_node, InNode::Different) && startup.named(name) == Some(true);
        if let (Names::Node, Some((name, ..))) = (self.names, COLLECTORS.iter().find(different)) {
            let error = format!(
                "--collector.{name}: node_exporter's collector {name} is not covered; this exporter's own needs --metrics.names=own"
            );
            return Err(UsageError::new(error).into());
        }
        if startup.enabled(PROCESSES) && self.procfs != Path::new(PROCFS) {
            let error =
                "--collector.processes reads the processes in /proc, and not those in --path.procfs: omit one of them";
            return Err(UsageError::new(error).into());
        }
        Ok(())
    }

    fn settings(&self) -> Settings {
        let own = self.names == Names::Own;
        let NodeFlags { per_cpu, guest, info, softirq, rapl_zone_label, .. } = self.node;
        Settings {
            roots: Roots::new(&self.procfs, &self.sysfs, self.cgroup.clone()),
            names: self.names,
            per_cpu: !own || per_cpu == Some(true),
            guest: guest != Some(false),
            clock_rates: own || info == Some(true),
            softirqs: softirq.unwrap_or(own),
            cgroups: CgroupLimits { depth: self.cgroups_depth.into(), max: self.cgroups_max.into() },
            processes_max: self.processes_max.into(),
            rapl_zone_label: own || rapl_zone_label == Some(true),
        }
    }

    /// Whether another flag than the collector's own enables or disables it.
    fn implied(&self, collector: &str) -> Option<bool> {
        match collector {
            CGROUP => self.cgroup.as_ref().map(|_| true),
            INFO => self.node.info,
            _ => None,
        }
    }
}

/// The enabled collectors under their own names.
fn own(flags: &Flags, settings: &Settings, startup: &Startup) -> Vec<Source> {
    let enabled =
        |name: &str| startup.named(name).or_else(|| flags.implied(name)).unwrap_or_else(|| startup.enabled(name));
    let entries = COLLECTORS.iter().filter(|(name, ..)| enabled(name));
    entries.map(|(.., new)| Source::new(new(settings))).collect()
}

/// The enabled collectors of node_exporter. Collectors that node_exporter lacks keep their own names.
fn node(flags: &Flags, settings: &Settings, startup: &Startup) -> Vec<Source> {
    let default = !startup.disable_defaults;
    let named = |name: &str| startup.named(name).or_else(|| flags.implied(name));
    let mut collectors: Vec<(&'static str, Vec<Box<dyn Collector>>)> = Vec::new();
    let mut additional = Vec::new();
    for (name, _, in_node, new) in COLLECTORS {
        let (whole, on) = match in_node {
            InNode::On(whole) => (*whole, true),
            InNode::Off(whole) => (*whole, false),
            InNode::Absent => {
                if named(name) == Some(true) {
                    additional.push(Source::new(new(&Settings { names: Names::Own, ..settings.clone() })));
                }
                continue;
            }
            InNode::Different => continue,
        };
        // A collector that is a part is enabled with the whole, unless a flag names the part.
        let part = name != &whole;
        let whole_enabled = named(whole).unwrap_or(default && (on || part) || named(name) == Some(true));
        if !whole_enabled || (part && !named(name).unwrap_or(on)) {
            continue;
        }
        match collectors.iter_mut().find(|(known, _)| *known == whole) {
            Some((_, parts)) => parts.push(new(settings)),
            None => collectors.push((whole, vec![new(settings)])),
        }
    }
    collectors.into_iter().map(|(name, parts)| NodeCollector::source(name, parts)).chain(additional).collect()
}

/// Parses a number of at least 1.
fn positive(text: &str) -> Result<u16, &'static str> {
    text.parse::<NonZero<u16>>().map(NonZero::get).map_err(|_| "expected a whole number from 1 to 65535")
}

fn must_be_directory(flag: &str, path: &Path) -> Result<()> {
    let found = path.metadata().with_context(|| format!("{flag}: cannot read {}", path.display()))?;
    if !found.is_dir() {
        bail!("{flag}: {} is not a directory", path.display());
    }
    Ok(())
}

//! node_exporter's flags: the ones with an effect here, and the ignored ones.

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// The parsed flags; `None` for a switch that is not set.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeFlags {
    pub(crate) per_cpu: Option<bool>,
    pub(crate) guest: Option<bool>,
    pub(crate) info: Option<bool>,
    pub(crate) softirq: Option<bool>,
    pub(crate) rapl_zone_label: Option<bool>,
    /// A flag that is set and whose effect is not covered, with the reason.
    pub(crate) not_covered: Option<(&'static str, &'static str)>,
}

const PER_CPU: &str = "collector.cpu.per-cpu";
const GUEST: &str = "collector.cpu.guest";
const INFO: &str = "collector.cpu.info";
const SOFTIRQ: &str = "collector.stat.softirq";
const RAPL_ZONE_LABEL: &str = "collector.rapl.enable-zone-label";

/// Switches and their help.
const SWITCHES: [(&str, &str); 5] = [
    (PER_CPU, "Export CPU time of each CPU, and details of each CPU even if there are more than 64"),
    (GUEST, "Export the CPU time spent in guests, or disable it with --no-collector.cpu.guest [default: enabled]"),
    (INFO, "Same as --collector.info; by default off with --metrics.names=node"),
    (SOFTIRQ, "Export softirqs by vector; by default off with --metrics.names=node"),
    (RAPL_ZONE_LABEL, "With --metrics.names=node, export the zone of an energy counter as a label"),
];

/// What node_exporter needs for other collectors and for its runtime. These flags are accepted without an effect.
const WITHOUT_EFFECT: [&str; 3] = ["path.rootfs", "path.udev.data", "runtime.gomaxprocs"];

/// Flags of covered collectors whose effect is not covered, and why.
const NOT_COVERED: [(&str, &str); 4] = [
    ("collector.cpu.info.flags-include", "node_cpu_flag_info is not covered"),
    ("collector.cpu.info.bugs-include", "node_cpu_bug_info is not covered"),
    ("collector.interrupts.name-include", FILTER),
    ("collector.interrupts.name-exclude", FILTER),
];
const FILTER: &str = "filters of interrupts are not covered; metric_relabel_configs of Prometheus can drop series";

/// The flags that disable node_exporter's collectors without CPU metrics. They have no effect.
pub(crate) fn without_effect() -> impl Iterator<Item = String> {
    OTHERS.iter().map(|name| format!("no-collector.{name}"))
}

const OTHERS: &[&str] = &[
    "arp",
    "bcache",
    "bcachefs",
    "bonding",
    "btrfs",
    "buddyinfo",
    "conntrack",
    "cpu_vulnerabilities",
    "diskstats",
    "dmi",
    "drbd",
    "drm",
    "edac",
    "entropy",
    "ethtool",
    "fibrechannel",
    "filefd",
    "filesystem",
    "hwmon",
    "infiniband",
    "ipvs",
    "kernel_hung",
    "ksmd",
    "lnstat",
    "logind",
    "mdadm",
    "meminfo",
    "meminfo_numa",
    "mountstats",
    "netclass",
    "netdev",
    "netstat",
    "network_route",
    "nfs",
    "nfsd",
    "ntp",
    "nvme",
    "nvmesubsystem",
    "os",
    "pcidevice",
    "perf",
    "powersupplyclass",
    "qdisc",
    "runit",
    "selinux",
    "slabinfo",
    "sockstat",
    "softnet",
    "supervisord",
    "swap",
    "sysctl",
    "systemd",
    "tapestats",
    "tcpstat",
    "textfile",
    "thermal_zone",
    "timex",
    "udp_queues",
    "vmstat",
    "watchdog",
    "wifi",
    "xfrm",
    "xfs",
    "zfs",
    "zoneinfo",
];

impl clap::Args for NodeFlags {
    fn augment_args(mut command: Command) -> Command {
        for (name, help) in SWITCHES {
            command = with_switch(command, name, help);
        }
        let others = WITHOUT_EFFECT.into_iter().chain(NOT_COVERED.map(|(name, _)| name));
        command.args(others.map(|name| Arg::new(name).long(name).value_name("VALUE").hide(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for NodeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let switch = |name: &str| {
            let off = matches.get_flag(&format!("no-{name}")).then_some(false);
            off.or_else(|| matches.get_one::<bool>(name).copied())
        };
        Ok(Self {
            per_cpu: switch(PER_CPU),
            guest: switch(GUEST),
            info: switch(INFO),
            softirq: switch(SOFTIRQ),
            rapl_zone_label: switch(RAPL_ZONE_LABEL),
            not_covered: NOT_COVERED.into_iter().find(|(name, _)| matches.contains_id(name)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Adds `--NAME`, `--NAME=BOOL` and `--no-NAME`.
fn with_switch(command: Command, name: &'static str, help: &'static str) -> Command {
    let (on, off) = (name.to_owned(), format!("no-{name}"));
    let enable = Arg::new(on.clone())
        .long(on.clone())
        .help(help)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(BoolishValueParser::new())
        .value_name("BOOL")
        .hide_possible_values(true)
        .help_heading("Collectors");
    let disable = Arg::new(off.clone()).long(off).action(ArgAction::SetTrue).overrides_with(on).hide(true);
    command.arg(enable).arg(disable)
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    fn parsed(line: &str) -> NodeFlags {
        let matches = NodeFlags::augment_args(Command::new("x")).try_get_matches_from(line.split(' ')).unwrap();
        NodeFlags::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn a_switch_is_on_off_or_not_set() {
        for (line, expected) in [
            ("x", None),
            ("x --collector.cpu.guest", Some(true)),
            ("x --collector.cpu.guest=false", Some(false)),
            ("x --no-collector.cpu.guest", Some(false)),
            ("x --no-collector.cpu.guest --collector.cpu.guest", Some(true)),
        ] {
            assert_eq!(parsed(line).guest, expected, "{line}");
        }
    }
}

//! Compares `--metrics.names=node` with the real node_exporter: the same flags on the same /proc and /sys.
//!
//! Intended differences:
//! - `node_cpu_online` does not need cpu0/online; the metric of later versions of node_exporter does.
//! - node_exporter 1.5.0, which Debian has, lacks the families of `LATER`, and frequencies from /proc/cpuinfo.
//! - A file that the host does not have is not a failure: node_scrape_collector_success is 1, and 0 in node_exporter.
//! - node_exporter has the offset of the time zone, which is not a CPU metric.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod node;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use exporter_common::testing::{Running, run};

use self::node::{Node, families};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cpu-exporter");

/// The collectors of node_exporter 1.5.0 with CPU metrics.
const COLLECTORS: [&str; 10] =
    ["cpu", "cpufreq", "interrupts", "loadavg", "pressure", "rapl", "schedstat", "stat", "time", "uname"];

fn fixture(machine: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(machine)
}

/// Families of CPUs in node_exporter 1.5.0. On at least one machine, each is compared with its HELP, type, labels and
/// values, except that `node_time_seconds` and `node_scrape_collector_duration_seconds` are compared without values.
const COMPARED: [&str; 40] = [
    "node_boot_time_seconds",
    "node_context_switches_total",
    "node_cpu_core_throttles_total",
    "node_cpu_frequency_hertz",
    "node_cpu_frequency_max_hertz",
    "node_cpu_frequency_min_hertz",
    "node_cpu_guest_seconds_total",
    "node_cpu_info",
    "node_cpu_isolated",
    "node_cpu_package_throttles_total",
    "node_cpu_scaling_frequency_hertz",
    "node_cpu_scaling_frequency_max_hertz",
    "node_cpu_scaling_frequency_min_hertz",
    "node_cpu_seconds_total",
    "node_forks_total",
    "node_interrupts_total",
    "node_intr_total",
    "node_load1",
    "node_load15",
    "node_load5",
    "node_pressure_cpu_waiting_seconds_total",
    "node_pressure_io_stalled_seconds_total",
    "node_pressure_io_waiting_seconds_total",
    "node_pressure_memory_stalled_seconds_total",
    "node_pressure_memory_waiting_seconds_total",
    "node_procs_blocked",
    "node_procs_running",
    "node_rapl_core_joules_total",
    "node_rapl_dram_joules_total",
    "node_rapl_joules_total",
    "node_rapl_package_joules_total",
    "node_rapl_uncore_joules_total",
    "node_schedstat_running_seconds_total",
    "node_schedstat_timeslices_total",
    "node_schedstat_waiting_seconds_total",
    "node_scrape_collector_duration_seconds",
    "node_scrape_collector_success",
    "node_softirqs_total",
    "node_time_seconds",
    "node_uname_info",
];

/// Families of later versions of node_exporter: HELP, type and one series, as in its source.
const LATER: [(&str, &str, &str, &str); 5] = [
    ("node_cpu_online", "CPUs that are online and being scheduled.", "gauge", "{cpu=\"1\"} 1"),
    (
        "node_cpu_scaling_governor",
        "Current enabled CPU frequency governor.",
        "gauge",
        "{cpu=\"0\",governor=\"powersave\"} 1",
    ),
    ("node_cpu_frequency_avg_hertz", "Average CPU thread frequency in hertz.", "gauge", "{cpu=\"0\"} "),
    (
        "node_pressure_irq_stalled_seconds_total",
        "Total time in seconds no process could make progress due to IRQ congestion",
        "counter",
        " ",
    ),
    ("node_softirqs_functions_total", "Softirq counts per CPU.", "counter", "{cpu=\"0\",type=\"TIMER\"} "),
];

/// Our families and node_exporter's; `None` if it is not installed.
fn both(machine: &str, more: &[&str]) -> Option<[BTreeMap<String, String>; 2]> {
    let root = fixture(machine);
    let paths = [("procfs", "proc"), ("sysfs", "sys"), ("rootfs", "")]
        .map(|(flag, directory)| format!("--path.{flag}={}", root.join(directory).display()));
    let collectors = COLLECTORS.iter().map(|name| format!("--collector.{name}"));
    let flags: Vec<_> = ["--collector.disable-defaults", "--web.disable-exporter-metrics"]
        .into_iter()
        .chain(more.iter().copied())
        .map(str::to_owned)
        .chain(paths)
        .chain(collectors)
        .collect();
    let node = Node::start(&flags)?;
    let exporter = Running::start(PROGRAM, ["--metrics.names=node".to_owned()].iter().chain(&flags));
    Some([families(&exporter.scrape()), families(&node.scrape())])
}

/// A family without its values, which differ from scrape to scrape.
fn without_values(family: &str) -> Vec<&str> {
    family.lines().map(|line| if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 }).collect()
}

#[test]
fn families_labels_and_values_are_those_of_node_exporter() {
    let mut all = BTreeSet::new();
    for (machine, flags, at_least) in [
        ("laptop", &["--collector.cpu.info", "--collector.stat.softirq"][..], 40),
        ("laptop", &["--no-collector.cpu.guest", "--collector.rapl.enable-zone-label"], 35),
        ("vm", &["--collector.cpu.info"], 20),
        ("vm", &[], 18),
    ] {
        let Some([ours, theirs]) = both(machine, flags) else { return };
        let mut compared = 0;
        for (name, theirs) in &theirs {
            match &**name {
                "node_exporter_build_info" | "node_time_zone_offset_seconds" => continue,
                name if name.starts_with("promhttp_") => continue,
                _ => {}
            }
            let ours = ours.get(name).unwrap_or_else(|| panic!("{machine}: {name} is missing"));
            let theirs = theirs.replace("cpu thread frequency", "CPU thread frequency"); // the HELP of later versions
            match &**name {
                "node_time_seconds" | "node_scrape_collector_duration_seconds" => {
                    assert_eq!(without_values(ours), without_values(&theirs), "{machine}");
                }
                // The virtual machine lacks files.
                "node_scrape_collector_success" if machine == "vm" => {
                    assert_eq!(without_values(ours), without_values(&theirs), "{machine}");
                }
                _ => assert_eq!(ours, &theirs, "{machine}"),
            }
            compared += 1;
            all.insert(name.clone());
        }
        assert!(compared >= at_least, "{machine}: only {compared} families compared");
        let more: Vec<_> =
            ours.keys().filter(|name| name.starts_with("node_") && !theirs.contains_key(*name)).collect();
        let known = |name: &str| name == "node_cpu_frequency_hertz" || LATER.iter().any(|later| later.0 == name);
        assert!(more.iter().all(|name| known(name)), "{machine}: {more:?}");
        assert!(!ours.keys().any(|name| name.starts_with("cpu_exporter_") && name != "cpu_exporter_build_info"));
    }
    let missing: Vec<_> = COMPARED.iter().filter(|name| !all.contains(**name)).collect();
    assert!(missing.is_empty(), "not compared: {missing:?}");
}

#[test]
fn families_of_later_versions_have_their_names_and_labels() {
    let paths = [("procfs", "proc"), ("sysfs", "sys")]
        .map(|(flag, directory)| format!("--path.{flag}={}", fixture("laptop").join(directory).display()));
    let flags = ["--metrics.names=node", "--collector.softirqs"].map(str::to_owned);
    let families = families(&Running::start(PROGRAM, flags.iter().chain(&paths)).scrape());
    for (name, help, kind, series) in LATER {
        let family = families.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert!(family.starts_with(&format!("{name} {help}\n# TYPE {name} {kind}\n")), "{family}");
        assert!(family.contains(&format!("\n{name}{series}")), "{family}");
    }
}

/// The error output of a run with node_exporter's names, and its exit status.
fn refused(flags: &[&str]) -> (String, Option<i32>) {
    let output = run(PROGRAM, ["--metrics.names=node", "--check"].iter().chain(flags));
    (String::from_utf8(output.stderr).unwrap(), output.status.code())
}

#[test]
fn what_is_not_covered_is_named() {
    for (flag, named) in [
        ("--collector.diskstats", "unknown collector \"diskstats\""),
        ("--collector.diskstats.device-exclude=x", "unknown collector \"diskstats\""),
        ("--collector.processes", "processes is not covered"),
        ("--collector.cgroups", "cgroups is not covered"),
        (
            "--collector.cpu.info.flags-include=x",
            "--collector.cpu.info.flags-include: node_cpu_flag_info is not covered",
        ),
        ("--collector.cpu.info.bugs-include=^x", "--collector.cpu.info.bugs-include: node_cpu_bug_info is not covered"),
        ("--collector.interrupts.name-include=x", "--collector.interrupts.name-include: filters of interrupts are not"),
        ("--collector.interrupts.name-exclude=x", "--collector.interrupts.name-exclude: filters of interrupts are not"),
        ("--collector.nonsense", "unknown collector \"nonsense\""),
    ] {
        let (line, status) = refused(&[flag]);
        assert_eq!((status, line.lines().count()), (Some(2), 1), "{flag}: {line}");
        assert!(line.contains(named), "{flag}: {line}");
    }
    let accepted =
        ["--path.rootfs=/host", "--path.udev.data=/run/udev", "--runtime.gomaxprocs=2", "--no-collector.diskstats"];
    assert_eq!(refused(&accepted).1, Some(0));
}

#[test]
fn collectors_are_those_of_node_exporter() {
    let root = fixture("laptop");
    let scrape = |flags: &[&str]| {
        let paths = [("procfs", "proc"), ("sysfs", "sys")]
            .map(|(flag, directory)| format!("--path.{flag}={}", root.join(directory).display()));
        let flags = flags.iter().map(|&flag| flag.to_owned());
        let output =
            run(PROGRAM, ["--metrics.names=node", "--once"].map(str::to_owned).into_iter().chain(paths).chain(flags));
        String::from_utf8(output.stdout).unwrap()
    };
    let collectors = |metrics: &str| {
        let series = metrics.lines().filter_map(|line| line.strip_prefix("node_scrape_collector_success{collector=\""));
        series.map(|line| line.strip_suffix("\"} 1").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let default = ["cpu", "cpufreq", "loadavg", "pressure", "rapl", "schedstat", "stat", "time", "uname"];
    assert_eq!(collectors(&scrape(&[])), default);
    assert!(!scrape(&[]).contains("node_cpu_info") && scrape(&["--collector.cpu.info"]).contains("node_cpu_info"));
    let without_cpu = scrape(&["--no-collector.cpu"]);
    assert!(!without_cpu.contains("node_cpu_online") && !without_cpu.contains("node_cpu_core_throttles_total"));
    let only = ["--collector.disable-defaults", "--collector.cpu", "--collector.softirqs"];
    assert_eq!(collectors(&scrape(&only)), ["cpu", "softirqs"]);
}

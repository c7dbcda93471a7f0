//! The cost of collectors of cpu-exporter that could be on or off by default.

use std::fmt::Write as _;
use std::path::Path;

use crate::cpu::{write, write_host};
use crate::{SCRAPE, Server, binary, measure, row, send_request};

const ROUNDS: usize = 5;
const SCRAPES: usize = 500;
const CPUS: usize = 64;

/// The additional CPU time of each collector: on the files of a host with 64 CPUs, or on this host, whose kernel creates the
/// files.
pub(crate) fn costs() {
    let host = tempfile::tempdir().unwrap();
    let (procfs, sysfs) = (host.path().join("proc"), host.path().join("sys"));
    write_host(&procfs, &sysfs, CPUS);
    write_details(&procfs, &sysfs);
    let roots = [format!("--path.procfs={}", procfs.display()), format!("--path.sysfs={}", sysfs.display())];
    let roots: Vec<_> = roots.iter().map(String::as_str).collect();
    for collector in ["schedstat", "rapl", "softirqs", "interrupts", "cpuidle"] {
        cost(collector, "64 CPUs", &roots);
    }
    for collector in ["softirqs", "interrupts", "cgroups", "processes"] {
        cost(collector, "this host", &[]);
    }
}

/// Scrapes in turns with and without a collector.
fn cost(collector: &str, host: &str, roots: &[&str]) {
    let on = format!("--collector.{collector}");
    let servers = [None, Some(&*on)].map(|on| {
        let flags = ["--collector.disable-defaults", "--collector.cpu", "--web.disable-exporter-metrics"];
        Server::start(
            &binary("cpu-exporter"),
            &flags.into_iter().chain(roots.iter().copied()).chain(on).collect::<Vec<_>>(),
        )
    });
    let mut connections = servers.each_ref().map(Server::connect);
    for connection in &mut connections {
        send_request(connection, SCRAPE); // reads static data
    }
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let [without, with] = [0, 1].map(|at| measure(&servers[at], &mut connections[at], SCRAPE, SCRAPES).1);
            (with - without, with)
        })
        .collect();
    rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (additional, with) = rounds[ROUNDS / 2];
    row(
        &format!("cpu-exporter: CPU time per scrape added by {collector}, {host}"),
        &format!("{additional:.3} ms"),
        "",
        &format!("{with:.3} ms with the collectors cpu and {collector}"),
    );
}

/// Writes files that no default collector reads: softirqs, interrupts, idle states and energy counters.
fn write_details(procfs: &Path, sysfs: &Path) {
    let mut head = String::new();
    let mut counts = String::new();
    for cpu in 0..CPUS {
        write!(head, "  CPU{cpu}").unwrap();
        write!(counts, "  1000{cpu}").unwrap();
        for (state, name) in ["POLL", "C1", "C1E", "C6"].into_iter().enumerate() {
            let directory = sysfs.join(format!("devices/system/cpu/cpu{cpu}/cpuidle/state{state}"));
            for (file, text) in [("name", name), ("time", "8885917"), ("usage", "26442")] {
                write(directory.join(file), &format!("{text}\n"));
            }
        }
    }
    let vectors = ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];
    let table = |rows: &mut dyn Iterator<Item = String>| format!("{head}\n{}", rows.collect::<String>());
    write(procfs.join("softirqs"), &table(&mut vectors.iter().map(|vector| format!("{vector}: {counts}\n"))));
    let devices = (0..100).map(|irq| format!("{irq}: {counts}  PCI-MSI {irq}-edge  nvme0q{irq}\n"));
    write(procfs.join("interrupts"), &table(&mut devices.into_iter()));
    for (zone, name) in [("0", "package-0"), ("0:0", "dram"), ("1", "package-1"), ("1:0", "dram")] {
        let directory = sysfs.join(format!("class/powercap/intel-rapl:{zone}"));
        for (file, text) in [("name", name), ("energy_uj", "240422366267"), ("max_energy_range_uj", "262143328850")] {
            write(directory.join(file), &format!("{text}\n"));
        }
    }
}

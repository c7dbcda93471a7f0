//! Compares the exporter with the real node_exporter on the same /proc and /sys.
//!
//! Intended differences:
//! - CPU time is one sum for each mode instead of a series for each CPU, so it is compared as `sum(increase())`.
//! - If idle time decreases by 3 s or more, node_exporter's sum decreases; ours continues.
//! - When the number of CPUs changes, node_exporter 1.5.0 drops its held values of all CPUs. Later versions and ours drop
//!   only the held values of offline CPUs.
//! - node_exporter 1.5.0 exports zeros for a CPU missing between others; later versions and ours export nothing.
//! - node_exporter 1.5.0 lacks interrupt pressure, governors and `cpu_exporter_cpu_online`, which are not compared.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod node;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use exporter_common::testing::Running;

use self::node::{Node, families};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cpu-exporter");

/// Starts node_exporter with the collectors that are compared.
fn start_node(procfs: &Path, sysfs: &Path, more: &[&str]) -> Option<Node> {
    let mut flags = vec![format!("--path.procfs={}", procfs.display()), format!("--path.sysfs={}", sysfs.display())];
    flags.extend(["--web.disable-exporter-metrics", "--collector.disable-defaults"].map(str::to_owned));
    flags.extend(["cpu", "cpufreq", "loadavg", "pressure", "stat"].map(|name| format!("--collector.{name}")));
    flags.extend(more.iter().map(|&flag| flag.to_owned()));
    Node::start(&flags)
}

fn start(procfs: &Path, sysfs: &Path) -> Running {
    let flags = [format!("--path.procfs={}", procfs.display()), format!("--path.sysfs={}", sysfs.display())];
    Running::start(PROGRAM, flags)
}

#[test]
fn common_families_are_identical() {
    for (machine, at_least) in [("laptop", 22), ("vm", 15)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(machine);
        let Some(node) = start_node(&root.join("proc"), &root.join("sys"), &["--collector.cpu.info"]) else { return };
        let ours = families(&start(&root.join("proc"), &root.join("sys")).scrape());
        let theirs = families(&node.scrape().replace("node_", "cpu_exporter_"));
        let mut compared = 0;
        for (name, theirs) in theirs {
            match &*name {
                // ours is a sum over CPUs, compared in the next test
                "cpu_exporter_cpu_seconds_total" | "cpu_exporter_cpu_guest_seconds_total" => continue,
                // node_exporter's own metrics
                name if name.starts_with("cpu_exporter_scrape_") || name.starts_with("cpu_exporter_exporter_") => {
                    continue;
                }
                name if name.starts_with("promhttp_") => continue,
                _ => {}
            }
            let theirs = theirs.replace("cpu thread frequency", "CPU thread frequency"); // the HELP of later versions
            assert_eq!(ours.get(&name), Some(&theirs), "{machine}");
            compared += 1;
        }
        assert!(compared >= at_least, "{machine}: only {compared} families compared");
    }
}

const COLUMNS: usize = 10;

/// The label `mode` for each column of /proc/stat.
const MODES: [&str; COLUMNS] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "user", "nice"];

fn our_series(column: usize) -> String {
    let name = if column < 8 { "usage" } else { "guest" };
    format!("cpu_exporter_cpu_{name}_seconds_total{{mode=\"{}\"}} ", MODES[column])
}

/// `sum(increase())` over node_exporter's series, in ticks. Each series continues from its own last sample, however old.
#[derive(Default)]
struct Sums {
    last: BTreeMap<(u32, usize), i64>,
    increase: [i64; COLUMNS],
    /// The plain sums over CPUs in the last scrape.
    values: [i64; COLUMNS],
}

#[expect(clippy::cast_possible_truncation, reason = "both print ticks as seconds with two decimals")]
fn ticks(seconds: &str) -> i64 {
    (seconds.trim().parse::<f64>().unwrap() * 100.0).round() as i64
}

impl Sums {
    fn add(&mut self, metrics: &str) {
        self.values = [0; COLUMNS];
        for line in metrics.lines() {
            let (first, rest) = if let Some(rest) = line.strip_prefix("node_cpu_seconds_total{cpu=\"") {
                (0, rest)
            } else if let Some(rest) = line.strip_prefix("node_cpu_guest_seconds_total{cpu=\"") {
                (8, rest)
            } else {
                continue;
            };
            let (cpu, rest) = rest.split_once("\",mode=\"").unwrap();
            let (mode, value) = rest.split_once("\"} ").unwrap();
            let column = first + MODES[first..].iter().position(|known| *known == mode).unwrap();
            let now = ticks(value);
            self.values[column] += now;
            let last = self.last.insert((cpu.parse().unwrap(), column), now).unwrap_or(now);
            assert!(now >= last, "Prometheus would read this decrease as a reset: {line}");
            self.increase[column] += now - last;
        }
    }
}

/// Generates /proc/stat of CPUs whose counts increase, decrease a little, and that go offline and online.
struct Machine {
    cpus: Vec<Option<[i64; COLUMNS]>>,
    /// The last counts of offline CPUs.
    offline: Vec<Option<[i64; COLUMNS]>>,
    random: u64,
}

impl Machine {
    /// A pseudorandom number below `limit`, reproducible in every run.
    fn random(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % limit
    }

    /// Advances the counts. `shown` contains node_exporter's last value of each CPU and column.
    fn step(&mut self, shown: &BTreeMap<(u32, usize), i64>) {
        let plugged = self.random(3) == 0;
        if plugged {
            // 1.5.0 exports zeros for a CPU missing between others, so only the last online CPU goes offline and only the
            // next one online.
            let online = self.cpus.iter().flatten().count();
            let leave = online > 1 && (online == self.cpus.len() || self.random(2) == 0);
            let cpu = if leave { online - 1 } else { online };
            std::mem::swap(&mut self.cpus[cpu], &mut self.offline[cpu]);
        }
        for cpu in 0..self.cpus.len() {
            for column in 0..COLUMNS {
                let back = self.random(5) == 0;
                let size = i64::try_from(self.random(100)).unwrap();
                let shown = shown.get(&(u32::try_from(cpu).unwrap(), column)).copied().unwrap_or(0);
                let Some(ticks) = &mut self.cpus[cpu] else { continue };
                // Small decreases may add up, but must stay below 3 s.
                ticks[column] = if back { (ticks[column] - size).max(shown - 299) } else { ticks[column] + size };
                // 1.5.0 drops all held values when the number of CPUs changes, so no value may be held then.
                if plugged {
                    ticks[column] = ticks[column].max(shown);
                }
            }
        }
    }

    fn stat(&self) -> String {
        let lines = self.cpus.iter().enumerate().filter_map(|(cpu, ticks)| {
            let ticks = ticks.as_ref()?.map(|ticks| ticks.to_string());
            Some(format!("cpu{cpu} {}\n", ticks.join(" ")))
        });
        format!("cpu  0 0 0 0 0 0 0 0 0 0\n{}intr 1 1\nctxt 1\nbtime 1\nprocesses 1\n", lines.collect::<String>())
    }
}

#[test]
fn increases_agree_across_hotplug_and_small_decreases() {
    let root = tempfile::tempdir().unwrap();
    let (procfs, sysfs) = (root.path().join("proc"), root.path().join("sys"));
    fs::create_dir_all(&procfs).unwrap();
    fs::create_dir_all(sysfs.join("devices/system/cpu/cpu0")).unwrap(); // 1.5.0 crashes without a CPU
    let mut cpus = vec![Some([100_000; COLUMNS]); 4];
    cpus.push(None); // first seen after the start
    let mut machine = Machine { cpus, offline: vec![None, None, None, None, Some([70_000; COLUMNS])], random: 1 };
    fs::write(procfs.join("stat"), machine.stat()).unwrap();
    let Some(node) = start_node(&procfs, &sysfs, &[]) else { return };
    let exporter = start(&procfs, &sysfs);

    let mut sums = Sums::default();
    let mut begin = None;
    let (mut removed, mut added) = (0, 0);
    for step in 0..150 {
        fs::write(procfs.join("stat"), machine.stat()).unwrap();
        sums.add(&node.scrape());
        let metrics = exporter.scrape();
        let ours: [i64; COLUMNS] = std::array::from_fn(|column| {
            let series = our_series(column);
            ticks(metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap())
        });
        let begin = *begin.get_or_insert_with(|| {
            assert_eq!(ours, sums.values, "the values are equal until a CPU goes offline or online");
            ours
        });
        let increase: [i64; COLUMNS] = std::array::from_fn(|column| ours[column] - begin[column]);
        assert_eq!(increase, sums.increase, "step {step}\n{}", machine.stat());
        let before: Vec<_> = machine.cpus.iter().map(Option::is_some).collect();
        machine.step(&sums.last);
        for (before, now) in before.into_iter().zip(&machine.cpus) {
            removed += i32::from(before && now.is_none());
            added += i32::from(!before && now.is_some());
        }
    }
    assert!(removed > 10 && added > 10, "{removed} removed, {added} added");
}

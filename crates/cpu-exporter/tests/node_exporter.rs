//! Beside the real node_exporter: the same /proc and /sys, the same numbers.
//!
//! Where the two differ on purpose, and why:
//! - CPU time is one sum for each mode instead of a series for each CPU: compared as `sum(increase())`.
//! - After an idle time that jumps far back node_exporter's own sum drops; ours goes on.
//! - `cpu_exporter_cpu_online` is there without cpu0/online, where node_exporter has no such metric.
//! - 1.5.0 forgets the values it holds of every CPU when their number changes, later versions only
//!   those of CPUs that are gone. Ours does as the later ones do.
//! - 1.5.0 shows zeros for a CPU that is missing between others; later versions and ours show nothing.
//! - 1.5.0 has no pressure of interrupts yet, and no governors: what it lacks is not compared.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use exporter_common::testing::{Running, eventually, get, real};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cpu-exporter");

/// node_exporter on a free port, until this is dropped.
struct Node {
    child: Child,
    url: String,
}

impl Node {
    /// Starts it; `None` where it is not installed.
    fn start(procfs: &Path, sysfs: &Path, more: &[&str]) -> Option<Self> {
        let program = real("prometheus-node-exporter")?;
        // it cannot be asked to choose a port and tell; somebody else may take the one that was free
        Some(eventually("node_exporter listens", || {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            let child = Command::new(&program)
                .arg(format!("--web.listen-address={address}"))
                .arg(format!("--path.procfs={}", procfs.display()))
                .arg(format!("--path.sysfs={}", sysfs.display()))
                .args(["--web.disable-exporter-metrics", "--collector.disable-defaults"])
                .args(["cpu", "cpufreq", "loadavg", "pressure", "stat"].map(|name| format!("--collector.{name}")))
                .args(more)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut node = Self { child, url: format!("http://{address}/metrics") };
            eventually("node_exporter listens or ends", || {
                let listens = std::net::TcpStream::connect(address).is_ok();
                (listens || node.child.try_wait().unwrap().is_some()).then_some(())
            });
            node.child.try_wait().unwrap().is_none().then_some(node)
        }))
    }

    fn scrape(&self) -> String {
        let answer = get(&self.url, &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(procfs: &Path, sysfs: &Path) -> Running {
    let flags = [format!("--path.procfs={}", procfs.display()), format!("--path.sysfs={}", sysfs.display())];
    Running::start(PROGRAM, flags)
}

/// The families of an exposition, each as it stands there, by name.
fn families(metrics: &str) -> BTreeMap<String, String> {
    let blocks = metrics.split("# HELP ").skip(1);
    blocks.map(|block| (block.split(' ').next().unwrap().to_owned(), block.to_owned())).collect()
}

#[test]
fn what_both_have_is_the_same_to_the_byte() {
    for (machine, at_least) in [("laptop", 22), ("vm", 15)] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(machine);
        let Some(node) = Node::start(&root.join("proc"), &root.join("sys"), &["--collector.cpu.info"]) else { return };
        let ours = families(&start(&root.join("proc"), &root.join("sys")).scrape());
        let theirs = families(&node.scrape().replace("node_", "cpu_exporter_"));
        let mut compared = 0;
        for (name, theirs) in theirs {
            match &*name {
                // summed here; compared below
                "cpu_exporter_cpu_seconds_total" | "cpu_exporter_cpu_guest_seconds_total" => continue,
                // of node_exporter itself
                name if name.starts_with("cpu_exporter_scrape_") || name.starts_with("cpu_exporter_exporter_") => {
                    continue;
                }
                name if name.starts_with("promhttp_") => continue,
                _ => {}
            }
            let theirs = theirs.replace("cpu thread frequency", "CPU thread frequency"); // later versions' help
            assert_eq!(ours.get(&name), Some(&theirs), "{machine}");
            compared += 1;
        }
        assert!(compared >= at_least, "{machine}: only {compared} families compared");
    }
}

const COLUMNS: usize = 10;

/// The names of both exporters' series for the columns of /proc/stat.
const MODES: [&str; COLUMNS] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "user", "nice"];

fn our_series(column: usize) -> String {
    let name = if column < 8 { "usage" } else { "guest" };
    format!("cpu_exporter_cpu_{name}_seconds_total{{mode=\"{}\"}} ", MODES[column])
}

/// What `sum(increase())` sees of node_exporter's series, in ticks: each adds to the last of its own
/// samples, however long ago.
#[derive(Default)]
struct Sums {
    last: BTreeMap<(u32, usize), i64>,
    increase: [i64; COLUMNS],
    /// The plain sums over the CPUs of the last scrape.
    values: [i64; COLUMNS],
}

#[expect(clippy::cast_possible_truncation, reason = "both print seconds with two decimals: ticks")]
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
            assert!(now >= last, "a step that Prometheus would take for a restart: {line}");
            self.increase[column] += now - last;
        }
    }
}

/// A fake /proc/stat whose CPUs count on, step back a little, leave and come back.
struct Machine {
    cpus: Vec<Option<[i64; COLUMNS]>>,
    /// Those that are offline, with what they had counted.
    offline: Vec<Option<[i64; COLUMNS]>>,
    random: u64,
}

impl Machine {
    /// A number below `limit`; the same ones in every run.
    fn random(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % limit
    }

    /// Time passes. `shown` is what node_exporter last showed of each CPU and column.
    fn step(&mut self, shown: &BTreeMap<(u32, usize), i64>) {
        let plugged = self.random(3) == 0;
        if plugged {
            // 1.5.0 shows zeros for a CPU that is missing between others: the last one leaves, or the
            // next one comes.
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
                // Small steps back may add up, but not to the 3 s of a jump.
                ticks[column] = if back { (ticks[column] - size).max(shown - 299) } else { ticks[column] + size };
                // 1.5.0 forgets what it holds of every CPU when their number changes (later versions
                // only that of CPUs that are gone): nothing may be held then.
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
fn the_increases_agree_over_hotplug_and_small_steps_back() {
    let root = tempfile::tempdir().unwrap();
    let (procfs, sysfs) = (root.path().join("proc"), root.path().join("sys"));
    fs::create_dir_all(&procfs).unwrap();
    fs::create_dir_all(sysfs.join("devices/system/cpu/cpu0")).unwrap(); // without a CPU 1.5.0 ends
    let mut cpus = vec![Some([100_000; COLUMNS]); 4];
    cpus.push(None); // first seen after the start
    let mut machine = Machine { cpus, offline: vec![None, None, None, None, Some([70_000; COLUMNS])], random: 1 };
    fs::write(procfs.join("stat"), machine.stat()).unwrap();
    let Some(node) = Node::start(&procfs, &sysfs, &[]) else { return };
    let exporter = start(&procfs, &sysfs);

    let mut sums = Sums::default();
    let mut begin = None;
    let (mut left, mut came) = (0, 0);
    for step in 0..150 {
        fs::write(procfs.join("stat"), machine.stat()).unwrap();
        sums.add(&node.scrape());
        let metrics = exporter.scrape();
        let ours: [i64; COLUMNS] = std::array::from_fn(|column| {
            let series = our_series(column);
            ticks(metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap())
        });
        let begin = *begin.get_or_insert_with(|| {
            assert_eq!(ours, sums.values, "while no CPU has come or gone the values are equal");
            ours
        });
        let increase: [i64; COLUMNS] = std::array::from_fn(|column| ours[column] - begin[column]);
        assert_eq!(increase, sums.increase, "step {step}\n{}", machine.stat());
        let before: Vec<_> = machine.cpus.iter().map(Option::is_some).collect();
        machine.step(&sums.last);
        for (before, now) in before.into_iter().zip(&machine.cpus) {
            left += i32::from(before && now.is_none());
            came += i32::from(!before && now.is_some());
        }
    }
    assert!(left > 10 && came > 10, "{left} left, {came} came");
}

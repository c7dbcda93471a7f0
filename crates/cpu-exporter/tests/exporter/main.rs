//! Runs the built exporter on file trees that replace /proc and /sys.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod invalid_lines; // one line of a file is garbage
mod many_cpus; // the number of series by default

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use exporter_common::testing::{Running, assert_golden, assert_lint, run, value};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cpu-exporter");

/// The path of a fixture.
fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn flag(name: &str, path: impl AsRef<Path>) -> String {
    format!("--{name}={}", path.as_ref().display())
}

/// The file tree of one test: a directory `proc` with a valid /proc/stat, and an empty `sys`.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.0.path().join("sys")).unwrap();
        host.write("proc/stat", &fs::read_to_string(fixture("laptop/proc/stat")).unwrap());
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes /proc/stat with a line for each CPU, given as number, user ticks and idle ticks.
    fn cpus(&self, cpus: &[(u32, u64, u64)]) {
        let lines = cpus.iter().map(|(cpu, user, idle)| format!("cpu{cpu} {user} 0 0 {idle} 0 0 0 0 0 0\n"));
        self.write("proc/stat", &format!("cpu  0 0 0 0 0 0 0 0 0 0\n{}intr 1 1\n", lines.collect::<String>()));
    }

    fn flags(&self) -> [String; 2] {
        [flag("path.procfs", self.path("proc")), flag("path.sysfs", self.path("sys"))]
    }

    fn start(&self) -> Running {
        Running::start(PROGRAM, self.flags())
    }

    /// Output and exit status of `--once`.
    fn once(&self) -> (String, Option<i32>) {
        let output = run(PROGRAM, self.flags().into_iter().chain(["--once".to_owned()]));
        (text(&output.stdout), output.status.code())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn success(metrics: &str, collector: &str) -> Option<f64> {
    value(metrics, &format!("exporter_scrape_success{{collector=\"{collector}\"}}"))
}

/// The sums of user and idle time.
fn usage(metrics: &str) -> (f64, f64) {
    let mode = |mode| value(metrics, &format!("cpu_exporter_cpu_usage_seconds_total{{mode=\"{mode}\"}}")).unwrap();
    (mode("user"), mode("idle"))
}

fn golden(machine: &str, name: &str, more: &[String]) {
    // relative, since the paths of energy counters are in the golden file
    let roots = ["proc", "sys"].map(|root| flag(&format!("path.{root}fs"), format!("tests/fixtures/{machine}/{root}")));
    let metrics = Running::start(PROGRAM, roots.iter().chain(more)).scrape();
    assert_lint(&metrics);
    assert_golden(&metrics, Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.prom")));
}

/// Collectors that are off by default.
const OPTIONAL: [&str; 4] =
    ["--collector.cgroups", "--collector.softirqs", "--collector.interrupts", "--collector.cpuidle"];

/// Optional collectors that always describe the running machine.
const LIVE: [&str; 3] = ["--collector.time", "--collector.uname", "--collector.processes"];

#[test]
fn a_laptop_has_every_metric() {
    let mut flags = vec![flag("path.cgroup", fixture("laptop/cgroup"))];
    flags.extend(OPTIONAL.map(str::to_owned));
    golden("laptop", "laptop", &flags);
    golden("laptop", "laptop-per-cpu", &["--collector.cpu.per-cpu".to_owned(), "--collector.interrupts".to_owned()]);
}

#[test]
fn the_documentation_lists_exactly_the_exported_metrics() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = |name| fs::read_to_string(here.join("tests/golden").join(name)).unwrap();
    let live = text(&run(PROGRAM, LIVE.iter().chain(&["--once", "--web.disable-exporter-metrics"])).stdout);
    let metrics = [golden("laptop.prom"), golden("laptop-per-cpu.prom"), live].concat();
    let page = fs::read_to_string(here.join("../../docs/cpu-exporter.md")).unwrap();
    let shown = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let (own, common): (BTreeSet<_>, BTreeSet<_>) = shown.partition(|name| name.starts_with("cpu_exporter_"));
    let words: BTreeSet<_> = page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let prefixed =
        words.iter().copied().filter(|word| word.strip_prefix("cpu_exporter_").is_some_and(|name| !name.is_empty()));
    assert_eq!(own, prefixed.collect());
    assert!(common.contains("exporter_duplicate_series_total") && common.is_subset(&words), "{common:?}");
}

#[test]
fn a_virtual_machine_has_the_metrics_of_its_files() {
    golden("vm", "vm", &[flag("path.cgroup", fixture("vm/cgroup-v1"))]);
}

#[test]
fn this_host_is_read_without_errors() {
    let exporter = Running::start(PROGRAM, OPTIONAL.iter().chain(&LIVE).chain(&["--collector.cpu.per-cpu"]));
    let metrics = exporter.scrape();
    assert_lint(&metrics);
    let names = metrics.lines().filter_map(|line| line.strip_prefix("exporter_scrape_success{collector=\""));
    let failed: Vec<_> = names.filter(|line| !line.ends_with(" 1")).collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", exporter.log());
    assert!(usage(&metrics).1 > 0.0);
    let processes = metrics.lines().filter(|line| line.starts_with("cpu_exporter_processes_cpu_seconds_total"));
    assert!((1..=21).contains(&processes.count()), "{metrics}");
}

#[test]
fn the_sum_continues_when_cpus_go_offline_and_online() {
    let host = Host::new();
    host.cpus(&[(0, 1000, 50_000), (1, 2000, 60_000)]);
    let exporter = host.start();
    let next = |cpus: &[(u32, u64, u64)]| {
        host.cpus(cpus);
        usage(&exporter.scrape())
    };
    assert_eq!(usage(&exporter.scrape()), (30.0, 1100.0));
    assert_eq!(next(&[(0, 1100, 50_000), (1, 2100, 60_100)]), (32.0, 1101.0));
    assert_eq!(next(&[(0, 1200, 50_000)]), (33.0, 1101.0), "CPU 1 is offline and keeps its share");
    assert_eq!(next(&[(0, 1200, 50_000), (1, 2150, 60_100)]), (33.5, 1101.0), "CPU 1 is online again, 0.5 s later");
    assert_eq!(next(&[(0, 1200, 50_000), (1, 2150, 60_100), (7, 9999, 9999)]), (33.5, 1101.0), "CPU 7 is new");
    assert_eq!(next(&[(0, 1200, 50_000), (1, 2150, 60_100), (7, 10_099, 9999)]), (34.5, 1101.0), "CPU 7 was busy");
}

#[test]
fn a_small_decrease_is_held_and_a_large_one_is_a_new_baseline() {
    let host = Host::new();
    host.cpus(&[(0, 1000, 50_000)]);
    let exporter = host.start();
    let next = |user, idle| {
        host.cpus(&[(0, user, idle)]);
        usage(&exporter.scrape())
    };
    assert_eq!(usage(&exporter.scrape()), (10.0, 500.0));
    assert_eq!(next(1100, 49_701), (11.0, 500.0), "held at 500 s");
    assert_eq!(next(1100, 50_010), (11.0, 500.1));
    assert_eq!(next(1200, 49_710), (11.0, 500.1), "3 s: a new baseline for the whole CPU");
    assert_eq!(next(1300, 49_810), (12.0, 501.1));
    assert_eq!(next(5, 5), (12.0, 501.1), "neither a decrease nor a jump");
    assert_eq!(next(105, 105), (13.0, 502.1));
}

#[test]
fn counters_continue_when_their_source_decreases() {
    let host = Host::new();
    let stat = |boot_time: u64, count: u64| {
        format!("cpu0 1 2 3 4\nintr {count} 1\nctxt {count}\nbtime {boot_time}\nprocesses {count}\nprocs_blocked 0\n")
    };
    let write = |boot_time, count: u64| {
        host.write("proc/stat", &stat(boot_time, count));
        let line = format!("avg10=0.00 avg60=0.00 avg300=0.00 total={count}000000\n");
        host.write("proc/pressure/io", &format!("some {line}full {line}"));
    };
    write(1000, 100);
    let exporter = host.start();
    for (boot_time, count, of_stat, of_pressure) in [
        (1000, 100, 100.0, 100.0),
        (1000, 50, 100.0, 100.0),
        (1000, 60, 110.0, 110.0),
        (2000, 40, 150.0, 110.0), // after a reboot the whole count is new; pressure files do not reveal a reboot
        (2000, 41, 151.0, 111.0),
    ] {
        write(boot_time, count);
        let metrics = exporter.scrape();
        for (name, expected) in [
            ("cpu_exporter_intr_total", of_stat),
            ("cpu_exporter_context_switches_total", of_stat),
            ("cpu_exporter_forks_total", of_stat),
            ("cpu_exporter_pressure_io_waiting_seconds_total", of_pressure),
            ("cpu_exporter_pressure_io_stalled_seconds_total", of_pressure),
        ] {
            assert_eq!(value(&metrics, name), Some(expected), "{name}: {boot_time}, {count}");
        }
    }
}

#[test]
fn throttle_counts_continue_when_their_cpu_goes_offline() {
    let host = Host::new();
    let cpu = |cpu: u32, file: &str, text: &str| host.write(&format!("sys/devices/system/cpu/cpu{cpu}/{file}"), text);
    for (number, count) in [(0, "10\n"), (1, "4\n")] {
        cpu(number, "topology/physical_package_id", "0\n");
        cpu(number, "topology/core_id", "3\n");
        cpu(number, "thermal_throttle/core_throttle_count", count);
        cpu(number, "thermal_throttle/package_throttle_count", count);
    }
    let exporter = host.start();
    let throttles = || {
        let metrics = exporter.scrape();
        let core = value(&metrics, "cpu_exporter_cpu_core_throttles_total{core=\"3\",package=\"0\"}");
        (core, value(&metrics, "cpu_exporter_cpu_package_throttles_total{package=\"0\"}"))
    };
    assert_eq!(throttles(), (Some(10.0), Some(10.0)));
    fs::remove_dir_all(host.path("sys/devices/system/cpu/cpu0/thermal_throttle")).unwrap();
    assert_eq!(throttles(), (Some(10.0), Some(10.0)));
    cpu(1, "thermal_throttle/core_throttle_count", "6\n");
    assert_eq!(throttles(), (Some(12.0), Some(10.0)));
}

#[test]
fn a_pressure_file_without_a_final_newline_must_not_decrease() {
    let host = Host::new();
    let write = |total: &str| {
        host.write("proc/pressure/cpu", &format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={total}"));
    };
    let waiting = |metrics: &str| value(metrics, "cpu_exporter_pressure_cpu_waiting_seconds_total");
    write("14000000");
    let exporter = host.start();
    let metrics = exporter.scrape();
    assert_eq!((success(&metrics, "pressure"), waiting(&metrics)), (Some(1.0), Some(14.0)));
    write("1400000");
    let metrics = exporter.scrape();
    assert_eq!((success(&metrics, "pressure"), waiting(&metrics)), (Some(0.0), None), "truncated");
    write("15000000");
    assert_eq!(waiting(&exporter.scrape()), Some(15.0));
}

#[test]
fn invalid_load_averages_are_an_error() {
    let host = Host::new();
    host.write("proc/loadavg", "NaN inf -3 1/719 19737\n");
    let (metrics, status) = host.once();
    assert_eq!((status, success(&metrics, "loadavg")), (Some(1), Some(0.0)));
    assert!(!metrics.contains("cpu_exporter_load"), "{metrics}");
}

#[test]
fn an_empty_proc_and_sys_lose_only_their_own_metrics() {
    let host = Host::new();
    fs::remove_file(host.path("proc/stat")).unwrap();
    let (metrics, status) = host.once();
    for (collector, expected) in [
        ("cpu", 0.0),
        ("stat", 0.0),
        ("loadavg", 1.0),
        ("pressure", 1.0),
        ("cpufreq", 1.0),
        ("topology", 1.0),
        ("info", 1.0),
        ("throttle", 1.0),
        ("schedstat", 1.0),
        ("rapl", 1.0),
    ] {
        assert_eq!(success(&metrics, collector), Some(expected), "{collector}");
    }
    assert_eq!((status, success(&metrics, "cgroup")), (Some(1), None));
    assert!(!metrics.contains("cpu_exporter_cpu_") && !metrics.contains("cpu_exporter_load"), "{metrics}");
}

#[test]
fn an_empty_cpu_directory_is_not_an_error() {
    let host = Host::new();
    fs::create_dir_all(host.path("sys/devices/system/cpu")).unwrap();
    assert_eq!(host.once().1, Some(0));
}

#[test]
fn one_broken_file_loses_only_its_own_metrics_and_success() {
    let cpu = "sys/devices/system/cpu";
    for (broken, collector, survivor) in [
        ("proc/loadavg", "loadavg", "cpu_exporter_forks_total"),
        ("proc/pressure/io", "pressure", "cpu_exporter_pressure_memory_stalled_seconds_total"),
        (&*format!("{cpu}/isolated"), "topology", "cpu_exporter_cpu_online{cpu=\"1\"}"),
        (&*format!("{cpu}/online"), "topology", "cpu_exporter_cpu_isolated{cpu=\"1\"}"),
        (
            &*format!("{cpu}/cpu0/cpufreq/scaling_cur_freq"),
            "cpufreq",
            "cpu_exporter_cpu_scaling_frequency_hertz{cpu=\"1\"}",
        ),
        (
            &*format!("{cpu}/cpu0/cpufreq/scaling_governor"),
            "cpufreq",
            "cpu_exporter_cpu_scaling_frequency_hertz{cpu=\"0\"}",
        ),
        (&*format!("{cpu}/offline"), "cpufreq", "cpu_exporter_cpu_scaling_frequency_hertz{cpu=\"0\"}"),
        (
            &*format!("{cpu}/cpu0/thermal_throttle/core_throttle_count"),
            "throttle",
            "cpu_exporter_cpu_package_throttles_total{package=\"0\"}",
        ),
        ("proc/cpuinfo", "info", "cpu_exporter_load1"),
        ("proc/schedstat", "schedstat", "cpu_exporter_load1"),
        ("sys/class/powercap/intel-rapl:0/energy_uj", "rapl", "cpu_exporter_load1"),
    ] {
        let host = Host::new();
        copy(&fixture("laptop"), host.0.path());
        assert_eq!(host.once().1, Some(0), "intact");
        fs::remove_file(host.path(broken)).unwrap();
        fs::create_dir(host.path(broken)).unwrap(); // it can be opened but not read
        let (metrics, status) = host.once();
        assert_eq!((status, success(&metrics, collector)), (Some(1), Some(0.0)), "{broken}");
        assert!(value(&metrics, survivor).is_some(), "{broken}: {survivor}\n{metrics}");

        fs::remove_dir(host.path(broken)).unwrap();
        host.write(broken, "\0garbage\n");
        let (metrics, status) = host.once();
        assert_eq!((status, success(&metrics, collector)), (Some(1), Some(0.0)), "{broken}: garbage");
        assert!(value(&metrics, survivor).is_some(), "{broken}: {survivor}");
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_fifo_instead_of_a_file_does_not_block() {
    let host = Host::new();
    host.write("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3300000\n");
    let cpus = "sys/devices/system/cpu";
    for fifo in ["proc/loadavg", &format!("{cpus}/cpu0/cpufreq/scaling_cur_freq"), &format!("{cpus}/isolated")] {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, host.path(fifo), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    let (metrics, _) = host.once();
    for collector in ["loadavg", "cpufreq", "topology"] {
        assert_eq!(success(&metrics, collector), Some(0.0), "{collector}");
    }
    assert_eq!(value(&metrics, "cpu_exporter_cpu_frequency_max_hertz{cpu=\"0\"}"), Some(3.3e9));
    assert_eq!(success(&metrics, "cpu"), Some(1.0));
}

#[test]
fn huge_lists_and_files_do_not_exhaust_the_memory() {
    let host = Host::new();
    host.write("sys/devices/system/cpu/online", "0-4294967295\n");
    fs::File::create(host.path("proc/loadavg")).unwrap().set_len(1 << 30).unwrap();
    fs::remove_file(host.path("proc/stat")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", host.path("proc/stat")).unwrap();
    let exporter = host.start();
    let metrics = exporter.scrape();
    for collector in ["topology", "loadavg", "cpu", "stat"] {
        assert_eq!(success(&metrics, collector), Some(0.0), "{collector}");
    }
    let log = exporter.log();
    assert!(log.contains("loadavg exceeds 64 KiB") && log.contains("stat: not a regular file"), "{log}");
}

#[test]
fn the_frequencies_of_many_cpus_are_exported_on_request() {
    let host = Host::new();
    for cpu in 0..100 {
        host.write(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"), &format!("{}\n", 1000 + cpu));
    }
    assert!(!host.once().0.contains("_frequency_hertz"), "by default, only the CPUs of smaller hosts");
    let flags = host.flags().into_iter().chain(["--once", "--collector.cpu.per-cpu"].map(str::to_owned));
    let metrics = text(&run(PROGRAM, flags).stdout);
    for cpu in 0..100 {
        let series = format!("cpu_exporter_cpu_scaling_frequency_hertz{{cpu=\"{cpu}\"}}");
        assert_eq!(value(&metrics, &series), Some(1_000_000.0 + 1000.0 * f64::from(cpu)));
    }
}

/// The error output of `--check` and its exit status.
fn check(arguments: &[String]) -> (String, Option<i32>) {
    let Output { stderr, status, .. } = run(PROGRAM, arguments.iter().map(String::as_str).chain(["--check"]));
    (text(&stderr), status.code())
}

#[test]
fn a_path_that_is_not_a_directory_is_reported_with_its_flag() {
    let host = Host::new();
    assert_eq!(check(&host.flags()).1, Some(0));
    for name in ["path.procfs", "path.sysfs", "path.cgroup"] {
        for path in ["proc/stat", "missing"] {
            let (line, status) = check(&[flag(name, host.path(path))]);
            assert_eq!((status, line.lines().count()), (Some(1), 1), "{line}");
            assert!(line.contains(&format!("--{name}: ")) && line.contains(path), "{line}");
        }
    }
}

#[test]
fn the_cgroup_collector_is_enabled_by_its_path() {
    let host = Host::new();
    let cgroup = flag("path.cgroup", fixture("laptop/cgroup"));
    for (flags, enabled) in [
        (vec![], false),
        (vec![&*cgroup], true),
        (vec![&*cgroup, "--collector.cgroup"], true),
        (vec![&*cgroup, "--no-collector.cgroup"], false),
        (vec![&*cgroup, "--collector.cgroup=false"], false),
        (vec![&*cgroup, "--collector.disable-defaults"], true),
    ] {
        let arguments = host.flags().into_iter().chain(flags.iter().map(|&flag| flag.to_owned()));
        let output = run(PROGRAM, arguments.chain(["--once".to_owned()]));
        let metrics = text(&output.stdout);
        assert_eq!(success(&metrics, "cgroup"), enabled.then_some(1.0), "{flags:?}");
        assert_eq!(value(&metrics, "cpu_exporter_cgroup_cpu_limit_cores"), enabled.then_some(1.5), "{flags:?}");
    }
    let (line, status) = check(&["--collector.cgroup".to_owned()]);
    assert!(status == Some(2) && line.contains("--collector.cgroup needs --path.cgroup"), "{line}");
}

#[test]
fn a_missing_cgroup_is_an_error_and_a_recreated_one_continues() {
    let host = Host::new();
    host.write("cgroup/cpu.stat", "usage_usec 5000000\n");
    let flags = host.flags().into_iter().chain([flag("path.cgroup", host.path("cgroup"))]);
    let exporter = Running::start(PROGRAM, flags);
    let used = |metrics: &str| value(metrics, "cpu_exporter_cgroup_cpu_usage_seconds_total");
    assert_eq!(used(&exporter.scrape()), Some(5.0));

    fs::rename(host.path("cgroup"), host.path("gone")).unwrap(); // keeps the inode in use
    let metrics = exporter.scrape();
    assert_eq!((success(&metrics, "cgroup"), used(&metrics)), (Some(0.0), None));

    host.write("cgroup/cpu.stat", "usage_usec 1000000\n");
    let metrics = exporter.scrape();
    assert_eq!((success(&metrics, "cgroup"), used(&metrics)), (Some(1.0), Some(6.0)));
}

#[test]
fn a_cgroup_may_appear_after_the_start() {
    let host = Host::new();
    let flags = host.flags().into_iter().chain([flag("path.cgroup", host.path("cgroup"))]);
    let exporter = Running::start(PROGRAM, flags);
    let metrics = exporter.scrape();
    assert_eq!(success(&metrics, "cgroup"), Some(0.0));
    assert!(!metrics.contains("cpu_exporter_cgroup"), "{metrics}");
    host.write("cgroup/cpu.stat", "usage_usec 5000000\n");
    let metrics = exporter.scrape();
    assert_eq!(success(&metrics, "cgroup"), Some(1.0));
    assert_eq!(value(&metrics, "cpu_exporter_cgroup_cpu_usage_seconds_total"), Some(5.0));
}

#[test]
fn a_restart_after_hotplug_does_not_lower_the_sum() {
    let host = Host::new();
    let write = |total: &str, cpus: &str| host.write("proc/stat", &format!("cpu  {total}\n{cpus}intr 1 1\n"));
    write("3000 0 0 110000", "cpu0 1000 0 0 50000\ncpu1 2000 0 0 60000\n");
    assert_eq!(usage(&host.start().scrape()), (30.0, 1100.0));
    write("3100 0 0 110000", "cpu0 1100 0 0 50000\n");
    assert_eq!(usage(&host.start().scrape()), (31.0, 1100.0), "CPU 1 is offline");
    host.write("proc/uptime", "2000.00 1000.00\n");
    write("1200 0 0 50100", "cpu0 1100 0 0 50000\ncpu1 100 0 0 100\n");
    let exporter = host.start();
    assert_eq!(usage(&exporter.scrape()), (0.0, 0.0), "suspend reset the counts of CPU 1");
    write("1300 0 0 50100", "cpu0 1200 0 0 50000\ncpu1 100 0 0 100\n");
    assert_eq!(usage(&exporter.scrape()), (1.0, 0.0));
}

//! Runs the built exporter with reads of one file that take long or fail, by a preloaded library.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use exporter_common::testing::{Running, real, value};

/// The exporter on the laptop fixtures and its preloaded library; `None` if there is no C compiler.
struct SlowExporter {
    exporter: Running,
    _library: tempfile::TempDir,
}

impl SlowExporter {
    fn start(path: &str, milliseconds: u32, errno: i32) -> Option<Self> {
        Self::start_with(&[], &tests().join("fixtures/laptop/proc"), path, milliseconds, errno)
    }

    fn start_with(flags: &[&str], procfs: &Path, path: &str, milliseconds: u32, errno: i32) -> Option<Self> {
        let compiler = real("cc")?;
        let here = tests();
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("slow_read.so");
        let compile = Command::new(compiler)
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &here.join("slow_read.c")])
            .arg("-ldl")
            .status();
        assert!(compile.unwrap().success());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cpu-exporter"));
        command
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags)
            .arg(format!("--path.procfs={}", procfs.display()))
            .arg(format!("--path.sysfs={}", here.join("fixtures/laptop/sys").display()))
            .env("LD_PRELOAD", &library)
            .env("SHIM_MATCH", path)
            .env("SHIM_MS", milliseconds.to_string())
            .env("SHIM_ERRNO", errno.to_string());
        Some(Self { exporter: Running::spawn(&mut command), _library: folder })
    }

    /// The metrics of a scrape with a timeout of 2 s, and its duration.
    fn scrape(&self) -> (String, Duration) {
        let start = Instant::now();
        let response = self.exporter.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "2")]);
        (response.body, start.elapsed())
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn success(metrics: &str, collector: &str) -> Option<f64> {
    value(metrics, &format!("exporter_scrape_success{{collector=\"{collector}\"}}"))
}

#[test]
fn a_slow_file_of_proc_delays_neither_other_collectors_nor_the_health_check() {
    for (path, collectors) in
        [("/loadavg", &["loadavg"][..]), ("laptop/proc/stat", &["cpu", "stat"]), ("pressure/cpu", &["pressure"])]
    {
        let Some(slow) = SlowExporter::start(path, 20_000, 0) else { return };
        std::thread::scope(|threads| {
            let scrape = threads.spawn(|| slow.scrape());
            std::thread::sleep(Duration::from_millis(300));
            let start = Instant::now();
            assert_eq!(slow.exporter.get("/-/healthy", &[]).status, 200);
            assert!(start.elapsed() < Duration::from_secs(1), "{path}: {:?}", start.elapsed());
            let (metrics, duration) = scrape.join().unwrap();
            assert!(duration < Duration::from_secs(4), "{path}: {duration:?}");
            for collector in ["cpu", "loadavg", "stat", "pressure", "cpufreq", "topology", "info", "throttle"] {
                let expected = if collectors.contains(&collector) { 0.0 } else { 1.0 };
                assert_eq!(success(&metrics, collector), Some(expected), "{path}: {collector}");
            }
        });
    }
}

#[test]
fn a_cpu_whose_frequency_hangs_delays_only_the_first_scrape() {
    let Some(slow) = SlowExporter::start("cpu0/cpufreq/scaling_cur_freq", 60_000, 0) else { return };
    let frequency =
        |metrics: &str, cpu| value(metrics, &format!("cpu_exporter_cpu_scaling_frequency_hertz{{cpu=\"{cpu}\"}}"));
    for scrape in 0..4 {
        let (metrics, duration) = slow.scrape();
        assert_eq!(success(&metrics, "cpufreq"), Some(0.0), "scrape {scrape}");
        assert_eq!(frequency(&metrics, 0), None, "scrape {scrape}");
        assert!(frequency(&metrics, 1).is_some(), "scrape {scrape}");
        assert!(scrape == 0 || duration < Duration::from_secs(1), "scrape {scrape}: {duration:?}");
    }
}

#[test]
fn an_idle_core_without_an_average_frequency_is_not_an_error() {
    use rustix::io::Errno;
    for errno in [Errno::AGAIN, Errno::NODATA, Errno::NODEV] {
        let Some(slow) = SlowExporter::start("cpuinfo_avg_freq", 0, errno.raw_os_error()) else { return };
        let (metrics, _) = slow.scrape();
        assert_eq!(success(&metrics, "cpufreq"), Some(1.0), "{errno}: {}", slow.exporter.log());
        assert!(!metrics.contains("cpu_exporter_cpu_frequency_avg_hertz"), "{errno}");
    }
}

#[test]
fn with_the_names_of_node_exporter_a_part_that_hangs_stops_no_other_counter() {
    let folder = tempfile::tempdir().unwrap();
    let procfs = folder.path().join("proc");
    assert!(
        Command::new("cp").arg("-r").arg(tests().join("fixtures/laptop/proc")).arg(&procfs).status().unwrap().success()
    );
    let names = ["--metrics.names=node"];
    let Some(slow) = SlowExporter::start_with(&names, &procfs, "core_throttle_count", 60_000, 0) else { return };
    let idle = |metrics: &str| value(metrics, "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}").unwrap();
    let (metrics, _) = slow.scrape();
    let before = idle(&metrics);
    let stat = std::fs::read_to_string(procfs.join("stat")).unwrap();
    let line = stat.lines().find(|line| line.starts_with("cpu0 ")).unwrap();
    let mut fields: Vec<_> = line.split(' ').map(str::to_owned).collect();
    fields[4] = (fields[4].parse::<u64>().unwrap() + 700).to_string();
    std::fs::write(procfs.join("stat"), stat.replace(line, &fields.join(" "))).unwrap();
    let (metrics, duration) = slow.scrape();
    assert!((idle(&metrics) - before - 7.0).abs() < 1e-6, "{before} {}", idle(&metrics));
    assert_eq!(value(&metrics, "node_scrape_collector_success{collector=\"cpu\"}"), Some(0.0));
    assert!(duration < Duration::from_secs(1), "{duration:?}");
}

#[test]
fn a_list_of_online_cpus_that_hangs_is_waited_for_once_by_collectors_that_can_do_without() {
    let Some(slow) = SlowExporter::start("system/cpu/online", 60_000, 0) else { return };
    slow.scrape();
    let (metrics, _) = slow.scrape();
    for (collector, expected) in [("cpu", 1.0), ("cpufreq", 1.0), ("info", 1.0), ("throttle", 1.0), ("topology", 0.0)] {
        assert_eq!(success(&metrics, collector), Some(expected), "{collector}");
    }
}

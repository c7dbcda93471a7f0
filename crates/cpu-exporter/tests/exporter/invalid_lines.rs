//! An invalid line affects only the values in it, and no counter decreases.

use std::fs;

use exporter_common::testing::{Running, assert_has, value};

use super::{Host, success, usage};

const USER: &str = "mode=\"user\"";

/// /proc/stat with the given lines of CPUs.
fn write_stat(host: &Host, sum: &str, cpus: &[&str]) {
    host.write("proc/stat", &format!("{sum}\n{}\nintr 1 1\n", cpus.join("\n")));
}

fn user(metrics: &str, cpu: u32) -> Option<f64> {
    value(metrics, &format!("cpu_exporter_cpu_seconds_total{{cpu=\"{cpu}\",{USER}}}"))
}

fn start(host: &Host, flags: &[&str]) -> Running {
    Running::start(env!("CARGO_BIN_EXE_cpu-exporter"), host.flags().iter().map(String::as_str).chain(flags.to_vec()))
}

/// Lines that have no values of a CPU.
const GARBAGE: [&str; 11] = [
    "cpu1 x 0 0 50000",
    "cpu1 -1 0 0 50000",
    "cpux 1 1 1 1",
    "cpu1 1100 0",
    "cpu1",
    "cpu  1100 0 0 50000",
    "\0\0\0",
    "cpu1 \u{fffd}",
    "xpu1 1400 0 0 50000",
    "garbage 1 2 3 4",
    "",
];

#[test]
fn an_invalid_cpu_line_affects_only_its_cpu_and_the_sum_catches_up() {
    let host = Host::new();
    let sum = "cpu  3000 0 0 150000";
    write_stat(&host, sum, &["cpu0 1000 0 0 50000", "cpu1 1000 0 0 50000", "cpu2 1000 0 0 50000"]);
    let exporter = start(&host, &["--collector.cpu.per-cpu"]);
    assert_eq!(usage(&exporter.scrape()), (30.0, 1500.0));
    for garbage in GARBAGE {
        write_stat(&host, sum, &["cpu0 1100 0 0 50000", garbage, "cpu2 1200 0 0 50000"]);
        let metrics = exporter.scrape();
        assert_eq!(success(&metrics, "cpu"), Some(0.0), "{garbage:?}");
        assert_eq!((user(&metrics, 0), user(&metrics, 1), user(&metrics, 2)), (Some(11.0), None, Some(12.0)));
        assert_eq!(usage(&metrics), (33.0, 1500.0), "{garbage:?}: without the increase of CPU 1");
        assert_eq!(success(&metrics, "stat"), Some(1.0), "{garbage:?}");
    }
    write_stat(&host, sum, &["cpu0 1100 0 0 50000", "cpu1 1400 0 0 50000", "cpu2 1200 0 0 50000"]);
    let metrics = exporter.scrape();
    assert_eq!((usage(&metrics), success(&metrics, "cpu")), ((37.0, 1500.0), Some(1.0)), "CPU 1 catches up");
}

#[test]
fn an_invalid_cpu_line_in_the_first_read_does_not_lower_the_sum() {
    let host = Host::new();
    let valid = ["cpu0 1000 0 0 50000", "cpu1 2000 0 0 60000"];
    let invalid = [valid[0], "cpu1 x 0 0 60000"];
    write_stat(&host, "cpu  3000 0 0 110000", &invalid);
    let exporter = start(&host, &[]);
    assert_eq!(usage(&exporter.scrape()), (30.0, 1100.0), "the sum line has the share of CPU 1");
    write_stat(&host, "cpu  3000 0 0 110000", &valid);
    assert_eq!(usage(&exporter.scrape()), (30.0, 1100.0));

    for sum in ["cpu  x", "cpu ", "cpu  3000", "cpu  3000 0 0"] {
        write_stat(&host, sum, &invalid);
        let exporter = start(&host, &["--collector.cpu.per-cpu"]);
        let metrics = exporter.scrape();
        assert!(!metrics.contains("cpu_exporter_cpu_usage_seconds_total"), "{sum:?}: too low: {metrics}");
        assert_eq!((user(&metrics, 0), user(&metrics, 1), success(&metrics, "cpu")), (Some(10.0), None, Some(0.0)));
        write_stat(&host, sum, &["cpu0 1100 0 0 50000", valid[1]]);
        let metrics = exporter.scrape();
        assert_eq!((usage(&metrics), success(&metrics, "cpu")), ((31.0, 1100.0), Some(1.0)), "{sum:?}");
    }
}

#[test]
fn a_time_that_is_slightly_lower_after_an_invalid_line_does_not_decrease() {
    let host = Host::new();
    let write = |line: &str| write_stat(&host, "cpu  x", &["cpu0 1000 0 0 50000 0", line]);
    write("cpu1 1000 0 0 50000 100"); // before the start, which may read it
    let node = start(&host, &["--metrics.names=node"]);
    let own = start(&host, &[]);
    let iowait = |line: &str| {
        write(line);
        let reading = value(&node.scrape(), "node_cpu_seconds_total{cpu=\"1\",mode=\"iowait\"}");
        (reading, value(&own.scrape(), "cpu_exporter_cpu_usage_seconds_total{mode=\"iowait\"}").unwrap())
    };
    assert_eq!(iowait("cpu1 1000 0 0 50000 100"), (Some(1.0), 1.0));
    assert_eq!(iowait("cpu1 1000 0 0 50000 x"), (None, 1.0));
    for ticks in [99, 100] {
        assert_eq!(iowait(&format!("cpu1 1000 0 0 50000 {ticks}")), (Some(1.0), 1.0), "{ticks}");
    }
    assert_eq!(iowait("cpu1 1000 0 0 50000 101"), (Some(1.01), 1.01));
}

#[test]
fn a_byte_that_is_not_utf8_affects_only_its_line() {
    let host = Host::new();
    let table = b"  CPU0  CPU1\nTIMER: 5 \xff\nRCU: 7 8\nT\xff: 1 2\n";
    for (file, content) in [
        (
            "stat",
            &b"cpu  2000 0 0 100000\ncpu0 1000 0 0 50000\ncpu1 1000 \xff 0 50000\nintr 1\nbtime \xff\nprocesses 7\n"[..],
        ),
        ("schedstat", b"version 15\ncpu0 0 0 0 0 0 0 1000000000 0 5\ncpu1 0 0 0 0 0 0 \xff 0 5\n"),
        ("softirqs", table),
        ("interrupts", table),
    ] {
        fs::write(host.path("proc").join(file), content).unwrap();
    }
    fs::write(host.path("proc/cpuinfo"), b"processor : 0\nmodel name : A\xff\n").unwrap();
    let flags = ["--collector.softirqs", "--collector.interrupts", "--collector.info", "--collector.cpu.per-cpu"];
    let metrics = start(&host, &flags).scrape();
    for collector in ["cpu", "stat", "schedstat", "softirqs", "interrupts", "info"] {
        assert_eq!(success(&metrics, collector), Some(0.0), "{collector}");
    }
    assert_has(
        &metrics,
        &[
            "cpu_exporter_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 10",
            "cpu_exporter_forks_total 7",
            "cpu_exporter_schedstat_running_seconds_total{cpu=\"0\"} 1",
            "cpu_exporter_softirqs_functions_total{cpu=\"1\",type=\"RCU\"} 8",
            "cpu_exporter_interrupts_total{cpu=\"1\",devices=\"\",info=\"\",type=\"RCU\"} 8",
        ],
    );
    assert!(!metrics.contains('\u{fffd}'), "{metrics}");
}

#[test]
fn an_invalid_line_of_schedstat_affects_only_its_cpu_and_the_sum_catches_up() {
    let host = Host::new();
    let write = |lines: [&str; 2]| host.write("proc/schedstat", &format!("version 15\n{}\n", lines.join("\n")));
    let running = |metrics: &str| value(metrics, "cpu_exporter_schedstat_running_seconds_total");
    let valid = ["cpu0 0 0 0 0 0 0 1000000000 0 5", "cpu1 0 0 0 0 0 0 2000000000 0 5"];
    let invalid = ["cpu0 0 0 0 0 0 0 1500000000 0 5", "cpu1 0 0 0 0 0 0 x 0 5"];
    let exporter = start(&host, &[]);
    for garbage in GARBAGE.into_iter().chain([invalid[1]]) {
        write([invalid[0], garbage]);
        let metrics = exporter.scrape();
        let actual = (running(&metrics), success(&metrics, "schedstat"));
        assert_eq!(actual, (None, Some(0.0)), "{garbage:?}: the sum would be too low");
    }
    write(valid);
    assert_eq!(running(&exporter.scrape()), Some(3.5), "the sum starts; CPU 0 does not decrease");
    write(invalid);
    let metrics = exporter.scrape();
    assert_eq!((running(&metrics), success(&metrics, "schedstat")), (Some(4.0), Some(0.0)));
    write([invalid[0], "cpu1 0 0 0 0 0 0 4000000000 0 5"]);
    let metrics = exporter.scrape();
    assert_eq!((running(&metrics), success(&metrics, "schedstat")), (Some(6.0), Some(1.0)), "CPU 1 catches up");
}

#[test]
fn an_invalid_row_of_interrupts_or_softirqs_affects_only_its_row() {
    let host = Host::new();
    let (timer, rcu) = ("TIMER: 5 6\n", "RCU: 7 8\n");
    let write = |rows: [&str; 2]| {
        for file in ["softirqs", "interrupts"] {
            host.write(&format!("proc/{file}"), &format!("  CPU0  CPU1\n{}", rows.concat()));
        }
    };
    let series = [
        "cpu_exporter_softirqs_functions_total{cpu=\"1\",type=\"",
        "cpu_exporter_interrupts_total{devices=\"\",info=\"\",type=\"",
    ];
    let counts = |metrics: &str, row| series.map(|start| value(metrics, &format!("{start}{row}\"}}")));
    write([timer, rcu]);
    let exporter = start(&host, &["--collector.softirqs", "--collector.interrupts"]);
    assert_eq!(counts(&exporter.scrape(), "RCU"), [Some(8.0), Some(15.0)]);
    for garbage in ["TIMER: x 6\n", "\0\0\n", "TIMER: 5 -6\n"] {
        write([garbage, rcu]);
        let metrics = exporter.scrape();
        for collector in ["softirqs", "interrupts"] {
            assert_eq!(success(&metrics, collector), Some(0.0), "{garbage:?}");
        }
        assert_eq!(counts(&metrics, "RCU"), [Some(8.0), Some(15.0)], "{garbage:?}");
        assert_eq!(counts(&metrics, "TIMER"), [None, None], "{garbage:?}");
    }
    write([timer, rcu]);
    assert_eq!(counts(&exporter.scrape(), "TIMER"), [Some(6.0), Some(11.0)]);
    for (row, interrupts) in [("TIMER: 5\n", 0.0), ("ERR: 5\n", 1.0), ("FIQ: usb_fiq\n", 1.0), ("7: 5\n", 0.0)] {
        write([row, rcu]);
        let metrics = exporter.scrape();
        assert_eq!(success(&metrics, "softirqs"), Some(0.0), "{row:?}: a softirq has a count for each CPU");
        assert_eq!(success(&metrics, "interrupts"), Some(interrupts), "{row:?}: so has an interrupt");
        assert_eq!(counts(&metrics, "RCU"), [Some(8.0), Some(15.0)], "{row:?}");
    }
}

#[test]
fn an_invalid_file_of_an_idle_state_affects_only_its_cpu_and_the_sum_catches_up() {
    let host = Host::new();
    let write = |cpu: u32, time: &str| {
        let files = [("name", "C1\n"), ("time", time), ("usage", "3\n")];
        let path = |file| format!("sys/devices/system/cpu/cpu{cpu}/cpuidle/state0/{file}");
        files.iter().for_each(|(file, text)| host.write(&path(file), text));
    };
    let scrape = |exporter: &Running| {
        let metrics = exporter.scrape();
        let sum = value(&metrics, "cpu_exporter_cpuidle_seconds_total{state=\"C1\"}");
        (sum, success(&metrics, "cpuidle").unwrap() > 0.0)
    };
    write(0, "1000000\n");
    write(1, "2000000\n");
    let exporter = start(&host, &["--collector.cpuidle"]);
    assert_eq!(scrape(&exporter), (Some(3.0), true));
    write(0, "1500000\n");
    write(1, "x\n");
    assert_eq!(scrape(&exporter), (Some(3.5), false));
    assert_eq!(scrape(&start(&host, &["--collector.cpuidle"])), (None, false), "the sum would be too low");
    write(1, "4000000\n");
    assert_eq!(scrape(&exporter), (Some(5.5), true));
}

#[test]
fn a_read_that_fails_in_the_middle_changes_nothing() {
    let host = Host::new();
    host.cpus(&[(0, 1000, 50_000), (1, 2000, 60_000)]);
    let exporter = host.start();
    assert_eq!(usage(&exporter.scrape()), (30.0, 1100.0));
    let truncated = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 1500 0 0 50000 0 0 0 0 0 0\ncpu1 2500 0 0 6";
    for invalid in ["", truncated, "intr 1\n", "cpu0 x 0 0 50000\ncpu1 x 0 0 60000\nintr 1\n"] {
        host.write("proc/stat", invalid);
        let metrics = exporter.scrape();
        assert_eq!(success(&metrics, "cpu"), Some(0.0), "{invalid:?}");
        assert!(!metrics.contains("cpu_exporter_cpu_usage_seconds_total"), "{metrics}");
    }
    fs::remove_file(host.path("proc/stat")).unwrap();
    assert_eq!(success(&exporter.scrape(), "cpu"), Some(0.0));
    host.cpus(&[(0, 1010, 50_000), (1, 2010, 60_000)]);
    let metrics = exporter.scrape();
    assert_eq!((usage(&metrics), success(&metrics, "cpu")), ((30.2, 1100.0), Some(1.0)));
}

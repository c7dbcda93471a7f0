//! The number of series by default is bounded, however many CPUs the host has.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;

use exporter_common::testing::{Running, value};

use super::{Host, fixture, success};

/// The bound in docs/cpu-exporter.md.
const MOST_SERIES: usize = 1600;

/// A host whose CPUs and packages have everything that the exporter can read of them. Two CPUs are one core.
fn host(cpus: u32, cpus_of_package: u32) -> Host {
    let host = Host::new();
    let (mut stat, mut schedstat, mut info) = ("cpu  0 0 0 0\n".to_owned(), "version 15\n".to_owned(), String::new());
    let files = [
        ("scaling_governor", "powersave\n"),
        ("scaling_available_governors", "conservative ondemand userspace powersave performance schedutil\n"),
        ("cpuinfo_cur_freq", "2000000\n"),
        ("cpuinfo_avg_freq", "2000000\n"),
        ("cpuinfo_min_freq", "1000000\n"),
        ("cpuinfo_max_freq", "3000000\n"),
        ("scaling_cur_freq", "2000000\n"),
        ("scaling_min_freq", "1000000\n"),
        ("scaling_max_freq", "3000000\n"),
    ];
    files.iter().for_each(|(file, text)| host.write(&format!("sys/cpufreq/{file}"), text));
    for kind in ["core", "package"] {
        host.write(&format!("sys/thermal_throttle/{kind}_throttle_count"), "1\n");
    }
    for cpu in 0..cpus {
        let (package, core) = (cpu / cpus_of_package, cpu % cpus_of_package / 2);
        writeln!(stat, "cpu{cpu} 1 2 3 4 5 6 7 8 9 10").unwrap();
        writeln!(schedstat, "cpu{cpu} 0 0 0 0 0 0 7 8 9").unwrap();
        writeln!(info, "processor : {cpu}\nmodel name : X\nphysical id : {package}\ncore id : {core}\n").unwrap();
        let directory = format!("sys/devices/system/cpu/cpu{cpu}");
        host.write(&format!("{directory}/topology/physical_package_id"), &format!("{package}\n"));
        host.write(&format!("{directory}/topology/core_id"), &format!("{core}\n"));
        for shared in ["cpufreq", "thermal_throttle"] {
            symlink(host.path("sys").join(shared), host.path(&directory).join(shared)).unwrap();
        }
    }
    for package in 0..cpus.div_ceil(cpus_of_package) {
        for (zone, name) in
            [("", format!("package-{package}")), (":0", "core".into()), (":1", "uncore".into()), (":2", "dram".into())]
        {
            let directory = format!("sys/class/powercap/intel-rapl:{package}{zone}");
            host.write(&format!("{directory}/name"), &format!("{name}\n"));
            host.write(&format!("{directory}/energy_uj"), "1000000\n");
        }
    }
    let all = format!("0-{}\n", cpus - 1);
    for list in ["online", "present", "possible", "isolated"] {
        host.write(&format!("sys/devices/system/cpu/{list}"), &all);
    }
    let rest = fs::read_to_string(fixture("laptop/proc/stat")).unwrap();
    host.write("proc/stat", &(stat + &rest[rest.find("intr").unwrap()..]));
    host.write("proc/schedstat", &schedstat);
    host.write("proc/cpuinfo", &info);
    for file in ["loadavg", "pressure/cpu", "pressure/io", "pressure/irq", "pressure/memory"] {
        host.write(&format!("proc/{file}"), &fs::read_to_string(fixture("laptop/proc").join(file)).unwrap());
    }
    host
}

/// The metrics with these flags, and the number of series.
fn scrape(host: &Host, flags: &[&str]) -> (String, usize) {
    let all = host.flags().into_iter().chain(flags.iter().map(|&flag| flag.to_owned()));
    let metrics = Running::start(env!("CARGO_BIN_EXE_cpu-exporter"), all).scrape();
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    (metrics, series)
}

#[test]
fn the_number_of_series_by_default_is_bounded() {
    let mut most = 0;
    // Series of CPUs and of packages add up to the most if each of 64 CPUs is a package.
    for (cpus, cpus_of_package) in [(2, 64), (64, 64), (64, 1), (65, 64), (4096, 64)] {
        let host = host(cpus, cpus_of_package);
        let (metrics, series) = scrape(&host, &[]);
        for collector in ["cpu", "stat", "schedstat", "cpufreq", "topology", "info", "throttle", "rapl"] {
            assert_eq!(success(&metrics, collector), Some(1.0), "{cpus} CPUs: {collector}");
        }
        assert_eq!(value(&metrics, "cpu_exporter_cpus_online"), Some(f64::from(cpus)));
        most = most.max(series);
        assert!(series <= MOST_SERIES, "{cpus} CPUs: {series} series");
        let each = metrics.contains("cpu_exporter_cpu_frequency_hertz{cpu=\"1\"}");
        assert_eq!(each, cpus <= 64, "{cpus} CPUs");
        if cpus == 65 {
            let (_, series) = scrape(&host, &["--collector.cpu.per-cpu"]);
            assert!(series > MOST_SERIES, "on request, the bound does not apply: {series}");
        }
    }
    let page = fs::read_to_string(fixture("../../../../docs/cpu-exporter.md")).unwrap();
    assert!(page.contains("at most 1,600 series by default"), "the bound is not documented");
    let most = format!("{},{:03}", most / 1000, most % 1000);
    assert!(page.contains(&format!("The most in a test are {most}")), "{most} is not documented");
}

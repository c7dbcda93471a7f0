//! Scrapes of cpu-exporter, compared with node_exporter with the same collectors, on a host with 4,096 CPUs, and mixed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{SCRAPE, Server, binary, measure, row, send_request};

const ROUNDS: usize = 5;
const SCRAPES: usize = 2000;

/// Flags of both programs, and the largest ratios of time, CPU time and memory.
struct Comparison {
    what: &'static str,
    ours: &'static [&'static str],
    theirs: &'static [&'static str],
    time: f64,
    cpu: f64,
    memory: f64,
}

const COMPARISONS: [Comparison; 4] = [
    Comparison {
        what: "cpu",
        ours: &["--collector.disable-defaults", "--collector.cpu"],
        theirs: &["cpu"],
        time: 0.2,
        cpu: 0.15,
        memory: 0.5,
    },
    Comparison {
        what: "cpu, loadavg, stat, pressure",
        ours: &[
            "--collector.disable-defaults",
            "--collector.cpu",
            "--collector.loadavg",
            "--collector.stat",
            "--collector.pressure",
        ],
        theirs: &["cpu", "loadavg", "stat", "pressure"],
        time: 0.5,
        cpu: 0.5,
        memory: 0.5,
    },
    Comparison { what: "all defaults", ours: &[], theirs: &CPU_SIDE, time: 0.35, cpu: 0.35, memory: 0.5 },
    Comparison {
        what: "node_exporter's names",
        ours: &["--metrics.names=node", "--collector.cpu.info", "--no-collector.time", "--no-collector.uname"],
        theirs: &CPU_SIDE,
        time: 0.5,
        cpu: 0.5,
        memory: 0.5,
    },
];

/// node_exporter's collectors with the metrics of our defaults. `cpu` includes cpuinfo.
const CPU_SIDE: [&str; 8] = ["cpu", "cpu.info", "cpufreq", "loadavg", "pressure", "rapl", "schedstat", "stat"];

/// Alternating scrapes, so that the load of the machine affects both programs.
pub(crate) fn scrapes(peer: Option<&PathBuf>) {
    for comparison in &COMPARISONS {
        compare(comparison, peer);
    }
}

fn compare(comparison: &Comparison, peer: Option<&PathBuf>) {
    let Comparison { what, ours, theirs, time, cpu, memory } = comparison;
    let mut flags: Vec<_> = theirs.iter().map(|name| format!("--collector.{name}")).collect();
    flags.push("--collector.disable-defaults".to_owned());
    let theirs: Vec<_> = flags.iter().map(String::as_str).collect();
    let programs = [(Some(&binary("cpu-exporter")), ours.to_vec()), (peer, theirs)];
    let servers: Vec<_> = programs
        .into_iter()
        .filter_map(|(program, mut flags)| {
            flags.push("--web.disable-exporter-metrics");
            program.map(|program| Server::start(program, &flags))
        })
        .collect();
    let mut connections: Vec<_> = servers.iter().map(Server::connect).collect();
    let mut rounds = vec![Vec::new(); servers.len()];
    for _ in 0..ROUNDS {
        for ((server, connection), rounds) in servers.iter().zip(&mut connections).zip(&mut rounds) {
            rounds.push(measure(server, connection, SCRAPE, SCRAPES));
        }
    }
    type Pick = fn(&(f64, f64)) -> f64;
    let middle = |rounds: &[(f64, f64)], pick: Pick| {
        let mut values: Vec<_> = rounds.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let compared = |name: &str, unit: &str, ours: f64, theirs: Option<f64>, budget: f64, more: &str| {
        let compared = theirs.map_or("node_exporter is not on the PATH".to_owned(), |theirs| {
            format!("node_exporter {theirs:.3} {unit}; ratio {:.2}", ours / theirs)
        });
        let name = format!("cpu-exporter: {name}, {what}");
        row(&name, &format!("{ours:.3} {unit}"), &format!("ratio ≤ {budget}{more}"), &compared);
    };
    let picks: [(&str, Pick, f64); 2] =
        [("median time per scrape", |round| round.0, *time), ("CPU time per scrape", |round| round.1, *cpu)];
    for (measure, pick, budget) in picks {
        compared(measure, "ms", middle(&rounds[0], pick), rounds.get(1).map(|theirs| middle(theirs, pick)), budget, "");
    }
    let resident = |server: &Server| server.memory("VmRSS:");
    let name = format!("resident after {} scrapes", ROUNDS * SCRAPES);
    compared(&name, "MB", resident(&servers[0]), servers.get(1).map(resident), *memory, ", ≤ 8 MB");
}

/// Memory after scrapes in all formats, and of parts of the metrics.
pub(crate) fn mixed() {
    const TIMES: usize = 100_000;
    let server = Server::start(&binary("cpu-exporter"), &[]);
    let mut connection = server.connect();
    let accept = |format: &str, more: &str, query: &str| {
        format!("GET /metrics{query} HTTP/1.1\r\nHost: x\r\nAccept: {format}\r\n{more}\r\n")
    };
    let requests = [
        accept("*/*", "", ""),
        accept("*/*", "Accept-Encoding: gzip\r\n", ""),
        accept("application/openmetrics-text;version=1.0.0", "Accept-Encoding: gzip\r\n", ""),
        accept("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "", ""),
        accept("*/*", "", "?collect[]=cpu&collect[]=stat"),
        accept("*/*", "", "?name[]=cpu_exporter_load1"),
    ];
    for request in requests.iter().cycle().take(TIMES) {
        send_request(&mut connection, request.as_bytes());
    }
    let resident = format!("{:.1} MB", server.memory("VmRSS:"));
    let peak = format!("peak {:.1} MB", server.memory("VmHWM:"));
    row("cpu-exporter: resident after 100,000 mixed scrapes, default flags", &resident, "≤ 8 MB", &peak);
}

/// The default collectors on a host with 4,096 CPUs.
pub(crate) fn many_cpus() {
    const TIMES: usize = 50;
    let host = tempfile::tempdir().unwrap();
    let (procfs, sysfs) = (host.path().join("proc"), host.path().join("sys"));
    write_host(&procfs, &sysfs, 4096);
    let roots = [format!("--path.procfs={}", procfs.display()), format!("--path.sysfs={}", sysfs.display())];
    for (what, more) in [("default flags", None), ("--collector.cpu.per-cpu", Some("--collector.cpu.per-cpu"))] {
        let flags: Vec<_> = roots.iter().map(String::as_str).chain(more).collect();
        let server = Server::start(&binary("cpu-exporter"), &flags);
        let mut connection = server.connect();
        send_request(&mut connection, SCRAPE); // reads static data
        let (time, cpu) = measure(&server, &mut connection, SCRAPE, TIMES);
        let budget = if more.is_none() { "≤ 50 ms" } else { "" };
        let compared = format!("median {time:.1} ms, resident {:.1} MB", server.memory("VmRSS:"));
        row(
            &format!("cpu-exporter: 4,096 CPUs, CPU time per scrape, {what}"),
            &format!("{cpu:.1} ms"),
            budget,
            &compared,
        );
    }
}

/// Writes a file and its directory.
pub(crate) fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Writes the files of a host: 64 CPUs in each package, two in each core.
pub(crate) fn write_host(procfs: &Path, sysfs: &Path, cpus: usize) {
    let mut stat = "cpu  1 2 3 4 5 6 7 8 9 10\n".to_owned();
    let (mut cpuinfo, mut schedstat) = (String::new(), "version 15\ntimestamp 1\n".to_owned());
    for cpu in 0..cpus {
        let (package, core) = (cpu / 64, cpu % 64 / 2);
        writeln!(stat, "cpu{cpu} 4449000 1900 2104500 108706900 22000 100 341000 0 200 100").unwrap();
        let facts = "vendor_id : GenuineIntel\ncpu family : 6\nmodel : 143\nmodel name : A CPU\nstepping : 8";
        writeln!(cpuinfo, "processor : {cpu}\n{facts}\nphysical id : {package}\ncore id : {core}\n").unwrap();
        writeln!(schedstat, "cpu{cpu} 0 0 0 0 0 0 2045936778163039 343796328169361 4767485306").unwrap();
        for domain in 0..4 {
            writeln!(schedstat, "domain{domain} ffffffff {}", "212499247 ".repeat(36)).unwrap();
        }
        let directory = sysfs.join(format!("devices/system/cpu/cpu{cpu}"));
        for (file, text) in [
            ("topology/physical_package_id", &*package.to_string()),
            ("topology/core_id", &*core.to_string()),
            ("thermal_throttle/core_throttle_count", "5"),
            ("thermal_throttle/package_throttle_count", "30"),
            ("cpufreq/scaling_cur_freq", "1699981"),
            ("cpufreq/scaling_min_freq", "800000"),
            ("cpufreq/scaling_max_freq", "3700000"),
            ("cpufreq/cpuinfo_min_freq", "800000"),
            ("cpufreq/cpuinfo_max_freq", "3700000"),
            ("cpufreq/scaling_governor", "powersave"),
            ("cpufreq/scaling_available_governors", "performance powersave"),
        ] {
            write(directory.join(file), &format!("{text}\n"));
        }
    }
    let end = format!("intr 8885917 {}\nctxt 38014093\nbtime 1418183276\nprocesses 26442\n", "0 ".repeat(8000));
    write(
        procfs.join("stat"),
        &format!("{stat}{end}procs_running 2\nprocs_blocked 1\nsoftirq 5 1 1 1 1 1 1 1 1 1 1\n"),
    );
    write(procfs.join("cpuinfo"), &cpuinfo);
    write(procfs.join("schedstat"), &schedstat);
    write(procfs.join("loadavg"), "0.21 0.37 0.39 1/719 19737\n");
    let all = format!("0-{}\n", cpus - 1);
    for (list, text) in
        [("online", &*all), ("present", &all), ("possible", &all), ("offline", "\n"), ("isolated", "\n")]
    {
        write(sysfs.join("devices/system/cpu").join(list), text);
    }
}

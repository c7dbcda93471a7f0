//! The CPU expressions of the public node-mixin give the same results over cpu-exporter as over node_exporter.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use exporter_common::testing::{Running, eventually, free_port, get, real};
use serde_json::Value;

use crate::DEMO;
use crate::server::Prometheus;

/// What its recording rules, alerts and dashboards compute from CPU metrics; JOB is the label `job`.
const EXPRESSIONS: [&str; 24] = [
    "count without (cpu, mode) (node_cpu_seconds_total{JOB,mode=\"idle\"})",
    "1 - avg without (cpu) (sum without (mode) (rate(node_cpu_seconds_total{JOB,mode=~\"idle|iowait|steal\"}[5m])))",
    "100 * sum without (mode) (avg without (cpu) (rate(node_cpu_seconds_total{JOB,mode!~\"idle|iowait\"}[2m])))",
    "(1 - sum without (mode) (rate(node_cpu_seconds_total{JOB,mode=~\"idle|iowait|steal\"}[5m]))) / ignoring (cpu) \
     group_left count without (cpu, mode) (node_cpu_seconds_total{JOB,mode=\"idle\"})",
    "sum by (mode) (irate(node_cpu_seconds_total{JOB}[1m])) / scalar(count(node_cpu_seconds_total{JOB,mode=\"idle\"}))",
    "rate(node_cpu_guest_seconds_total{JOB}[5m])",
    "node_load1{JOB} / count without (cpu, mode) (node_cpu_seconds_total{JOB,mode=\"idle\"})",
    "node_load1{JOB}",
    "node_load5{JOB}",
    "node_load15{JOB}",
    "rate(node_pressure_cpu_waiting_seconds_total{JOB}[5m])",
    "rate(node_pressure_io_waiting_seconds_total{JOB}[5m])",
    "rate(node_pressure_io_stalled_seconds_total{JOB}[5m])",
    "rate(node_pressure_memory_waiting_seconds_total{JOB}[5m])",
    "rate(node_schedstat_running_seconds_total{JOB}[5m])",
    "rate(node_schedstat_waiting_seconds_total{JOB}[5m])",
    "rate(node_schedstat_timeslices_total{JOB}[5m])",
    "rate(node_context_switches_total{JOB}[5m])",
    "rate(node_intr_total{JOB}[5m])",
    "rate(node_forks_total{JOB}[5m])",
    "node_procs_running{JOB} + node_procs_blocked{JOB}",
    "avg by (cpu) (node_cpu_scaling_frequency_hertz{JOB}) / on (cpu) node_cpu_scaling_frequency_max_hertz{JOB}",
    "node_boot_time_seconds{JOB} * on (instance) group_left (nodename, release) node_uname_info{JOB}",
    "min by (collector) (node_scrape_collector_success{JOB})",
];

const STEPS: u64 = 41;
const INTERVAL_SECONDS: u64 = 15;

/// A running node_exporter; dropping it stops the process.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes the files of /proc after some steps. Now and then a CPU goes offline, and idle time decreases a little.
fn write_proc(procfs: &Path, step: u64) {
    let write = |file: &str, text: String| std::fs::write(procfs.join(file), text).unwrap();
    let (mut stat, mut schedstat) = ("cpu  0 0 0 0 0 0 0 0 0 0\n".to_owned(), "version 15\n".to_owned());
    for cpu in (0..8).filter(|cpu| *cpu != 7 || step % 20 < 15) {
        let busy = step * (100 + 37 * cpu);
        let idle = 100_000 + step * (1400 - 37 * cpu) - if step % 7 == 3 { 1450 - 37 * cpu } else { 0 };
        writeln!(stat, "cpu{cpu} {busy} {step} {} {idle} {} 0 {step} {} {} 0", busy / 3, step * 5, step * 2, step / 2)
            .unwrap();
        let nanoseconds = step * 1_000_000_000;
        writeln!(
            schedstat,
            "cpu{cpu} 0 0 0 0 0 0 {} {} {}",
            nanoseconds * (cpu + 1) / 9,
            nanoseconds / (cpu + 2),
            step * 977
        )
        .unwrap();
    }
    let (interrupts, switches, forks) = (step * 5003, step * 91_711, step * 13);
    let end = format!("intr {interrupts} 1\nctxt {switches}\nbtime 1418183276\nprocesses {forks}\n");
    write(
        "stat",
        format!(
            "{stat}{end}procs_running {}\nprocs_blocked {}\nsoftirq 10 1 1 1 1 1 1 1 1 1 1\n",
            1 + step % 5,
            step % 3
        ),
    );
    write("schedstat", schedstat);
    write("loadavg", format!("{}.{:02} 0.37 0.39 1/719 19737\n", step % 4, step % 100));
    for (resource, factor) in [("cpu", 3_000_000), ("io", 700_000), ("memory", 11_000)] {
        let line = |kind: &str, total: u64| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n");
        write(&format!("pressure/{resource}"), line("some", step * factor) + &line("full", step * factor / 2));
    }
}

/// Adds the samples of an exposition with a label `job` and a timestamp, in the format of OpenMetrics.
fn add_samples(into: &mut String, metrics: &str, job: &str, seconds: u64) {
    for line in metrics.lines().filter(|line| line.starts_with("node_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let labels = format!("job=\"{job}\",instance=\"a\"");
        let series = match series.split_once('{') {
            Some((name, rest)) => format!("{name}{{{labels},{rest}"),
            None => format!("{series}{{{labels}}}"),
        };
        writeln!(into, "{series} {value} {seconds}").unwrap();
    }
}

#[test]
fn the_expressions_of_the_node_mixin_give_the_same_results() {
    let programs = ["prometheus-node-exporter", "prometheus", "promtool"].map(real);
    let [Some(node_exporter), Some(prometheus), Some(promtool)] = programs else { return };
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("cpu-exporter/tests/fixtures/laptop");
    let procfs = folder.path().join("proc");
    std::fs::create_dir_all(procfs.join("pressure")).unwrap();
    write_proc(&procfs, 0);
    let flags =
        [format!("--path.procfs={}", procfs.display()), format!("--path.sysfs={}", fixture.join("sys").display())];
    let port = free_port();
    let collectors = ["cpu", "cpufreq", "loadavg", "pressure", "schedstat", "stat", "uname"];
    let node = Command::new(node_exporter)
        .args([format!("--web.listen-address=127.0.0.1:{port}"), "--collector.disable-defaults".to_owned()])
        .args(collectors.map(|name| format!("--collector.{name}")))
        .args(&flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _node = Node(node);
    eventually("node_exporter listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let mut command = Command::new(DEMO);
    command.arg0("cpu-exporter").args(["--web.listen-address=127.0.0.1:0", "--metrics.names=node"]).args(&flags);
    let exporter = Running::spawn(command.args(["--no-collector.time", "--no-collector.rapl"]));

    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut samples = String::new();
    for step in 0..STEPS {
        write_proc(&procfs, step);
        let seconds = end - (STEPS - 1 - step) * INTERVAL_SECONDS;
        add_samples(&mut samples, &exporter.scrape(), "cpu-exporter", seconds);
        add_samples(&mut samples, &get(&format!("http://127.0.0.1:{port}/metrics"), &[]).body, "node", seconds);
    }
    let file = folder.path().join("samples");
    std::fs::write(&file, samples + "# EOF\n").unwrap();
    let data = folder.path().join("data");
    let import =
        Command::new(promtool).args(["tsdb", "create-blocks-from", "openmetrics"]).args([&file, &data]).output();
    let import = import.unwrap();
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));

    let server = Prometheus::start(&prometheus, "{}", folder.path());
    let query = |expression: &str, job: &str| {
        let expression = expression.replace("JOB", &format!("job=\"{job}\""));
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let data = eventually("Prometheus responds", || server.data(&format!("query?query={query}&time={end}")));
        let mut result = data["result"].as_array().unwrap_or_else(|| panic!("{expression}")).clone();
        for series in &mut result {
            series["metric"].as_object_mut().unwrap().remove("job");
        }
        result.sort_by_key(|series| series["metric"].to_string());
        result
    };
    for expression in EXPRESSIONS {
        let theirs: Vec<Value> = query(expression, "node");
        assert!(!theirs.is_empty(), "no result: {expression}");
        assert_eq!(query(expression, "cpu-exporter"), theirs, "{expression}");
    }
}

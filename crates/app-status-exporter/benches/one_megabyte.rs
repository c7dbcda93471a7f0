//! Measures a scrape of a page of 1 MB with 1,000 mapped metrics, compared with Python's client library:
//! `cargo bench -p app-status-exporter --bench one_megabyte`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, not a part of the exporter")]
#![expect(clippy::disallowed_types, reason = "it starts Python for comparison; exporters start no programs")]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/app/mod.rs"]
mod app;

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use app::{App, response};
use exporter_common::testing::{Running, real, value};

const METRICS: usize = 1000;
const SCRAPES: usize = 200;

/// The same mapping in plain Python, without the cost of a query language.
const PYTHON: &str = r#"
import json, sys, time, urllib.request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

class Status:
    def collect(self):
        page = json.loads(urllib.request.urlopen(sys.argv[1]).read())
        for n in range(int(sys.argv[2])):
            family = GaugeMetricFamily(f"app_requests_{n}", "Requests.", labels=["zone"])
            service = page["services"][f"service-{n}"]
            family.add_metric([service["zone"]], service["requests"])
            yield family

registry = CollectorRegistry(auto_describe=False)
registry.register(Status())
generate_latest(registry)
start = time.process_time()
for _ in range(20):
    generate_latest(registry)
print(f"{(time.process_time() - start) / 20 * 1000:.1f}")
"#;

fn main() {
    let page = page();
    let app = App::start(response("200 OK", &page));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    std::fs::write(&config, mapping()).unwrap();
    let flags = [
        format!("--app.url={}", app.url()),
        format!("--config.file={}", config.display()),
        "--poll.interval=0".to_owned(),
    ];
    let exporter = Running::start(env!("CARGO_BIN_EXE_app-status-exporter"), flags);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "exporter_scrape_success{collector=\"app_status\"}"), Some(1.0), "{}", exporter.log());
    assert_eq!(metrics.lines().filter(|line| line.starts_with("app_requests_")).count(), METRICS);
    let before = cpu(exporter.pid());
    let mut durations = Vec::new();
    for _ in 0..SCRAPES {
        let start = Instant::now();
        exporter.scrape();
        durations.push(start.elapsed());
    }
    durations.sort();
    let spent = (cpu(exporter.pid()) - before) as f64 * 10.0 / SCRAPES as f64; // clock ticks are 10 ms
    let resident = value(&exporter.scrape(), "process_resident_memory_bytes").unwrap() / 1e6;
    println!(
        "a page of {} bytes, {METRICS} metrics: {spent:.1} ms of CPU per scrape, {:.1} ms median, {resident:.1} MB resident",
        page.len(),
        durations[SCRAPES / 2].as_secs_f64() * 1000.0
    );
    if let Some(python) = real("python3") {
        let output = Command::new(python).args(["-c", PYTHON, &app.url(), &METRICS.to_string()]).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.success() {
            true => println!("Python's client with the same mapping: {} ms of CPU per scrape", stdout.trim()),
            false => println!("Python's client failed: {}", stderr.lines().last().unwrap_or_default()),
        }
    }
}

/// A page of services with typical fields.
fn page() -> String {
    let mut page = String::from("{\"services\": {");
    for n in 0..METRICS {
        let comma = if n == 0 { "" } else { ", " };
        write!(page, "{comma}\"service-{n}\": {{\"zone\": \"eu-{}\", \"requests\": {}, ", n % 7, n * 1001).unwrap();
        page.push_str("\"health\": {\"status\": \"UP\", \"since\": \"2025-01-22T19:30:19Z\"}, \"instances\": [");
        for instance in 0..9 {
            let comma = if instance == 0 { "" } else { ", " };
            write!(
                page,
                "{comma}{{\"address\": \"10.0.{n}.{instance}:8080\", \"active\": {instance}, \"idle\": 12.5, \
                 \"total\": 1234567, \"up\": true, \"error\": null}}"
            )
            .unwrap();
        }
        page.push_str("]}");
    }
    page + "}}"
}

fn mapping() -> String {
    let mut config = String::from("modules:\n  default:\n    metrics:\n");
    for n in 0..METRICS {
        writeln!(
            config,
            "    - {{name: app_requests_{n}, help: Requests., valuetype: gauge, path: '{{.services.service-{n}.requests}}', \
             labels: {{zone: '{{.services.service-{n}.zone}}'}}}}"
        )
        .unwrap();
    }
    config
}

/// The CPU time of a process in clock ticks.
fn cpu(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

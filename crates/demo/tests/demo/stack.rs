//! The complete demo: all parts respond and all parts stop.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use exporter_common::testing::{eventually, get, real, run, value};

use crate::DEMO;

/// The default ports of all parts.
const PORTS: [u16; 10] = [8000, 8001, 8002, 8080, 8081, 8082, 8090, 9090, 9100, 9877];

/// An offset with free ports below the kernel's range of ephemeral ports.
fn free_offset() -> u16 {
    let free = |offset: &u16| PORTS.iter().all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok());
    let mut offsets = std::iter::repeat_with(|| fastrand::u16(1_000..22_000)).take(1000);
    offsets.find(free).unwrap()
}

/// A running demo; dropping it kills it.
pub(crate) struct Demo {
    process: Child,
    output: Arc<Mutex<String>>,
    pub(crate) offset: u16,
}

impl Demo {
    /// Starts the demo and waits for the table.
    pub(crate) fn start() -> Self {
        Self::start_at(free_offset())
    }

    fn start_at(offset: u16) -> Self {
        let mut process = Command::new(DEMO)
            .arg(format!("--port-offset={offset}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (stdout, shared) = (process.stdout.take().unwrap(), output.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                *shared.lock().unwrap() += &(line + "\n");
            }
        });
        let mut demo = Self { process, output, offset };
        eventually("the table is printed", || {
            assert!(demo.process.try_wait().unwrap().is_none(), "the demo exited: {}", demo.output());
            demo.output().contains("CPU").then_some(())
        });
        demo
    }

    fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// The folder of the logs.
    fn folder(&self) -> Option<PathBuf> {
        let output = self.output();
        Some(output.split_once("Logs: ")?.1.split_once("/*.log")?.0.into())
    }

    /// Name and pid of each part in the list of addresses.
    fn pids(&self) -> Vec<(String, u32)> {
        let output = self.output();
        let rows = output.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next()?;
            Some((name.to_owned(), columns.next()?.parse().ok()?))
        });
        rows.filter(|(name, _)| name.contains('-') || name == "prometheus").collect()
    }

    pub(crate) fn url(&self, port: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", port + self.offset)
    }

    fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let folder = self.folder();
        let _ = self.process.kill(); // the kernel stops its parts
        let _ = self.process.wait();
        if let Some(folder) = folder {
            let _ = std::fs::remove_dir_all(folder); // a killed demo cannot remove it
        }
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap().success());
}

/// Waits until all processes exited; zombies count as exited.
fn assert_gone(pids: &[(String, u32)]) {
    for (name, pid) in pids {
        eventually(&format!("{name} exited"), || {
            let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command_line.is_empty().then_some(())
        });
    }
}

#[test]
fn all_parts_respond_update_their_values_and_stop_on_sigint() {
    let mut demo = Demo::start();
    let pids = demo.pids();
    assert_eq!(pids.len(), if real("prometheus").is_some() { 9 } else { 8 }, "{}", demo.output());
    for (port, series) in [
        (8000, "cpu_exporter_cpu_usage_seconds_total{mode=\"user\"}"),
        (8001, "httpd_requests_total{method=\"GET\",status_code=\"200\"}"),
        (9877, "app_uptime"),
        (9100, "messages_processed_total{queue_name=\"orders\",status=\"success\"}"),
        (8002, "requests_total{http_code=\"200\"}"),
    ] {
        let now = || value(&get(&demo.url(port, "/metrics"), &[]).body, series);
        let first = eventually(series, now);
        eventually(&format!("{series} increases"), || (now()? > first).then_some(()));
    }
    if real("prometheus").is_some() {
        eventually("Prometheus scraped every target", || {
            let targets = get(&demo.url(9090, "/api/v1/targets"), &[]).body;
            let targets: serde_json::Value = serde_json::from_str(&targets).ok()?;
            let targets = targets["data"]["activeTargets"].as_array()?;
            let up = targets.iter().filter(|target| target["health"] == "up").count();
            (up == 6 && targets.len() == 6).then_some(())
        });
    }
    let folder = demo.folder().unwrap();
    assert!(folder.is_dir());
    demo.signal("INT");
    let status = eventually("the demo stops", || demo.process.try_wait().unwrap());
    assert!(status.success(), "{}", demo.output());
    assert_gone(&pids);
    assert!(!folder.exists(), "the temporary folder is removed");
    assert!(!demo.output().contains("killed"), "{}", demo.output());
}

#[test]
fn the_exit_of_a_part_is_reported_and_a_killed_demo_stops_all_parts() {
    let demo = Demo::start();
    let pids = demo.pids();
    let (_, load) = pids.iter().find(|(name, _)| name == "demo-load").unwrap();
    signal(*load, "KILL");
    eventually("the exit is reported", || demo.output().contains("demo-load exited by signal 9").then_some(()));
    for (name, pid) in &pids {
        let runs = !std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
        assert_eq!(runs, name != "demo-load", "{name}: {}", demo.output());
    }
    drop(demo); // sends SIGKILL
    assert_gone(&pids);
}

#[test]
fn a_port_in_use_is_replaced_by_the_next_free_one() {
    let offset = free_offset();
    let _taken = TcpListener::bind(("127.0.0.1", 9100 + offset)).unwrap();
    let demo = Demo::start_at(offset);
    let output = demo.output();
    let (_, rest) = output.split_once(&format!("Port {} is in use; port ", 9100 + offset)).unwrap();
    let port = rest.split_once(' ').unwrap().0;
    eventually("queue-exporter responds", || {
        let metrics = get(&format!("http://127.0.0.1:{port}/metrics"), &[]).body;
        value(&metrics, "messages_processed_total{queue_name=\"orders\",status=\"success\"}")
    });
}

#[test]
fn prometheus_accepts_the_repository_s_configuration() {
    let Some(promtool) = real("promtool") else { return };
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../prometheus/prometheus.yml");
    let output = run(promtool.to_str().unwrap(), ["check", "config", config]);
    let message = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !message.contains("WARNING"), "{message}");
}

//! The whole demo: everything answers, everything ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use exporter_common::testing::{eventually, get, real, run, value};

use crate::DEMO;

/// The default ports of all parts.
const PORTS: [u16; 9] = [8000, 8001, 8002, 8080, 8081, 8082, 9090, 9100, 9877];

/// An offset at which all ports are free. Ports end below those that the kernel gives to others.
fn free_offset() -> u16 {
    let free = |offset: &u16| PORTS.iter().all(|port| TcpListener::bind(("127.0.0.1", port + offset)).is_ok());
    let mut offsets = std::iter::repeat_with(|| fastrand::u16(1_000..22_000)).take(1000);
    offsets.find(free).unwrap()
}

/// A demo that runs until it is told to stop, or dropped.
pub(crate) struct Demo {
    process: Child,
    said: Arc<Mutex<String>>,
    pub(crate) offset: u16,
}

impl Demo {
    /// Starts it and waits for the table.
    pub(crate) fn start() -> Self {
        let offset = free_offset();
        let mut process = Command::new(DEMO)
            .arg(format!("--port-offset={offset}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stdout, shared) = (process.stdout.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                *shared.lock().unwrap() += &(line + "\n");
            }
        });
        let mut demo = Self { process, said, offset };
        eventually("the table is there", || {
            assert!(demo.process.try_wait().unwrap().is_none(), "it ended: {}", demo.said());
            demo.said().contains("\ndemo-app ").then_some(())
        });
        demo
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The process of each part, as the table names them.
    fn pids(&self) -> Vec<(String, u32)> {
        let said = self.said();
        let rows = said.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next()?;
            Some((name.to_owned(), columns.nth(1)?.parse().ok()?))
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
        let _ = self.process.kill(); // its parts end with it
        let _ = self.process.wait();
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap().success());
}

/// Waits until none of the processes is left; a zombie whose parent has not looked yet is none.
fn assert_gone(pids: &[(String, u32)]) {
    for (name, pid) in pids {
        eventually(&format!("{name} has ended"), || {
            let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command_line.is_empty().then_some(())
        });
    }
}

#[test]
fn everything_answers_moves_and_ends_with_an_interrupt() {
    let mut demo = Demo::start();
    let pids = demo.pids();
    assert_eq!(pids.len(), if real("prometheus").is_some() { 9 } else { 8 }, "{}", demo.said());
    for (port, series) in [
        (8000, "cpu_exporter_cpu_usage_seconds_total{mode=\"user\"}"),
        (8001, "httpd_requests_total{method=\"GET\",status_code=\"200\"}"),
        (9877, "app_uptime"),
        (9100, "messages_processed_total{queue_name=\"orders\",status=\"success\"}"),
        (8002, "requests_total{http_code=\"200\"}"),
    ] {
        let now = || value(&get(&demo.url(port, "/metrics"), &[]).body, series);
        let first = eventually(series, now);
        eventually(&format!("{series} moves"), || (now()? > first).then_some(()));
    }
    if real("prometheus").is_some() {
        eventually("Prometheus has scraped every target", || {
            let targets = get(&demo.url(9090, "/api/v1/targets"), &[]).body;
            let targets: serde_json::Value = serde_json::from_str(&targets).ok()?;
            let targets = targets["data"]["activeTargets"].as_array()?;
            let up = targets.iter().filter(|target| target["health"] == "up").count();
            (up == 6 && targets.len() == 6).then_some(())
        });
    }
    let said = demo.said();
    let folder = said.split_once("Logs: ").unwrap().1.split_once("/*.log").unwrap().0;
    assert!(Path::new(folder).is_dir());
    demo.signal("INT");
    let status = eventually("the demo ends", || demo.process.try_wait().unwrap());
    assert!(status.success(), "{}", demo.said());
    assert_gone(&pids);
    assert!(!Path::new(folder).exists(), "nothing is left behind");
    assert!(!demo.said().contains("killed"), "{}", demo.said());
}

#[test]
fn the_death_of_a_part_is_told_and_that_of_the_demo_ends_all() {
    let demo = Demo::start();
    let pids = demo.pids();
    let (_, load) = pids.iter().find(|(name, _)| name == "demo-load").unwrap();
    signal(*load, "KILL");
    eventually("it says so", || demo.said().contains("demo-load exited by signal 9").then_some(()));
    for (name, pid) in &pids {
        let runs = !std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
        assert_eq!(runs, name != "demo-load", "{name}: {}", demo.said());
    }
    let said = demo.said();
    let folder = said.split_once("Logs: ").unwrap().1.split_once("/*.log").unwrap().0.to_owned();
    drop(demo); // which is a SIGKILL
    assert_gone(&pids);
    std::fs::remove_dir_all(folder).unwrap(); // nobody was left to do it
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let offset = free_offset();
    let _taken = TcpListener::bind(("127.0.0.1", 8081 + offset)).unwrap();
    let output = run(DEMO, [format!("--port-offset={offset}")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("port {} for demo-web", 8081 + offset)) && said.contains("--port-offset"), "{said}");
    assert!(output.stdout.is_empty(), "nothing was started");
}

#[test]
fn prometheus_accepts_the_repository_s_configuration() {
    let Some(promtool) = real("promtool") else { return };
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../../prometheus/prometheus.yml");
    let output = run(promtool.to_str().unwrap(), ["check", "config", config]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARNING"), "{said}");
}

//! What one scrape of 10,000 BullMQ queues costs: `cargo bench -p queue-exporter`. It starts a Redis of its own.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the exporter")]
#![expect(clippy::disallowed_types, reason = "it starts a Redis; exporters start nothing")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use exporter_common::testing::{Running, eventually, real, value};

const QUEUES: usize = 10_000;
const SCRAPES: usize = 10;

/// How many queues have something new between two scrapes.
const LIVELY: usize = 1000;

struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let Some(program) = real("redis-server") else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new(program);
    server.current_dir(folder.path()).args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
    let _server = Redis(server.stdout(Stdio::null()).spawn().unwrap());
    let url = format!("redis://127.0.0.1:{port}");
    let client = redis::Client::open(url.as_str()).unwrap();
    let mut connection = eventually("Redis answers", || client.get_connection().ok());
    for chunk in (0..QUEUES).collect::<Vec<_>>().chunks(500) {
        let mut commands = redis::pipe();
        for n in chunk {
            fill(&mut commands, *n);
        }
        commands.exec(&mut connection).unwrap();
    }
    let flag = format!("--queue.url={url}");
    let exporter = Running::start(env!("CARGO_BIN_EXE_queue-exporter"), [&flag, "--queue.system=bullmq"]);
    eventually("the first read is over", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    let mut series = 0;
    let mut took = Vec::new();
    let before = cpu(exporter.pid());
    for scrape in 0..SCRAPES {
        let mut commands = redis::pipe();
        for n in 0..LIVELY {
            end_a_job(&mut commands, n, scrape);
        }
        commands.exec(&mut connection).unwrap();
        let began = Instant::now();
        let metrics = exporter.scrape();
        took.push(began.elapsed());
        assert_eq!(value(&metrics, "queue_exporter_scrape_success"), Some(1.0), "{}", exporter.log());
        series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    }
    took.sort();
    let cpu = (cpu(exporter.pid()) - before) * 10 / SCRAPES as u64; // clock ticks are 10 ms
    println!(
        "{QUEUES} BullMQ queues, {series} series: {cpu} ms of CPU a scrape, {} ms median, {} MB resident at most",
        took[SCRAPES / 2].as_millis(),
        peak(exporter.pid()) / 1024
    );
}

/// A queue as BullMQ leaves it after a while.
fn fill(commands: &mut redis::Pipeline, n: usize) {
    let key = |part: &str| format!("bull:queue-{n}:{part}");
    commands.cmd("HSET").arg(&[key("meta"), "opts.maxLenEvents".to_owned(), "10000".to_owned()]).ignore();
    commands.cmd("SET").arg(key("id")).arg(9).ignore();
    commands.cmd("LPUSH").arg(&[key("wait"), "7".to_owned(), "8".to_owned(), "9".to_owned()]).ignore();
    commands.cmd("HSET").arg(&[key("7"), "timestamp".to_owned(), "1700000000000".to_owned()]).ignore();
    commands.cmd("ZADD").arg(&[key("completed"), "1".to_owned(), "1".to_owned()]).ignore();
    end_a_job(commands, n, SCRAPES);
}

fn end_a_job(commands: &mut redis::Pipeline, n: usize, job: usize) {
    for event in ["active", "completed"] {
        let job = job.to_string();
        let key = format!("bull:queue-{n}:events");
        commands.cmd("XADD").arg(&[&key, "*", "event", event, "jobId", &job, "prev", "active"]).ignore();
    }
}

/// Clock ticks of CPU that a process has taken.
fn cpu(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The most kilobytes that a process has had resident.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

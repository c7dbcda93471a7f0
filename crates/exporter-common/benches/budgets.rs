//! The budgets: scrape, memory, start, encoding and size, compared with node_exporter in the same run.
//!
//! `cargo bench -p scrapewright` builds the release programs, starts each on loopback, and prints a
//! table. It names the programs for comparison that are not on the PATH. Words after `--bench budgets --`
//! select parts: cpu, collectors, tls, programs, queues, encoding.
#![expect(clippy::disallowed_types, reason = "a benchmark starts the programs it measures")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use scrapewright::{Family, testing, to_text};

use common::{Pages, binary, build};

const PROGRAMS: [&str; 4] = ["cpu-exporter", "httpd-log-exporter", "app-status-exporter", "queue-exporter"];

mod collectors;
mod common;
mod cpu;
mod secure;

fn main() {
    let parts: Vec<_> = std::env::args_os().skip(1).filter(|argument| argument != "--bench").collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    build(if wanted("programs") || wanted("queues") { &PROGRAMS } else { &PROGRAMS[..1] });
    let node_exporter = testing::real("prometheus-node-exporter");
    println!("| what | measured | budget | comparison |\n|---|---|---|---|");
    if wanted("cpu") {
        cpu::scrapes(node_exporter.as_ref());
        cpu::many_cpus();
        cpu::mixed();
    }
    if wanted("collectors") {
        collectors::costs();
    }
    if wanted("tls") {
        secure::scrapes(node_exporter.as_ref());
    }
    if wanted("programs") {
        programs();
    }
    if wanted("queues") {
        many_queues();
    }
    if wanted("encoding") {
        encoding();
    }
}

/// Memory, start time and size of each program.
fn programs() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let status =
        Pages::serve(|_| r#"{"current_requests":7,"pending_requests":2,"total_uptime":1.5,"health":"healthy"}"#.into());
    let queues = Pages::serve(queue_page);
    let of_log = format!("--access-log={}", log.path().display());
    let of_app = format!("--app.url={}/status", status.url);
    let of_queue = format!("--queue.url={}/queues", queues.url);
    let programs: [(&str, &[&str], f64, f64); 4] = [
        ("cpu-exporter", &[], 8.0, 5.0),
        ("httpd-log-exporter", &[&of_log], 12.0, 7.0),
        ("app-status-exporter", &[&of_app], 12.0, 10.0),
        ("queue-exporter", &[&of_queue], 12.0, 10.0),
    ];
    for (program, arguments, resident_budget, size_budget) in programs {
        resident(program, arguments, resident_budget);
        start(program, arguments);
        let size = fs::metadata(binary(program)).unwrap().len() as f64 / 1e6;
        row(&format!("{program}: binary"), &format!("{size:.1} MB"), &format!("≤ {size_budget} MiB"), "");
    }
}

fn row(what: &str, measured: &str, budget: &str, compared: &str) {
    println!("| {what} | {measured} | {budget} | {compared} |");
}

/// A program that listens on a loopback port, and is killed on drop.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(program: &std::path::Path, arguments: &[&str]) -> Self {
        // node_exporter does not log a port chosen by the system
        let port = testing::free_port();
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, port }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                stream.set_nodelay(true).unwrap();
                return BufReader::new(stream);
            }
            assert!(Instant::now() < deadline, "{} does not listen", self.port);
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// User and system CPU time in seconds, from /proc/PID/stat.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// A value of /proc/PID/status in MB (10^6 bytes).
    fn memory(&self, key: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The request of a scrape by Prometheus.
const SCRAPE: &[u8] =
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";

/// A request for uncompressed metrics.
const UNCOMPRESSED: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";

/// One request over a persistent connection.
fn send_request(connection: &mut BufReader<impl Read + Write>, request: &[u8]) -> usize {
    connection.get_mut().write_all(request).unwrap();
    let mut length = None;
    let mut line = String::new();
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = Some(value.parse::<usize>().unwrap());
        }
    }
    if let Some(length) = length {
        let mut body = vec![0; length];
        connection.read_exact(&mut body).unwrap();
        return length;
    }
    let mut total = 0; // chunked
    loop {
        line.clear();
        connection.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        connection.read_exact(&mut chunk).unwrap();
        if size == 0 {
            return total;
        }
        total += size;
    }
}

/// The median duration and the CPU time of N scrapes, in milliseconds.
fn measure(server: &Server, connection: &mut BufReader<impl Read + Write>, request: &[u8], times: usize) -> (f64, f64) {
    let before = server.cpu_seconds();
    let mut taken: Vec<_> = (0..times)
        .map(|_| {
            let sent = Instant::now();
            send_request(connection, request);
            sent.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    (taken[times / 2], (server.cpu_seconds() - before) * 1000.0 / times as f64)
}

/// Resident memory after 10,000 scrapes with the default flags.
fn resident(program: &str, arguments: &[&str], budget: f64) {
    let server = Server::start(&binary(program), arguments);
    let mut connection = server.connect();
    let (time, cpu) = measure(&server, &mut connection, SCRAPE, 10_000);
    row(
        &format!("{program}: resident after 10,000 scrapes, default flags"),
        &format!("{:.1} MB", server.memory("VmRSS:")),
        &format!("≤ {budget} MB"),
        &format!("per scrape: median {time:.3} ms, CPU {cpu:.3} ms"),
    );
}

/// The time from the start of the process to the end of the first scrape.
fn start(program: &str, arguments: &[&str]) {
    let mut taken: Vec<_> = (0..11)
        .map(|_| {
            let started = Instant::now();
            let server = Server::start(&binary(program), arguments);
            send_request(&mut server.connect(), SCRAPE);
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    taken.sort_by(f64::total_cmp);
    row(&format!("{program}: start to first scrape response"), &format!("{:.1} ms", taken[5]), "≤ 50 ms", "");
}

/// 10,000 RabbitMQ queues in one scrape, from a server that mimics the management API.
fn many_queues() {
    let broker = Pages::serve(rabbitmq_page);
    let url = format!("--queue.url={}", broker.url);
    let server = Server::start(&binary("queue-exporter"), &["--queue.system=rabbitmq", &url]);
    let mut connection = server.connect();
    send_request(&mut connection, SCRAPE);
    let (time, cpu) = measure(&server, &mut connection, SCRAPE, 20);
    row(
        "queue-exporter: 10,000 queues, CPU per scrape",
        &format!("{cpu:.0} ms"),
        "≤ 250 ms",
        &format!("median {time:.0} ms"),
    );
    row("queue-exporter: 10,000 queues, peak resident", &format!("{:.1} MB", server.memory("VmHWM:")), "≤ 64 MB", "");
    let sizes: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..8).map(|_| scope.spawn(|| send_request(&mut server.connect(), UNCOMPRESSED))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    row(
        "queue-exporter: 10,000 queues, peak resident with 8 concurrent uncompressed scrapes",
        &format!("{:.1} MB", server.memory("VmHWM:")),
        "≤ 64 MB",
        &format!("responses of {:.1} to {:.1} MB", megabytes(sizes.iter().min()), megabytes(sizes.iter().max())),
    );
}

fn megabytes(bytes: Option<&usize>) -> f64 {
    bytes.copied().unwrap_or_default() as f64 / 1e6
}

/// 100,000 series as text, alternating with the encoder of the `prometheus` crate.
fn encoding() {
    let registry = Registry::new();
    let gauges = GaugeVec::new(Opts::new("series", "One of many series."), &["number", "parity"]).unwrap();
    registry.register(Box::new(gauges.clone())).unwrap();
    let mut family = Family::gauge("series", "One of many series.", &["number", "parity"]);
    for number in 0..100_000_u32 {
        let labels = [number.to_string(), if number % 2 == 0 { "even" } else { "odd" }.to_owned()];
        let value = f64::from(number) * 1.1;
        gauges.with_label_values(&[&labels[0], &labels[1]]).set(value);
        family.push(&labels, value);
    }
    let gathered = registry.gather();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let family = family.clone();
        let started = Instant::now();
        black_box(to_text([family]));
        ours.push(started.elapsed().as_secs_f64() * 1000.0);
        let mut text = Vec::new();
        let started = Instant::now();
        TextEncoder::new().encode(&gathered, &mut text).unwrap();
        theirs.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    row(
        "100,000 series as text, sorted",
        &format!("{:.1} ms", ours[10]),
        "ratio ≤ 0.5",
        &format!("TextEncoder {:.1} ms; ratio {:.2}", theirs[10], ours[10] / theirs[10]),
    );
}

/// Three queues in the format of the `http` queue system.
fn queue_page(path: &str) -> String {
    match path {
        "/queues" => r#"{"queues":["orders","notifications","analytics"]}"#.to_owned(),
        _ => r#"{"depth":3,"processed":10,"failed":1,"processing_seconds":{"buckets":{"0.01":2,"0.05":7},"sum":1.5,"count":10}}"#.to_owned(),
    }
}

/// A page of 10,000 queues, with the fields of RabbitMQ 3.13.
fn rabbitmq_page(path: &str) -> String {
    const QUEUES: usize = 10_000;
    if !path.starts_with("/api/queues") {
        return r#"{"rabbitmq_version":"3.13.7","cluster_name":"rabbit@bench","rates_mode":"basic","object_totals":{"queues":10000},"node":"rabbit@bench"}"#.to_owned();
    }
    let parameter = |name: &str, default: usize| {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (page, size) = (parameter("page", 1), parameter("page_size", 100));
    let first = (page - 1) * size;
    let items: Vec<_> = (first..QUEUES.min(first + size))
        .map(|number| {
            format!(
                r#"{{"arguments":{{"x-queue-type":"classic"}},"auto_delete":false,"consumers":2,"durable":true,"effective_policy_definition":{{}},"exclusive":false,"memory":55736,"message_bytes":1200,"messages":{number},"messages_ready":{number},"messages_unacknowledged":3,"message_stats":{{"ack":{number},"ack_details":{{"rate":0.4}},"deliver":{number},"deliver_details":{{"rate":0.4}},"deliver_get":{number},"deliver_no_ack":0,"get":0,"get_empty":0,"get_no_ack":0,"publish":{number},"publish_details":{{"rate":0.0}},"redeliver":0}},"name":"queue-{number:05}","node":"rabbit@bench","state":"running","type":"classic","vhost":"/"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"filtered_count":{QUEUES},"item_count":{},"items":[{}],"page":{page},"page_count":{},"page_size":{size},"total_count":{QUEUES}}}"#,
        items.len(),
        items.join(","),
        QUEUES.div_ceil(size),
    )
}

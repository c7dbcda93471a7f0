//! Benchmark of whole processes: `cargo bench -p httpd-log-exporter`. It compares the time to read and count cached lines
//! with `grep -c`, mtail and a Python loop, then measures the CPU usage and latency of following a log.
#![expect(clippy::disallowed_types, reason = "it measures programs")]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use exporter_common::testing::{Running, value};

const LINES: u32 = 2_000_000;
const ROUNDS: u32 = 5;

/// A column of the table: a generated log, the time to read it per row, and the rows that were measured.
struct Column {
    bytes: usize,
    rows: Vec<(&'static str, f64)>,
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let columns =
        [("short", "curl/8.14.1"), ("long", LONG_AGENT)].map(|(name, agent)| column(folder.path(), name, agent));
    let heads = columns.each_ref().map(|column| format!(" lines/s, {} bytes each | × {GREP} |", column.bytes));
    println!("| |{}\n|---|---|---|---|---|", heads.concat());
    for (row, (what, _)) in columns[0].rows.iter().enumerate() {
        let cells = columns.each_ref().map(|column| {
            let grep = column.rows.iter().find(|(what, _)| *what == GREP).unwrap().1;
            let time = column.rows[row].1;
            format!(" {} | {:.2} |", rate(time), time / grep)
        });
        println!("| {what} |{}", cells.concat());
    }
    live(folder.path());
}

/// The row that the others are compared with.
const GREP: &str = "`LC_ALL=C grep -c '\" 200 '`";

/// Measures the seconds per line of each program on one log.
fn column(folder: &Path, name: &str, agent: &str) -> Column {
    let log = folder.join(name);
    let text = generate(agent);
    std::fs::write(&log, &text).unwrap();
    let mut rows = Vec::new();
    let formats = [
        ("`combined`, all default metrics", ["--access-log.format", "combined"]),
        ("`combined_time`", ["--access-log.format", "combined_time"]),
        ("combined, as a `log_format` of nginx", ["--access-log.format", COMBINED]),
        ("`--access-log.regex`", ["--access-log.regex", REGEX]),
    ];
    for (what, format) in formats {
        rows.push((what, measure(|| exporter(&format, &log), ROUNDS) / f64::from(LINES)));
    }
    rows.push((GREP, measure(|| grep("\" 200 ", &log), ROUNDS) / f64::from(LINES)));
    rows.push(("`LC_ALL=C grep -c ''`", measure(|| grep("", &log), ROUNDS) / f64::from(LINES)));
    // slow programs read fewer lines
    let begin: String = text.split_inclusive('\n').take(FEWER as usize).collect();
    let fewer = folder.join("fewer.log");
    std::fs::write(&fewer, &begin).unwrap();
    rows.push(("Python, `re` and a dictionary", measure(|| python(&fewer), 2) / f64::from(FEWER)));
    if let Some(mtail) = exporter_common::testing::real("mtail") {
        let program = folder.join("combined.mtail");
        std::fs::write(&program, MTAIL).unwrap();
        rows.push(("mtail, `--one_shot`", measure(|| one_shot(&mtail, &program, &fewer), 2) / f64::from(FEWER)));
    }
    Column { bytes: text.len() / LINES as usize, rows }
}

/// Lines per second, in words.
fn rate(seconds_per_line: f64) -> String {
    let rate = 1.0 / seconds_per_line;
    if rate < 1e6 { format!("{:.0} thousand", rate / 1e3) } else { format!("{:.1} million", rate / 1e6) }
}

/// The rate of a live log in lines per second, the duration in seconds, and the interval between writes.
const PACE: u32 = 50_000;
const SECONDS: u32 = 10;
const STEP: Duration = Duration::from_millis(10);

/// Measures the CPU usage of following a log with a state file at a constant rate, and the latency of lines.
fn live(folder: &Path) {
    let log = folder.join("live.log");
    let mut file = File::create(&log).unwrap();
    let exporter = Running::start(
        env!("CARGO_BIN_EXE_httpd-log-exporter"),
        [format!("--access-log={}", log.display()), format!("--state.file={}", folder.join("state").display())],
    );
    let line = |status: u32| {
        format!("203.0.113.7 - - [20/Nov/2026:09:00:00 +0000] \"GET /x HTTP/1.1\" {status} 5 \"-\" \"curl/8.14.1\"\n")
    };
    let piece = line(200).repeat((f64::from(PACE) * STEP.as_secs_f64()) as usize);
    let cpu = || value(&exporter.scrape(), "process_cpu_seconds_total").unwrap();
    let (before, start) = (cpu(), Instant::now());
    for step in 1..=(SECONDS * 1000 / STEP.as_millis() as u32) {
        file.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep((STEP * step).saturating_sub(start.elapsed()));
    }
    let (used, took) = (cpu() - before, start.elapsed().as_secs_f64());
    let pace = f64::from(PACE * SECONDS) / took;
    println!("\nFollowing a log at {pace:.0} lines/s with a state file: {:.1} % of a core.", used / took * 100.0);
    // latency while lines arrive, and after a pause, when an inotify event wakes the reader
    for (what, pause) in [("while lines arrive", 0), ("after a pause of 3 s", 3)] {
        let mut late: Vec<f64> = (0..10).map(|_| latency(&exporter, &mut file, &line(418), pause)).collect();
        late.sort_by(f64::total_cmp);
        println!("A line is counted {what} after {:.0} ms (median; at most {:.0} ms).", late[5] * 1e3, late[9] * 1e3);
    }
    let resident = value(&exporter.scrape(), "process_resident_memory_bytes").unwrap();
    println!("Resident: {:.1} MB.", resident / 1e6);
}

/// The seconds until a scrape includes a line.
fn latency(exporter: &Running, file: &mut File, line: &str, pause: u64) -> f64 {
    const SEEN: &str = r#"httpd_requests_total{method="GET",status_code="418"}"#;
    let before = value(&exporter.scrape(), SEEN);
    std::thread::sleep(Duration::from_secs(pause));
    let written = Instant::now();
    file.write_all(line.as_bytes()).unwrap();
    while value(&exporter.scrape(), SEEN) == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    written.elapsed().as_secs_f64()
}

const FEWER: u32 = 100_000;
/// The format in nginx's syntax.
const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;
const REGEX: &str = r#"^\S+ \S+ \S+ \[[^\]]+\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\S+)"#;
const MTAIL: &str = r#"counter requests by method, code
counter bytes by method, code
/^\S+ \S+ \S+ \[[^\]]+\] "(?P<method>\S+) [^"]*" (?P<code>\d{3}) (?P<size>\d+)/ {
  requests[$method][$code]++
  bytes[$method][$code] += $size
}
"#;
const PYTHON: &str = r#"
import re, sys, collections
line = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "(\S+) [^"]*" (\d{3}) (\d+)')
requests, sent = collections.Counter(), collections.Counter()
for text in open(sys.argv[1]):
    if found := line.match(text):
        method, code, size = found.groups()
        requests[method, code] += 1
        sent[method, code] += int(size)
"#;

fn python(log: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON]).arg(log);
    command
}

fn one_shot(mtail: &Path, program: &Path, log: &Path) -> Command {
    let mut command = Command::new(mtail);
    command.arg("--one_shot").arg("--progs").arg(program).arg("--logs").arg(log);
    command.stderr(Stdio::null());
    command
}

fn grep(pattern: &str, log: &Path) -> Command {
    let mut command = Command::new("grep");
    command.env("LC_ALL", "C").args(["-c", pattern]).arg(log);
    command
}

fn exporter(format: &[&str], log: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd-log-exporter"));
    command.arg("--once").args(format).arg("--access-log").arg(log);
    command
}

/// The shortest of several runs in seconds; the first one fills the page cache.
fn measure(command: impl Fn() -> Command, rounds: u32) -> f64 {
    let round = |_| {
        let mut command = command();
        command.stdout(Stdio::piped());
        let start = Instant::now();
        let output = command.output().unwrap();
        assert!(output.status.success());
        start.elapsed().as_secs_f64()
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

/// Generates the same log in every run: mostly successful GET requests.
fn generate(agent: &str) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut log = String::new();
    for line in 0..LINES {
        let method = ["GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "HEAD", "PUT"][random(10) as usize];
        let status = [200, 200, 200, 200, 200, 200, 304, 301, 404, 500][random(10) as usize];
        let long = agent.len() > 20;
        let path = if long { "/catalogue/articles/by-number/" } else { "/" };
        let referer = if long { "https://www.example.com/catalogue/articles?page=17&order=price" } else { "-" };
        // one line in fifty has an escaped character
        let escape = if random(50) == 0 { r"\x22" } else { "" };
        let (host, bytes, millis) = (random(250) + 1, random(100_000), random(3000));
        writeln!(
            log,
            "203.0.113.{host} - - [20/Nov/2026:09:{:02}:{:02} +0000] \"{method} {path}{} HTTP/1.1\" {status} {bytes} \
             \"{referer}\" \"{escape}{agent}\" {}.{:03}",
            line / 60 % 60,
            line % 60,
            random(100_000),
            millis / 1000,
            millis % 1000,
        )
        .unwrap();
    }
    log
}

const LONG_AGENT: &str = "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, \
     like Gecko) Version/4.0 Chrome/131.0.6778.39 Mobile Safari/537.36";

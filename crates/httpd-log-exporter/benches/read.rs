//! How fast a log is read and counted, beside `grep -c` over the same cached file in the same run:
//! `cargo bench -p httpd-log-exporter`. Whole processes are measured, from start to end.
#![expect(clippy::disallowed_types, reason = "it measures programs")]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LINES: u32 = 2_000_000;
const ROUNDS: u32 = 5;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    println!("{:<44} {:>9} {:>13} {:>9} {:>10}", "", "ms", "lines/s", "MB/s", "× grep ''");
    for (name, agent) in [("short", "curl/8.14.1"), ("long", LONG_AGENT)] {
        let log = folder.path().join(name);
        let text = generate(agent);
        std::fs::write(&log, &text).unwrap();
        println!("{LINES} {name} lines of {} bytes on average", text.len() / LINES as usize);
        let baseline = measure(|| grep("", &log));
        report("grep -c ''", baseline, text.len(), baseline);
        report("grep -c '\" 200 '", measure(|| grep("\" 200 ", &log)), text.len(), baseline);
        for format in ["combined", "common", "combined_time"] {
            let time = measure(|| exporter(format, &log));
            report(&format!("httpd-log-exporter --once, {format}"), time, text.len(), baseline);
        }
    }
}

fn grep(pattern: &str, log: &Path) -> Command {
    let mut command = Command::new("grep");
    command.env("LC_ALL", "C").args(["-c", pattern]).arg(log);
    command
}

fn exporter(format: &str, log: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd-log-exporter"));
    command.args(["--once", "--access-log.format", format, "--access-log"]).arg(log);
    command
}

/// The best of some rounds; the first fills the cache.
fn measure(command: impl Fn() -> Command) -> Duration {
    let round = |_| {
        let mut command = command();
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let start = Instant::now();
        let output = command.output().unwrap();
        assert!(output.status.success());
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(what: &str, time: Duration, bytes: usize, baseline: Duration) {
    let seconds = time.as_secs_f64();
    println!(
        "{:<44} {:>9.1} {:>13.0} {:>9.0} {:>10.2}",
        format!("  {what}"),
        seconds * 1e3,
        f64::from(LINES) / seconds,
        bytes as f64 / seconds / 1e6,
        seconds / baseline.as_secs_f64(),
    );
}

/// The same log in every run: mostly successful reads, some of everything else.
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
        // one of fifty has something to escape
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

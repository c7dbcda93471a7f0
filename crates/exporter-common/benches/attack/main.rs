//! Attacks on exporters: a scrape must always get through.
//!
//! `cargo bench -p scrapewright --bench attack` builds the release programs, attacks each on loopback while a rightful
//! client scrapes it as Prometheus does, and prints a table. Words after `--bench attack --` select attacks;
//! `soak 3600` attacks cpu-exporter for an hour instead, and prints its memory for each minute.
//! `cargo test` runs the same attacks at a reduced size against the example `drill-exporter`, and fails if a scrape
//! does not get through.
#![expect(clippy::disallowed_types, reason = "a benchmark starts the programs it measures")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use scrapewright::testing;

use common::{Pages, binary, build};
use program::{Program, Start, kernel_memory};
use scraper::{Scraper, Scrapes};
use site::{Site, Web};
use stage::Stage;

#[path = "../common/mod.rs"]
mod common;
mod http1;
mod http2;
mod program;
mod scraper;
mod site;
mod soak;
mod stage;
mod trouble;

/// The limits in tests of the peak resident and kernel memory in MB. The example has a response of 100,000 series.
const MAX_RESIDENT: f64 = 128.0;
const MAX_KERNEL: f64 = 64.0;

/// The address of the rightful client, and another one.
const SAME: &[Ipv4Addr] = &[Ipv4Addr::LOCALHOST];
const OTHER: &[Ipv4Addr] = &[Ipv4Addr::new(127, 0, 0, 2)];
const BOTH: &[Ipv4Addr] = &[Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];

const EXPORTERS: &[&str] = &["cpu-exporter", "app-status-exporter", "node_exporter"];

/// An attack, or a fault of the host during an attack.
struct Attack {
    name: &'static str,
    run: fn(&Stage),
    web: Web,
    start: fn(&Site) -> Option<Start>,
    programs: &'static [&'static str],
    /// The addresses of the attackers, in turn.
    from: &'static [Ipv4Addr],
    /// Whether the rightful client has logged in before the attack.
    known: bool,
}

/// An attack with the default configuration of the programs.
const fn plain(name: &'static str, run: fn(&Stage)) -> Attack {
    Attack {
        name,
        run,
        web: Web::Plain,
        start: |_| Some(Start::default()),
        programs: EXPORTERS,
        from: SAME,
        known: false,
    }
}

const ATTACKS: &[Attack] = &[
    plain("slowloris", http1::slowloris),
    plain("idle connections", http1::idle),
    plain("idle connections after a response", http1::keep_alive),
    Attack { from: BOTH, ..plain("300 pipelined requests, unread", http1::pipelining) },
    Attack { from: BOTH, ..plain("endless pipelined requests", http1::endless_pipelining) },
    Attack { from: BOTH, ..plain("unread responses", http1::unread) },
    plain("huge request headers", http1::huge_heads),
    plain("garbage", http1::garbage),
    // from the same address, a first login looks like the flood
    Attack { web: Web::Users, from: OTHER, ..plain("wrong passwords", http1::wrong_passwords) },
    Attack { web: Web::Users, known: true, ..plain("wrong passwords, after a login", http1::wrong_passwords) },
    Attack { web: Web::Tls, ..plain("half TLS handshakes", http2::half_handshakes) },
    Attack { web: Web::Tls, ..plain("HTTP/2 rapid reset", http2::rapid_reset) },
    Attack { web: Web::Tls, ..plain("HTTP/2 continuation", http2::continuation) },
    Attack { web: Web::Tls, ..plain("HTTP/2 closed windows", http2::window_starvation) },
    Attack { start: trouble::descriptors, ..plain("64 file descriptors, idle connections", http1::keep_alive) },
    Attack { start: trouble::memory, ..plain("64 MB of memory, pipelined requests, unread", http1::pipelining) },
    Attack { start: trouble::blocked_stderr, ..plain("blocked stderr, garbage", http1::garbage) },
    Attack { start: trouble::full_disk, programs: &["httpd-log-exporter"], ..plain("full disk", trouble::log_lines) },
    Attack {
        start: trouble::faked_clock,
        programs: &["cpu-exporter", "app-status-exporter"], // Go reads the clock without libc
        ..plain("clock steps", trouble::clock_steps)
    },
    Attack { web: Web::Tls, ..plain("unusable certificates", trouble::bad_certificates) },
];

/// How long and how large the attacks are.
struct Size {
    duration: Duration,
    interval: Duration,
    reduced: usize,
    bcrypt_cost: u32,
}

const FULL: Size =
    Size { duration: Duration::from_secs(6), interval: Duration::from_millis(100), reduced: 1, bcrypt_cost: 10 };
const REDUCED: Size =
    Size { duration: Duration::from_millis(1200), interval: Duration::from_millis(100), reduced: 8, bcrypt_cost: 4 };

enum Run {
    Done(Outcome),
    /// The program does not listen.
    NotStarted,
    /// A program that the attack needs is missing.
    Untested,
}

struct Outcome {
    scrapes: Scrapes,
    resident: Option<f64>,
    kernel: f64,
}

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let (flags, words): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument.starts_with('-'));
    let chosen = |attack: &&Attack| words.is_empty() || words.iter().any(|word| attack.name.contains(word.as_str()));
    let attacks: Vec<_> = ATTACKS.iter().filter(chosen).collect();
    if flags.iter().any(|flag| flag == "--list") {
        attacks.iter().for_each(|attack| println!("{}: test", attack.name));
        return ExitCode::SUCCESS;
    }
    if flags.iter().any(|flag| flag == "--bench") {
        match &words[..] {
            [word, seconds] if word == "soak" => soak(seconds),
            _ => table(&attacks),
        }
        return ExitCode::SUCCESS;
    }
    test(&attacks)
}

/// The rows of docs/security.md.
fn table(attacks: &[&Attack]) {
    let status = Pages::serve(|_| r#"{"current_requests":7,"total_uptime":1.5,"health":"healthy"}"#.to_owned());
    let programs = release_programs(&status.url);
    println!("| attack | from | program | scrapes in time | p99 | peak RSS | peak kernel memory |");
    println!("|---|---|---|---|---|---|---|");
    for attack in attacks {
        for program in programs.iter().filter(|program| attack.programs.contains(&program.name)) {
            for &from in attack.from {
                let from_text = if from == Ipv4Addr::LOCALHOST { "the same address" } else { "another address" };
                let row = match run(attack, program, from, &FULL) {
                    Run::Untested => continue,
                    Run::NotStarted => "does not start | | | |".to_owned(),
                    Run::Done(outcome) => row(&outcome),
                };
                println!("| {} | {from_text} | {} | {row}", attack.name, program.name);
            }
        }
    }
}

fn row(outcome: &Outcome) -> String {
    format!("{} |", figures(outcome).join(" | "))
}

/// Scrapes in time of all, their p99, the resident memory and the kernel memory.
fn figures(outcome: &Outcome) -> [String; 4] {
    let scrapes = &outcome.scrapes;
    let p99 = scrapes.p99().map_or("failed".to_owned(), |p99| format!("{:.0} ms", p99.as_secs_f64() * 1e3));
    let resident = outcome.resident.map_or("exited".to_owned(), |resident| format!("{resident:.1} MB"));
    [format!("{} of {}", scrapes.taken.len(), scrapes.all()), p99, resident, format!("{:.1} MB", outcome.kernel)]
}

/// The rows of docs/performance.md.
fn soak(seconds: &str) {
    let duration = Duration::from_secs(seconds.parse().unwrap());
    build(&["cpu-exporter"]);
    let path = binary("cpu-exporter");
    soak::soak(&Program { name: "cpu-exporter", path, arguments: Vec::new(), page: "/metrics" }, duration);
}

/// The exporters, built with the release profile, and node_exporter if it is installed.
fn release_programs(status: &str) -> Vec<Program> {
    build(&["cpu-exporter", "app-status-exporter", "httpd-log-exporter"]);
    let own = |name, arguments| Program { name, path: binary(name), arguments, page: "/metrics" };
    let mut programs = vec![
        own("cpu-exporter", Vec::new()),
        own("app-status-exporter", vec![format!("--app.url={status}/status")]),
        own("httpd-log-exporter", Vec::new()),
    ];
    let peer = testing::real("prometheus-node-exporter");
    programs.extend(peer.map(|path| Program { name: "node_exporter", path, arguments: Vec::new(), page: "/metrics" }));
    programs
}

/// Runs the attacks against the example, at a reduced size.
fn test(attacks: &[&Attack]) -> ExitCode {
    let target = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let drill = Program {
        name: "drill-exporter",
        path: target.join("examples/drill-exporter"),
        arguments: vec!["--collector.fine".to_owned(), "--collector.large".to_owned()],
        page: "/metrics?collect[]=fine",
    };
    let mut failed = 0;
    for attack in
        attacks.iter().filter(|attack| attack.programs == EXPORTERS || attack.programs.contains(&"cpu-exporter"))
    {
        for &from in attack.from {
            let outcome = match run(attack, &drill, from, &REDUCED) {
                Run::Untested => continue,
                Run::NotStarted => panic!("{}: the example does not start", attack.name),
                Run::Done(outcome) => outcome,
            };
            let faults = faults(&outcome);
            let verdict = if faults.is_empty() { "ok" } else { "FAILED" };
            println!("test {} from {from} ... {verdict} ({})", attack.name, summary(&outcome));
            faults.iter().for_each(|fault| println!("  {fault}"));
            failed += faults.len();
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn faults(outcome: &Outcome) -> Vec<String> {
    let mut faults = outcome.scrapes.failed.clone();
    match outcome.resident {
        None => faults.push("the exporter has exited".to_owned()),
        Some(resident) if resident > MAX_RESIDENT => faults.push("too much resident memory".to_owned()),
        Some(_) => {}
    }
    if outcome.kernel > MAX_KERNEL {
        faults.push("too much kernel memory".to_owned());
    }
    faults
}

fn summary(outcome: &Outcome) -> String {
    let [scrapes, p99, resident, kernel] = figures(outcome);
    format!("{scrapes} scrapes, p99 {p99}, resident {resident}, kernel {kernel}")
}

/// Attacks a program while the rightful client scrapes it.
fn run(attack: &Attack, program: &Program, from: Ipv4Addr, size: &Size) -> Run {
    let site = Site::new(size.bcrypt_cost);
    let Some(start) = (attack.start)(&site) else { return Run::Untested };
    let Some(running) = program.start(&site, attack.web, start) else { return Run::NotStarted };
    let before = kernel_memory();
    let tls = (attack.web == Web::Tls).then(|| site.tls("http/1.1"));
    let mut scraper = Scraper::new(running.address, program.page, tls);
    if attack.known {
        scraper.scrape().unwrap();
    }
    let stage = Stage {
        program: &running,
        site: &site,
        page: program.page,
        from,
        reduced: size.reduced,
        until: Instant::now() + size.duration,
    };
    let stop = AtomicBool::new(false);
    let (scrapes, kernel) = thread::scope(|scope| {
        let attackers = scope.spawn(|| (attack.run)(&stage));
        let kernel = scope.spawn(|| peak_kernel_memory(before, &stop));
        // the attack is running when the rightful client comes
        thread::sleep(size.duration / 5);
        let scrapes = scope.spawn(|| scraper.scrape_until(size.interval, &stop));
        attackers.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        (scrapes.join().unwrap(), kernel.join().unwrap())
    });
    Run::Done(Outcome { scrapes, resident: running.memory("VmHWM:"), kernel })
}

fn peak_kernel_memory(before: f64, stop: &AtomicBool) -> f64 {
    let mut peak = 0.0_f64;
    while !stop.load(Ordering::Relaxed) {
        peak = peak.max(kernel_memory() - before);
        thread::sleep(Duration::from_millis(20));
    }
    peak
}

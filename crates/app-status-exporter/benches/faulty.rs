//! What an application that fails in every way costs: `cargo bench -p app-status-exporter --bench faulty`, with the
//! number of requests behind `--`. It prints how they failed, and the memory after each tenth.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the exporter")]

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/app/mod.rs"]
mod app;

use std::collections::BTreeMap;

use app::{App, CLASSIC, Manner, answer, raw};
use exporter_common::testing::{Running, value};

/// How many requests there are unless it is said.
const REQUESTS: usize = 10_000;

/// Of so many requests one hangs, and one is answered byte by byte: both wait for the end of their time.
const SLOW: usize = 100;

fn main() {
    let asked = std::env::args_os().find_map(|argument| argument.to_str()?.parse().ok());
    let requests: usize = asked.unwrap_or(REQUESTS);
    let app = App::start(Manner::Hangs);
    let flags =
        [format!("--app.url={}", app.url()), "--poll.interval=0".to_owned(), "--scrape.timeout=100ms".to_owned()];
    let exporter = Running::start(env!("CARGO_BIN_EXE_app-status-exporter"), flags);
    let faults = faults();
    let resident = |metrics: &str| value(metrics, "process_resident_memory_bytes").unwrap() / 1e6;
    for request in 1..=requests {
        app.now(match request % SLOW {
            0 => Manner::Hangs,
            1 => Manner::Trickles,
            _ => faults[request % faults.len()].clone(),
        });
        let metrics = exporter.scrape();
        if request % (requests / 10).max(1) == 0 {
            println!("{request} requests: {:.1} MB resident", resident(&metrics));
        }
    }
    app.now(answer("200 OK", CLASSIC));
    let metrics = exporter.scrape_until("all is well again", |metrics| value(metrics, "app_uptime").is_some());
    let reasons: BTreeMap<_, _> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("app_status_failures_total{reason=\"")?.split_once("\"} "))
        .collect();
    println!("well again: {:.1} MB resident; failures by reason: {reasons:?}", resident(&metrics));
}

/// An answer of each kind that is wrong, and a good one.
fn faults() -> Vec<Manner> {
    let values = format!("[{}0]", "0,".repeat(2_000_000));
    let objects = format!("[{}{{}}]", "{\"key\": \"a value\", \"n\": 1234567}, ".repeat(120_000));
    let utf16: String = CLASSIC.chars().flat_map(|character| [character, '\0']).collect();
    vec![
        answer("200 OK", CLASSIC),
        answer("500 Internal Server Error", CLASSIC),
        answer("503 Service Unavailable", "<html>no upstream</html>"),
        answer("200 OK", ""),
        answer("200 OK", &CLASSIC[..60]),
        answer("200 OK", &"{\"x\":".repeat(1 << 16)),
        answer("200 OK", &"[".repeat(4 << 20)),
        answer("200 OK", &values),
        answer("200 OK", &objects),
        answer("200 OK", &format!("{{\"health\": \"{}\"}}", "x".repeat(4_000_000))),
        answer("200 OK", &utf16),
        Manner::Answers(raw("200 OK", "Content-Encoding: gzip\r\n", "\u{1f}\u{8}")),
        Manner::Answers(raw("302 Found", "Location: http://127.0.0.2:9/elsewhere\r\n", "")),
        Manner::Answers(raw("302 Found", "Location: /status\r\n", "")),
        Manner::AnswersAndCloses(raw("200 OK", "", CLASSIC).replace("Length: ", "Length: 9")),
        Manner::AnswersAndCloses("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        Manner::AnswersAndCloses(String::new()),
        Manner::Floods(100 << 20),
        Manner::Resets,
    ]
}

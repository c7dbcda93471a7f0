//! What an application that fails in every way costs: `cargo bench -p app-status-exporter --bench faulty`, with the
//! number of requests behind `--`. One exporter takes the classic four fields and one has a mapping, in turns of a
//! hundred requests. It prints how they failed, and the memory of both after each tenth.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the exporter")]

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/app/mod.rs"]
mod app;

use std::collections::BTreeMap;

use app::{App, CLASSIC, Manner, answer, raw};
use exporter_common::testing::{Running, value};

/// A page that gives both all they want.
const GOOD: &str = r#"{"current_requests": 7, "pending_requests": 2, "total_uptime": 123456.5, "health": "healthy",
    "site": "a", "jobs": [{"name": "one", "runs": 1, "up": true}, {"name": "two", "runs": 2, "up": false}]}"#;

/// What a page decides about: how many elements there are and what they lack, how long a label is that stands in all
/// of them, and how many elements are joined in the label of each.
const MAPPING: &str = r#"
modules:
  default:
    metrics:
      - {name: app_uptime, path: '{.total_uptime}'}
      - {name: job_runs, path: '{.jobs[*]}', value: '{.runs}', labels: {job: '{index}', site: '{root.site}'}}
      - name: job_up
        path: '{.jobs[*]}'
        value: '{.up}'
        labels: {job: '{index}', others: '{root.jobs[?(@.up == true)].name}'}
"#;

/// How many requests there are unless it is said.
const REQUESTS: usize = 10_000;

/// Of so many requests one hangs, and one is answered byte by byte: both wait for the end of their time.
const SLOW: usize = 100;

fn main() {
    let asked = std::env::args_os().find_map(|argument| argument.to_str()?.parse().ok());
    let requests: usize = asked.unwrap_or(REQUESTS);
    let app = App::start(Manner::Hangs);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yml");
    std::fs::write(&config, MAPPING).unwrap();
    let start = |more: &[String]| {
        let flags = ["--poll.interval=0".to_owned(), "--scrape.timeout=100ms".to_owned()];
        let flags = flags.into_iter().chain([format!("--app.url={}", app.url())]).chain(more.iter().cloned());
        Running::start(env!("CARGO_BIN_EXE_app-status-exporter"), flags)
    };
    let exporters =
        [("classic", start(&[])), ("with a mapping", start(&[format!("--config.file={}", config.display())]))];
    let faults = faults();
    let resident = |metrics: &str| value(metrics, "process_resident_memory_bytes").unwrap() / 1e6;
    for request in 1..=requests {
        app.now(match request % SLOW {
            0 => Manner::Hangs,
            1 => Manner::Trickles,
            _ => faults[request % faults.len()].clone(),
        });
        exporters[request / SLOW % 2].1.scrape();
        if request % (requests / 10).max(1) == 0 {
            let [classic, mapped] = exporters.each_ref().map(|(_, exporter)| resident(&exporter.scrape()));
            println!("{request} requests: {classic:.1} MB resident, with a mapping {mapped:.1} MB");
        }
    }
    app.now(answer("200 OK", GOOD));
    for (name, exporter) in exporters {
        let metrics = exporter.scrape_until("all is well again", |metrics| {
            value(metrics, "exporter_scrape_success{collector=\"app_status\"}") == Some(1.0)
        });
        let reasons: BTreeMap<_, _> = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("app_status_failures_total{reason=\"")?.split_once("\"} "))
            .collect();
        println!("{name}, well again: {:.1} MB resident; failures by reason: {reasons:?}", resident(&metrics));
    }
}

/// An answer of each kind that is wrong, and a good one.
fn faults() -> Vec<Manner> {
    let values = format!("[{}0]", "0,".repeat(2_000_000));
    let objects = format!("[{}{{}}]", "{\"key\": \"a value\", \"n\": 1234567}, ".repeat(120_000));
    let utf16: String = CLASSIC.chars().flat_map(|character| [character, '\0']).collect();
    let lacking = format!("{{\"jobs\": [{}{{}}]}}", "{},".repeat(200_000));
    let long = format!("{{\"site\": \"{}\", \"jobs\": [{}{{}}]}}", "x".repeat(1 << 20), "{\"runs\": 1},".repeat(999));
    let job = "{\"name\": \"a name\", \"runs\": 1, \"up\": true}, ";
    let joined = format!("{{\"site\": \"a\", \"jobs\": [{}{{}}]}}", job.repeat(9_999));
    vec![
        answer("200 OK", CLASSIC),
        answer("200 OK", GOOD),
        answer("200 OK", &lacking),
        answer("200 OK", &long),
        answer("200 OK", &joined),
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

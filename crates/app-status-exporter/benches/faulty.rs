//! Measures the memory of the exporter with a faulty application: `cargo bench -p app-status-exporter --bench faulty`,
//! with the number of requests after `--`. One exporter reads the classic page and one has a mapping; they alternate
//! every hundred requests. Prints the failures by reason, and the memory of both after each tenth.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, not a part of the exporter")]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/app/mod.rs"]
mod app;

use std::collections::BTreeMap;

use app::{App, Behavior, CLASSIC, raw, response};
use exporter_common::testing::{Running, value};

/// A page that both exporters can read.
const VALID: &str = r#"{"current_requests": 7, "pending_requests": 2, "total_uptime": 123456.5, "health": "healthy",
    "site": "a", "jobs": [{"name": "one", "runs": 1, "up": true}, {"name": "two", "runs": 2, "up": false}]}"#;

/// A mapping whose cost depends on the page: the number of elements and of missing values, the length of a label of all
/// elements, and a label that joins all elements.
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

/// The default number of requests.
const REQUESTS: usize = 10_000;

/// The interval of slow requests: one without a response, and one with a slow response. Both time out.
const SLOW: usize = 100;

fn main() {
    let argument = std::env::args_os().find_map(|argument| argument.to_str()?.parse().ok());
    let requests: usize = argument.unwrap_or(REQUESTS);
    let app = App::start(Behavior::Hangs);
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
        app.set(match request % SLOW {
            0 => Behavior::Hangs,
            1 => Behavior::Trickles,
            _ => faults[request % faults.len()].clone(),
        });
        exporters[request / SLOW % 2].1.scrape();
        if request % (requests / 10).max(1) == 0 {
            let [classic, mapped] = exporters.each_ref().map(|(_, exporter)| resident(&exporter.scrape()));
            println!("{request} requests: {classic:.1} MB resident, with a mapping {mapped:.1} MB");
        }
    }
    app.set(response("200 OK", VALID));
    for (name, exporter) in exporters {
        let metrics = exporter.scrape_until("a successful read", |metrics| {
            value(metrics, "exporter_scrape_success{collector=\"app_status\"}") == Some(1.0)
        });
        let reasons: BTreeMap<_, _> = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("app_status_failures_total{reason=\"")?.split_once("\"} "))
            .collect();
        println!("{name}, at the end: {:.1} MB resident; failures by reason: {reasons:?}", resident(&metrics));
    }
}

/// One response of each kind of fault, and valid ones.
fn faults() -> Vec<Behavior> {
    let values = format!("[{}0]", "0,".repeat(2_000_000));
    let objects = format!("[{}{{}}]", "{\"key\": \"a value\", \"n\": 1234567}, ".repeat(120_000));
    let utf16: String = CLASSIC.chars().flat_map(|character| [character, '\0']).collect();
    let lacking = format!("{{\"jobs\": [{}{{}}]}}", "{},".repeat(200_000));
    let long = format!("{{\"site\": \"{}\", \"jobs\": [{}{{}}]}}", "x".repeat(1 << 20), "{\"runs\": 1},".repeat(999));
    let job = "{\"name\": \"a name\", \"runs\": 1, \"up\": true}, ";
    let joined = format!("{{\"site\": \"a\", \"jobs\": [{}{{}}]}}", job.repeat(9_999));
    vec![
        response("200 OK", CLASSIC),
        response("200 OK", VALID),
        response("200 OK", &lacking),
        response("200 OK", &long),
        response("200 OK", &joined),
        response("500 Internal Server Error", CLASSIC),
        response("503 Service Unavailable", "<html>no upstream</html>"),
        response("200 OK", ""),
        response("200 OK", &CLASSIC[..60]),
        response("200 OK", &"{\"x\":".repeat(1 << 16)),
        response("200 OK", &"[".repeat(4 << 20)),
        response("200 OK", &values),
        response("200 OK", &objects),
        response("200 OK", &format!("{{\"health\": \"{}\"}}", "x".repeat(4_000_000))),
        response("200 OK", &utf16),
        Behavior::Responds(raw("200 OK", "Content-Encoding: gzip\r\n", "\u{1f}\u{8}")),
        Behavior::Responds(raw("302 Found", "Location: http://127.0.0.2:9/elsewhere\r\n", "")),
        Behavior::Responds(raw("302 Found", "Location: /status\r\n", "")),
        Behavior::RespondsAndCloses(raw("200 OK", "", CLASSIC).replace("Length: ", "Length: 9")),
        Behavior::RespondsAndCloses("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        Behavior::RespondsAndCloses(String::new()),
        Behavior::Floods(100 << 20),
        Behavior::Resets,
    ]
}

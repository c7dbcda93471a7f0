//! The built exporter against queue systems: made up ones that misbehave, and a real one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod fake;
mod http;
mod rabbitmq;
mod real_rabbitmq;
mod refusals;

use exporter_common::testing::{Running, eventually, run};

/// The exporter, reading this URL, with more flags. Its first read is over: a scrape would share it.
fn exporter<const N: usize>(url: &str, flags: [&str; N]) -> Running {
    let exporter = started(url, flags);
    eventually("the first read is over", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    exporter
}

/// The same, but not waited for.
fn started<const N: usize>(url: &str, flags: [&str; N]) -> Running {
    let url = format!("--queue.url={url}");
    Running::start(env!("CARGO_BIN_EXE_queue-exporter"), [url.as_str()].into_iter().chain(flags))
}

/// One read and no more: the metrics and the log.
fn once<const N: usize>(url: &str, flags: [&str; N]) -> (String, String) {
    let url = format!("--queue.url={url}");
    let output = run(env!("CARGO_BIN_EXE_queue-exporter"), [url.as_str(), "--once"].into_iter().chain(flags));
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

const SUCCESS: &str = "queue_exporter_scrape_success";

//! The built exporter against queue systems: made up ones that misbehave, and real ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod chaos;
mod chaos_beanstalkd;
mod chaos_nats;
mod chaos_rabbitmq;
mod chaos_redis;
mod fake;
mod http;
mod nats;
mod rabbitmq;
mod rabbitmq_cluster;
mod real_beanstalkd;
mod real_nats;
mod real_rabbitmq;
mod real_redis;
mod redis_cluster;
mod redis_server;
mod refusals;
mod watch;

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

/// Fails when a system exports a metric that it says it does not have.
fn assert_vocabulary(metrics: &str) {
    let unavailable = "queue_exporter_metric_origin{metric=\"";
    for line in metrics.lines().filter(|line| line.contains("origin=\"unavailable\"")) {
        let labels = line.strip_prefix(unavailable).unwrap();
        let name = labels.split('"').next().unwrap();
        let detail = labels.split_once("unavailable\",").map(|(_, detail)| detail.split('}').next().unwrap());
        let exported = metrics.lines().find(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with('{'));
            rest.is_some_and(|rest| detail.is_none_or(|detail| rest.contains(detail)))
        });
        assert_eq!(exported, None, "{line}");
    }
}

const SUCCESS: &str = "queue_exporter_scrape_success";

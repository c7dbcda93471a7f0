//! The built exporter against fake queue systems that misbehave, and against real ones.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod broker_health;
mod chaos;
mod chaos_beanstalkd;
mod chaos_nats;
mod chaos_rabbitmq;
mod chaos_redis;
mod fake;
mod fake_app;
mod fake_kafka;
mod http;
mod http_selection;
mod kafka;
mod nats;
mod postgres;
mod probe;
mod rabbitmq;
mod rabbitmq_cluster;
mod real_beanstalkd;
mod real_kafka;
mod real_nats;
mod real_rabbitmq;
mod redis_bullmq;
mod redis_celery;
mod redis_cluster;
mod redis_faults;
mod redis_lists;
mod redis_rq;
mod redis_server;
mod redis_sidekiq;
mod redis_streams;
mod redis_support;
mod refusals;
mod sqs;
mod watch;

use exporter_common::testing::{Running, eventually, run};

/// An exporter of this URL with more flags, after its first read.
fn exporter<const N: usize>(url: &str, flags: [&str; N]) -> Running {
    let exporter = started(url, flags);
    eventually("the first read is complete", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    exporter
}

/// The same before its first read.
fn started<const N: usize>(url: &str, flags: [&str; N]) -> Running {
    let url = format!("--queue.url={url}");
    Running::start(env!("CARGO_BIN_EXE_queue-exporter"), [url.as_str()].into_iter().chain(flags))
}

/// One read with `--once`: the metrics and the log.
fn once<const N: usize>(url: &str, flags: [&str; N]) -> (String, String) {
    let url = format!("--queue.url={url}");
    let output = run(env!("CARGO_BIN_EXE_queue-exporter"), [url.as_str(), "--once"].into_iter().chain(flags));
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Fails if a metric is exported although its origin is `unavailable`.
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

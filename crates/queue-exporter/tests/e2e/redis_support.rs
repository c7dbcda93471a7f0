//! Helpers of the tests of queue systems in Redis.

use exporter_common::testing::{Running, value};

use crate::exporter;
use crate::redis_server::RedisServer;

pub(crate) fn system_exporter(server: &RedisServer, system: &str) -> Running {
    exporter(&server.url(), [&format!("--queue.system={system}")])
}

/// Values of series of one queue; each series is given as a name and more labels.
pub(crate) fn queue_values<const N: usize>(metrics: &str, queue: &str, series: [&str; N]) -> [Option<f64>; N] {
    series.map(|series| {
        let (name, more) = series.split_once(' ').unwrap_or((series, ""));
        value(metrics, &format!("{name}{{queue_name=\"{queue}\"{more}}}"))
    })
}

pub(crate) const OUTCOME: [&str; 5] = [
    "queue_depth",
    "messages_processed_total ,status=\"success\"",
    "messages_processed_total ,status=\"failure\"",
    "message_processing_seconds_count",
    "queue_messages ,state=\"in_flight\"",
];

//! The health of each log as metric families.

use exporter_common::Family;

use crate::metrics::health::{LineResult, LogHealth};

const SOURCE: &[&str] = &["source"];

type Field<T> = fn(&LogHealth) -> T;

/// The counters: name, help, value.
const COUNTERS: &[(&str, &str, Field<Option<u64>>)] = &[
    ("httpd_log_read_bytes_total", "Total number of bytes read from the log.", |log| Some(log.read_bytes)),
    ("httpd_log_rotations_total", "Total number of rotations: a new file appeared at the path of the log.", |log| {
        Some(log.rotations)
    }),
    (
        "httpd_log_truncations_total",
        "Total number of times the log file was truncated or overwritten in place.",
        |log| Some(log.truncations),
    ),
    ("httpd_log_open_errors_total", "Total number of failed attempts to open an existing log.", |log| {
        Some(log.open_errors)
    }),
    ("httpd_log_read_errors_total", "Total number of failed reads of the log.", |log| Some(log.read_errors)),
    (
        "httpd_log_lost_bytes_total",
        "Total number of bytes seen in the log that were deleted or overwritten before they were read.",
        |log| log.is_file.then_some(log.lost_bytes),
    ),
    (
        "httpd_log_evicted_connections_total",
        "Total number of syslog connections over TCP that were closed to make room for others.",
        |log| log.evicted_connections,
    ),
];

/// The families of all logs, at a time in seconds since the epoch.
pub(super) fn families(logs: &[LogHealth], can_drop: bool, now: f64) -> Vec<Family> {
    let counters = COUNTERS.iter().map(|(name, help, value)| counter(name, help, logs, *value));
    counters.chain([lines(logs, can_drop)]).chain(gauges(logs, now)).collect()
}

/// The messages that the kernel dropped.
pub(super) fn dropped(logs: &[LogHealth]) -> Family {
    counter(
        "httpd_log_dropped_messages_total",
        "Total number of syslog messages that the kernel dropped because the UDP receive buffer was full, from /proc/net/udp.",
        logs,
        |log| log.dropped,
    )
}

fn counter(name: &'static str, help: &'static str, logs: &[LogHealth], value: Field<Option<u64>>) -> Family {
    let mut family = Family::counter(name, help, SOURCE);
    for log in logs {
        if let Some(value) = value(log) {
            family.push(&[&log.source], value);
        }
    }
    family
}

fn lines(logs: &[LogHealth], can_drop: bool) -> Family {
    let mut lines = Family::counter(
        "httpd_log_lines_total",
        "Total number of lines read from the log, by result; a line with result value_error is also counted as a request.",
        &["source", "result"],
    );
    for log in logs {
        for (result, count) in LineResult::ALL.into_iter().zip(log.lines) {
            if can_drop || !matches!(result, LineResult::Dropped) {
                lines.push(&[&log.source, result.label()], count);
            }
        }
    }
    lines
}

fn gauges(logs: &[LogHealth], now: f64) -> [Family; 4] {
    let mut up = Family::gauge("httpd_log_source_up", "Whether the log is open and readable (1 = yes).", SOURCE);
    let mut lag = Family::gauge("httpd_log_lag_bytes", "Number of unread bytes in the open files of the log.", SOURCE);
    let mut lag_seconds = Family::gauge(
        "httpd_log_lag_seconds",
        "Age of the last line read, in seconds, while unread data remains; otherwise 0.",
        SOURCE,
    );
    let mut last_line = Family::gauge(
        "httpd_log_last_line_timestamp_seconds",
        "Timestamp in the last line read, in seconds since the epoch.",
        SOURCE,
    );
    for log in logs {
        let source = [log.source.as_str()];
        up.push(&source, f64::from(u8::from(log.fault.is_none())));
        // the unread bytes of a missing or unreadable log are unknown
        let measured = log.is_file && (log.fault.is_none() || log.lag > 0);
        if measured {
            lag.push(&source, log.lag);
        }
        if let Some(time) = log.last_time {
            last_line.push(&source, time);
            if measured {
                lag_seconds.push(&source, if log.lag == 0 { 0.0 } else { (now - time).max(0.0) });
            }
        }
    }
    [up, lag, lag_seconds, last_line]
}

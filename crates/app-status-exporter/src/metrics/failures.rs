//! Reasons of failed reads and lost series, and their counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use exporter_common::Family;

/// Why a read failed; the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureReason {
    /// No connection: refused, unreachable, unknown host name, TLS; or a file that cannot be read.
    Connect,
    /// No complete response within the time limit.
    Timeout,
    /// No token from the authorization server.
    Token,
    /// An unexpected status code.
    Status,
    /// A redirect to another host, or too many redirects.
    Redirect,
    /// A response that is not HTTP, is encoded, or is truncated.
    Answer,
    /// Too large a page, or too many values in it.
    TooLarge,
    TooDeep,
    NotJson,
    /// Not in the configured format, which is not JSON.
    WrongFormat,
    /// A mapped value is missing or invalid.
    Incomplete,
}

impl FailureReason {
    const NAMES: [(Self, &str); 11] = [
        (Self::Connect, "connect"),
        (Self::Timeout, "timeout"),
        (Self::Token, "token"),
        (Self::Status, "status"),
        (Self::Redirect, "redirect"),
        (Self::Answer, "answer"),
        (Self::TooLarge, "too_large"),
        (Self::TooDeep, "too_deep"),
        (Self::NotJson, "not_json"),
        (Self::WrongFormat, "wrong_format"),
        (Self::Incomplete, "incomplete"),
    ];
}

/// The error of a failed read.
#[derive(Debug)]
pub(crate) struct ReadError {
    pub(crate) reason: FailureReason,
    pub(crate) error: anyhow::Error,
}

impl ReadError {
    pub(crate) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, error: anyhow::anyhow!(message.into()) }
    }
}

/// Why a series is lost; the value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LossReason {
    /// The document has no match for the path.
    Missing,
    /// The value is null.
    Null,
    /// The value cannot be converted.
    Invalid,
    /// Another series has the same name and labels.
    Duplicate,
}

impl LossReason {
    fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Series of one metric, or parts of series, that are lost for one reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LostSeries {
    pub(crate) metric: String,
    pub(crate) reason: LossReason,
    /// The message of the first one; a page with many elements must not produce many messages.
    pub(crate) message: String,
    pub(crate) count: u64,
}

/// The counters of failed reads and lost series since the start.
#[derive(Default)]
pub(crate) struct FailureCounters {
    reads: [AtomicU64; FailureReason::NAMES.len()],
    lost: Mutex<BTreeMap<(String, LossReason), u64>>,
}

impl FailureCounters {
    /// Starts counting a read. A read that is dropped before it finishes counts as a timeout.
    pub(crate) fn start_read(&self) -> ReadAttempt<'_> {
        ReadAttempt { counters: self, reason: Some(FailureReason::Timeout) }
    }

    /// Counts lost series.
    pub(crate) fn count_lost(&self, lost: &LostSeries) {
        let mut counts = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((lost.metric.clone(), lost.reason)).or_default() += lost.count;
    }

    /// The counters as families.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut reads = Family::counter(
            "app_status_failures_total",
            "Total number of reads of the status page that failed or were incomplete, by reason.",
            &["reason"],
        );
        for ((_, name), count) in FailureReason::NAMES.iter().zip(&self.reads) {
            reads.push(&[name], count.load(Ordering::Relaxed));
        }
        let mut lost = Family::counter(
            "app_status_series_lost_total",
            "Total number of mapped series, or parts of them, that were not exported, by metric and reason.",
            &["metric", "reason"],
        );
        for ((metric, reason), count) in self.lost.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            lost.push(&[metric.as_str(), reason.name()], *count);
        }
        vec![reads, lost]
    }
}

/// A read in progress.
pub(crate) struct ReadAttempt<'a> {
    counters: &'a FailureCounters,
    reason: Option<FailureReason>,
}

impl ReadAttempt<'_> {
    /// Counts the read as successful, or as failed for this reason.
    pub(crate) fn finish(mut self, reason: Option<FailureReason>) {
        self.reason = reason;
    }
}

impl Drop for ReadAttempt<'_> {
    fn drop(&mut self) {
        if let Some(reason) = self.reason
            && let Some(at) = FailureReason::NAMES.iter().position(|(other, _)| *other == reason)
        {
            self.counters.reads[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    #[test]
    fn a_cancelled_read_counts_as_a_timeout() {
        let counters = FailureCounters::default();
        drop(counters.start_read());
        counters.start_read().finish(None);
        counters.start_read().finish(Some(FailureReason::NotJson));
        let text = to_text(counters.families());
        for (reason, count) in [("timeout", 1), ("not_json", 1), ("connect", 0)] {
            assert!(text.contains(&format!("app_status_failures_total{{reason=\"{reason}\"}} {count}\n")), "{text}");
        }
        assert_eq!(text.lines().count(), 2 + FailureReason::NAMES.len(), "every reason, and no lost series");
    }
}

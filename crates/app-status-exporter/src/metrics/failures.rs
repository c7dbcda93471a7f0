//! FailureReason reads failed and series were lost, counted for the life of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use exporter_common::Family;

use crate::metrics::mapping::{Losses, LostSeries};

/// FailureReason a read failed. Each is a value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureReason {
    /// No connection: refused, unreachable, unknown name, TLS.
    Connect,
    /// No whole answer in time.
    Timeout,
    /// The authorization server gave no token.
    Token,
    /// A status that is not read.
    Status,
    /// It redirects elsewhere, or without end.
    Redirect,
    /// What came is no HTTP, is encoded, or broke off.
    Answer,
    /// The page, or the number of its values, is too large.
    TooLarge,
    TooDeep,
    NotJson,
    /// Something that is mapped is not there, or not as it should be.
    Incomplete,
}

impl FailureReason {
    const NAMES: [(Self, &str); 10] = [
        (Self::Connect, "connect"),
        (Self::Timeout, "timeout"),
        (Self::Token, "token"),
        (Self::Status, "status"),
        (Self::Redirect, "redirect"),
        (Self::Answer, "answer"),
        (Self::TooLarge, "too_large"),
        (Self::TooDeep, "too_deep"),
        (Self::NotJson, "not_json"),
        (Self::Incomplete, "incomplete"),
    ];
}

/// A read that failed.
#[derive(Debug)]
pub(crate) struct ReadError {
    pub(crate) reason: FailureReason,
    pub(crate) error: anyhow::Error,
}

impl ReadError {
    pub(crate) fn new(reason: FailureReason, what: impl Into<String>) -> Self {
        Self { reason, error: anyhow::anyhow!(what.into()) }
    }
}

/// The counts.
#[derive(Default)]
pub(crate) struct FailureCounters {
    reads: [AtomicU64; FailureReason::NAMES.len()],
    lost: Mutex<Losses>,
}

impl FailureCounters {
    /// Counts a read from its beginning: one that is given up, because nobody waits for it any more, was too slow.
    pub(crate) fn attempt(&self) -> ReadAttempt<'_> {
        ReadAttempt { failures: self, reason: Some(FailureReason::Timeout) }
    }

    /// Counts what a page did not give.
    pub(crate) fn count_lost(&self, lost: &LostSeries) {
        let mut losses = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *losses.entry((lost.metric.clone(), lost.reason)).or_default() += lost.count;
    }

    /// The counts as families.
    pub(crate) fn families(&self) -> Vec<Family> {
        let mut reads = Family::counter(
            "app_status_failures_total",
            "Reads of the application's status that failed or gave less than is mapped, by reason.",
            &["reason"],
        );
        for ((_, name), count) in FailureReason::NAMES.iter().zip(&self.reads) {
            reads.push(&[name], count.load(Ordering::Relaxed));
        }
        let mut lost = Family::counter(
            "app_status_series_lost_total",
            "Series, and parts of series, that a status page should have given and did not, by metric and reason.",
            &["metric", "reason"],
        );
        for ((metric, reason), count) in self.lost.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            lost.push(&[metric.as_str(), reason.name()], *count);
        }
        vec![reads, lost]
    }
}

/// A read under way.
pub(crate) struct ReadAttempt<'a> {
    failures: &'a FailureCounters,
    reason: Option<FailureReason>,
}

impl ReadAttempt<'_> {
    /// It has ended: well, or for a reason.
    pub(crate) fn finish(mut self, reason: Option<FailureReason>) {
        self.reason = reason;
    }
}

impl Drop for ReadAttempt<'_> {
    fn drop(&mut self) {
        if let Some(reason) = self.reason
            && let Some(at) = FailureReason::NAMES.iter().position(|(other, _)| *other == reason)
        {
            self.failures.reads[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    #[test]
    fn a_read_that_is_given_up_was_too_slow() {
        let failures = FailureCounters::default();
        drop(failures.attempt());
        failures.attempt().finish(None);
        failures.attempt().finish(Some(FailureReason::NotJson));
        let text = to_text(failures.families());
        for (reason, count) in [("timeout", 1), ("not_json", 1), ("connect", 0)] {
            assert!(text.contains(&format!("app_status_failures_total{{reason=\"{reason}\"}} {count}\n")), "{text}");
        }
        assert_eq!(text.lines().count(), 2 + FailureReason::NAMES.len(), "every reason, and no series lost");
    }
}

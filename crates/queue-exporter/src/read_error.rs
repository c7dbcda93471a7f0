//! Errors of reading a queue system, with the reasons of `queue_exporter_source_errors_total`.

use std::fmt;

use anyhow::Error;
use exporter_common::Family;

/// The reason of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No response in time.
    Timeout,
    /// Credentials or permissions.
    Auth,
    /// The connection failed or broke.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The response is an error, or is invalid in this protocol.
    Protocol,
    /// The content of the response is invalid.
    Parse,
    /// Some of the existing data is missing from the response.
    Partial,
}

const REASONS: [(Reason, &str); 7] = [
    (Reason::Timeout, "timeout"),
    (Reason::Auth, "auth"),
    (Reason::Connect, "connect"),
    (Reason::Tls, "tls"),
    (Reason::Protocol, "protocol"),
    (Reason::Parse, "parse"),
    (Reason::Partial, "partial"),
];

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        REASONS.iter().find(|(reason, _)| *reason == self).map_or("", |(_, name)| *name)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        REASONS.iter().find(|(_, known)| *known == name).map(|(reason, _)| *reason)
    }
}

/// An error with its reason.
#[derive(Debug)]
struct ReadError {
    reason: Reason,
    text: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ReadError {}

/// An error with this reason.
pub(crate) fn read_error(reason: Reason, text: impl Into<String>) -> Error {
    Error::new(ReadError { reason, text: text.into() })
}

/// The reason of an error. An error without a reason comes from parsing a response.
pub(crate) fn reason(error: &Error) -> Reason {
    error.downcast_ref::<ReadError>().map_or(Reason::Parse, |error| error.reason)
}

/// The number of errors since the start, by reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ErrorCounts([u64; REASONS.len()]);

impl ErrorCounts {
    pub(crate) fn count(&mut self, error: &Error) {
        let reason = reason(error);
        for ((known, _), count) in REASONS.iter().zip(&mut self.0) {
            *count += u64::from(*known == reason);
        }
    }

    pub(crate) fn family(self) -> Family {
        let help = "Total number of errors while reading the queue system, by reason.";
        let mut family = Family::counter("queue_exporter_source_errors_total", help, &["reason"]);
        for ((_, name), count) in REASONS.iter().zip(self.0) {
            family.push(&[name], count);
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_reason_of_an_error_is_found_below_its_context() {
        let error = Err::<(), _>(read_error(Reason::Auth, "no")).context("one").context("two").unwrap_err();
        assert_eq!(reason(&error), Reason::Auth);
        assert_eq!(format!("{error:#}"), "two: one: no");
        assert_eq!(reason(&anyhow::anyhow!("not a number").context("depth")), Reason::Parse);
    }
}

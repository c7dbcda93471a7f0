//! Why something could not be read, in the words of `queue_exporter_source_errors_total`.

use std::fmt;

use anyhow::Error;
use exporter_common::Family;

/// What kind of fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No answer in time.
    Timeout,
    /// Credentials or permissions.
    Auth,
    /// No connection, or one that broke.
    Connect,
    /// No encrypted connection.
    Tls,
    /// An answer that says no, or that is none in this protocol.
    Protocol,
    /// An answer whose content is not what it should be.
    Parse,
    /// Some of what is there was not told.
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

    pub(crate) fn named(name: &str) -> Option<Self> {
        REASONS.iter().find(|(_, known)| *known == name).map(|(reason, _)| *reason)
    }
}

/// An error that knows its reason.
#[derive(Debug)]
struct Fault {
    reason: Reason,
    text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// An error for this reason.
pub(crate) fn fault(reason: Reason, text: impl Into<String>) -> Error {
    Error::new(Fault { reason, text: text.into() })
}

/// The reason of an error. One that names none was found in what an answer says.
pub(crate) fn reason(error: &Error) -> Reason {
    error.downcast_ref::<Fault>().map_or(Reason::Parse, |fault| fault.reason)
}

/// How many faults there were since the start, by reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Errors([u64; REASONS.len()]);

impl Errors {
    pub(crate) fn count(&mut self, error: &Error) {
        let reason = reason(error);
        for ((known, _), count) in REASONS.iter().zip(&mut self.0) {
            *count += u64::from(*known == reason);
        }
    }

    pub(crate) fn family(self) -> Family {
        let help = "Faults met in reading the queue system since the start, by reason.";
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
    fn a_reason_is_found_below_what_was_said_of_the_place() {
        let error = Err::<(), _>(fault(Reason::Auth, "no")).context("one").context("two").unwrap_err();
        assert_eq!(reason(&error), Reason::Auth);
        assert_eq!(format!("{error:#}"), "two: one: no");
        assert_eq!(reason(&anyhow::anyhow!("no number").context("depth")), Reason::Parse);
    }
}

//! The error codes of Kafka.

use anyhow::{Error, Result};

use crate::read_error::{Reason, read_error};

/// Code, name, and reason.
const ERRORS: &[(i16, &str, Reason)] = &[
    (1, "OFFSET_OUT_OF_RANGE", Reason::Partial),
    (3, "UNKNOWN_TOPIC_OR_PARTITION", Reason::Partial),
    (5, "LEADER_NOT_AVAILABLE", Reason::Partial),
    (6, "NOT_LEADER_OR_FOLLOWER", Reason::Partial),
    (7, "REQUEST_TIMED_OUT", Reason::Timeout),
    (9, "REPLICA_NOT_AVAILABLE", Reason::Partial),
    (14, "COORDINATOR_LOAD_IN_PROGRESS", Reason::Partial),
    (15, "COORDINATOR_NOT_AVAILABLE", Reason::Partial),
    (16, "NOT_COORDINATOR", Reason::Partial),
    (29, "TOPIC_AUTHORIZATION_FAILED", Reason::Auth),
    (30, "GROUP_AUTHORIZATION_FAILED", Reason::Auth),
    (31, "CLUSTER_AUTHORIZATION_FAILED", Reason::Auth),
    (33, "UNSUPPORTED_SASL_MECHANISM", Reason::Auth),
    (34, "ILLEGAL_SASL_STATE", Reason::Auth),
    (35, "UNSUPPORTED_VERSION", Reason::Protocol),
    (42, "INVALID_REQUEST", Reason::Protocol),
    (56, "KAFKA_STORAGE_ERROR", Reason::Partial),
    (58, "SASL_AUTHENTICATION_FAILED", Reason::Auth),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", Reason::Protocol),
    (78, "OFFSET_NOT_AVAILABLE", Reason::Partial),
];

pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(super) const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// Whether the broker refuses a group for its state or for permissions, and not the request itself.
pub(super) fn is_of_the_group(code: i16) -> bool {
    matches!(code, 14..=16 | 30)
}

/// The error of a code; 0 is success.
pub(super) fn check(code: i16) -> Result<()> {
    if code == 0 { Ok(()) } else { Err(error(code)) }
}

fn error(code: i16) -> Error {
    match ERRORS.iter().find(|(known, ..)| *known == code) {
        Some((_, name, reason)) => read_error(*reason, format!("{name} ({code})")),
        None => read_error(Reason::Protocol, format!("error code {code}")),
    }
}

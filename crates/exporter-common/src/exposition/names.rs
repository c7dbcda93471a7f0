//! Which names every version of Prometheus accepts.

/// Whether every version of Prometheus accepts the name of a label.
pub(super) fn is_legacy_label(name: &str) -> bool {
    is_legacy(name) && !name.contains(':')
}

/// Whether every version of Prometheus accepts the name of a metric.
pub(super) fn is_legacy(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(valid)
}

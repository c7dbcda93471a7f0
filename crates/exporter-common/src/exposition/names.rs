//! Which names are valid, and which of them every version of Prometheus accepts.

/// The mistake in the names of a family, if any. The labels are sorted by name; `reserved` is the one that only the
/// formats write.
pub(super) fn mistake<'a>(name: &str, labels: impl Iterator<Item = &'a str>, reserved: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a metric has an empty name".to_owned());
    }
    let mut last = None;
    for label in labels {
        if label.is_empty() {
            return Some(format!("{name}: a label has an empty name"));
        }
        if label == reserved || label == "__name__" {
            return Some(format!("{name}: the label name {label} is reserved"));
        }
        if last.replace(label) == Some(label) {
            return Some(format!("{name}: duplicate label name {label}"));
        }
    }
    None
}

/// Whether every version of Prometheus accepts the name of a label.
pub(super) fn is_legacy_label(name: &str) -> bool {
    is_legacy(name) && !name.contains(':')
}

/// Whether every version of Prometheus accepts the name of a metric.
pub(super) fn is_legacy(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_reserved_and_duplicate_names_are_mistakes() {
        for (name, labels, reserved, expected) in [
            ("", &[][..], "", Some("a metric has an empty name")),
            ("g", &[""], "", Some("g: a label has an empty name")),
            ("g", &["__name__"], "", Some("g: the label name __name__ is reserved")),
            ("h", &["le"], "le", Some("h: the label name le is reserved")),
            ("g", &["a", "b", "b"], "", Some("g: duplicate label name b")),
            ("g", &["le", "quantile"], "", None),
            ("größe.des speichers", &["über"], "", None), // valid since Prometheus 3
        ] {
            assert_eq!(mistake(name, labels.iter().copied(), reserved).as_deref(), expected, "{name} {labels:?}");
        }
    }
}

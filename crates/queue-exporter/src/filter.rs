//! Which queues are exported: `--queue.include` and `--queue.exclude`.

use regex::Regex;

/// Two patterns of whole queue names; a queue is exported when the first matches and the second does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) include: Option<Regex>,
    pub(crate) exclude: Option<Regex>,
}

impl Filter {
    pub(crate) fn lets_through(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(name))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.is_match(name))
    }
}

/// Reads a pattern that has to match a whole name, as Prometheus's matchers do.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    // alone first: 'a)(b' becomes valid between parentheses
    Regex::new(text).and_then(|_| Regex::new(&format!("^(?s:{text})$"))).map_err(|error| {
        // the parser draws the place in several lines; its last one says what is wrong
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default();
        format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(include: Option<&str>, exclude: Option<&str>, name: &str) -> bool {
        let [include, exclude] = [include, exclude].map(|text| text.map(|text| pattern(text).unwrap()));
        Filter { include, exclude }.lets_through(name)
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(exported(None, None, "orders"));
        assert!(exported(Some("orders|mail"), None, "mail"));
        assert!(!exported(Some("order"), None, "orders"));
        assert!(exported(Some("order.*"), Some("orders"), "orders.dlq"));
        assert!(!exported(Some("order.*"), Some(".*dlq"), "orders.dlq"));
        assert!(exported(Some("a.b"), None, "a\nb"));
    }

    #[test]
    fn what_is_no_pattern_is_told_in_one_line() {
        for text in ["(", "a)(b", "[z-a]", "*"] {
            let error = pattern(text).unwrap_err();
            assert!(!error.contains('\n') && error.len() > 26, "{error}");
        }
    }
}

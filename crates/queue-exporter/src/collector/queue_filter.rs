//! Selects queues by `--queue.include` and `--queue.exclude`.

use exporter_common::Family;
use regex::Regex;

/// Two patterns of whole queue names. A queue is exported if the first matches and the second does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueFilter {
    pub(crate) include: Option<Regex>,
    pub(crate) exclude: Option<Regex>,
}

/// The number of queues in one list that each pattern matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PatternMatches {
    include: u64,
    exclude: u64,
}

impl QueueFilter {
    pub(super) fn accepts(&self, name: &str, matches: &mut PatternMatches) -> bool {
        if name.is_empty() {
            return true; // totals of the queue system
        }
        let matched = |pattern: &Option<Regex>| pattern.as_ref().map(|pattern| pattern.is_match(name));
        let [include, exclude] = [matched(&self.include), matched(&self.exclude)];
        matches.include += u64::from(include == Some(true));
        matches.exclude += u64::from(exclude == Some(true));
        include != Some(false) && exclude != Some(true)
    }

    /// The configured patterns: the flag and the number of matches.
    fn counts(&self, matches: PatternMatches) -> impl Iterator<Item = (&'static str, u64)> {
        let include = self.include.as_ref().map(|_| ("include", matches.include));
        include.into_iter().chain(self.exclude.as_ref().map(|_| ("exclude", matches.exclude)))
    }

    /// The flags whose patterns matched no queue.
    pub(super) fn unmatched(&self, matches: PatternMatches) -> Vec<&'static str> {
        self.counts(matches).filter(|(_, count)| *count == 0).map(|(flag, _)| flag).collect()
    }

    pub(super) fn family(&self, matches: PatternMatches) -> Family {
        let help = "Number of listed queues that the pattern of --queue.include or --queue.exclude matches.";
        let mut family = Family::gauge("queue_exporter_pattern_matches", help, &["pattern"]);
        for (flag, count) in self.counts(matches) {
            family.push(&[flag], count);
        }
        family
    }
}

/// Parses a pattern that must match a whole name, as Prometheus's matchers do.
pub(crate) fn parse_pattern(text: &str) -> Result<Regex, String> {
    // without the parentheses first: 'a)(b' is valid only between them
    Regex::new(text).and_then(|_| Regex::new(&format!("^(?s:{text})$"))).map_err(|error| {
        // the error spans several lines and marks the position; the last line has the cause
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default();
        format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(include: Option<&str>, exclude: Option<&str>, name: &str) -> bool {
        let [include, exclude] = [include, exclude].map(|text| text.map(|text| parse_pattern(text).unwrap()));
        QueueFilter { include, exclude }.accepts(name, &mut PatternMatches::default())
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(accepts(None, None, "orders"));
        assert!(accepts(Some("orders|mail"), None, "mail"));
        assert!(!accepts(Some("order"), None, "orders"));
        assert!(accepts(Some("order.*"), Some("orders"), "orders.dlq"));
        assert!(!accepts(Some("order.*"), Some(".*dlq"), "orders.dlq"));
        assert!(accepts(Some("a.b"), None, "a\nb"));
    }

    #[test]
    fn a_pattern_that_matches_no_queue_is_reported() {
        let [orders, tmp] = ["orders", "tmp.*"].map(|text| Some(parse_pattern(text).unwrap()));
        let filter = QueueFilter { include: orders, exclude: tmp };
        let mut matches = PatternMatches::default();
        for name in ["mail", "orders", ""] {
            filter.accepts(name, &mut matches);
        }
        assert_eq!(filter.unmatched(matches), ["exclude"]);
        filter.accepts("tmp.1", &mut matches);
        assert!(filter.unmatched(matches).is_empty());
        assert!(QueueFilter::default().unmatched(PatternMatches::default()).is_empty());
    }

    #[test]
    fn an_invalid_pattern_is_reported_on_one_line() {
        for text in ["(", "a)(b", "[z-a]", "*"] {
            let error = parse_pattern(text).unwrap_err();
            assert!(!error.contains('\n') && error.len() > 26, "{error}");
        }
    }
}

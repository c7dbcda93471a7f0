//! Which queues are exported: `--queue.include` and `--queue.exclude`.

use exporter_common::Family;
use regex::Regex;

/// Two patterns of whole queue names; a queue is exported when the first matches and the second does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) include: Option<Regex>,
    pub(crate) exclude: Option<Regex>,
}

/// How many queues of one list each pattern has matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    include: u64,
    exclude: u64,
}

impl Filter {
    pub(crate) fn lets_through(&self, name: &str, matches: &mut Matches) -> bool {
        if name.is_empty() {
            return true; // what a system says of all of its queues is no queue
        }
        let matched = |pattern: &Option<Regex>| pattern.as_ref().map(|pattern| pattern.is_match(name));
        let [include, exclude] = [matched(&self.include), matched(&self.exclude)];
        matches.include += u64::from(include == Some(true));
        matches.exclude += u64::from(exclude == Some(true));
        include != Some(false) && exclude != Some(true)
    }

    /// The patterns that are set, each with its flag and how many queues it has matched.
    fn counted(&self, matches: Matches) -> impl Iterator<Item = (&'static str, u64)> {
        let include = self.include.as_ref().map(|_| ("include", matches.include));
        include.into_iter().chain(self.exclude.as_ref().map(|_| ("exclude", matches.exclude)))
    }

    /// The flags whose patterns have matched nothing.
    pub(crate) fn idle(&self, matches: Matches) -> Vec<&'static str> {
        self.counted(matches).filter(|(_, matched)| *matched == 0).map(|(flag, _)| flag).collect()
    }

    pub(crate) fn family(&self, matches: Matches) -> Family {
        let help = "Queues of the last list that the pattern of --queue.include or --queue.exclude matches.";
        let mut family = Family::gauge("queue_exporter_pattern_matches", help, &["pattern"]);
        for (flag, matched) in self.counted(matches) {
            family.push(&[flag], matched);
        }
        family
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
        Filter { include, exclude }.lets_through(name, &mut Matches::default())
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
    fn a_pattern_that_matches_nothing_is_known() {
        let [orders, tmp] = ["orders", "tmp.*"].map(|text| Some(pattern(text).unwrap()));
        let filter = Filter { include: orders, exclude: tmp };
        let mut matches = Matches::default();
        for name in ["mail", "orders", ""] {
            filter.lets_through(name, &mut matches);
        }
        assert_eq!(filter.idle(matches), ["exclude"]);
        filter.lets_through("tmp.1", &mut matches);
        assert!(filter.idle(matches).is_empty() && Filter::default().idle(Matches::default()).is_empty());
    }

    #[test]
    fn what_is_no_pattern_is_told_in_one_line() {
        for text in ["(", "a)(b", "[z-a]", "*"] {
            let error = pattern(text).unwrap_err();
            assert!(!error.contains('\n') && error.len() > 26, "{error}");
        }
    }
}

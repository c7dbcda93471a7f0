//! Reference parsers of the common log formats, written as regular expressions for tests and fuzzing.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use crate::format::request::{Method, Number, Request, StatusCode, Unit};

/// The regular expressions: where the request starts, and what follows in each format.
pub(crate) struct ClfRegexes {
    time: regex::bytes::Regex,
    common: regex::bytes::Regex,
    combined: regex::bytes::Regex,
    combined_time: regex::bytes::Regex,
    combined_us: regex::bytes::Regex,
}

impl ClfRegexes {
    /// Compiles the expressions.
    pub(crate) fn new() -> Self {
        const REQUEST: &str = r#"^((?:[^"\\]|\\.)*)" (\d\d\d|-1?|0) ([^ ]+)"#;
        const REQUEST_OPTIONAL_BYTES: &str = r#"^((?:[^"\\]|\\.)*)" (\d\d\d|-1?|0) ([^ ]*)"#; // as in templates
        const QUOTED: &str = r#" "(?:[^"\\]|\\.)*""#;
        let regex = |text: &str| {
            regex::bytes::RegexBuilder::new(text).unicode(false).dot_matches_new_line(true).build().unwrap()
        };
        Self {
            time: regex(r#"\] ""#),
            common: regex(&format!("{REQUEST}(?:$| )")),
            combined: regex(&format!("{REQUEST}(?:$|{QUOTED}{QUOTED}(?:$| ))")),
            combined_time: regex(&format!("{REQUEST}{QUOTED}{QUOTED} ([^ ]+)")),
            combined_us: regex(&format!("{REQUEST_OPTIONAL_BYTES}{QUOTED}{QUOTED} ([^ ]+)")),
        }
    }

    /// The expected result of `common`.
    pub(crate) fn common<'a>(&self, line: &'a [u8]) -> Option<Request<'a>> {
        self.read(line, &self.common, Unit::Seconds)
    }

    /// The expected result of `combined`.
    pub(crate) fn combined<'a>(&self, line: &'a [u8]) -> Option<Request<'a>> {
        self.read(line, &self.combined, Unit::Seconds)
    }

    /// The expected result of `combined_time`.
    pub(crate) fn combined_time<'a>(&self, line: &'a [u8]) -> Option<Request<'a>> {
        self.read(line, &self.combined_time, Unit::Seconds)
    }

    /// The expected result of `combined_us`, which is a template.
    pub(crate) fn combined_us<'a>(&self, line: &'a [u8]) -> Option<Request<'a>> {
        self.read(line, &self.combined_us, Unit::Microseconds)
    }

    fn read<'a>(&self, line: &'a [u8], format: &regex::bytes::Regex, unit: Unit) -> Option<Request<'a>> {
        let time = self.time.find(line).filter(|time| line[..time.start()].contains(&b'['))?;
        let captures = format.captures(&line[time.end()..])?;
        Some(Request {
            method: Method::from_request_line(&captures[1]),
            line: captures.get(1)?.as_bytes(),
            status: StatusCode::parse(&captures[2]).unwrap(),
            bytes: Number::bytes(&captures[3]),
            duration: captures.get(4).map_or(Number::Absent, |time| Number::time(time.as_bytes(), unit)),
        })
    }
}

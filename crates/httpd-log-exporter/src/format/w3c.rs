//! Parser of W3C extended logs (IIS) and CloudFront's standard logs: a line `#Fields:` names the columns of the lines after it.

use std::sync::Arc;

use memchr::{memchr, memchr_iter};

use crate::format::field::{Field, RequestBuilder, missing};
use crate::format::request::Unit;
use crate::format::timestamp::utc_seconds;

/// The line `#Fields:` that is valid at a position of a log; empty if the log has none before it.
pub(crate) type Header = Arc<[u8]>;

/// The format, and the columns of the current log.
#[derive(Clone, Debug)]
pub(crate) struct W3cFormat {
    dialect: W3cDialect,
    /// The columns of lines before any `#Fields:`.
    default: Header,
    /// The column with the trace of a request.
    trace: Option<String>,
    captured: Vec<String>,
    header: Header,
    columns: Vec<Column>,
    /// Why the lines after the header cannot be counted.
    problem: Option<&'static str>,
}

/// The servers whose logs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum W3cDialect {
    /// `time-taken` is in milliseconds, or in seconds if the columns are of CloudFront.
    Iis,
    /// `time-taken` is in seconds.
    Standard,
    /// Only the columns of CloudFront are read.
    CloudFront,
}

/// A column of the current log.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) field: Field,
    /// Its index among the captured fields.
    pub(crate) capture: Option<usize>,
}

/// The byte offset at which a line stopped to match, and the text expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct W3cMismatch {
    pub(crate) at: usize,
    pub(crate) expected: String,
}

/// The start of the line that names the columns.
const FIELDS: &[u8] = b"#Fields:";
/// The limit of columns. Servers have about 30.
const MAX_COLUMNS: usize = 1000;
/// The prefix of columns that only CloudFront has.
const CLOUDFRONT: &str = "x-edge-";

/// The meaning of columns. If a log has several columns with the same meaning, the first one in this table is read.
const NAMES: &[(&str, Field)] = &[
    ("sc-status", Field::Status),
    ("cs-method", Field::Method),
    ("cs-uri-stem", Field::Path),
    ("cs-uri", Field::Path),
    ("cs-version", Field::Protocol),
    ("cs-protocol-version", Field::Protocol),
    ("sc-bytes", Field::Bytes),
    ("bytes", Field::Bytes),
    ("cs-bytes", Field::Received),
    ("time-taken", Field::Duration(Unit::Milliseconds)),
    ("x-host-header", Field::Vhost),
    ("cs-host", Field::Vhost),
    ("cs(Host)", Field::Vhost),
    ("x-edge-result-type", Field::Cache),
    ("time", Field::Time),
];

/// The name of the column with the date.
const DATE: &str = "date";

/// Whether a text is a line `#Fields:` instead of a preset or a template.
pub(crate) fn is_header(text: &[u8]) -> bool {
    text.starts_with(FIELDS)
}

impl W3cFormat {
    /// A format that knows no columns before the first line `#Fields:`, or these.
    pub(crate) fn new(dialect: W3cDialect, default: &str, trace: Option<&str>, captured: &[&str]) -> Self {
        let default: Header = default.as_bytes().into();
        let mut format = Self {
            dialect,
            default: default.clone(),
            trace: trace.map(str::to_owned),
            captured: captured.iter().map(|name| (*name).to_owned()).collect(),
            header: default,
            columns: Vec::new(),
            problem: None,
        };
        format.read_header();
        format
    }

    /// All fields that a log may have.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let known = |name: &str| NAMES.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let trace = self.trace.as_ref().filter(|trace| !known(trace)).map(|_| Field::Trace);
        NAMES.iter().map(|(_, field)| *field).chain(trace).collect()
    }

    /// Why the current columns cannot be counted.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        self.problem
    }

    /// The current line `#Fields:`.
    pub(crate) fn header(&self) -> Header {
        self.header.clone()
    }

    /// Sets the line `#Fields:` that is valid in the log whose lines follow.
    pub(crate) fn set_header(&mut self, header: Option<&Header>) {
        let header = header.filter(|header| !header.is_empty()).unwrap_or(&self.default);
        if self.header != *header {
            self.header = header.clone();
            self.read_header();
        }
    }

    /// Reads a line that starts with `#`; false for other lines.
    pub(crate) fn directive(&mut self, line: &[u8]) -> bool {
        if is_header(line) && *self.header != *line {
            self.header = line.into();
            self.read_header();
        }
        line.first() == Some(&b'#')
    }

    fn read_header(&mut self) {
        let names = self.header.strip_prefix(FIELDS).unwrap_or_default();
        let names = String::from_utf8_lossy(names);
        let names: Vec<_> = names.split_ascii_whitespace().take(MAX_COLUMNS + 1).map(str::to_owned).collect();
        let is_cloudfront = names.iter().any(|name| name.starts_with(CLOUDFRONT));
        let is_same = |name: &str, known: &str| name.eq_ignore_ascii_case(known);
        let rank = |name: &str| NAMES.iter().position(|(known, _)| is_same(name, known));
        let column = |name: &String| {
            let field = match rank(name).map(|rank| (rank, NAMES[rank].1)) {
                // another column with the same meaning is preferred
                Some((at, field))
                    if names
                        .iter()
                        .filter_map(|name| rank(name))
                        .any(|other| other < at && NAMES[other].1.same(field)) =>
                {
                    Field::Skip
                }
                Some((_, Field::Duration(_))) if is_cloudfront || self.dialect != W3cDialect::Iis => {
                    Field::Duration(Unit::Seconds)
                }
                Some((_, field)) => field,
                None if self.trace.as_ref().is_some_and(|trace| is_same(name, trace)) => Field::Trace,
                None => Field::Skip,
            };
            let capture = self.captured.iter().position(|captured| is_same(name, captured));
            Column { name: name.clone(), field, capture }
        };
        let columns: Vec<_> = names.iter().map(column).collect();
        self.problem = match missing(&columns.iter().map(|column| column.field).collect::<Vec<_>>()) {
            _ if names.is_empty() => Some("a line #Fields: before it"),
            _ if names.len() > MAX_COLUMNS => Some("a line #Fields: with at most 1000 columns before it"),
            Some(_) => Some("a line #Fields: with sc-status and cs-method before it"),
            None if self.dialect == W3cDialect::CloudFront && !is_cloudfront => {
                Some("a line #Fields: of CloudFront before it")
            }
            None => None,
        };
        self.columns = columns;
    }

    /// Reads the fields of a line; false if it does not match.
    pub(crate) fn read<'a>(&self, line: &'a [u8], request: &mut RequestBuilder<'a>) -> bool {
        self.walk(line, &mut |column, text| request.set(column.field, text)).is_ok()
    }

    /// The time of a line in seconds since the epoch.
    pub(crate) fn seconds(&self, line: &[u8]) -> Option<f64> {
        let (mut date, mut time) = (None, None);
        self.walk(line, &mut |column, text| match column.field {
            Field::Time => time = Some(text),
            _ if column.name == DATE => date = Some(text),
            _ => {}
        })
        .ok()?;
        utc_seconds(date?, time?)
    }

    /// Calls `each` for every value of a line.
    pub(crate) fn walk<'a>(&self, line: &'a [u8], each: &mut impl FnMut(&Column, &'a [u8])) -> Result<(), W3cMismatch> {
        if let Some(problem) = self.problem {
            return Err(W3cMismatch { at: 0, expected: problem.to_owned() });
        }
        // the first column is a date or an address, which no client can choose
        let separator = line.iter().copied().find(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(b' ');
        let line = match separator {
            b'\t' => line.strip_suffix(b"\r").unwrap_or(line), // the last value may be empty
            _ => line.trim_ascii_end(),
        };
        let wanted = self.columns.len();
        let found = memchr_iter(separator, line).count() + 1;
        if found == wanted {
            let values = line.split(|&byte| byte == separator).map(unquoted);
            self.columns.iter().zip(values).for_each(|(column, text)| each(column, text));
            return Ok(());
        }
        // some servers enclose values with spaces in quotation marks
        let values = Values { line, separator };
        if found > wanted && values.clone().count() == wanted {
            self.columns.iter().zip(values).for_each(|(column, text)| each(column, text));
            return Ok(());
        }
        Err(W3cMismatch {
            at: line.len(),
            expected: format!("{wanted} columns as in the line #Fields: before it, not {found}"),
        })
    }
}

/// The values of a line, which may be in quotation marks.
#[derive(Clone)]
struct Values<'a> {
    line: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.line.is_empty() {
            return None;
        }
        let quoted = self.line.strip_prefix(b"\"").and_then(|text| {
            let end = closing(text)?;
            let rest = &text[end + 1..];
            rest.first().is_none_or(|byte| *byte == self.separator).then(|| (&text[..end], rest))
        });
        let (value, rest) = quoted.unwrap_or_else(|| {
            let end = self.line.iter().position(|byte| *byte == self.separator).unwrap_or(self.line.len());
            self.line.split_at(end)
        });
        self.line = rest.strip_prefix(&[self.separator]).unwrap_or_default();
        Some(value)
    }
}

/// A value without the quotation marks around it.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// The offset of the closing quotation mark; two of them are an escaped one.
fn closing(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr(b'"', text.get(at..)?)?;
        match text.get(at + 1) {
            Some(b'"') => at += 2,
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(header: &str, line: &str) -> Option<Vec<String>> {
        let format = W3cFormat::new(W3cDialect::Iis, header, None, &[]);
        let mut values = Vec::new();
        let walked = format.walk(line.as_bytes(), &mut |column, text| {
            values.push(format!("{}={}", column.name, String::from_utf8_lossy(text)));
        });
        walked.ok().map(|()| values)
    }

    #[test]
    fn values_are_separated_by_spaces_or_tabs_and_may_be_in_quotation_marks() {
        let header = "#Fields: date cs-method sc-status x";
        for (line, expected) in [
            ("2026-11-20 GET 200 a+b", Some("a+b")),
            ("2026-11-20\tGET\t200\ta b", Some("a b")),
            ("2026-11-20 GET 200 \"a b\"", Some("a b")),
            ("2026-11-20 GET 200 \"a \"\"b\"\" c\"", Some("a \"\"b\"\" c")),
            ("2026-11-20 GET 200 \"a", Some("\"a")),
            ("2026-11-20 GET 200 x ", Some("x")),
            ("2026-11-20 GET 200 \"curl/8.1\"", Some("curl/8.1")),
            ("2026-11-20\tGET\t200\t\"a b\"", Some("a b")),
            ("2026-11-20\tGET\t200\t\r", Some("")),
            ("2026-11-20 GET 200", None),
            ("2026-11-20 GET 200 a b", None),
            ("2026-11-20 GET 200 \"a b", None),
            ("2026-11-20 GET 200 a\tb\tc", Some("a\tb\tc")),
            ("", None),
        ] {
            let found = values(header, line).map(|values| values[3].clone());
            assert_eq!(found, expected.map(|value| format!("x={value}")), "{line}");
        }
    }

    #[test]
    fn the_preferred_one_of_columns_with_the_same_meaning_is_read() {
        let fields = |header: &str| {
            let format = W3cFormat::new(W3cDialect::Iis, header, Some("trace"), &["date", "X"]);
            format.columns.iter().map(|column| (column.field, column.capture)).collect::<Vec<_>>()
        };
        assert_eq!(
            fields("#Fields: date cs(Host) CS-METHOD sc-status x-host-header x Trace"),
            [
                (Field::Skip, Some(0)),
                (Field::Skip, None),
                (Field::Method, None),
                (Field::Status, None),
                (Field::Vhost, None),
                (Field::Skip, Some(1)),
                (Field::Trace, None),
            ]
        );
        let duration = |header: &str| fields(header)[2].0;
        assert_eq!(duration("#Fields: cs-method sc-status time-taken"), Field::Duration(Unit::Milliseconds));
        assert_eq!(duration("#Fields: cs-method sc-status time-taken x-edge-location"), Field::Duration(Unit::Seconds));
    }

    #[test]
    fn a_line_without_known_columns_does_not_match() {
        for (dialect, header) in [
            (W3cDialect::Iis, ""),
            (W3cDialect::Iis, "#Fields: date sc-status"),
            (W3cDialect::CloudFront, "#Fields: cs-method sc-status"),
            (W3cDialect::Iis, &format!("#Fields: cs-method sc-status{}", " x".repeat(MAX_COLUMNS))),
        ] {
            let format = W3cFormat::new(dialect, header, None, &[]);
            assert!(format.walk(b"GET 200", &mut |_, _| {}).is_err(), "{header}");
        }
    }
}

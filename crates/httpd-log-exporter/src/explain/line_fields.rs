//! The fields of one line, and its printable form.

use crate::format::field::Field;
use crate::format::{Format, LineParser};

/// How many bytes of a line are shown.
pub(super) const MAX_SHOWN: usize = 2000;

/// The fields of a line: name, meaning and text.
pub(super) fn rows<'a>(format: &mut Format, line: &'a [u8]) -> Vec<(String, Field, &'a [u8])> {
    let mut rows: Vec<(String, Field, &[u8])> = Vec::new();
    match &mut format.parser {
        LineParser::Clf(_, matcher) | LineParser::Template(matcher) => {
            // a value that was extended to a later end is reported several times; the last one is valid
            let mut found: Vec<(usize, Field, &[u8])> = Vec::new();
            let _ = matcher.walk(line, &mut |step, field, text| {
                found.retain(|(known, ..)| *known < step);
                found.push((step, field, text));
            });
            rows.extend(found.into_iter().map(|(step, field, text)| (matcher.name(step).to_owned(), field, text)));
        }
        LineParser::Json(json) => {
            let _ = json.walk(line, &mut |key, text| rows.push((key.path().to_owned(), key.field(), text)));
        }
        LineParser::Regex(pattern) => {
            let mut found = Vec::new();
            pattern.walk(line, |group, text| found.push((group.number, group.field, text)));
            rows.extend(found.into_iter().map(|(group, field, text)| (pattern.name(group).to_owned(), field, text)));
        }
        LineParser::W3c(w3c) => {
            let _ = w3c.walk(line, &mut |column, text| rows.push((column.name.clone(), column.field, text)));
        }
    }
    rows
}

/// The fields of a line without a metric: name and text.
pub(super) fn other_values<'a>(format: &mut Format, line: &'a [u8]) -> Vec<(String, &'a [u8])> {
    match &mut format.parser {
        LineParser::Json(json) => json.other_values(line),
        LineParser::Regex(pattern) => pattern.other_values(line),
        LineParser::Clf(..) | LineParser::Template(_) | LineParser::W3c(_) => {
            let rows = rows(format, line).into_iter().filter(|(_, field, _)| *field == Field::Skip);
            rows.map(|(name, _, text)| (name, text)).collect()
        }
    }
}

/// The printable form of bytes.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_SHOWN)]);
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

//! Matches as text, in the format of client-go.

use std::borrow::Cow;

use exporter_common::float_to_text;

use super::matches::{Match, PathError};
use crate::json::document::{Document, Key, NodeId, Value};

/// The maximum length in bytes of the text of several matches.
const MAX_TEXT: usize = 1 << 20;

/// Appends several matches, separated by blanks.
pub(super) fn join(document: &Document<'_>, matches: &[Match<'_>], out: &mut String) -> Result<(), PathError> {
    for (at, found) in matches.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { " " });
        out.push_str(&print(document, *found));
        if out.len() > MAX_TEXT {
            return Err(PathError::Unfit("the text is longer than 1 MiB".to_owned()));
        }
    }
    Ok(())
}

/// A match as text: strings verbatim, integers with all digits, other numbers in Go's format, lists and objects as
/// JSON.
pub(crate) fn print<'d>(document: &'d Document<'_>, found: Match<'d>) -> Cow<'d, str> {
    match found {
        Match::Text(text) => Cow::Borrowed(text),
        Match::Int(number) => Cow::Owned(number.to_string()),
        Match::Float(number) => Cow::Owned(float_to_text(number)),
        Match::Null => Cow::Borrowed("null"),
        Match::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Match::Node(id) => match document.value(id) {
            Value::Null => Cow::Borrowed("null"),
            Value::Bool(value) => print(document, Match::Bool(value)),
            Value::Text(text) => Cow::Borrowed(text),
            Value::Malformed => Cow::Borrowed(""),
            Value::Number(number) if is_whole(number) => Cow::Borrowed(number),
            Value::Number(number) => match number.parse() {
                Ok(float) if f64::is_finite(float) => Cow::Owned(float_to_text(float)),
                _ => Cow::Borrowed(number), // too large for a double: never infinity
            },
            Value::List(_) | Value::Object(_) => {
                let mut out = String::new();
                json(document, id, &mut out);
                Cow::Owned(out)
            }
        },
    }
}

fn is_whole(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}

/// Appends a value as JSON in the format of Go's encoder.
pub(super) fn json(document: &Document<'_>, id: NodeId, out: &mut String) {
    let (mut separator, close) = match document.value(id) {
        Value::List(_) => ("[", "]"),
        Value::Object(_) => ("{", "}"),
        Value::Text(text) => return json_string(text, out),
        Value::Number(number) if !is_whole(number) => {
            let number: f64 = number.parse().unwrap_or_default();
            return match number.abs() {
                0.0 | 1e-6..1e21 => out.push_str(&number.to_string()),
                _ => out.push_str(&format!("{number:e}").replace('e', if number.abs() < 1.0 { "e" } else { "e+" })),
            };
        }
        _ => return out.push_str(&print(document, Match::Node(id))),
    };
    for member in document.members_of(id) {
        out.push_str(separator);
        separator = ",";
        if let Some(Key::Name(name)) = document.key(*member) {
            json_string(name, out);
            out.push(':');
        }
        json(document, *member, out);
    }
    if separator != "," {
        out.push_str(separator);
    }
    out.push_str(close);
}

fn json_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A match for messages.
pub(super) fn describe(document: &Document<'_>, found: Match<'_>) -> String {
    match found {
        Match::Node(id) => document.describe(id).to_string(),
        literal => print(document, literal).into_owned(),
    }
}

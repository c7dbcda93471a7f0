//! What a path finds as text, as client-go prints it.

use std::borrow::Cow;

use exporter_common::float_to_text;

use super::{Match, PathError};
use crate::json::document::{Document, Key, NodeId, Value};

/// The longest text that is made of several matches, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// Writes several items, with blanks between them.
pub(super) fn join(document: &Document<'_>, items: &[Match<'_>], out: &mut String) -> Result<(), PathError> {
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { " " });
        out.push_str(&print(document, *item));
        if out.len() > MAX_TEXT {
            return Err(PathError::Unfit("its text is longer than a MiB".to_owned()));
        }
    }
    Ok(())
}

/// An item as text: strings as they are, whole numbers with all digits, other numbers as Go prints them, lists and
/// objects as JSON.
pub(super) fn print<'d>(document: &'d Document<'_>, item: Match<'d>) -> Cow<'d, str> {
    match item {
        Match::Text(text) => Cow::Borrowed(text),
        Match::Int(number) => Cow::Owned(number.to_string()),
        Match::Float(number) => Cow::Owned(float_to_text(number)),
        Match::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Match::Node(id) => match document.value(id) {
            Value::Null => Cow::Borrowed("null"),
            Value::Bool(value) => print(document, Match::Bool(value)),
            Value::Text(text) => Cow::Borrowed(text),
            Value::Malformed => Cow::Borrowed(""),
            Value::Number(number) if is_whole(number) => Cow::Borrowed(number),
            Value::Number(number) => match number.parse() {
                Ok(float) if f64::is_finite(float) => Cow::Owned(float_to_text(float)),
                _ => Cow::Borrowed(number), // beyond what a double holds: no infinity is made of it
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

/// A value as Go's encoder writes it.
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

/// An item for messages.
pub(super) fn describe(document: &Document<'_>, item: Match<'_>) -> String {
    match item {
        Match::Node(id) => document.describe(id).to_string(),
        item => print(document, item).into_owned(),
    }
}

/// The text without the quotes around it, if there are any.
pub(super) fn unquoted(text: Cow<'_, str>) -> Cow<'_, str> {
    let quoted = matches!(text.as_bytes(), [first @ (b'"' | b'\''), .., last] if first == last);
    match quoted.then(|| unquote(&text)).flatten() {
        Some(unquoted) => Cow::Owned(unquoted),
        None => text,
    }
}

/// A string literal's content, with Go's escapes; `None` where it is no literal.
pub(super) fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let mut rest = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = Vec::new();
    while let Some(character) = rest.chars().next() {
        if character == quote {
            return None;
        }
        if character != '\\' {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[character.len_utf8()..];
            continue;
        }
        let escape = rest[1..].chars().next()?;
        rest = &rest[1 + escape.len_utf8()..];
        let mut number = |digits: usize, radix| {
            let number = u32::from_str_radix(rest.get(..digits)?, radix).ok();
            rest = &rest[digits..];
            number
        };
        let plain = match escape {
            'a' => b'\x07',
            'b' => b'\x08',
            'f' => b'\x0c',
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => b'\x0b',
            '\\' => b'\\',
            '\'' | '"' if escape == quote => escape as u8,
            'x' => u8::try_from(number(2, 16)?).ok()?,
            'u' | 'U' => {
                let character = char::from_u32(number(if escape == 'u' { 4 } else { 8 }, 16)?)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            '0'..='7' => {
                let first = escape.to_digit(8)?;
                u8::try_from(first * 64 + number(2, 8)?).ok()?
            }
            _ => return None,
        };
        out.push(plain);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

//! Labels whose values are made from fields of a line.

use std::collections::HashSet;

use memchr::memmem;
use regex::bytes::{CaptureLocations, Regex};
use regex_automata::util::interpolate;

use super::go_regex;
use crate::metrics::label::{MAX_VALUE, OTHER, SEPARATOR};
use crate::metrics::pattern;

/// A label and the way from a field to its value.
#[derive(Clone, Debug)]
pub(crate) struct Relabel {
    pub(crate) label: String,
    /// The name of the field.
    pub(crate) from: String,
    /// The number of the part that is used, from 1 on.
    pub(super) split: Option<usize>,
    pub(super) separator: String,
    /// The values that are kept; others become [`OTHER`].
    pub(super) whitelist: Option<HashSet<Vec<u8>>>,
    /// The first one that matches is applied.
    pub(super) rules: Vec<RelabelRule>,
    /// Whether only the counter of requests has the label.
    pub(crate) only_counter: bool,
}

/// Replaces what a regular expression matches.
#[derive(Clone, Debug)]
pub(super) struct RelabelRule {
    regex: Regex,
    /// Text in which `$1` and `${name}` are groups of the expression.
    replacement: String,
    /// The locations of the groups in the current text; allocated once.
    found: CaptureLocations,
}

/// The methods that are label values; others become [`OTHER`].
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

impl Relabel {
    /// A label with the text of a field.
    pub(super) fn new(label: impl Into<String>, from: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            from: from.into(),
            split: None,
            separator: " ".to_owned(),
            whitelist: None,
            rules: Vec::new(),
            only_counter: false,
        }
    }

    /// The labels that every namespace has.
    pub(super) fn defaults() -> [Self; 2] {
        let mut method = Self::new("method", "request");
        method.split = Some(1);
        method.whitelist = Some(METHODS.iter().map(|method| method.as_bytes().to_vec()).collect());
        [method, Self::new("status", "status")]
    }

    /// Appends the value for the text of the field; nothing if the line lacks it.
    pub(crate) fn append(&mut self, text: Option<&[u8]>, values: &mut Vec<u8>) {
        let begin = values.len();
        let Some(mut text) = text else { return };
        if let Some(split) = self.split {
            text = part(text, self.separator.as_bytes(), split);
        }
        match &self.whitelist {
            Some(whitelist) if !whitelist.contains(text) => text = OTHER.as_bytes(),
            Some(_) => {}
            None if self.rules.is_empty() => {}
            None => {
                // a text that no rule matches becomes an empty value
                let _ = self.rules.iter_mut().any(|rule| rule.append(text, values));
                return keep_valid(begin, values);
            }
        }
        values.extend_from_slice(text);
        keep_valid(begin, values);
    }
}

/// Replaces an invalid value.
fn keep_valid(begin: usize, values: &mut Vec<u8>) {
    let value = &values[begin..];
    if value.len() > MAX_VALUE || value.contains(&(SEPARATOR as u8)) || std::str::from_utf8(value).is_err() {
        values.truncate(begin);
        values.extend_from_slice(OTHER.as_bytes());
    }
}

/// A part of a text, numbered from 1; empty if there is none.
fn part<'a>(text: &'a [u8], separator: &[u8], number: usize) -> &'a [u8] {
    let mut begin = 0;
    let mut ends = memmem::find_iter(text, separator);
    for _ in 1..number {
        match ends.next() {
            Some(end) => begin = end + separator.len(),
            None => return b"",
        }
    }
    &text[begin..ends.next().unwrap_or(text.len())]
}

impl RelabelRule {
    /// Compiles a rule.
    pub(super) fn new(regex: &str, replacement: String) -> Result<Self, String> {
        if regex.is_empty() {
            return Err("the regular expression is missing".to_owned());
        }
        let mistake = |error| format!("'{regex}' is not a regular expression: {error}");
        let translated = go_regex::translate(regex).map_err(mistake)?;
        // the error quotes the expression of the file
        let regex = pattern::compile(&translated).map_err(|error| error.replace(&translated, regex))?;
        Ok(Self { found: regex.capture_locations(), regex, replacement })
    }

    /// Appends the text with every match replaced; false if nothing matches. A group that does not exist is empty.
    fn append(&mut self, text: &[u8], values: &mut Vec<u8>) -> bool {
        let Self { regex, replacement, found } = self;
        let (mut from, mut copied, mut matched) = (0, 0, false);
        while let Some(whole) = regex.captures_read_at(found, text, from) {
            // as in Go, no empty match follows another match
            if whole.is_empty() && matched && whole.start() == copied {
                from = next_character(text, whole.end());
                if from > text.len() {
                    break;
                }
                continue;
            }
            matched = true;
            values.extend_from_slice(&text[copied..whole.start()]);
            let group = |index: usize, values: &mut Vec<u8>| {
                let text = found.get(index).and_then(|(begin, end)| text.get(begin..end));
                values.extend_from_slice(text.unwrap_or_default());
            };
            let named = |name: &str| regex.capture_names().position(|known| known == Some(name));
            interpolate::bytes(replacement.as_bytes(), group, named, values);
            copied = whole.end();
            from = if whole.is_empty() { next_character(text, whole.end()) } else { whole.end() };
            if from > text.len() || values.len() > MAX_VALUE * 4 {
                break;
            }
        }
        if matched {
            values.extend_from_slice(&text[copied..]);
        }
        matched
    }
}

/// The position after the character at a position.
fn next_character(text: &[u8], at: usize) -> usize {
    let is_inside = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    at + 1 + text.iter().skip(at + 1).take_while(is_inside).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(relabel: &Relabel, text: &str) -> String {
        let mut values = b"before\n".to_vec();
        relabel.clone().append(Some(text.as_bytes()), &mut values);
        String::from_utf8(values.split_off(7)).unwrap()
    }

    fn rules(split: Option<usize>, rules: &[(&str, &str)]) -> Relabel {
        let rules =
            rules.iter().map(|(regex, replacement)| RelabelRule::new(regex, (*replacement).to_owned()).unwrap());
        Relabel { split, rules: rules.collect(), ..Relabel::new("x", "y") }
    }

    #[test]
    fn a_part_is_split_off() {
        for (separator, number, text, expected) in [
            (" ", 1, "GET / HTTP/1.1", "GET"),
            (" ", 2, "GET / HTTP/1.1", "/"),
            (" ", 3, "GET /", ""),
            (", ", 2, "a, b, c", "b"),
            ("?", 1, "/x", "/x"),
        ] {
            let relabel = Relabel { split: Some(number), separator: separator.to_owned(), ..Relabel::new("x", "y") };
            assert_eq!(value(&relabel, text), expected, "{separator:?} {number} {text}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_replaces_its_matches() {
        let path = rules(Some(2), &[("^/users/[0-9]+", "/users/:id"), ("^/(a|b)/.*", "/$1/…"), ("^/users", "never")]);
        for (text, expected) in [
            ("GET /users/12 HTTP/1.1", "/users/:id"),
            ("GET /users/12/about HTTP/1.1", "/users/:id/about"),
            ("GET /b/1/2 HTTP/1.1", "/b/…"),
            ("GET /v1/users/12 HTTP/1.1", ""),
        ] {
            assert_eq!(value(&path, text), expected, "{text}");
        }
        assert_eq!(value(&rules(None, &[("[0-9]+", "N")]), "/1/x/22"), "/N/x/N");
        assert_eq!(value(&rules(None, &[("(?P<d>[0-9])", "<${d}$9$dx>")]), "1a"), "<1>a");
        for (text, expected) in [("axb", "-a-b-"), ("", "-"), ("xx", "-"), ("éx", "-é-"), ("ab", "-a-b-")] {
            assert_eq!(value(&rules(None, &[("x*", "-")]), text), expected, "{text}");
        }
    }

    #[test]
    fn values_beyond_the_whitelist_and_invalid_ones_are_other() {
        let [method, status] = Relabel::defaults();
        assert_eq!(value(&method, "GET / HTTP/1.1"), "GET");
        assert_eq!(value(&method, "BREW / HTTP/1.1"), "other");
        assert_eq!(value(&method, "-"), "other");
        assert_eq!((value(&status, "200"), value(&status, "-")), ("200".to_owned(), "-".to_owned()));
        assert_eq!(value(&status, "a\nb"), "other");
        assert_eq!(value(&status, &"x".repeat(MAX_VALUE + 1)), "other");
        let mut values = Vec::new();
        status.clone().append(Some(b"\xff"), &mut values);
        assert_eq!(values, b"other");
        status.clone().append(None, &mut values);
        assert_eq!(values, b"other");
    }
}

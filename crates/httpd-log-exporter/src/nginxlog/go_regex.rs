//! Translates regular expressions from the syntax of Go (RE2) to the syntax of the crate `regex`.
//!
//! Perl classes have ASCII only, and characters that are operators only in the crate are escaped.

use std::fmt::Write;

/// The expression in the syntax of the crate.
pub(super) fn translate(go: &str) -> Result<String, String> {
    let mut translation = Translation { rest: go, out: String::new() };
    while let Some(c) = translation.next() {
        match c {
            '\\' => translation.escape()?,
            '[' => translation.class()?,
            '{' if !is_repetition(translation.rest) => translation.literal('{'),
            _ => translation.out.push(c),
        }
    }
    Ok(translation.out)
}

/// Whether a text after `{` is `3}`, `3,}` or `3,5}`.
fn is_repetition(text: &str) -> bool {
    let Some((count, _)) = text.split_once('}') else { return false };
    let (min, max) = count.split_once(',').unwrap_or((count, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !min.is_empty() && is_number(min) && is_number(max)
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
}

impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            let _ = write!(self.out, "\\x{{{:x}}}", u32::from(c)); // a String accepts everything
        } else {
            self.out.push(c);
        }
    }

    /// The text after a backslash, outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.next() else { return Err("a backslash ends it".to_owned()) };
        match c {
            'Q' => {
                let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                text.chars().for_each(|c| self.literal(c));
            }
            'b' | 'B' => {
                let _ = write!(self.out, "(?-u:\\{c})");
            }
            _ => match perl_class(c) {
                Some((negated, class)) => {
                    let _ = write!(self.out, "[{}{class}]", if negated { "^" } else { "" });
                }
                None => self.escaped_character(c)?,
            },
        }
        Ok(())
    }

    /// A character after a backslash that is no class.
    fn escaped_character(&mut self, c: char) -> Result<(), String> {
        match c {
            'p' | 'P' => return Err(format!("\\{c} is not supported: list the characters in [ ]")),
            'C' => return Err("\\C is not supported: use a dot".to_owned()),
            _ if c.is_ascii_punctuation() => self.literal(c),
            'x' => {
                self.out.push_str("\\x");
                if let Some((code, rest)) = self.rest.split_once('}').filter(|(code, _)| code.starts_with('{')) {
                    self.out.push_str(code);
                    self.out.push('}');
                    self.rest = rest;
                }
            }
            _ => {
                self.out.push('\\');
                self.out.push(c);
            }
        }
        Ok(())
    }

    /// The text after `[`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            if let Some(rest) = self.rest.strip_prefix(']').filter(|_| !is_first) {
                self.rest = rest;
                self.out.push(']');
                return Ok(());
            }
            is_first = false;
            if self.whole_class() {
                continue;
            }
            self.class_character()?;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.rest = &self.rest[1..];
                self.out.push('-');
                self.class_character()?;
            }
        }
    }

    /// Takes `[:alpha:]` or `\d` inside of a class; false if neither follows.
    fn whole_class(&mut self) -> bool {
        if let Some(end) = self.rest.find(":]").filter(|_| self.rest.starts_with("[:")) {
            self.out.push_str(&self.rest[..end + 2]);
            self.rest = &self.rest[end + 2..];
            return true;
        }
        let class = self.rest.strip_prefix('\\').and_then(|rest| perl_class(rest.chars().next()?));
        let Some((negated, class)) = class else { return false };
        let _ = match negated {
            true => write!(self.out, "[^{class}]"),
            false => write!(self.out, "{class}"),
        };
        self.rest = &self.rest[2..];
        true
    }

    /// One character of a class.
    fn class_character(&mut self) -> Result<(), String> {
        let unclosed = || "unclosed character class".to_owned();
        match self.next().ok_or_else(unclosed)? {
            '\\' => {
                let c = self.next().ok_or_else(unclosed)?;
                self.escaped_character(c)?;
            }
            c => self.literal(c),
        }
        Ok(())
    }
}

/// Whether a Perl class is negated, and its characters.
fn perl_class(c: char) -> Option<(bool, &'static str)> {
    let class = match c.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        _ => return None,
    };
    Some((c.is_ascii_uppercase(), class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::Regex;

    #[test]
    fn expressions_of_go_match_what_they_match_there() {
        for (go, text, found) in [
            (r"^\d+$", "12", Some("12")),
            (r"\d", "٣", None),
            (r"\w+", "éa_1é", Some("a_1")),
            (r"\s", "\u{a0}", None),
            (r"\S+", "é b", Some("é")),
            (r"\ba\b", "éaé", Some("a")),
            (r"/{id}", "/{id}", Some("/{id}")),
            (r"a{2}b{1,}c{1,2}", "aabcc", Some("aabcc")),
            (r"a{,2}", "a{,2}", Some("a{,2}")),
            (r"\Qa.b\E.", "a.bc", Some("a.bc")),
            (r"\Q[a", "[a", Some("[a")),
            (r"[\w-.]+", "/a-.b/", Some("a-.b")),
            (r"[^[]+", "ab[", Some("ab")),
            (r"[]a]+", "a]", Some("a]")),
            (r"[a&&b]+", "&b", Some("&b")),
            (r"[a~~+--/]+", "~-/b", Some("~-/")),
            (r"[[:alpha:]\D]+", "1aé", Some("aé")),
            (r"[a-c\-]+", "d-b", Some("-b")),
            (r"[\x41-\x{43}]+", "ABCD", Some("ABC")),
            (r"\<\/", "</", Some("</")),
            (r"(?P<n>\.)(?i)X", "a.x", Some(".x")),
        ] {
            let translated = translate(go).unwrap();
            let regex = Regex::new(&translated).unwrap_or_else(|error| panic!("{go}: {translated}: {error}"));
            let matched =
                regex.find(text.as_bytes()).map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned());
            assert_eq!(matched.as_deref(), found, "{go}: {translated}");
        }
    }

    #[test]
    fn what_is_not_supported_is_an_error() {
        for (go, error) in [
            (r"\p{Greek}", "\\p is not supported: list the characters in [ ]"),
            (r"[\PL]", "\\P is not supported: list the characters in [ ]"),
            (r"\C", "\\C is not supported: use a dot"),
            ("[a", "unclosed character class"),
            ("[", "unclosed character class"),
            ("\\", "a backslash ends it"),
        ] {
            assert_eq!(translate(go).unwrap_err(), error, "{go}");
        }
    }
}

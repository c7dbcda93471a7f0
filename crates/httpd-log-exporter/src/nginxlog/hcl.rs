//! Parser of HCL 1, the syntax of HashiCorp's older configurations, into settings.
//!
//! Version 2 is another language: it has neither `.005` nor a block inside of an object (`source = { syslog { … } }`), which
//! configurations of prometheus-nginxlog-exporter have. Values have no expressions here: `${…}` stays text, as in HCL 1.

#[cfg(test)]
mod tests;

use std::cell::Cell;

use super::setting::{Result, Setting, SettingValue};

/// The maximum nesting depth. Each label of a block is a level.
const DEPTH: usize = 32;

/// Parses a file into a map.
pub(super) fn parse(text: &str) -> Result<Setting> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut scanner = Scanner { text, at: 0, counted: Cell::new((0, 1)) };
    let entries = scanner.entries(None, 0)?;
    Ok(Setting { line: 1, value: SettingValue::Map(entries) })
}

/// A position in the text.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// A position before, and its line.
    counted: Cell<(usize, usize)>,
}

impl<'a> Scanner<'a> {
    /// The settings up to a closing brace, or to the end of the file.
    fn entries(&mut self, end: Option<u8>, depth: usize) -> Result<Vec<(String, Setting)>> {
        let opened = self.line();
        let mut entries = Vec::new();
        loop {
            self.blanks()?;
            match self.peek() {
                None if end.is_none() => return Ok(entries),
                None => return Err(format!("line {opened}: unclosed {{: add a }}")),
                found if found == end => {
                    self.at += 1;
                    return Ok(entries);
                }
                Some(_) => entries.push(self.entry(depth)?),
            }
            self.blanks()?;
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
    }

    /// A setting (`key = value`), or a block with any number of labels (`key "label" { … }`).
    fn entry(&mut self, depth: usize) -> Result<(String, Setting)> {
        let line = self.line();
        let key = self.key()?;
        let mut labels = Vec::new();
        loop {
            self.blanks()?;
            match self.peek() {
                Some(b'=') if labels.is_empty() => {
                    self.at += 1;
                    let value = self.value(depth)?;
                    return Ok((key, Setting { line, value }));
                }
                Some(b'{') => break,
                _ if depth + labels.len() >= DEPTH => return Err(self.mistake("nested too deeply")),
                _ => labels.push(self.key()?),
            }
        }
        let body = Setting { line, value: self.value(depth + labels.len())? };
        let labeled = |body, label| Setting { line, value: SettingValue::Map(vec![(label, body)]) };
        Ok((key, labels.into_iter().rev().fold(body, labeled)))
    }

    /// A name or a string.
    fn key(&mut self) -> Result<String> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let name = self.word(|c| c.is_alphanumeric() || "_-.".contains(c));
        match self.rest().chars().next() {
            _ if !name.is_empty() => Ok(name.to_owned()),
            Some(c) => Err(self.mistake(&format!("unexpected {c:?}: expected a name, = or {{"))),
            None => Err(self.mistake("unexpected end of the file: expected a value")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<SettingValue> {
        if depth >= DEPTH {
            return Err(self.mistake("nested too deeply"));
        }
        self.blanks()?;
        match self.peek() {
            Some(b'"') => self.string().map(SettingValue::Text),
            Some(b'{') => {
                self.at += 1;
                self.entries(Some(b'}'), depth + 1).map(SettingValue::Map)
            }
            Some(b'[') => self.list(depth + 1).map(SettingValue::List),
            Some(b'<') => self.heredoc().map(SettingValue::Text),
            _ => match self.word(|c| c.is_alphanumeric() || "_-.+".contains(c)) {
                "" => Err(self.mistake("expected a string, a number, true, false, [ or {")),
                word => Ok(SettingValue::Text(word.to_owned())),
            },
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Setting>> {
        let opened = self.line();
        self.at += 1;
        let mut list = Vec::new();
        loop {
            self.blanks()?;
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(list);
                }
                None => return Err(format!("line {opened}: unclosed [: add a ]")),
                Some(_) => {}
            }
            let line = self.line();
            list.push(Setting { line, value: self.value(depth)? });
            self.blanks()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') | None => {}
                Some(_) => return Err(self.mistake("expected a comma or ]")),
            }
        }
    }

    /// A quoted string. Quotation marks inside of `${…}` do not end it.
    fn string(&mut self) -> Result<String> {
        let opened = self.line();
        let unclosed = || format!("line {opened}: unclosed string: add a quotation mark");
        self.at += 1;
        let mut text = String::new();
        let mut braces = 0_usize;
        loop {
            let c = self.next().ok_or_else(unclosed)?;
            match c {
                '"' if braces == 0 => return Ok(text),
                '\n' if braces == 0 => return Err(unclosed()),
                '\\' if braces == 0 => {
                    self.escape(&mut text)?;
                    continue;
                }
                '$' if braces == 0 && self.peek() == Some(b'{') => {
                    self.at += 1;
                    text.push('$');
                    text.push('{');
                    braces = 1;
                    continue;
                }
                '{' if braces > 0 => braces += 1,
                '}' if braces > 0 => braces -= 1,
                _ => {}
            }
            text.push(c);
        }
    }

    /// The character after a backslash.
    fn escape(&mut self, text: &mut String) -> Result<()> {
        let c = self.next().ok_or_else(|| self.mistake("unexpected end of the file after a backslash"))?;
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code = self.rest().get(..digits).and_then(|code| u32::from_str_radix(code, 16).ok());
            let decoded = code.and_then(char::from_u32);
            text.push(decoded.ok_or_else(|| self.mistake(&format!("\\{c} requires {digits} hexadecimal digits")))?);
            self.at += digits;
            return Ok(());
        }
        text.push(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '"' | '\\' => c,
            _ => return Err(self.mistake(&format!("unknown escape \\{c}: write \\\\ for a backslash"))),
        });
        Ok(())
    }

    /// `<<NAME`, lines, `NAME`. With `<<-NAME`, the indentation of the last line is removed from all lines.
    fn heredoc(&mut self) -> Result<String> {
        let opened = self.line();
        let start = self.rest().strip_prefix("<<").ok_or_else(|| self.mistake("expected <<NAME"))?;
        let (head, body) = start.split_once('\n').unwrap_or((start, ""));
        let indented = head.starts_with('-');
        let name = head.trim_start_matches('-').trim();
        let mut lines: Vec<&str> = Vec::new();
        let mut length = "<<".len() + head.len() + 1;
        for line in body.split_inclusive('\n') {
            length += line.len();
            if line.trim() == name {
                let indentation = line.len() - line.trim_start().len();
                self.at = (self.at + length - (line.len() - line.trim_end().len())).min(self.text.len());
                let blank = |line: &str| line.get(..indentation).is_some_and(|start| start.trim().is_empty());
                let removed = if indented && lines.iter().all(|line| blank(line)) { indentation } else { 0 };
                return Ok(lines.iter().map(|line| &line[removed..]).collect());
            }
            lines.push(line);
        }
        Err(format!("line {opened}: unclosed heredoc: add a line with {name}"))
    }

    /// Skips whitespace and comments.
    fn blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let length = match trimmed {
                _ if trimmed.starts_with('#') || trimmed.starts_with("//") => trimmed.find('\n'),
                _ if trimmed.starts_with("/*") => match trimmed.find("*/") {
                    Some(end) => Some(end + 2),
                    None => return Err(self.mistake("unclosed comment: add */")),
                },
                _ => return Ok(()),
            };
            self.at += length.unwrap_or(trimmed.len());
        }
    }

    fn word(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        let (before, line) = self.counted.get();
        let line = line + self.text[before..self.at].matches('\n').count();
        self.counted.set((self.at, line));
        line
    }

    fn mistake(&self, what: &str) -> String {
        format!("line {}: {what}", self.line())
    }
}

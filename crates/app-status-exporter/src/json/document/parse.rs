//! The parser of JSON pages.

use super::build::Builder;
use super::table::{Document, DocumentError, MAX_DEPTH, NodeId, NodeKind, ROOT, Span};

impl<'a> Document<'a> {
    /// Parses a page of at most 1 GiB: positions are 32 bits wide. Invalid UTF-8 must already be replaced, as Go does
    /// it; this affects only the strings with the invalid bytes.
    pub(crate) fn parse(page: &'a str) -> Result<Self, DocumentError> {
        let mut parser = Parser::new(page)?;
        parser.value(ROOT, Span::default(), 0)?;
        parser.blanks();
        if parser.at < parser.bytes.len() {
            return Err(parser.expected("the end of the page"));
        }
        Ok(parser.builder.document)
    }

    /// Parses a page with one value per line, as the members of a list.
    pub(crate) fn parse_lines(page: &'a str) -> Result<Self, DocumentError> {
        let mut parser = Parser::new(page)?;
        let root = parser.builder.push(ROOT, Span::default())?;
        let mut count = 0;
        loop {
            let before = parser.at;
            parser.blanks();
            if parser.at == parser.bytes.len() {
                break;
            }
            if count > 0 && !parser.bytes[before..parser.at].contains(&b'\n') {
                return Err(parser.expected("a new line"));
            }
            let start = parser.at;
            let member = parser.value(root, Span { start: count, len: 0 }, 1)?;
            if parser.bytes[start..parser.at].contains(&b'\n') {
                parser.at = start;
                return Err(parser.expected("a whole value on one line"));
            }
            parser.builder.open.push(member);
            count += 1;
        }
        let members = parser.builder.close_list(0);
        parser.builder.set(root, NodeKind::List, members);
        Ok(parser.builder.document)
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    builder: Builder<'a>,
}

impl<'a> Parser<'a> {
    fn new(page: &'a str) -> Result<Self, DocumentError> {
        // RFC 8259 lets parsers ignore a byte order mark
        let source = page.strip_prefix('\u{feff}').unwrap_or(page);
        match source.trim_ascii_start().bytes().next() {
            None => Err(DocumentError::NotJson("the page is empty".to_owned())),
            Some(b'<') => Err(DocumentError::NotJson("the page is not JSON: it looks like HTML or XML".to_owned())),
            Some(_) => Ok(Self { bytes: source.as_bytes(), at: 0, builder: Builder::new(source, source.len()) }),
        }
    }
}

impl Parser<'_> {
    /// Parses a value and its members.
    fn value(&mut self, parent: NodeId, key: Span, depth: usize) -> Result<NodeId, DocumentError> {
        self.blanks();
        let id = self.builder.push(parent, key)?;
        let (kind, value) = match self.bytes.get(self.at) {
            Some(b'"') => match self.string()? {
                (text, true) => (NodeKind::Text, text),
                (text, false) => (NodeKind::Malformed, text),
            },
            Some(b'{' | b'[') if depth == MAX_DEPTH => return Err(DocumentError::TooDeep),
            Some(b'{') => (NodeKind::Object, self.object(id, depth + 1)?),
            Some(b'[') => (NodeKind::List, self.list(id, depth + 1)?),
            Some(b'-' | b'0'..=b'9') => (NodeKind::Number, self.number()?),
            Some(b't') => (NodeKind::True, self.word("true")?),
            Some(b'f') => (NodeKind::False, self.word("false")?),
            Some(b'n') => (NodeKind::Null, self.word("null")?),
            _ => return Err(self.expected("a value")),
        };
        self.builder.set(id, kind, value);
        Ok(id)
    }

    fn object(&mut self, id: NodeId, depth: usize) -> Result<Span, DocumentError> {
        let first = self.builder.open.len();
        self.at += 1;
        self.blanks();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(self.builder.close_object(first));
        }
        loop {
            self.blanks();
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let (key, _) = self.string()?;
            self.blanks();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err(self.expected("a colon"));
            }
            self.at += 1;
            let member = self.value(id, key, depth)?;
            self.builder.open.push(member);
            self.blanks();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.expected("a comma or }")),
            }
        }
        self.at += 1;
        Ok(self.builder.close_object(first))
    }

    fn list(&mut self, id: NodeId, depth: usize) -> Result<Span, DocumentError> {
        let first = self.builder.open.len();
        self.at += 1;
        self.blanks();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(self.builder.close_list(first));
        }
        loop {
            let position = (self.builder.open.len() - first) as u32;
            let member = self.value(id, Span { start: position, len: 0 }, depth)?;
            self.builder.open.push(member);
            self.blanks();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.expected("a comma or ]")),
            }
        }
        self.at += 1;
        Ok(self.builder.close_list(first))
    }

    /// Parses a string; the flag is whether it is well-formed.
    fn string(&mut self) -> Result<(Span, bool), DocumentError> {
        self.at += 1;
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    let span = Span { start: start as u32, len: (self.at - start) as u32 };
                    self.at += 1;
                    return Ok((span, true));
                }
                b'\\' | 0..0x20 => return self.escaped(start),
                _ => self.at += 1,
            }
        }
        Err(self.expected("the end of a string"))
    }

    /// Parses a string from its first escape; the text between `start` and the escape is plain.
    fn escaped(&mut self, start: usize) -> Result<(Span, bool), DocumentError> {
        let unescaped_start = self.builder.document.unescaped.len();
        let mut well_formed = true;
        let mut plain = start;
        loop {
            while self.bytes.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            self.builder.document.unescaped.push_str(&self.builder.document.source[plain..self.at]);
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    match self.escape() {
                        Some(character) => self.builder.document.unescaped.push(character),
                        None => well_formed = false, // the text after the backslash is kept
                    }
                }
                Some(_) => {
                    well_formed = false;
                    self.at += 1;
                }
                None => return Err(self.expected("the end of a string")),
            }
            plain = self.at;
        }
        self.at += 1;
        let start = self.builder.document.source.len() + unescaped_start;
        Ok((
            Span { start: start as u32, len: (self.builder.document.unescaped.len() - unescaped_start) as u32 },
            well_formed,
        ))
    }

    /// Parses the escape after a backslash; consumes nothing if it is invalid.
    fn escape(&mut self) -> Option<char> {
        let character = match *self.bytes.get(self.at)? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return None,
        };
        self.at += 1;
        Some(character)
    }

    /// Parses `u` and four digits, or a surrogate pair. An unpaired surrogate becomes the replacement character, as in
    /// most parsers.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 1;
            match self.four_digits() {
                Some(second @ 0xdc00..0xe000) => {
                    return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                }
                _ => self.at = before, // a separate escape
            }
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at + 1..self.at + 5)?;
        let mut number = 0;
        for digit in digits {
            number = number * 16 + char::from(*digit).to_digit(16)?;
        }
        self.at += 5;
        Some(number)
    }

    fn number(&mut self) -> Result<Span, DocumentError> {
        let start = self.at;
        self.at += usize::from(self.bytes[self.at] == b'-');
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(Span { start: start as u32, len: (self.at - start) as u32 })
    }

    fn digits(&mut self) -> Result<(), DocumentError> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<Span, DocumentError> {
        for byte in word.bytes() {
            if self.bytes.get(self.at) != Some(&byte) {
                return Err(self.expected(word));
            }
            self.at += 1;
        }
        Ok(Span::default())
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> DocumentError {
        if self.at >= self.bytes.len() {
            return DocumentError::NotJson(format!(
                "the page is not JSON, or is truncated: expected {what} at its end"
            ));
        }
        DocumentError::NotJson(format!("the page is not JSON: expected {what} at {}", position(self.bytes, self.at)))
    }
}

/// A position for messages.
fn position(page: &[u8], at: usize) -> String {
    let before = &page[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("line {line} column {column}")
}

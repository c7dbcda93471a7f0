//! The parser of JSON pages.

use super::table::{
    BYTES_PER_VALUE, Document, DocumentError, MAX_DEPTH, MAX_VALUES, Node, NodeId, NodeKind, ROOT, Span,
};

impl<'a> Document<'a> {
    /// Parses a page of at most 1 GiB: positions are 32 bits wide. Invalid UTF-8 must already be replaced, as Go does
    /// it; this affects only the strings with the invalid bytes.
    pub(crate) fn parse(page: &'a str) -> Result<Self, DocumentError> {
        // RFC 8259 lets parsers ignore a byte order mark
        let source = page.strip_prefix('\u{feff}').unwrap_or(page);
        match source.trim_ascii_start().bytes().next() {
            None => return Err(DocumentError::NotJson("the page is empty".to_owned())),
            Some(b'<') => {
                return Err(DocumentError::NotJson("the page is not JSON: it looks like HTML or XML".to_owned()));
            }
            Some(_) => {}
        }
        // reserved in one piece: a growing table exists twice while it moves
        let expected = source.len() / BYTES_PER_VALUE;
        let (nodes, members) = (Vec::with_capacity(expected), Vec::with_capacity(expected));
        let document = Self { source, unescaped: String::new(), nodes, members };
        let value_limit = MAX_VALUES.max(expected);
        let mut parser = Parser { bytes: source.as_bytes(), at: 0, open: Vec::new(), value_limit, document };
        parser.value(ROOT, Span::default(), 0)?;
        parser.blanks();
        if parser.at < source.len() {
            return Err(parser.expected("the end of the page"));
        }
        Ok(parser.document)
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The members of all containers that are not closed yet.
    open: Vec<NodeId>,
    value_limit: usize,
    document: Document<'a>,
}

impl Parser<'_> {
    /// Parses a value and its members.
    fn value(&mut self, parent: NodeId, key: Span, depth: usize) -> Result<NodeId, DocumentError> {
        self.blanks();
        if self.document.nodes.len() == self.value_limit {
            return Err(DocumentError::TooManyValues(self.value_limit));
        }
        let id = NodeId(self.document.nodes.len() as u32);
        self.document.nodes.push(Node { parent, key, value: Span::default(), kind: NodeKind::Null });
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
        let node = &mut self.document.nodes[id.0 as usize];
        (node.kind, node.value) = (kind, value);
        Ok(id)
    }

    fn object(&mut self, id: NodeId, depth: usize) -> Result<Span, DocumentError> {
        let first = self.open.len();
        self.at += 1;
        self.blanks();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(self.close(first));
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
            self.open.push(member);
            self.blanks();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.expected("a comma or }")),
            }
        }
        self.at += 1;
        let document = &self.document;
        let key = |member: &NodeId| document.text(document.node(*member).key);
        let members = &mut self.open[first..];
        if !members.is_sorted_by(|a, b| key(a) < key(b)) {
            members.sort_by(|a, b| key(a).cmp(key(b)).then(b.0.cmp(&a.0))); // the last of several members with the same key comes first
            let mut end = first;
            for at in first..self.open.len() {
                if at == first || key(&self.open[at]) != key(&self.open[end - 1]) {
                    self.open[end] = self.open[at];
                    end += 1;
                }
            }
            self.open.truncate(end);
        }
        Ok(self.close(first))
    }

    fn list(&mut self, id: NodeId, depth: usize) -> Result<Span, DocumentError> {
        let first = self.open.len();
        self.at += 1;
        self.blanks();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(self.close(first));
        }
        loop {
            let position = (self.open.len() - first) as u32;
            let member = self.value(id, Span { start: position, len: 0 }, depth)?;
            self.open.push(member);
            self.blanks();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.expected("a comma or ]")),
            }
        }
        self.at += 1;
        Ok(self.close(first))
    }

    /// Moves the members of a complete container to their final position.
    fn close(&mut self, first: usize) -> Span {
        let members = &mut self.document.members;
        let span = Span { start: members.len() as u32, len: (self.open.len() - first) as u32 };
        members.extend(self.open.drain(first..));
        span
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
        let unescaped_start = self.document.unescaped.len();
        let mut well_formed = true;
        let mut plain = start;
        loop {
            while self.bytes.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            self.document.unescaped.push_str(&self.document.source[plain..self.at]);
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    match self.escape() {
                        Some(character) => self.document.unescaped.push(character),
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
        let start = self.document.source.len() + unescaped_start;
        Ok((Span { start: start as u32, len: (self.document.unescaped.len() - unescaped_start) as u32 }, well_formed))
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

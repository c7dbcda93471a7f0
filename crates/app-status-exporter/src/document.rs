//! A JSON document, parsed once: a flat table of values that borrow from the text and know where they stand.
//!
//! Its own parser, because three things are wanted together: numbers as they are written (an id of 20 digits is a
//! label, not a double), the way up from a value to what contains it, and bounds on depth and size that hold.

use std::fmt;

/// How deep lists and objects may be nested.
const MAX_DEPTH: usize = 127;

/// How many values a document may have: its table takes 24 bytes for each.
const MAX_VALUES: usize = 1 << 19;

/// A parsed document.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    source: &'a str,
    /// The strings that are written with escapes, without them. A [`Slice`] counts on from the source into here.
    unescaped: String,
    nodes: Vec<Node>,
    /// The members of every list and object, each list's and each object's side by side.
    members: Vec<Id>,
}

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u32);

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'d> {
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(&'d str),
    Text(&'d str),
    /// A string with an escape that is none, or a line break in it: it costs itself, not the page.
    Malformed,
    /// In the order of the document.
    List(&'d [Id]),
    /// Ordered by key. Of several members with one key only the last is here.
    Object(&'d [Id]),
}

/// Where in its container a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'d> {
    /// In an object, under this key.
    Name(&'d str),
    /// In a list, at this position.
    Index(u32),
}

/// Why a page is no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON, with what is wrong where.
    NotJson(String),
    /// Nested too deep.
    TooDeep,
    /// More values than are read.
    TooManyValues,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: Id,
    /// The key's text, or in a list the position as `start`.
    key: Slice,
    /// A string's or a number's text, or a container's members.
    value: Slice,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Null,
    False,
    True,
    Number,
    Text,
    Malformed,
    List,
    Object,
}

impl<'a> Document<'a> {
    /// Reads a page, of no more than a GiB: positions are 32 bits wide. Where bytes were not UTF-8 the page has the
    /// replacement character, as in Go: that costs at most the values whose strings they are in.
    pub(crate) fn parse(page: &'a str) -> Result<Self, Fault> {
        // some write a byte order mark, which RFC 8259 lets readers ignore
        let source = page.strip_prefix('\u{feff}').unwrap_or(page);
        match source.trim_ascii_start().bytes().next() {
            None => return Err(Fault::NotJson("the page is empty".to_owned())),
            Some(b'<') => {
                return Err(Fault::NotJson("the page is not JSON, by its beginning HTML or XML".to_owned()));
            }
            Some(_) => {}
        }
        let document = Self { source, unescaped: String::new(), nodes: Vec::new(), members: Vec::new() };
        let mut parser = Parser { bytes: source.as_bytes(), at: 0, open: Vec::new(), document };
        parser.value(ROOT, Slice::default(), 0)?;
        parser.blanks();
        if parser.at < source.len() {
            return Err(parser.expected("nothing more"));
        }
        Ok(parser.document)
    }

    /// The whole document.
    pub(crate) fn root(&self) -> Id {
        ROOT
    }

    /// What stands at a place.
    pub(crate) fn value(&self, id: Id) -> Value<'_> {
        let node = self.node(id);
        match node.kind {
            Kind::Null => Value::Null,
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            Kind::Number => Value::Number(self.text(node.value)),
            Kind::Text => Value::Text(self.text(node.value)),
            Kind::Malformed => Value::Malformed,
            Kind::List => Value::List(self.members(node.value)),
            Kind::Object => Value::Object(self.members(node.value)),
        }
    }

    /// The members of a list or object; of any other value none.
    pub(crate) fn members_of(&self, id: Id) -> &[Id] {
        match self.value(id) {
            Value::List(members) | Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The member of an object under a key.
    pub(crate) fn get(&self, id: Id, key: &str) -> Option<Id> {
        let Value::Object(members) = self.value(id) else { return None };
        let at = members.binary_search_by(|member| self.text(self.node(*member).key).cmp(key)).ok()?;
        Some(members[at])
    }

    /// What contains a value; nothing contains the whole.
    pub(crate) fn parent(&self, id: Id) -> Option<Id> {
        (id != ROOT).then(|| self.node(id).parent)
    }

    /// Where in its container a value stands.
    pub(crate) fn key(&self, id: Id) -> Option<Key<'_>> {
        let key = self.node(id).key;
        Some(match self.node(self.parent(id)?).kind {
            Kind::Object => Key::Name(self.text(key)),
            _ => Key::Index(key.start),
        })
    }

    /// A value for messages, which must not repeat a page of any length.
    pub(crate) fn describe(&self, id: Id) -> impl fmt::Display {
        self.value(id).to_string()
    }

    fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn members(&self, slice: Slice) -> &[Id] {
        &self.members[slice.start as usize..][..slice.len as usize]
    }

    fn text(&self, slice: Slice) -> &str {
        let (start, len) = (slice.start as usize, slice.len as usize);
        match start.checked_sub(self.source.len()) {
            None => &self.source[start..][..len],
            Some(start) => &self.unescaped[start..][..len],
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 40;
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) if number.len() <= LONGEST => write!(f, "the number {number}"),
            Self::Number(number) => write!(f, "a number that begins with {}", &number[..LONGEST]),
            Self::Text(text) => match text.char_indices().nth(LONGEST) {
                None => write!(f, "the string {text:?}"),
                Some((end, _)) => write!(f, "a string that begins with {:?}", &text[..end]),
            },
            Self::Malformed => f.write_str("a malformed string"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => f.write_str(why),
            Self::TooDeep => write!(f, "the page is nested deeper than {MAX_DEPTH} levels"),
            Self::TooManyValues => write!(f, "the page has more than {MAX_VALUES} values"),
        }
    }
}

impl std::error::Error for Fault {}

const ROOT: Id = Id(0);

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The members so far of all lists and objects that are not closed yet.
    open: Vec<Id>,
    document: Document<'a>,
}

impl Parser<'_> {
    /// A value with all that is in it.
    fn value(&mut self, parent: Id, key: Slice, depth: usize) -> Result<Id, Fault> {
        self.blanks();
        if self.document.nodes.len() == MAX_VALUES {
            return Err(Fault::TooManyValues);
        }
        let id = Id(self.document.nodes.len() as u32);
        self.document.nodes.push(Node { parent, key, value: Slice::default(), kind: Kind::Null });
        let (kind, value) = match self.bytes.get(self.at) {
            Some(b'"') => match self.string()? {
                (text, true) => (Kind::Text, text),
                (text, false) => (Kind::Malformed, text),
            },
            Some(b'{' | b'[') if depth == MAX_DEPTH => return Err(Fault::TooDeep),
            Some(b'{') => (Kind::Object, self.object(id, depth + 1)?),
            Some(b'[') => (Kind::List, self.list(id, depth + 1)?),
            Some(b'-' | b'0'..=b'9') => (Kind::Number, self.number()?),
            Some(b't') => (Kind::True, self.word("true")?),
            Some(b'f') => (Kind::False, self.word("false")?),
            Some(b'n') => (Kind::Null, self.word("null")?),
            _ => return Err(self.expected("a value")),
        };
        let node = &mut self.document.nodes[id.0 as usize];
        (node.kind, node.value) = (kind, value);
        Ok(id)
    }

    fn object(&mut self, id: Id, depth: usize) -> Result<Slice, Fault> {
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
        let key = |member: &Id| document.text(document.node(*member).key);
        let members = &mut self.open[first..];
        if !members.is_sorted_by(|a, b| key(a) < key(b)) {
            members.sort_by(|a, b| key(a).cmp(key(b)).then(b.0.cmp(&a.0))); // of one key the last comes first
            let mut kept = first;
            for at in first..self.open.len() {
                if at == first || key(&self.open[at]) != key(&self.open[kept - 1]) {
                    self.open[kept] = self.open[at];
                    kept += 1;
                }
            }
            self.open.truncate(kept);
        }
        Ok(self.close(first))
    }

    fn list(&mut self, id: Id, depth: usize) -> Result<Slice, Fault> {
        let first = self.open.len();
        self.at += 1;
        self.blanks();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(self.close(first));
        }
        loop {
            let position = (self.open.len() - first) as u32;
            let member = self.value(id, Slice { start: position, len: 0 }, depth)?;
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

    /// Moves the members of a container that is complete to where they stay.
    fn close(&mut self, first: usize) -> Slice {
        let members = &mut self.document.members;
        let slice = Slice { start: members.len() as u32, len: (self.open.len() - first) as u32 };
        members.extend(self.open.drain(first..));
        slice
    }

    /// A string, and whether it is well-formed.
    fn string(&mut self) -> Result<(Slice, bool), Fault> {
        self.at += 1;
        let start = self.at;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    let slice = Slice { start: start as u32, len: (self.at - start) as u32 };
                    self.at += 1;
                    return Ok((slice, true));
                }
                b'\\' | 0..0x20 => return self.escaped(start),
                _ => self.at += 1,
            }
        }
        Err(self.expected("the end of a string"))
    }

    /// A string from its first escape on; what is before it is plain.
    fn escaped(&mut self, start: usize) -> Result<(Slice, bool), Fault> {
        let begun = self.document.unescaped.len();
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
                        None => well_formed = false, // what follows the backslash stands for itself
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
        let start = self.document.source.len() + begun;
        Ok((Slice { start: start as u32, len: (self.document.unescaped.len() - begun) as u32 }, well_formed))
    }

    /// What stands behind a backslash; of what is no escape nothing is read.
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

    /// `u` and four digits, or two of them for what is beyond; half a pair becomes the replacement character, as
    /// in most readers.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 1;
            match self.four_digits() {
                Some(second @ 0xdc00..0xe000) => {
                    return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                }
                _ => self.at = before, // it stands for itself
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

    fn number(&mut self) -> Result<Slice, Fault> {
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
        Ok(Slice { start: start as u32, len: (self.at - start) as u32 })
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<Slice, Fault> {
        for byte in word.bytes() {
            if self.bytes.get(self.at) != Some(&byte) {
                return Err(self.expected(word));
            }
            self.at += 1;
        }
        Ok(Slice::default())
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> Fault {
        if self.at >= self.bytes.len() {
            return Fault::NotJson(format!("the page is not JSON, or not whole: it ends where {what} should be"));
        }
        Fault::NotJson(format!("the page is not JSON: expected {what} at {}", place(self.bytes, self.at)))
    }
}

/// A position for people.
fn place(page: &[u8], at: usize) -> String {
    let before = &page[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    format!("line {line} column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document as serde_json would have it.
    fn value(document: &Document<'_>, id: Id) -> serde_json::Value {
        match document.value(id) {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => value.into(),
            Value::Number(text) => match serde_json::from_str(text) {
                Ok(number) => serde_json::Value::Number(number),
                Err(_) => text.into(), // beyond what a double holds
            },
            Value::Text(text) => text.into(),
            Value::Malformed => panic!("serde_json would have refused it"),
            Value::List(members) => members.iter().map(|member| value(document, *member)).collect(),
            Value::Object(members) => {
                let pair = |member: &Id| match document.key(*member) {
                    Some(Key::Name(name)) => (name.to_owned(), value(document, *member)),
                    other => panic!("{other:?}"),
                };
                members.iter().map(pair).collect()
            }
        }
    }

    fn malformed(document: &Document<'_>) -> bool {
        document.nodes.iter().any(|node| node.kind == Kind::Malformed)
    }

    /// Where serde_json reads a page this reads the same. What it refuses this refuses too, or has a string in it
    /// that is malformed.
    fn same_as_serde_json(page: &[u8]) {
        let page = String::from_utf8_lossy(page);
        let expected = serde_json::from_str::<serde_json::Value>(&page);
        match (Document::parse(&page), expected) {
            (Ok(document), Ok(expected)) => assert_eq!(value(&document, document.root()), expected, "{page}"),
            (Ok(document), Err(error)) => {
                let text = error.to_string();
                let string = ["control character", "invalid escape", "surrogate", "hex escape", "out of range"];
                assert!(malformed(&document) || string.iter().any(|word| text.contains(word)), "{page}: {text}");
            }
            (Err(_), Err(_)) => {}
            (Err(fault), Ok(_)) => panic!("{page}: {fault}"),
        }
    }

    const SAMPLE: &str = r#" {"b": [1, -0.5e+3, "ä\n\ud83d\ude00\"", true, false, null, [], {}], "a": {"c": 0, "c": 1, "": 2},
        "\u0062b": [[[]], {"x": {}}], "long": 18446744073709551615 } "#;

    #[test]
    fn documents_are_read_as_others_read_them() {
        same_as_serde_json(SAMPLE.as_bytes());
        for page in ["1", "\"x\"", "null", "[]", "{}", "-0", "1e5", " [ 1 , 2 ] ", "{\"a\":{}}"] {
            same_as_serde_json(page.as_bytes());
        }
    }

    #[test]
    fn what_is_cut_or_altered_anywhere_is_judged_as_others_judge_it() {
        for end in 0..SAMPLE.len() {
            same_as_serde_json(&SAMPLE.as_bytes()[..end]);
        }
        for at in 0..SAMPLE.len() {
            for byte in *b"\"\\{}[],:0-.eE+tu \n\x01a\xff" {
                let mut page = SAMPLE.as_bytes().to_vec();
                page[at] = byte;
                same_as_serde_json(&page);
            }
        }
    }

    #[test]
    fn a_malformed_string_or_an_endless_number_costs_only_itself() {
        let page = "{\"a\": \"\\x41\", \"b\": \"two\nlines\", \"c\": 1e999, \"d\": \"\\u12\", \"e\": \"ok\"}";
        let document = Document::parse(page).unwrap();
        let value = |key| document.value(document.get(document.root(), key).unwrap());
        for key in ["a", "b", "d"] {
            assert_eq!(value(key), Value::Malformed, "{key}");
        }
        assert_eq!((value("c"), value("e")), (Value::Number("1e999"), Value::Text("ok")));
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        for (page, text) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00x""#, "\u{fffd}x"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ude00""#, "😀"),
        ] {
            let document = Document::parse(page).unwrap();
            assert_eq!(document.value(document.root()), Value::Text(text));
        }
    }

    #[test]
    fn numbers_are_kept_as_they_are_written() {
        let document = Document::parse(r#"[18446744073709551574, 123456789012345678901234567890, 1.50]"#).unwrap();
        let texts: Vec<_> = document.members_of(document.root()).iter().map(|id| document.value(*id)).collect();
        let expected = ["18446744073709551574", "123456789012345678901234567890", "1.50"].map(Value::Number);
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_value_knows_its_key_and_what_contains_it() {
        let document = Document::parse(SAMPLE).unwrap();
        let list = document.get(document.root(), "bb").unwrap();
        let second = document.members_of(list)[1];
        let inner = document.get(second, "x").unwrap();
        assert_eq!(document.key(inner), Some(Key::Name("x")));
        assert_eq!((document.parent(inner), document.key(second)), (Some(second), Some(Key::Index(1))));
        assert_eq!((document.parent(list), document.key(list)), (Some(document.root()), Some(Key::Name("bb"))));
        assert_eq!((document.parent(document.root()), document.key(document.root())), (None, None));
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Document::parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(Document::parse(&nested(MAX_DEPTH + 1)).unwrap_err(), Fault::TooDeep);
        assert_eq!(Document::parse(&"{\"x\":".repeat(1 << 20)).unwrap_err(), Fault::TooDeep);
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert_eq!(Document::parse(&many).unwrap_err(), Fault::TooManyValues);
    }

    #[test]
    fn what_is_no_json_says_why() {
        for (page, fault) in [
            ("", "the page is empty"),
            (" \n", "the page is empty"),
            ("<!DOCTYPE html><html>", "the page is not JSON, by its beginning HTML or XML"),
            ("It works!", "the page is not JSON: expected a value at line 1 column 1"),
            ("{\"a\": \"heal", "the page is not JSON, or not whole: it ends where the end of a string should be"),
            ("{\"a\": 1", "the page is not JSON, or not whole: it ends where a comma or } should be"),
            ("{\"a\": 1} {", "the page is not JSON: expected nothing more at line 1 column 10"),
            ("{\n \"x\": NaN}", "the page is not JSON: expected a value at line 2 column 7"),
            ("[1 2]", "the page is not JSON: expected a comma or ] at line 1 column 4"),
            ("[nul]", "the page is not JSON: expected null at line 1 column 5"),
        ] {
            assert_eq!(Document::parse(page).unwrap_err().to_string(), fault, "{page}");
        }
        let utf16: String = "{}".chars().flat_map(|character| [character, '\0']).collect();
        assert!(Document::parse(&utf16).is_err());
    }
}

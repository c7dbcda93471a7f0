//! A JSON document, parsed once: a flat table of values that borrow from the text and know where they stand.
//!
//! Its own parser, because three things are wanted together: numbers as they are written (an id of 20 digits is a
//! label, not a double), the way up from a value to what contains it, and bounds on depth and size that hold.

mod parse;

use std::fmt;

/// How deep lists and objects may be nested.
const MAX_DEPTH: usize = 127;

/// How many values a document of any size may have: its table takes 24 bytes for each. A larger one may have a value
/// for every [`BYTES_OF_A_VALUE`].
const MAX_VALUES: usize = 1 << 18;

/// How many bytes of a page a value takes; there are few pages where it takes less.
const BYTES_OF_A_VALUE: usize = 16;

/// A parsed document.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    source: &'a str,
    /// The strings that are written with escapes, without them. A [`Span`] counts on from the source into here.
    unescaped: String,
    nodes: Vec<Node>,
    /// The members of every list and object, each list's and each object's side by side.
    members: Vec<NodeId>,
}

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

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
    List(&'d [NodeId]),
    /// Ordered by key. Of several members with one key only the last is here.
    Object(&'d [NodeId]),
}

/// Where in its container a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'d> {
    /// In an object, under this key.
    Name(&'d str),
    /// In a list, at this position.
    Index(u32),
}

/// FailureReason a page is no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DocumentError {
    /// Not JSON, with what is wrong where.
    NotJson(String),
    /// Nested too deep.
    TooDeep,
    /// More values than are read, which are so many.
    TooManyValues(usize),
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: NodeId,
    /// The key's text, or in a list the position as `start`.
    key: Span,
    /// A string's or a number's text, or a container's members.
    value: Span,
    kind: NodeKind,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum NodeKind {
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
    pub(crate) fn parse(page: &'a str) -> Result<Self, DocumentError> {
        // some write a byte order mark, which RFC 8259 lets readers ignore
        let source = page.strip_prefix('\u{feff}').unwrap_or(page);
        match source.trim_ascii_start().bytes().next() {
            None => return Err(DocumentError::NotJson("the page is empty".to_owned())),
            Some(b'<') => {
                return Err(DocumentError::NotJson("the page is not JSON, by its beginning HTML or XML".to_owned()));
            }
            Some(_) => {}
        }
        parse::parse(source)
    }

    /// The whole document.
    pub(crate) fn root(&self) -> NodeId {
        ROOT
    }

    /// How many values it has.
    pub(crate) fn values(&self) -> usize {
        self.nodes.len()
    }

    /// What stands at a place.
    pub(crate) fn value(&self, id: NodeId) -> Value<'_> {
        let node = self.node(id);
        match node.kind {
            NodeKind::Null => Value::Null,
            NodeKind::False => Value::Bool(false),
            NodeKind::True => Value::Bool(true),
            NodeKind::Number => Value::Number(self.text(node.value)),
            NodeKind::Text => Value::Text(self.text(node.value)),
            NodeKind::Malformed => Value::Malformed,
            NodeKind::List => Value::List(self.members(node.value)),
            NodeKind::Object => Value::Object(self.members(node.value)),
        }
    }

    /// The members of a list or object; of any other value none.
    pub(crate) fn members_of(&self, id: NodeId) -> &[NodeId] {
        match self.value(id) {
            Value::List(members) | Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The member of an object under a key.
    pub(crate) fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        let Value::Object(members) = self.value(id) else { return None };
        let at = members.binary_search_by(|member| self.text(self.node(*member).key).cmp(key)).ok()?;
        Some(members[at])
    }

    /// What contains a value; nothing contains the whole.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id != ROOT).then(|| self.node(id).parent)
    }

    /// Where in its container a value stands.
    pub(crate) fn key(&self, id: NodeId) -> Option<Key<'_>> {
        let key = self.node(id).key;
        Some(match self.node(self.parent(id)?).kind {
            NodeKind::Object => Key::Name(self.text(key)),
            _ => Key::Index(key.start),
        })
    }

    /// A value for messages, which must not repeat a page of any length.
    pub(crate) fn describe(&self, id: NodeId) -> impl fmt::Display {
        self.value(id).to_string()
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn members(&self, slice: Span) -> &[NodeId] {
        &self.members[slice.start as usize..][..slice.len as usize]
    }

    fn text(&self, slice: Span) -> &str {
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

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(why) => f.write_str(why),
            Self::TooDeep => write!(f, "the page is nested deeper than {MAX_DEPTH} levels"),
            Self::TooManyValues(most) => write!(f, "the page has more than {most} values"),
        }
    }
}

impl std::error::Error for DocumentError {}

const ROOT: NodeId = NodeId(0);

#[cfg(test)]
mod tests {
    use super::*;

    /// The document as serde_json would have it.
    fn value(document: &Document<'_>, id: NodeId) -> serde_json::Value {
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
                let pair = |member: &NodeId| match document.key(*member) {
                    Some(Key::Name(name)) => (name.to_owned(), value(document, *member)),
                    other => panic!("{other:?}"),
                };
                members.iter().map(pair).collect()
            }
        }
    }

    fn malformed(document: &Document<'_>) -> bool {
        document.nodes.iter().any(|node| node.kind == NodeKind::Malformed)
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
        assert_eq!(Document::parse(&nested(MAX_DEPTH + 1)).unwrap_err(), DocumentError::TooDeep);
        assert_eq!(Document::parse(&"{\"x\":".repeat(1 << 20)).unwrap_err(), DocumentError::TooDeep);
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert_eq!(Document::parse(&many).unwrap_err(), DocumentError::TooManyValues(MAX_VALUES));
        let larger = format!("[{}0]", "\"more than 16 bytes\",".repeat(MAX_VALUES));
        assert!(Document::parse(&larger).is_ok());
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

//! A parsed document: a flat table of values. JSON values borrow their text from the page.
//!
//! Three requirements rule out serde_json: numbers keep their text (a label may be an id of 20 digits), every value
//! knows its parent, and depth and size are limited.

use std::fmt;

/// The maximum nesting depth of lists and objects.
pub(super) const MAX_DEPTH: usize = 127;

/// The number of values that any document may have: the table takes 24 bytes per value. A large document may have one
/// value per [`BYTES_PER_VALUE`] bytes.
pub(super) const MAX_VALUES: usize = 1 << 18;

/// The number of page bytes per value that most pages exceed.
pub(super) const BYTES_PER_VALUE: usize = 16;

/// A parsed document.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(super) source: &'a str,
    /// The text of strings with escapes, unescaped, and all texts of other formats than JSON. A [`Span`] past the end of the source is in here.
    pub(super) unescaped: String,
    pub(super) nodes: Vec<Node>,
    /// The members of every list and object; the members of one container are contiguous.
    pub(super) members: Vec<NodeId>,
}

/// A value's index in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(pub(super) u32);

/// A JSON value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'d> {
    Null,
    Bool(bool),
    /// The text of a number.
    Number(&'d str),
    Text(&'d str),
    /// A string with an invalid escape or a raw control character. The rest of the page is still usable.
    Malformed,
    /// In document order.
    List(&'d [NodeId]),
    /// Sorted by key. Of several members with the same key, only the last is kept.
    Object(&'d [NodeId]),
}

/// The position of a value in its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'d> {
    /// The key in an object.
    Name(&'d str),
    /// The index in a list.
    Index(u32),
}

/// Why a page cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DocumentError {
    /// Not JSON, with the problem and its position.
    NotJson(String),
    /// Not in another format than JSON, with the problem and its position.
    WrongFormat(String),
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More values than this limit.
    TooManyValues(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) parent: NodeId,
    /// The key's text in an object; in a list, `start` is the index.
    pub(super) key: Span,
    /// The text of a string or number, or the members of a container.
    pub(super) value: Span,
    pub(super) kind: NodeKind,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum NodeKind {
    Null,
    False,
    True,
    Number,
    Text,
    Malformed,
    List,
    Object,
}

impl Document<'_> {
    /// The top-level value.
    pub(crate) fn root(&self) -> NodeId {
        ROOT
    }

    /// The number of values.
    pub(crate) fn value_count(&self) -> usize {
        self.nodes.len()
    }

    /// A value.
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

    /// The members of a list or object; other values have none.
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

    /// The list or object that contains a value; `None` for the root.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        (id != ROOT).then(|| self.node(id).parent)
    }

    /// The position of a value in its container; `None` for the root.
    pub(crate) fn key(&self, id: NodeId) -> Option<Key<'_>> {
        let key = self.node(id).key;
        Some(match self.node(self.parent(id)?).kind {
            NodeKind::Object => Key::Name(self.text(key)),
            _ => Key::Index(key.start),
        })
    }

    /// A value for messages, shortened: a page has any length.
    pub(crate) fn describe(&self, id: NodeId) -> impl fmt::Display {
        self.value(id).to_string()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn members(&self, span: Span) -> &[NodeId] {
        &self.members[span.start as usize..][..span.len as usize]
    }

    pub(super) fn text(&self, span: Span) -> &str {
        let (start, len) = (span.start as usize, span.len as usize);
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
            Self::Number(number) => write!(f, "a number starting with {}", &number[..LONGEST]),
            Self::Text(text) => match text.char_indices().nth(LONGEST) {
                None => write!(f, "the string {text:?}"),
                Some((end, _)) => write!(f, "a string starting with {:?}", &text[..end]),
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
            Self::NotJson(why) | Self::WrongFormat(why) => f.write_str(why),
            Self::TooDeep => write!(f, "the page is nested deeper than {MAX_DEPTH} levels"),
            Self::TooManyValues(most) => write!(f, "the page has more than {most} values"),
        }
    }
}

impl std::error::Error for DocumentError {}

pub(super) const ROOT: NodeId = NodeId(0);

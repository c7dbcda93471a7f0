//! Makes documents from pages in other formats than JSON: objects and lists of numbers and texts.

use std::collections::HashMap;

use super::build::Builder;
use super::table::{Document, DocumentError, NodeId, NodeKind, ROOT, Span};

/// The result of adding a member.
pub(crate) type Added = Result<(), DocumentError>;

/// The members of an object or list that is being filled. A list ignores their keys.
pub(crate) struct Members<'b> {
    table: &'b mut CopiedTable,
    parent: NodeId,
    /// The index of the next member of a list.
    index: Option<u32>,
}

/// A table that has its own copy of all texts.
struct CopiedTable {
    builder: Builder<'static>,
    /// The keys so far: the rows of a table have the same ones.
    keys: HashMap<String, Span>,
}

impl Document<'static> {
    /// A document that is an object, from a page of this size.
    pub(crate) fn object(
        page_size: usize,
        fill: impl FnOnce(&mut Members<'_>) -> Added,
    ) -> Result<Self, DocumentError> {
        Self::container(page_size, NodeKind::Object, fill)
    }

    /// A document that is a list, from a page of this size.
    pub(crate) fn list(page_size: usize, fill: impl FnOnce(&mut Members<'_>) -> Added) -> Result<Self, DocumentError> {
        Self::container(page_size, NodeKind::List, fill)
    }

    fn container(
        page_size: usize,
        kind: NodeKind,
        fill: impl FnOnce(&mut Members<'_>) -> Added,
    ) -> Result<Self, DocumentError> {
        let mut table = CopiedTable { builder: Builder::new("", page_size), keys: HashMap::new() };
        let root = table.builder.push(ROOT, Span::default())?;
        table.fill(root, kind, fill)?;
        Ok(table.builder.document)
    }
}

impl Members<'_> {
    /// Adds a number, or another text.
    pub(crate) fn scalar(&mut self, key: &str, text: &str) -> Added {
        let id = self.next(key)?;
        let kind = if is_number(text) { NodeKind::Number } else { NodeKind::Text };
        let value = self.table.copy(text);
        self.table.builder.set(id, kind, value);
        self.table.builder.open.push(id);
        Ok(())
    }

    /// Adds an object.
    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Members<'_>) -> Added) -> Added {
        self.container(key, NodeKind::Object, fill)
    }

    /// Adds a list.
    pub(crate) fn list(&mut self, key: &str, fill: impl FnOnce(&mut Members<'_>) -> Added) -> Added {
        self.container(key, NodeKind::List, fill)
    }

    fn container(&mut self, key: &str, kind: NodeKind, fill: impl FnOnce(&mut Members<'_>) -> Added) -> Added {
        let id = self.next(key)?;
        self.table.fill(id, kind, fill)?;
        self.table.builder.open.push(id);
        Ok(())
    }

    fn next(&mut self, key: &str) -> Result<NodeId, DocumentError> {
        let key = match &mut self.index {
            None => self.table.key(key),
            Some(index) => {
                *index += 1;
                Span { start: *index - 1, len: 0 }
            }
        };
        self.table.builder.push(self.parent, key)
    }
}

impl CopiedTable {
    fn fill(&mut self, id: NodeId, kind: NodeKind, fill: impl FnOnce(&mut Members<'_>) -> Added) -> Added {
        let first = self.builder.open.len();
        let index = (kind == NodeKind::List).then_some(0);
        fill(&mut Members { table: self, parent: id, index })?;
        let members = match kind {
            NodeKind::List => self.builder.close_list(first),
            _ => self.builder.close_object(first),
        };
        self.builder.set(id, kind, members);
        Ok(())
    }

    fn key(&mut self, key: &str) -> Span {
        if let Some(span) = self.keys.get(key) {
            return *span;
        }
        let span = self.copy(key);
        self.keys.insert(key.to_owned(), span);
        span
    }

    fn copy(&mut self, text: &str) -> Span {
        let copies = &mut self.builder.document.unescaped;
        let span = Span { start: copies.len() as u32, len: text.len() as u32 };
        copies.push_str(text);
        span
    }
}

/// Whether a text is the usual one of a number. In a label, other numbers (`0.10`, `1e3`) keep their text; as a value, a
/// text is converted.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_usual = |number: f64| number.is_finite() && (is_whole || number.to_string() == text);
    text.parse().is_ok_and(is_usual)
}

//! Builds the table of a document, value by value.

use super::table::{BYTES_PER_VALUE, Document, DocumentError, MAX_VALUES, Node, NodeId, NodeKind, Span};

/// A table that is not complete yet.
pub(super) struct Builder<'a> {
    pub(super) document: Document<'a>,
    /// The members of all containers that are not closed yet.
    pub(super) open: Vec<NodeId>,
    value_limit: usize,
}

impl<'a> Builder<'a> {
    /// An empty table for texts in `source`, of a page with this size.
    pub(super) fn new(source: &'a str, page_size: usize) -> Self {
        // reserved in one piece: a growing table exists twice while it moves
        let expected = page_size / BYTES_PER_VALUE;
        let (nodes, members) = (Vec::with_capacity(expected), Vec::with_capacity(expected));
        let document = Document { source, unescaped: String::new(), nodes, members };
        Self { document, open: Vec::new(), value_limit: MAX_VALUES.max(expected) }
    }

    /// Adds a value, whose kind is set later.
    pub(super) fn push(&mut self, parent: NodeId, key: Span) -> Result<NodeId, DocumentError> {
        if self.document.nodes.len() == self.value_limit {
            return Err(DocumentError::TooManyValues(self.value_limit));
        }
        let id = NodeId(self.document.nodes.len() as u32);
        self.document.nodes.push(Node { parent, key, value: Span::default(), kind: NodeKind::Null });
        Ok(id)
    }

    /// Sets the kind of a value, and its text or members.
    pub(super) fn set(&mut self, id: NodeId, kind: NodeKind, value: Span) {
        let node = &mut self.document.nodes[id.0 as usize];
        (node.kind, node.value) = (kind, value);
    }

    /// Moves the members of a complete list, the open ones from `first`, to their final position.
    pub(super) fn close_list(&mut self, first: usize) -> Span {
        let members = &mut self.document.members;
        let span = Span { start: members.len() as u32, len: (self.open.len() - first) as u32 };
        members.extend(self.open.drain(first..));
        span
    }

    /// The same for an object. Its members are sorted, and only the last of several with the same key is kept.
    pub(super) fn close_object(&mut self, first: usize) -> Span {
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
        self.close_list(first)
    }
}

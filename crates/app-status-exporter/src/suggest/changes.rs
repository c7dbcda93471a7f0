//! Compares the values of two reads of a page.

use super::guess::Change;
use super::walk::text;
use crate::json::document::{Document, Key, NodeId};

/// How numbers changed from the first to the second document.
pub(super) fn change(first: &Document<'_>, values: &[NodeId], second: Option<&Document<'_>>) -> Change {
    let Some(second) = second else { return Change::Unknown };
    let number = |document: &Document<'_>, id| text(document, id).trim().parse::<f64>().ok();
    let mut change = Change::Same;
    for value in values {
        let now = counterpart(first, *value, second).and_then(|id| number(second, id));
        match (number(first, *value), now) {
            (Some(before), Some(now)) if now < before => return Change::Fell,
            (Some(before), Some(now)) if now > before => change = Change::Rose,
            _ => {}
        }
    }
    change
}

/// The value of the second document with the same keys.
fn counterpart(first: &Document<'_>, id: NodeId, second: &Document<'_>) -> Option<NodeId> {
    let Some(parent) = first.parent(id) else { return Some(second.root()) };
    let parent = counterpart(first, parent, second)?;
    match first.key(id)? {
        Key::Name(name) => second.get(parent, name),
        Key::Index(index) => second.members_of(parent).get(index as usize).copied(),
    }
}

//! JSON documents: the table of values and its parser.

mod parse;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use table::{Document, DocumentError, Key, NodeId, Value};

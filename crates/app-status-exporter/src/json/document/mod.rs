//! JSON documents: the table of values and its parser.

mod build;
mod members;
mod parse;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use members::{Added, Members};
pub(crate) use table::{Document, DocumentError, Key, NodeId, Value};

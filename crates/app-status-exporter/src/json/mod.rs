//! JSON documents and the JSONPath templates that select values in them.

pub(crate) mod document;
pub(crate) mod jsonpath;

//! The matches of a path.

use std::fmt;

use crate::json::document::NodeId;

/// One match of a path: a value of the document, or a literal of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Match<'d> {
    Node(NodeId),
    Text(&'d str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Null,
}

/// Why a path cannot be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PathError {
    /// The document has no such key or index.
    Missing(String),
    /// The document has a value of another type, or too many values.
    Unfit(String),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) | Self::Unfit(why) => f.write_str(why),
        }
    }
}

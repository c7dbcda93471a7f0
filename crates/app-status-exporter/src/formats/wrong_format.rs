//! The error of a page that does not have a format.

use crate::json::document::DocumentError;

/// An error of a parser: what the page lacks.
pub(super) fn wrong<T>(why: impl Into<String>) -> Result<T, DocumentError> {
    Err(DocumentError::WrongFormat(why.into()))
}

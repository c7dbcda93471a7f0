//! Compares values: numbers by value, texts by their characters, lists and objects by their members.

use std::cmp::Ordering;

use super::matches::Match;
use crate::json::document::{Document, NodeId, Value};

enum Scalar<'d> {
    Null,
    Text(&'d str),
    Number(f64),
    Bool(bool),
}

/// The order of two values of the same type. Nulls, booleans, lists and objects are equal or have no order.
pub(super) fn compare(document: &Document<'_>, left: Match<'_>, right: Match<'_>) -> Option<Ordering> {
    if let (Match::Node(left), Match::Node(right)) = (left, right)
        && let (Value::List(_), Value::List(_)) | (Value::Object(_), Value::Object(_)) =
            (document.value(left), document.value(right))
    {
        return equal(document, left, right).then_some(Ordering::Equal);
    }
    match (scalar(document, left)?, scalar(document, right)?) {
        (Scalar::Null, Scalar::Null) => Some(Ordering::Equal),
        (Scalar::Text(left), Scalar::Text(right)) => Some(left.cmp(right)),
        (Scalar::Number(left), Scalar::Number(right)) => left.partial_cmp(&right),
        (Scalar::Bool(left), Scalar::Bool(right)) if left == right => Some(Ordering::Equal),
        _ => None,
    }
}

fn scalar<'d>(document: &'d Document<'_>, found: Match<'d>) -> Option<Scalar<'d>> {
    Some(match found {
        Match::Null => Scalar::Null,
        Match::Text(text) => Scalar::Text(text),
        Match::Int(number) => Scalar::Number(number as f64),
        Match::Float(number) => Scalar::Number(number),
        Match::Bool(value) => Scalar::Bool(value),
        Match::Node(id) => match document.value(id) {
            Value::Null => Scalar::Null,
            Value::Text(text) => Scalar::Text(text),
            Value::Number(number) => Scalar::Number(number.parse().ok()?),
            Value::Bool(value) => Scalar::Bool(value),
            Value::Malformed | Value::List(_) | Value::Object(_) => return None,
        },
    })
}

/// Whether two lists or objects have equal members.
fn equal(document: &Document<'_>, left: NodeId, right: NodeId) -> bool {
    let (members, others) = (document.members_of(left), document.members_of(right));
    members.len() == others.len()
        && members.iter().zip(others).all(|(member, other)| {
            document.key(*member) == document.key(*other)
                && compare(document, Match::Node(*member), Match::Node(*other)) == Some(Ordering::Equal)
        })
}

//! Functions of paths: `length(.list)`, `count(.a[*].b)`.

use super::matches::{Match, PathError};
use super::print::describe;
use crate::json::document::{Document, Key, Value};

/// A function of one path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    /// The number of characters of a text, elements of a list, or members of an object.
    Length,
    /// The number of matches.
    Count,
    /// The only match, if there is exactly one.
    Value,
    /// The sum of the matches.
    Sum,
    /// The keys of an object.
    Keys,
}

impl Function {
    pub(super) const NAMES: [(&str, Self); 5] = [
        ("length", Self::Length),
        ("count", Self::Count),
        ("value", Self::Value),
        ("sum", Self::Sum),
        ("keys", Self::Keys),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, function)| *function == self).map_or("", |(name, _)| name)
    }

    /// The result for the matches of the path.
    pub(super) fn result<'d>(
        self,
        document: &'d Document<'_>,
        matches: Vec<Match<'d>>,
    ) -> Result<Vec<Match<'d>>, PathError> {
        let unfit =
            |found| PathError::Unfit(format!("{}() does not apply to {}", self.name(), describe(document, found)));
        let value = |found: Match<'d>| match found {
            Match::Node(id) => Some(document.value(id)),
            _ => None,
        };
        match (self, &matches[..]) {
            (Self::Count, _) => Ok(vec![Match::Int(matches.len() as i64)]),
            (Self::Sum, _) => match sum(document, &matches).map_err(unfit)? {
                Match::Float(sum) if !sum.is_finite() => Err(PathError::Unfit("the sum is too large".to_owned())),
                sum => Ok(vec![sum]),
            },
            (Self::Value, [_]) => Ok(matches),
            (_, []) => Ok(Vec::new()),
            (Self::Length, [found]) => match (value(*found), *found) {
                (Some(Value::Text(text)), _) | (None, Match::Text(text)) => Ok(text.chars().count()),
                (Some(Value::List(members) | Value::Object(members)), _) => Ok(members.len()),
                _ => Err(unfit(*found)),
            }
            .map(|length| vec![Match::Int(length as i64)]),
            (Self::Keys, [found]) => match value(*found) {
                Some(Value::Object(members)) => Ok(members
                    .iter()
                    .filter_map(|member| match document.key(*member)? {
                        Key::Name(name) => Some(Match::Text(name)),
                        Key::Index(_) => None,
                    })
                    .collect()),
                _ => Err(unfit(*found)),
            },
            (_, several) => Err(PathError::Unfit(format!("{}() takes one value, not {}", self.name(), several.len()))),
        }
    }
}

/// The sum of numbers: whole numbers with all digits. Fails with the first match that is not a number.
fn sum<'d>(document: &Document<'_>, matches: &[Match<'d>]) -> Result<Match<'d>, Match<'d>> {
    let (mut whole, mut float) = (Some(0_i64), 0.0);
    for found in matches {
        let (int, number) = match *found {
            Match::Int(number) => (Some(number), number as f64),
            Match::Float(number) => (None, number),
            Match::Node(id) => match document.value(id) {
                Value::Number(text) => (text.parse().ok(), text.parse().map_err(|_| *found)?),
                _ => return Err(*found),
            },
            other => return Err(other),
        };
        whole = whole.zip(int).and_then(|(sum, int)| sum.checked_add(int));
        float += number;
    }
    Ok(whole.map_or(Match::Float(float), Match::Int))
}

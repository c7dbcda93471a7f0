//! Evaluates the steps of a path on a document.

use std::cmp::Ordering;

use super::compare::compare;
use super::functions::Function;
use super::matches::{Match, PathError};
use super::print::describe;
use super::syntax::{Call, Filter, Literal, Operator, SliceBounds, Step};
use crate::json::document::{Document, Key, NodeId, Value};

/// The maximum number of matches, unless the document has more values. A path can multiply matches: `..` selects the
/// descendants of each one.
const MAX_MATCHES: usize = 1 << 20;

/// The maximum number of matches in a document.
pub(super) fn match_limit(document: &Document<'_>) -> usize {
    MAX_MATCHES.max(document.value_count())
}

pub(super) fn too_many(document: &Document<'_>) -> PathError {
    PathError::Unfit(format!("more than {} values match", match_limit(document)))
}

/// The matches of a path, relative to a match.
pub(super) fn evaluate<'d>(
    document: &'d Document<'_>,
    steps: &'d [Step],
    at: Match<'d>,
) -> Result<Vec<Match<'d>>, PathError> {
    apply(document, steps, vec![at])
}

/// Applies each step to the matches of the step before it.
fn apply<'d>(
    document: &'d Document<'_>,
    steps: &'d [Step],
    mut matches: Vec<Match<'d>>,
) -> Result<Vec<Match<'d>>, PathError> {
    for (at, step) in steps.iter().enumerate() {
        matches = match step {
            Step::Field(name) if name.is_empty() => {
                let itself = |item| node(item).and_then(|id| document.get(id, "")).map_or(item, Match::Node);
                matches.into_iter().map(itself).collect()
            }
            Step::Field(name) => field(document, name, matches)?,
            Step::Quoted(path, key) => match apply(document, path, matches.clone()) {
                Err(PathError::Missing(_)) => field(document, key, matches)?,
                found => found?,
            },
            Step::Key => require("a key", matches, |item| nearest_key(document, node(item)?).map(Match::Text))?,
            Step::Index => require("an index", matches, |item| match document.key(node(item)?)? {
                Key::Index(at) => Some(Match::Int(at.into())),
                Key::Name(_) => None,
            })?,
            Step::Parent => require("a parent", matches, |item| parent_object(document, node(item)?).map(Match::Node))?,
            Step::Root => vec![Match::Node(document.root())],
            Step::Resolved(Ok(ids)) => ids.iter().map(|id| Match::Node(*id)).collect(),
            Step::Resolved(Err(error)) => return Err(error.clone()),
            Step::Wildcard => wildcard(document, matches)?,
            Step::Recursive => collect(document, matches, |item, found| {
                descend(document, item, found);
                Ok(())
            })?,
            Step::Slice(bounds) => collect(document, matches, |item, found| slice(document, bounds, item, found))?,
            Step::Union(paths) => {
                let mut found = Vec::new();
                for path in paths {
                    found.extend(apply(document, path, matches.clone())?);
                    if found.len() > match_limit(document) {
                        return Err(too_many(document));
                    }
                }
                found
            }
            Step::Filter(filter) => {
                let filtered = members_that_pass(document, filter, &matches);
                let follows_filter = at > 0 && matches!(steps[at - 1], Step::Filter(_));
                match filtered {
                    // In client-go, the second of two filters tests the members of each element. If none passes, both
                    // filters are meant for the element.
                    Ok(found) if found.is_empty() && follows_filter => both_filters(document, filter, matches),
                    Err(_) if follows_filter => both_filters(document, filter, matches),
                    filtered => filtered?,
                }
            }
            Step::Call(function) => collect(document, matches, |item, found| {
                found.extend(call(document, function, item)?);
                Ok(())
            })?,
            Step::Literal(Literal::Text(text)) => vec![Match::Text(text)],
            Step::Literal(Literal::Null) => vec![Match::Null; matches.len()],
            Step::Literal(Literal::Int(number)) => vec![Match::Int(*number); matches.len()],
            Step::Literal(Literal::Float(number)) => vec![Match::Float(*number); matches.len()],
            Step::Literal(Literal::Bool(value)) => vec![Match::Bool(*value); matches.len()],
        };
    }
    Ok(matches)
}

/// The result of a function. In a filter, nothing is also a result, and a scalar has no members to count.
fn call<'d>(document: &'d Document<'_>, call: &'d Call, item: Match<'d>) -> Result<Vec<Match<'d>>, PathError> {
    match (evaluate(document, &call.path, item), call.in_filter) {
        (Ok(matches), false) => call.function.result(document, matches),
        (Ok(matches), true) => Ok(call.function.result(document, matches).unwrap_or_default()),
        (Err(PathError::Missing(_)), true) => call.function.result(document, Vec::new()),
        (Err(error), true) if call.function == Function::Count && error != too_many(document) => {
            call.function.result(document, Vec::new())
        }
        (Err(error), _) => Err(error),
    }
}

fn members_that_pass<'d>(
    document: &'d Document<'_>,
    filter: &Filter,
    matches: &[Match<'d>],
) -> Result<Vec<Match<'d>>, PathError> {
    collect(document, matches.to_vec(), |item, found| {
        let Some(Value::List(_) | Value::Object(_)) = node(item).map(|id| document.value(id)) else {
            return Err(PathError::Unfit(format!("cannot filter {}", describe(document, item))));
        };
        found.extend(members(document, item).filter(|member| passes(document, filter, *member)));
        Ok(())
    })
}

fn both_filters<'d>(document: &Document<'_>, filter: &Filter, mut matches: Vec<Match<'d>>) -> Vec<Match<'d>> {
    matches.retain(|element| passes(document, filter, *element));
    matches
}

/// The matches that `find` adds for all matches.
fn collect<'d>(
    document: &Document<'_>,
    matches: Vec<Match<'d>>,
    find: impl Fn(Match<'d>, &mut Vec<Match<'d>>) -> Result<(), PathError>,
) -> Result<Vec<Match<'d>>, PathError> {
    let mut found = Vec::new();
    for item in matches {
        find(item, &mut found)?;
        if found.len() > match_limit(document) {
            return Err(too_many(document));
        }
    }
    Ok(found)
}

/// Every member of the lists and objects among the matches. Null has none: Go writes empty lists as null. Only strings,
/// numbers and booleans are an error: the document has another structure than the path.
fn wildcard<'d>(document: &'d Document<'_>, matches: Vec<Match<'d>>) -> Result<Vec<Match<'d>>, PathError> {
    let container = |item: &Match<'_>| {
        node(*item).is_some_and(|id| matches!(document.value(id), Value::List(_) | Value::Object(_) | Value::Null))
    };
    if let Some(first) = matches.first()
        && !matches.iter().any(container)
    {
        return Err(PathError::Unfit(format!("{} has no members", describe(document, *first))));
    }
    collect(document, matches, |item, found| {
        found.extend(members(document, item));
        Ok(())
    })
}

fn field<'d>(document: &'d Document<'_>, name: &str, matches: Vec<Match<'d>>) -> Result<Vec<Match<'d>>, PathError> {
    let list = |item: &Match<'_>| node(*item).is_some_and(|id| matches!(document.value(id), Value::List(_)));
    let hint = if matches.iter().all(list) { ": the value is a list, select its elements with [*]" } else { "" };
    require(name, matches, |item| document.get(node(item)?, name).map(Match::Node)).map_err(|error| match error {
        PathError::Missing(why) => PathError::Missing(why + hint),
        error => error,
    })
}

/// The result of `find` for each match. No result at all is an error, unless there was no match before.
fn require<'d>(
    what: &str,
    matches: Vec<Match<'d>>,
    find: impl Fn(Match<'d>) -> Option<Match<'d>>,
) -> Result<Vec<Match<'d>>, PathError> {
    let before = matches.len();
    let found: Vec<_> = matches.into_iter().filter_map(find).collect();
    if found.is_empty() && before > 0 { Err(PathError::Missing(format!("{what} is missing"))) } else { Ok(found) }
}

fn node(item: Match<'_>) -> Option<NodeId> {
    match item {
        Match::Node(id) => Some(id),
        _ => None,
    }
}

fn members<'d>(document: &'d Document<'_>, item: Match<'d>) -> impl Iterator<Item = Match<'d>> {
    node(item).map(|id| document.members_of(id)).unwrap_or_default().iter().map(|member| Match::Node(*member))
}

/// The key of a value, or of the nearest list around it that has one.
fn nearest_key<'d>(document: &'d Document<'_>, mut id: NodeId) -> Option<&'d str> {
    loop {
        match document.key(id)? {
            Key::Name(name) => return Some(name),
            Key::Index(_) => id = document.parent(id)?,
        }
    }
}

/// The nearest object that contains a value. Lists are skipped: they have no keys.
fn parent_object(document: &Document<'_>, mut id: NodeId) -> Option<NodeId> {
    loop {
        id = document.parent(id)?;
        if let Value::Object(_) = document.value(id) {
            return Some(id);
        }
    }
}

fn descend<'d>(document: &'d Document<'_>, item: Match<'d>, found: &mut Vec<Match<'d>>) {
    let mut members = members(document, item).peekable();
    if members.peek().is_some() {
        found.push(item);
        for member in members {
            descend(document, member, found);
        }
    }
}

fn slice<'d>(
    document: &'d Document<'_>,
    bounds: &SliceBounds,
    item: Match<'d>,
    found: &mut Vec<Match<'d>>,
) -> Result<(), PathError> {
    let whole = bounds.from.is_none() && bounds.to.is_none() && !bounds.single;
    match node(item).map(|id| document.value(id)) {
        Some(Value::Null) => return Ok(()),
        Some(Value::List(_)) => {}
        Some(Value::Object(_)) if whole => {}
        _ if bounds.lenient => return Ok(()),
        _ => return Err(PathError::Unfit(format!("{} is not a list", describe(document, item)))),
    }
    let members = node(item).map(|id| document.members_of(id)).unwrap_or_default();
    let len = members.len() as i64;
    let at = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    if bounds.single {
        let index = bounds.from.unwrap_or(0);
        match usize::try_from(at(index)).ok().and_then(|at| members.get(at)) {
            Some(member) => found.push(Match::Node(*member)),
            None if bounds.lenient => {}
            None => {
                let why = format!("index {index} is out of range: the list has {len} elements");
                return Err(PathError::Missing(why));
            }
        }
        return Ok(());
    }
    // bounds outside of the list select what there is
    let step = bounds.step.unwrap_or(1);
    let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX).max(1);
    let member = |at: i64| Match::Node(members[at as usize]);
    if step > 0 {
        let (from, to) = (at(bounds.from.unwrap_or(0)).clamp(0, len), at(bounds.to.unwrap_or(len)).clamp(0, len));
        found.extend((from..to).step_by(stride).map(member));
    } else {
        let from = bounds.from.map_or(len - 1, at).clamp(-1, len - 1);
        let to = bounds.to.map_or(-1, at).clamp(-1, len - 1);
        found.extend((to + 1..=from).rev().step_by(stride).map(member));
    }
    Ok(())
}

fn passes(document: &Document<'_>, filter: &Filter, element: Match<'_>) -> bool {
    match filter {
        Filter::Exists(path) => evaluate(document, path, element).is_ok_and(|matches| !matches.is_empty()),
        Filter::Compare(left, operator, right) => {
            let (Some(left), Some(right)) = (single(document, left, element), single(document, right, element)) else {
                return false;
            };
            let order = compare(document, left, right);
            match operator {
                Operator::Equal => order == Some(Ordering::Equal),
                Operator::NotEqual => order != Some(Ordering::Equal),
                Operator::Less => order == Some(Ordering::Less),
                Operator::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                Operator::Greater => order == Some(Ordering::Greater),
                Operator::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            }
        }
        Filter::Matches(path, pattern) => match single(document, path, element) {
            Some(Match::Text(text)) => pattern.is_match(text),
            Some(Match::Node(id)) => matches!(document.value(id), Value::Text(text) if pattern.is_match(text)),
            _ => false,
        },
        Filter::Not(filter) => !passes(document, filter, element),
        Filter::All(filters) => filters.iter().all(|filter| passes(document, filter, element)),
        Filter::Any(filters) => filters.iter().any(|filter| passes(document, filter, element)),
    }
}

/// The only match of a path.
fn single<'d>(document: &'d Document<'_>, path: &'d [Step], element: Match<'d>) -> Option<Match<'d>> {
    match evaluate(document, path, element).ok()?[..] {
        [found] => Some(found),
        _ => None,
    }
}

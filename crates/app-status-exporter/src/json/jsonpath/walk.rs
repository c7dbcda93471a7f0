//! A path's steps, made over a document.

use std::cmp::Ordering;

use super::print::describe;
use super::{Filter, Literal, Match, Operator, PathError, SliceBounds, Step};
use crate::json::document::{Document, Key, NodeId, Value};

/// How many matches are followed; more if the document has more values. A path can multiply them: `..` finds what is
/// in each of its matches.
const MAX_MATCHES: usize = 1 << 20;

/// The most that is followed in a document.
pub(super) fn most(document: &Document<'_>) -> usize {
    MAX_MATCHES.max(document.values())
}

pub(super) fn too_many(document: &Document<'_>) -> PathError {
    PathError::Unfit(format!("more than {} values match", most(document)))
}

/// What the steps find, beginning at an item.
pub(super) fn walk<'d>(
    document: &'d Document<'_>,
    steps: &'d [Step],
    at: Match<'d>,
) -> Result<Vec<Match<'d>>, PathError> {
    follow(document, steps, vec![at])
}

/// Makes each step with all that the one before it found.
fn follow<'d>(
    document: &'d Document<'_>,
    steps: &'d [Step],
    mut items: Vec<Match<'d>>,
) -> Result<Vec<Match<'d>>, PathError> {
    for step in steps {
        items = match step {
            Step::Field(name) if name.is_empty() => {
                let itself = |item| place(item).and_then(|id| document.get(id, "")).map_or(item, Match::Node);
                items.into_iter().map(itself).collect()
            }
            Step::Field(name) => field(document, name, items)?,
            Step::Quoted(path, key) => match follow(document, path, items.clone()) {
                Err(PathError::Missing(_)) => field(document, key, items)?,
                found => found?,
            },
            Step::Key => present("a key", items, |item| name(document, place(item)?).map(Match::Text))?,
            Step::Index => present("an index", items, |item| match document.key(place(item)?)? {
                Key::Index(at) => Some(Match::Int(at.into())),
                Key::Name(_) => None,
            })?,
            Step::Parent => present("a parent", items, |item| parent(document, place(item)?).map(Match::Node))?,
            Step::Root => vec![Match::Node(document.root())],
            Step::Wildcard => wildcard(document, items)?,
            Step::Recursive => collect(document, items, |item, found| {
                descend(document, item, found);
                Ok(())
            })?,
            Step::Slice(bounds) => collect(document, items, |item, found| slice(document, bounds, item, found))?,
            Step::Union(paths) => {
                let mut found = Vec::new();
                for path in paths {
                    found.extend(follow(document, path, items.clone())?);
                    if found.len() > most(document) {
                        return Err(too_many(document));
                    }
                }
                found
            }
            Step::Filter(filter) => collect(document, items, |item, found| {
                let Some(Value::List(_) | Value::Object(_)) = place(item).map(|id| document.value(id)) else {
                    return Err(PathError::Unfit(format!("{} cannot be filtered", describe(document, item))));
                };
                found.extend(members(document, item).filter(|member| passes(document, filter, *member)));
                Ok(())
            })?,
            Step::Literal(Literal::Text(text)) => vec![Match::Text(text)],
            Step::Literal(Literal::Int(number)) => vec![Match::Int(*number); items.len()],
            Step::Literal(Literal::Float(number)) => vec![Match::Float(*number); items.len()],
            Step::Literal(Literal::Bool(value)) => vec![Match::Bool(*value); items.len()],
        };
    }
    Ok(items)
}

/// What is found from all items together.
fn collect<'d>(
    document: &Document<'_>,
    items: Vec<Match<'d>>,
    find: impl Fn(Match<'d>, &mut Vec<Match<'d>>) -> Result<(), PathError>,
) -> Result<Vec<Match<'d>>, PathError> {
    let mut found = Vec::new();
    for item in items {
        find(item, &mut found)?;
        if found.len() > most(document) {
            return Err(too_many(document));
        }
    }
    Ok(found)
}

/// Every member of the lists and objects among the items. Null has none, as Go writes what is empty; where there
/// are only texts, numbers and booleans, the document is not what the path is for.
fn wildcard<'d>(document: &'d Document<'_>, items: Vec<Match<'d>>) -> Result<Vec<Match<'d>>, PathError> {
    let container = |item: &Match<'_>| {
        place(*item).is_some_and(|id| matches!(document.value(id), Value::List(_) | Value::Object(_) | Value::Null))
    };
    if let Some(first) = items.first()
        && !items.iter().any(container)
    {
        return Err(PathError::Unfit(format!("{} has no members", describe(document, *first))));
    }
    collect(document, items, |item, found| {
        found.extend(members(document, item));
        Ok(())
    })
}

fn field<'d>(document: &'d Document<'_>, name: &str, items: Vec<Match<'d>>) -> Result<Vec<Match<'d>>, PathError> {
    let list = |item: &Match<'_>| place(*item).is_some_and(|id| matches!(document.value(id), Value::List(_)));
    let hint = if items.iter().all(list) { ", in a list: [*] takes its elements" } else { "" };
    present(name, items, |item| document.get(place(item)?, name).map(Match::Node)).map_err(|error| match error {
        PathError::Missing(why) => PathError::Missing(why + hint),
        error => error,
    })
}

/// What is found from each item; that there is nothing at all is an error, unless nothing was looked at.
fn present<'d>(
    what: &str,
    items: Vec<Match<'d>>,
    find: impl Fn(Match<'d>) -> Option<Match<'d>>,
) -> Result<Vec<Match<'d>>, PathError> {
    let looked_at = items.len();
    let found: Vec<_> = items.into_iter().filter_map(find).collect();
    if found.is_empty() && looked_at > 0 { Err(PathError::Missing(format!("{what} is missing"))) } else { Ok(found) }
}

fn place(item: Match<'_>) -> Option<NodeId> {
    match item {
        Match::Node(id) => Some(id),
        _ => None,
    }
}

fn members<'d>(document: &'d Document<'_>, item: Match<'d>) -> impl Iterator<Item = Match<'d>> {
    place(item).map(|id| document.members_of(id)).unwrap_or_default().iter().map(|member| Match::Node(*member))
}

/// The nearest key above a value: its own, or that of the list it is in.
fn name<'d>(document: &'d Document<'_>, mut id: NodeId) -> Option<&'d str> {
    loop {
        match document.key(id)? {
            Key::Name(name) => return Some(name),
            Key::Index(_) => id = document.parent(id)?,
        }
    }
}

/// The nearest object that contains a value: lists have nothing to say.
fn parent(document: &Document<'_>, mut id: NodeId) -> Option<NodeId> {
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
    match place(item).map(|id| document.value(id)) {
        Some(Value::Null) => return Ok(()),
        Some(Value::List(_)) => {}
        Some(Value::Object(_)) if whole => {}
        _ => return Err(PathError::Unfit(format!("{} is not a list", describe(document, item)))),
    }
    let members: Vec<_> = members(document, item).collect();
    let len = members.len() as i64;
    let from = match bounds.from.unwrap_or(0) {
        from if from < 0 => from + len,
        from => from,
    };
    let to = match (bounds.single, bounds.to) {
        (true, _) => from.saturating_add(1),
        (false, None) => len,
        (false, Some(to)) if to < 0 => to + len,
        (false, Some(to)) => to,
    };
    if from == to && !bounds.single {
        return Ok(()); // client-go stops here, and so an empty list hides those after it
    }
    if from < 0 || from >= len || to < 0 || to > len {
        let index = bounds.from.or(bounds.to).unwrap_or_default();
        return Err(PathError::Missing(format!("index {index} of {len} is missing")));
    }
    if from > to {
        return Err(PathError::Unfit(format!("the slice begins at {from} and ends at {to}")));
    }
    let step = usize::try_from(bounds.step.unwrap_or(1)).unwrap_or(1);
    found.extend(members[from as usize..to as usize].iter().step_by(step));
    Ok(())
}

fn passes(document: &Document<'_>, filter: &Filter, member: Match<'_>) -> bool {
    let Ok(left) = walk(document, &filter.left, member) else { return false };
    let Some((operator, right)) = &filter.right else { return !left.is_empty() };
    let Ok(right) = walk(document, right, member) else { return false };
    let ([left], [right]) = (&left[..], &right[..]) else { return false };
    let order = compare(document, *left, *right);
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

/// The order of two items of one kind.
fn compare(document: &Document<'_>, left: Match<'_>, right: Match<'_>) -> Option<Ordering> {
    enum Basic<'d> {
        Text(&'d str),
        Number(f64),
        Bool(bool),
    }
    let basic = |item| {
        Some(match item {
            Match::Text(text) => Basic::Text(text),
            Match::Int(number) => Basic::Number(number as f64),
            Match::Float(number) => Basic::Number(number),
            Match::Bool(value) => Basic::Bool(value),
            Match::Node(id) => match document.value(id) {
                Value::Text(text) => Basic::Text(text),
                Value::Number(number) => Basic::Number(number.parse().ok()?),
                Value::Bool(value) => Basic::Bool(value),
                Value::Null | Value::Malformed | Value::List(_) | Value::Object(_) => return None,
            },
        })
    };
    match (basic(left)?, basic(right)?) {
        (Basic::Text(left), Basic::Text(right)) => Some(left.cmp(right)),
        (Basic::Number(left), Basic::Number(right)) => left.partial_cmp(&right),
        (Basic::Bool(left), Basic::Bool(right)) if left == right => Some(Ordering::Equal),
        _ => None,
    }
}

//! Evaluates paths from the root once per document: they do not depend on the element for which a template is evaluated.
//! A label that searches a list of the root would otherwise search it for each element.

use std::borrow::Cow;

use super::eval::evaluate;
use super::matches::Match;
use super::syntax::{Call, Filter, Literal, Step, TemplatePart};
use super::template::Template;
use crate::json::document::{Document, NodeId};

impl Template {
    /// The template with the results of its paths from the root.
    pub(crate) fn resolved(&self, document: &Document<'_>) -> Cow<'_, Self> {
        match self.parts().iter().any(part_has_root) {
            true => Cow::Owned(Self::from(parts(document, self.parts()))),
            false => Cow::Borrowed(self),
        }
    }
}

fn part_has_root(part: &TemplatePart) -> bool {
    match part {
        TemplatePart::Text(_) => false,
        TemplatePart::Action(steps) => has_root(steps),
        TemplatePart::Range(steps, body) => has_root(steps) || body.iter().any(part_has_root),
    }
}

fn has_root(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Root => true,
        Step::Filter(filter) => filter_has_root(filter),
        Step::Union(paths) => paths.iter().any(|path| has_root(path)),
        Step::Call(call) => has_root(&call.path),
        _ => false,
    })
}

fn filter_has_root(filter: &Filter) -> bool {
    match filter {
        Filter::Exists(path) | Filter::Matches(path, _) => has_root(path),
        Filter::Compare(left, _, right) => has_root(left) || has_root(right),
        Filter::Not(filter) => filter_has_root(filter),
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(filter_has_root),
    }
}

fn parts(document: &Document<'_>, all: &[TemplatePart]) -> Vec<TemplatePart> {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => TemplatePart::Text(text.clone()),
        TemplatePart::Action(path) => TemplatePart::Action(steps(document, path)),
        TemplatePart::Range(path, body) => TemplatePart::Range(steps(document, path), parts(document, body)),
    };
    all.iter().map(part).collect()
}

fn steps(document: &Document<'_>, path: &[Step]) -> Vec<Step> {
    let mut resolved = Vec::with_capacity(path.len());
    for (at, step) in path.iter().enumerate() {
        resolved.push(match step {
            Step::Root => {
                let rest = steps(document, &path[at + 1..]);
                match from_root(document, &rest) {
                    Some(result) => resolved.push(result),
                    None => {
                        resolved.push(Step::Root);
                        resolved.extend(rest);
                    }
                }
                return resolved;
            }
            Step::Filter(condition) => Step::Filter(filter(document, condition)),
            Step::Union(paths) => Step::Union(paths.iter().map(|path| steps(document, path)).collect()),
            Step::Call(call) => called(document, call, at == 0),
            step => step.clone(),
        });
    }
    resolved
}

/// A function of a path from the root is a number, or values of the document if it comes `first`, or else is called with
/// the resolved path.
fn called(document: &Document<'_>, call: &Call, first: bool) -> Step {
    let whole = Step::Call(Call { path: steps(document, &call.path), ..call.clone() });
    if !is_from_root(&whole) {
        return whole;
    }
    let path = std::slice::from_ref(&whole);
    let literal = match evaluate(document, path, Match::Node(document.root())).as_deref() {
        Ok([Match::Int(number)]) => Some(Literal::Int(*number)),
        Ok([Match::Float(number)]) => Some(Literal::Float(*number)),
        _ => None,
    };
    match literal {
        Some(literal) => Step::Literal(literal),
        None if first => from_root(document, path).unwrap_or(whole),
        None => whole,
    }
}

/// Whether a step, which is resolved, does not depend on the element.
fn is_from_root(step: &Step) -> bool {
    match step {
        Step::Root | Step::Resolved(_) | Step::Literal(_) => true,
        Step::Call(call) => call.path.first().is_some_and(is_from_root),
        _ => false,
    }
}

/// The result of a path from the root, unless a match is not a value of the document but a key or a literal.
fn from_root(document: &Document<'_>, path: &[Step]) -> Option<Step> {
    let matches = match evaluate(document, path, Match::Node(document.root())) {
        Ok(matches) => matches,
        Err(error) => return Some(Step::Resolved(Err(error))),
    };
    let id = |found: &Match<'_>| match found {
        Match::Node(id) => Some(*id),
        _ => None,
    };
    matches.iter().map(id).collect::<Option<Vec<NodeId>>>().map(|ids| Step::Resolved(Ok(ids)))
}

fn filter(document: &Document<'_>, condition: &Filter) -> Filter {
    let all = |filters: &[Filter]| filters.iter().map(|condition| filter(document, condition)).collect();
    match condition {
        Filter::Exists(path) => Filter::Exists(steps(document, path)),
        Filter::Compare(left, operator, right) => {
            Filter::Compare(steps(document, left), *operator, steps(document, right))
        }
        Filter::Matches(path, regex) => Filter::Matches(steps(document, path), regex.clone()),
        Filter::Not(condition) => Filter::Not(Box::new(filter(document, condition))),
        Filter::All(filters) => Filter::All(all(filters)),
        Filter::Any(filters) => Filter::Any(all(filters)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"site": "x", "users": [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}], "wanted": 8,
        "items": [{"user": 7, "n": [1, 2]}, {"user": 8, "n": []}]}"#;

    #[test]
    fn a_resolved_template_has_the_same_results() {
        let document = Document::parse(PAGE).unwrap();
        let items = Template::parse("{.items[*]}").unwrap();
        for text in [
            "{root.users[?(@.id == 8)].name}",
            "{.user}-{root.site}-{root.users[1].name}",
            "{root.users[?(@.id == root.wanted)].name}",
            "{root.users[*].id}",
            "{root.users[0].missing}",
            "{root.users[9]}",
            "{root.users[?(@.id > 9)]}",
            "{root.users[0] key}",
            "{root}",
            "{.n[?(@ > root.users[0].id)]}",
            "{.n[0,1]}",
            "{range root.users[*]}{.name}{root.site};{end}",
            "{parent.wanted}",
            "{.n[?(@ < count(keys(root.users[0])))]}",
            "{.n[?(@ < count(root.users[?(@.id > count(root.items[*]))]))]}",
            "{.n[?(@ == value(root.users[*]))]}",
            "{root.users[?(@.id > 7)] key}",
            "{sum(root.items[*].user)}",
        ] {
            let template = Template::parse(text).unwrap();
            let resolved = template.resolved(&document);
            assert_eq!(matches!(resolved, Cow::Owned(_)), text.contains("root"), "{text}");
            for element in items.matches(&document, Match::Node(document.root())).unwrap() {
                assert_eq!(resolved.text(&document, element), template.text(&document, element), "{text}");
                assert_eq!(resolved.value(&document, element), template.value(&document, element), "{text}");
            }
        }
    }
}

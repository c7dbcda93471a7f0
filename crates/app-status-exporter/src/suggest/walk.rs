//! Finds the values of a document that can become metrics, and the labels that identify the elements of lists.

use std::collections::BTreeSet;

use super::words::{self, words};
use crate::json::document::{Document, Key, NodeId, Value};
use crate::metrics::conversion::shortened;

/// The maximum number of elements of one metric.
const MAX_ELEMENTS: usize = 100;

/// The maximum number of labels that identify an element.
const MAX_IDENTIFIERS: usize = 3;

/// The path of one value in the document, or of one value in each element of a list.
#[derive(Clone)]
pub(super) struct ValuePath {
    /// The path of the elements, without braces; `None` if the value is not in a list.
    pub(super) elements: Option<String>,
    /// The labels of the elements, each with its template.
    pub(super) labels: Vec<(String, String)>,
    /// The path of the value in its element, without braces.
    pub(super) path: String,
    /// The keys of the path from the root.
    pub(super) keys: Vec<String>,
    /// The number of elements.
    pub(super) count: usize,
}

impl ValuePath {
    /// Whether the value is a label of its element.
    pub(super) fn is_label(&self) -> bool {
        let template = format!("{{{}}}", self.path);
        self.labels.iter().any(|(_, label)| *label == template)
    }
}

/// The values at a path, or why they are not read.
pub(super) enum PathValues {
    /// Numbers, booleans and texts. `null` if some are null.
    Scalars {
        values: Vec<NodeId>,
        null: bool,
    },
    Nothing(String),
}

/// The elements in which values are searched, and the number of objects between one and the current object.
#[derive(Clone)]
struct Scope {
    value_path: ValuePath,
    /// How often `parent` leads from a member of a list at the current path to the element.
    parent_steps: usize,
}

/// All paths of values in a document, in the order of their keys.
pub(super) fn walk(document: &Document<'_>) -> Vec<(ValuePath, PathValues)> {
    let mut walk = Walk { document, found: Vec::new() };
    let value_path = ValuePath { elements: None, labels: Vec::new(), path: String::new(), keys: Vec::new(), count: 1 };
    walk.values(Scope { value_path, parent_steps: 0 }, &[document.root()]);
    walk.found
}

struct Walk<'d> {
    document: &'d Document<'d>,
    found: Vec<(ValuePath, PathValues)>,
}

impl<'d> Walk<'d> {
    /// Adds the values at one path, at least one.
    fn values(&mut self, scope: Scope, nodes: &[NodeId]) {
        let document = self.document;
        let is_null = |node: &&NodeId| document.value(**node) == Value::Null;
        let values: Vec<_> = nodes.iter().filter(|node| !is_null(node)).copied().collect();
        let null = values.len() < nodes.len();
        let all = |test: fn(&Value<'_>) -> bool| values.iter().all(|node| test(&document.value(*node)));
        if values.is_empty() {
            self.nothing(scope, "null: its type is unknown");
        } else if all(|value| matches!(value, Value::Object(_))) {
            self.objects(scope, &values);
        } else if all(|value| matches!(value, Value::List(_))) {
            self.elements(scope, &values, "[*]", 0);
        } else if all(|value| matches!(value, Value::Number(_) | Value::Bool(_) | Value::Text(_))) {
            self.found.push((scope.value_path, PathValues::Scalars { values, null }));
        } else {
            self.nothing(scope, "the values have different types");
        }
    }

    fn nothing(&mut self, scope: Scope, why: impl Into<String>) {
        self.found.push((scope.value_path, PathValues::Nothing(why.into())));
    }

    fn objects(&mut self, scope: Scope, objects: &[NodeId]) {
        if self.is_map(objects) {
            return self.elements(scope, objects, ".*", 1);
        }
        let members = |object: &NodeId| self.document.members_of(*object).iter();
        let keys: BTreeSet<_> = objects.iter().flat_map(members).filter_map(|member| self.name(*member)).collect();
        for key in keys {
            let mut scope = scope.clone();
            scope.value_path.keys.push(key.to_owned());
            let Some(step) = step(key) else {
                self.nothing(scope, format!("the key {} has special characters", shortened(key)));
                continue;
            };
            scope.value_path.path.push_str(&step);
            scope.parent_steps += 1;
            let nodes: Vec<_> = objects.iter().filter_map(|object| self.document.get(*object, key)).collect();
            self.values(scope, &nodes);
        }
    }

    fn name(&self, member: NodeId) -> Option<&'d str> {
        match self.document.key(member)? {
            Key::Name(name) => Some(name),
            Key::Index(_) => None,
        }
    }

    /// Whether the keys of the objects are data: their members are objects with mostly the same keys.
    fn is_map(&self, objects: &[NodeId]) -> bool {
        let members: Vec<_> = objects.iter().flat_map(|object| self.document.members_of(*object)).copied().collect();
        let keys = |member: &NodeId| -> BTreeSet<_> {
            self.document.members_of(*member).iter().filter_map(|member| self.name(*member)).collect()
        };
        let mut sets = members.iter().map(keys);
        let Some(first) = sets.next() else { return false };
        let (mut common, mut union) = (first.clone(), first);
        for set in sets {
            common.retain(|key| set.contains(key));
            union.extend(set);
        }
        let is_object = |member: &NodeId| matches!(self.document.value(*member), Value::Object(_));
        members.len() > objects.len() && members.iter().all(is_object) && common.len() * 2 > union.len()
    }

    /// The members of lists or maps, which become elements.
    fn elements(&mut self, mut scope: Scope, containers: &[NodeId], step: &str, parent_step: usize) {
        let document = self.document;
        let members: Vec<_> = containers.iter().flat_map(|list| document.members_of(*list)).copied().collect();
        let only = |test: fn(&Value<'_>) -> bool| members.iter().all(|member| test(&document.value(*member)));
        if members.is_empty() {
            return self.nothing(scope, "the list is empty");
        }
        if members.len() > MAX_ELEMENTS {
            let why = format!(
                "{} elements, and as many series: select some with a filter such as [?(@.name == \"x\")]",
                members.len()
            );
            return self.nothing(scope, why);
        }
        if only(|value| matches!(value, Value::List(_))) {
            return self.nothing(scope, "a list of lists");
        }
        if only(|value| matches!(value, Value::Text(_))) {
            return self.nothing(scope, "a list of texts");
        }
        let (parents, mut taken) = ("parent ".repeat(scope.parent_steps + parent_step), BTreeSet::new());
        let mut labels = Vec::new();
        for (name, template) in &scope.value_path.labels {
            taken.insert(name.clone());
            labels.push((
                name.clone(),
                template.replacen('{', &format!("{{{parents}"), 1).replace("parent .", "parent."),
            ));
        }
        let container = scope.value_path.keys.last().map(|key| words(key).join("_")).unwrap_or_default();
        let own = match (step, self.identifiers(containers)) {
            (".*", _) => vec![(singular(&container), "{key}".to_owned())],
            (_, Some(keys)) => keys,
            (_, None) => vec![("index".to_owned(), "{index}".to_owned())],
        };
        for (name, template) in own {
            let mut name = if name.is_empty() { "name".to_owned() } else { name };
            if name.starts_with(|first: char| first.is_ascii_digit()) || taken.contains(&name) {
                name = format!("{}_{name}", if container.is_empty() { "element" } else { &container });
            }
            taken.insert(name.clone());
            labels.push((name, template));
        }
        let elements = scope.value_path.elements.unwrap_or_default() + &scope.value_path.path + step;
        scope.value_path = ValuePath {
            elements: Some(elements),
            labels,
            path: String::new(),
            count: members.len(),
            ..scope.value_path
        };
        scope.parent_steps = 0;
        self.values(scope, &members);
    }

    /// The keys whose values differ between the elements of each list, as labels.
    fn identifiers(&self, lists: &[NodeId]) -> Option<Vec<(String, String)>> {
        let document = self.document;
        let first = lists.iter().find_map(|list| document.members_of(*list).first())?;
        let mut keys: Vec<_> = document.members_of(*first).iter().filter_map(|member| self.name(*member)).collect();
        let is_short = |member: Option<NodeId>| match member.map(|member| document.value(member)) {
            Some(Value::Text(text)) => !text.is_empty() && text.len() <= 64,
            Some(Value::Number(number)) => number.parse::<i64>().is_ok(),
            _ => false,
        };
        let elements = || lists.iter().flat_map(|list| document.members_of(*list));
        keys.retain(|key| elements().all(|element| is_short(document.get(*element, key))) && step(key).is_some());
        // identifiers first, then other texts; a number is rarely an identifier
        keys.retain(|key| words::any(&words(key), words::IDENTIFIERS) || self.is_text(*first, key));
        keys.sort_by_key(|key| {
            let named = words::any(&words(key), words::IDENTIFIERS);
            (!named, words::any(&words(key), words::STATES), !self.is_text(*first, key))
        });
        let distinct = |chosen: &[&str]| -> usize {
            let tuple = |element: &NodeId| -> Vec<String> {
                chosen.iter().filter_map(|key| document.get(*element, key)).map(|id| text(document, id)).collect()
            };
            let count = |list: &NodeId| document.members_of(*list).iter().map(tuple).collect::<BTreeSet<_>>().len();
            lists.iter().map(count).sum()
        };
        let (count, mut chosen, mut found) = (elements().count(), Vec::new(), 0);
        for key in keys {
            chosen.push(key);
            match distinct(&chosen) {
                more if more > found => found = more,
                _ => _ = chosen.pop(),
            }
            if found == count {
                let label = |key: &&str| Some((words(key).join("_"), format!("{{{}}}", step(key)?)));
                return chosen.iter().map(label).collect();
            }
            if chosen.len() == MAX_IDENTIFIERS {
                break;
            }
        }
        None
    }

    fn is_text(&self, element: NodeId, key: &str) -> bool {
        let member = self.document.get(element, key);
        member.is_some_and(|member| matches!(self.document.value(member), Value::Text(_)))
    }
}

/// The text of a number or a text; other values have none.
pub(super) fn text(document: &Document<'_>, id: NodeId) -> String {
    match document.value(id) {
        Value::Number(text) | Value::Text(text) => text.to_owned(),
        Value::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

/// The step of a path to a key, or nothing if the path language cannot express the key.
fn step(key: &str) -> Option<String> {
    let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    let is_special = |character: char| character.is_control() || "'\"\\[],*$@{}".contains(character);
    match key {
        "" => None,
        key if key.chars().all(is_plain) => Some(format!(".{key}")),
        key if key.chars().any(is_special) => None,
        key => Some(format!("['{key}']")),
    }
}

fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(word).to_owned(),
    }
}

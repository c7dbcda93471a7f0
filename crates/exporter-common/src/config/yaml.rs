//! Parses YAML into a tree whose scalars stay text, since the type of a scalar depends on its key.
//!
//! ```
//! use scrapewright::config::fields::Fields;
//! use scrapewright::yaml;
//!
//! let file = "queues: [orders, mails]\nlabels: {team: shop}\nmode: fast\nx-note: any\n";
//! let mut fields = Fields::of(yaml::parse(file)?, "the file")?;
//! assert_eq!(fields.texts("queues")?, ["orders", "mails"]);
//! assert_eq!(fields.entries("labels")?.len(), 1);
//! assert_eq!(fields.choice("mode", &[("fast", 1), ("slow", 10)])?, Some(1));
//! assert!(fields.list("hosts")?.is_empty());
//! assert_eq!(fields.required("url").unwrap_err().to_string(), "line 1: missing key url in the file");
//! fields.ignore(|key| key.starts_with("x-"));
//! fields.end()?;
//! # Ok::<(), yaml::YamlError>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// An error in a YAML file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct YamlError {
    /// The line, from 1 on.
    pub line: usize,
    /// The description of the error.
    pub message: String,
}

impl YamlError {
    /// An error in a line.
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for YamlError {}

/// The result of reading YAML.
pub type Result<T> = std::result::Result<T, YamlError>;

/// A node of a document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// The line where it starts, from 1 on.
    pub line: usize,
    /// Its value.
    pub value: NodeValue,
}

/// The value of a node.
#[derive(Clone, Debug)]
pub enum NodeValue {
    /// Empty, `~` or `null`.
    Null,
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// Entries in the order of the file, without duplicate keys.
    Map(Vec<(String, Node)>),
}

/// The nesting limit.
const MAX_DEPTH: usize = 32;
/// The limit of nodes after aliases are expanded: nested aliases grow exponentially.
const MAX_NODES: usize = 200_000;

/// Parses the first document, as Go programs do. An empty file is null.
///
/// # Errors
/// The text is not YAML, or a map has a duplicate key.
pub fn parse(text: &str) -> Result<Node> {
    let mut loader = Loader { events: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0 };
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamEnd => return Ok(Node { line: 1, value: NodeValue::Null }),
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            event => return loader.node(event, span, 0),
        }
    }
}

struct Loader<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        let next = self.events.next().ok_or_else(|| YamlError::new(1, "unexpected end of the file"))?;
        next.map_err(|error| YamlError::new(error.marker().line(), format!("invalid YAML: {}", error.info())))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node> {
        let line = span.start.line();
        self.nodes += 1;
        if depth >= MAX_DEPTH || self.nodes >= MAX_NODES {
            return Err(YamlError::new(line, "nested too deeply"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, None)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                (NodeValue::Null, anchor)
            }
            Event::Scalar(text, _, anchor, _) => (NodeValue::Text(text.into_owned()), anchor),
            Event::SequenceStart(anchor, _) => (NodeValue::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (NodeValue::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).ok_or_else(|| YamlError::new(line, "unknown alias"))?;
                self.nodes += node.size();
                return Ok(node.clone());
            }
            _ => return Err(YamlError::new(line, "missing value")),
        };
        let node = Node { line, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>> {
        let (mut map, mut merged) = (Vec::<(String, Node)>::new(), Vec::new());
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                key => key,
            };
            let key = self.node(event, span, depth + 1)?;
            let name = match key.value {
                NodeValue::Text(name) => name,
                NodeValue::Null => String::new(),
                _ => return Err(YamlError::new(key.line, "a key must be a string")),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if name == "<<" {
                merged.extend(merges(value)?);
                continue;
            }
            if let Some((_, first)) = map.iter().find(|(other, _)| *other == name) {
                let message = format!("duplicate key {name:?}, first set on line {}", first.line);
                return Err(YamlError::new(key.line, message));
            }
            map.push((name, Node { line: key.line, ..value }));
        }
        for (name, value) in merged {
            if !map.iter().any(|(other, _)| *other == name) {
                map.push((name, value));
            }
        }
        Ok(map)
    }
}

/// The entries that `<<` merges: from one map, or from a list of maps where the first map wins.
fn merges(node: Node) -> Result<Vec<(String, Node)>> {
    match node.value {
        NodeValue::Map(entries) => Ok(entries),
        NodeValue::List(maps) => {
            maps.into_iter().map(merges).collect::<Result<Vec<_>>>().map(|maps| maps.into_iter().flatten().collect())
        }
        _ => Err(YamlError::new(node.line, "<< requires a map or a list of maps")),
    }
}

impl Node {
    fn size(&self) -> usize {
        1 + match &self.value {
            NodeValue::List(list) => list.iter().map(Node::size).sum(),
            NodeValue::Map(map) => map.iter().map(|(_, node)| node.size()).sum(),
            NodeValue::Null | NodeValue::Text(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.value {
            NodeValue::Null => "-".to_owned(),
            NodeValue::Text(text) => format!("{text:?}"),
            NodeValue::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(",")),
            NodeValue::Map(map) => {
                let entries = map.iter().map(|(key, node)| format!("{key}@{}:{}", node.line, shown(node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn scalars_stay_text_and_have_a_line() {
        for (text, tree) in [
            ("", "-"),
            ("# nothing\n", "-"),
            ("---\n...\n", "-"),
            ("a: 1\nb: 'null'\nc: null\nd:\n", r#"{a@1:"1",b@2:"null",c@3:-,d@4:-}"#),
            ("a:\n  - x\n  - {b: 0.5}\n", r#"{a@1:["x",{b@3:"0.5"}]}"#),
            ("a: |\n  one\n  two\nb: \"\\u00e9\"", "{a@1:\"one\\ntwo\\n\",b@4:\"é\"}"),
            ("a: &x {k: v}\nb: *x\nc: {<<: *x, m: n}", r#"{a@1:{k@1:"v"},b@2:{k@1:"v"},c@3:{m@3:"n",k@1:"v"}}"#),
            ("a: 1\n---\nb: 2\n", r#"{a@1:"1"}"#),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), tree, "{text}");
        }
    }

    #[test]
    fn an_error_names_its_line() {
        for (text, fault) in [
            ("a: 1\nb: 2\na: 3\n", "line 3: duplicate key \"a\", first set on line 1"),
            ("a: [1, 2\nb: 3\n", "line "),
            ("a: 'x\n", "line "),
            ("a:\n\tb: 1\n", "line 2: "),
            ("? [a]\n: b\n", "line 1: a key must be a string"),
            ("a: *nope\n", "line 1: "),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(fault), "{text}: {error}");
        }
    }

    #[test]
    fn nested_aliases_and_deep_nesting_are_limited() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().to_string().contains("nested too deeply"));
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}

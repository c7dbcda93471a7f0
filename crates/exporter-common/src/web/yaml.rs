//! YAML as a tree whose scalars stay text: what a text means depends on where it stands, and `1` may be a header's value.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A part of a document, with the line where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a part of a document is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Text(String),
    List(Vec<Node>),
    /// Keys in the order of the file, none twice.
    Map(Vec<(String, Node)>),
}

/// How deep collections may be nested; the configuration needs three.
const MAX_DEPTH: usize = 32;
/// How many nodes a document may have once its aliases are followed: aliases of aliases grow without end.
const MAX_NODES: usize = 20_000;

/// Reads the first document, as Go programs do. An empty file is null.
///
/// # Errors
/// What is no YAML or a key that stands twice, with the line.
pub(super) fn parse(text: &str) -> Result<Node> {
    let mut loader = Loader { events: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0 };
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamEnd => return Ok(Node { line: 1, value: Value::Null }),
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
        let next = self.events.next().context("yaml: it ends too early")?;
        next.map_err(|error| anyhow::anyhow!("yaml: line {}: {}", error.marker().line(), error.info()))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node> {
        let line = span.start.line();
        self.nodes += 1;
        ensure!(depth < MAX_DEPTH && self.nodes < MAX_NODES, "yaml: line {line}: nested too deeply");
        let (value, anchor) = match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, None)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                (Value::Null, anchor)
            }
            Event::Scalar(text, _, anchor, _) => (Value::Text(text.into_owned()), anchor),
            Event::SequenceStart(anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).with_context(|| format!("yaml: line {line}: unknown alias"))?;
                self.nodes += node.size();
                return Ok(node.clone());
            }
            _ => bail!("yaml: line {line}: a value is missing"),
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
                Value::Text(name) => name,
                Value::Null => String::new(),
                _ => bail!("yaml: line {}: a key is no text", key.line),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if name == "<<" {
                merged.extend(merges(value)?);
                continue;
            }
            if let Some((_, first)) = map.iter().find(|(other, _)| *other == name) {
                bail!("yaml: line {}: key {name:?} already set in map at line {}", key.line, first.line);
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

/// The entries that `<<` brings in: those of a map, or of several, of which the first wins.
fn merges(node: Node) -> Result<Vec<(String, Node)>> {
    match node.value {
        Value::Map(entries) => Ok(entries),
        Value::List(maps) => {
            maps.into_iter().map(merges).collect::<Result<Vec<_>>>().map(|maps| maps.into_iter().flatten().collect())
        }
        _ => bail!("yaml: line {}: map merge requires map or sequence of maps as the value", node.line),
    }
}

impl Node {
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(list) => list.iter().map(Node::size).sum(),
            Value::Map(map) => map.iter().map(|(_, node)| node.size()).sum(),
            Value::Null | Value::Text(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "-".to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(",")),
            Value::Map(map) => {
                let entries = map.iter().map(|(key, node)| format!("{key}@{}:{}", node.line, shown(node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn scalars_stay_text_and_know_their_line() {
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
    fn faults_are_told_with_their_line() {
        for (text, fault) in [
            ("a: 1\nb: 2\na: 3\n", "yaml: line 3: key \"a\" already set in map at line 1"),
            ("a: [1, 2\nb: 3\n", "yaml: line "),
            ("a: 'x\n", "yaml: line "),
            ("a:\n\tb: 1\n", "yaml: line 2: "),
            ("? [a]\n: b\n", "yaml: line 1: a key is no text"),
            ("a: *nope\n", "yaml: line 1: "),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(fault), "{text}: {error}");
        }
    }

    #[test]
    fn aliases_of_aliases_and_deep_nests_have_an_end() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().to_string().contains("nested too deeply"));
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}

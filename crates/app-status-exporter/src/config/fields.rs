//! Reading YAML strictly: each block takes the keys it knows, and what is left over is told with its line and the
//! key that was probably meant.

use std::fmt;

use exporter_common::yaml::{Node, Value};

/// What is wrong with a configuration, and on which line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl ConfigError {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl std::error::Error for ConfigError {}

pub(crate) type Result<T> = std::result::Result<T, ConfigError>;

/// The keys of one block.
pub(crate) struct Fields {
    /// Where the block begins.
    pub(crate) line: usize,
    /// What the block is called.
    name: String,
    left: Vec<(String, Node)>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// The keys of a node; one that is empty has none.
    pub(crate) fn of(node: Node, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let left = match node.value {
            Value::Map(entries) => entries,
            Value::Null => Vec::new(),
            _ => return Err(ConfigError::new(node.line, format!("{name} is a block of keys and values"))),
        };
        Ok(Self { line: node.line, name, left, asked: Vec::new() })
    }

    /// Takes the value of a key; one that is empty is as if it were not there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.push(key);
        let at = self.left.iter().position(|(name, _)| name == key)?;
        let (_, node) = self.left.swap_remove(at);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// Takes the text of a key.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.take(key).map(|node| text(node, key).map(|(_, text)| text)).transpose()
    }

    /// Takes the text of a key that must be there.
    pub(crate) fn required(&mut self, key: &'static str) -> Result<(usize, String)> {
        match self.take(key) {
            Some(node) => text(node, key),
            None => Err(match self.left.iter().find(|(other, _)| meant(other, &[key]).is_some()) {
                Some((other, node)) => self.unknown(other, node.line, &format!("did you mean {key}?")),
                None => ConfigError::new(self.line, format!("{} has no {key}", self.name)),
            }),
        }
    }

    /// Takes true or false, as YAML 1.1 writes them.
    pub(crate) fn bool(&mut self, key: &'static str) -> Result<Option<bool>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let (line, text) = text(node, key)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => Err(ConfigError::new(line, format!("{key}: {text:?} is neither true nor false"))),
        }
    }

    /// Takes one of several words.
    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Result<Option<T>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let (line, text) = text(node, key)?;
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let meant = meant(&text, &names).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                Err(ConfigError::new(line, format!("{key}: {text:?} is none of {}{meant}", names.join(", "))))
            }
        }
    }

    /// Takes a list.
    pub(crate) fn list(&mut self, key: &'static str) -> Result<Vec<Node>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Node { value: Value::List(list), .. }) => Ok(list),
            Some(node) => Err(ConfigError::new(node.line, format!("{key} is a list"))),
        }
    }

    /// Takes a list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Vec<String>> {
        self.list(key)?.into_iter().map(|node| text(node, key).map(|(_, text)| text)).collect()
    }

    /// Takes names with values.
    pub(crate) fn entries(&mut self, key: &'static str) -> Result<Vec<(String, Node)>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Node { value: Value::Map(entries), .. }) => Ok(entries),
            Some(node) => Err(ConfigError::new(node.line, format!("{key} is a block of names and values"))),
        }
    }

    /// Whether a key is among those that are left.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|(name, _)| name == key)
    }

    /// Lets keys pass that are none of ours.
    pub(crate) fn ignore(&mut self, ignored: impl Fn(&str) -> bool) {
        self.left.retain(|(name, _)| !ignored(name));
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<()> {
        let Some((key, node)) = self.left.iter().min_by_key(|(_, node)| node.line) else { return Ok(()) };
        Err(self.unknown(
            key,
            node.line,
            &match meant(key, &self.asked) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("its keys are {}", self.asked.join(", ")),
            },
        ))
    }

    fn unknown(&self, key: &str, line: usize, hint: &str) -> ConfigError {
        ConfigError::new(line, format!("{} has no key {key}; {hint}", self.name))
    }
}

/// The text of a scalar, and its line.
pub(crate) fn text(node: Node, key: &str) -> Result<(usize, String)> {
    match node.value {
        Value::Text(text) => Ok((node.line, text)),
        Value::Null => Ok((node.line, String::new())),
        Value::List(_) => Err(ConfigError::new(node.line, format!("{key} is one value"))),
        // to YAML bare braces are a block
        Value::Map(_) => {
            Err(ConfigError::new(node.line, format!("{key} is one value; a path stands in quotes: '{{.a}}'")))
        }
    }
}

/// The known word that is next to a misspelt one, if there is one near.
fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', '_'], "");
    let nearest = known.iter().map(|other| (distance(&plain(word), &plain(other)), *other)).min()?;
    if nearest.0 <= nearest.1.len().max(3) / 3 {
        return Some(nearest.1);
    }
    let begun = |other: &&&str| word.len() > 2 && other.starts_with(word);
    known.iter().filter(begun).min_by_key(|other| other.len()).copied()
}

/// How many letters must be put in, left out, changed or swapped with the next.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (row, letter) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let changed = last[column] + usize::from(letter != other);
            let mut least = changed.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *letter == b[column - 1] && a[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut last, current);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_told_with_the_one_that_was_meant() {
        for (key, meant) in
            [("lables", "labels"), ("valueType", "valuetype"), ("value-type", "valuetype"), ("pat", "path")]
        {
            let node = exporter_common::yaml::parse(&format!("path: x\n\n{key}: 1\n")).unwrap();
            let mut fields = Fields::of(node, "a metric").unwrap();
            for known in ["path", "labels", "valuetype"] {
                fields.take(known);
            }
            let fault = fields.end().unwrap_err().to_string();
            assert_eq!(fault, format!("3: a metric has no key {key}; did you mean {meant}?"));
        }
    }

    #[test]
    fn a_key_that_must_be_there_may_be_misspelt_too() {
        let fault = |text| {
            let mut fields = Fields::of(exporter_common::yaml::parse(text).unwrap(), "a metric").unwrap();
            fields.required("name").unwrap_err().to_string()
        };
        assert_eq!(fault("path: x\nnme: y\n"), "2: a metric has no key nme; did you mean name?");
        assert_eq!(fault("path: x\n"), "1: a metric has no name");
        assert_eq!(fault("name: {.x}\n"), "1: name is one value; a path stands in quotes: '{.a}'");
    }

    #[test]
    fn a_key_that_is_like_none_is_told_with_all_there_are() {
        let mut fields = Fields::of(exporter_common::yaml::parse("nonsense: 1\n").unwrap(), "body").unwrap();
        assert!(fields.take("content").is_none() && fields.take("templatize").is_none());
        let fault = fields.end().unwrap_err().to_string();
        assert_eq!(fault, "1: body has no key nonsense; its keys are content, templatize");
    }
}

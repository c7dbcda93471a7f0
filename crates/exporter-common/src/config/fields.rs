//! Reads YAML maps strictly: an unknown key is an error that names its line and the most similar known key.

use super::yaml::{Node, NodeValue, Result, YamlError};

/// The keys of one map that are not read yet.
#[derive(Default)]
pub struct Fields {
    /// The line where the map starts.
    pub line: usize,
    /// The name of the map in messages.
    name: String,
    unread: Vec<(String, Node)>,
    known: Vec<&'static str>,
}

impl Fields {
    /// The keys of a map; an empty node has none.
    ///
    /// # Errors
    /// The node is not a map.
    pub fn of(node: Node, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let unread = match node.value {
            NodeValue::Map(entries) => entries,
            NodeValue::Null => Vec::new(),
            _ => return Err(YamlError::new(node.line, format!("{name}: expected a map"))),
        };
        Ok(Self { line: node.line, name, unread, known: Vec::new() })
    }

    /// Takes the value of a key. An empty value counts as missing.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let at = self.unread.iter().position(|(name, _)| name == key)?;
        let (_, node) = self.unread.swap_remove(at);
        (!matches!(node.value, NodeValue::Null)).then_some(node)
    }

    /// Takes an optional string.
    ///
    /// # Errors
    /// The value is not a single value.
    pub fn text(&mut self, key: &'static str) -> Result<Option<String>> {
        self.take(key).map(|node| text(node, key).map(|(_, text)| text)).transpose()
    }

    /// Takes a required string and its line.
    ///
    /// # Errors
    /// The key is missing, or its value is not a single value.
    pub fn required(&mut self, key: &'static str) -> Result<(usize, String)> {
        match self.take(key) {
            Some(node) => text(node, key),
            None => Err(match self.unread.iter().find(|(other, _)| similar(other, &[key]).is_some()) {
                Some((other, node)) => self.unknown(other, node.line, &format!("did you mean {key}?")),
                None => YamlError::new(self.line, format!("missing key {key} in {}", self.name)),
            }),
        }
    }

    /// Takes an optional boolean, as YAML 1.1 writes them.
    ///
    /// # Errors
    /// The value is not a boolean.
    pub fn bool(&mut self, key: &'static str) -> Result<Option<bool>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let (line, text) = text(node, key)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            "" => Ok(None),
            _ => Err(YamlError::new(line, format!("{key}: expected true or false, not {text:?}"))),
        }
    }

    /// Takes one of several names.
    ///
    /// # Errors
    /// The value is not one of the names.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Result<Option<T>> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let (line, text) = text(node, key)?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Ok(Some(*choice));
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let hint = similar(&text, &names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        Err(YamlError::new(line, format!("{key}: {text:?} is not one of {}{hint}", names.join(", "))))
    }

    /// Takes a list; a missing key is an empty list.
    ///
    /// # Errors
    /// The value is not a list.
    pub fn list(&mut self, key: &'static str) -> Result<Vec<Node>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Node { value: NodeValue::List(list), .. }) => Ok(list),
            Some(node) => Err(YamlError::new(node.line, format!("{key}: expected a list"))),
        }
    }

    /// Takes a list of strings. A single string is a list of one, as in Go's YAML library.
    ///
    /// # Errors
    /// The value is neither a list of single values nor a single value.
    pub fn texts(&mut self, key: &'static str) -> Result<Vec<String>> {
        let nodes = match self.take(key) {
            None => Vec::new(),
            Some(Node { value: NodeValue::List(list), .. }) => list,
            Some(Node { value: NodeValue::Map(_), line }) => {
                return Err(YamlError::new(line, format!("{key}: expected a list")));
            }
            Some(node) => vec![node],
        };
        nodes.into_iter().map(|node| text(node, key).map(|(_, text)| text)).collect()
    }

    /// Takes the entries of a map whose keys are free.
    ///
    /// # Errors
    /// The value is not a map.
    pub fn entries(&mut self, key: &'static str) -> Result<Vec<(String, Node)>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Node { value: NodeValue::Map(entries), .. }) => Ok(entries),
            Some(node) => Err(YamlError::new(node.line, format!("{key}: expected a map"))),
        }
    }

    /// Whether a key is present and not read yet.
    pub fn has(&self, key: &str) -> bool {
        self.unread.iter().any(|(name, _)| name == key)
    }

    /// Ignores the keys that match a condition.
    pub fn ignore(&mut self, ignored: impl Fn(&str) -> bool) {
        self.unread.retain(|(name, _)| !ignored(name));
    }

    /// Checks that every key was read.
    ///
    /// # Errors
    /// The first key that was not read.
    pub fn end(self) -> Result<()> {
        let Some((key, node)) = self.unread.iter().min_by_key(|(_, node)| node.line) else { return Ok(()) };
        let hint = match similar(key, &self.known) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("known keys are {}", self.known.join(", ")),
        };
        Err(self.unknown(key, node.line, &hint))
    }

    fn unknown(&self, key: &str, line: usize, hint: &str) -> YamlError {
        YamlError::new(line, format!("unknown key {key} in {}; {hint}", self.name))
    }
}

/// The text of a single value, and its line.
///
/// # Errors
/// The node is a list or a map.
pub fn text(node: Node, key: &str) -> Result<(usize, String)> {
    match node.value {
        NodeValue::Text(text) => Ok((node.line, text)),
        NodeValue::Null => Ok((node.line, String::new())),
        NodeValue::List(_) => Err(YamlError::new(node.line, format!("{key}: expected a single value"))),
        NodeValue::Map(_) => {
            Err(YamlError::new(node.line, format!("{key}: expected a single value; quote a value that starts with {{")))
        }
    }
}

/// The known name that is most similar to a misspelled one, if any is similar.
fn similar<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', '_'], "");
    let distance = |name: &str| strsim::osa_distance(&plain(word), &plain(name));
    let (distance, name) = known.iter().map(|name| (distance(name), *name)).min()?;
    if distance <= name.len().max(3) / 3 {
        return Some(name);
    }
    let starts_with_word = |name: &&&str| word.len() > 2 && name.starts_with(word);
    known.iter().filter(starts_with_word).min_by_key(|name| name.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    #[test]
    fn an_unknown_key_is_reported_with_the_similar_known_key() {
        for (key, meant) in
            [("lables", "labels"), ("valueType", "valuetype"), ("value-type", "valuetype"), ("pat", "path")]
        {
            let node = yaml::parse(&format!("path: x\n\n{key}: 1\n")).unwrap();
            let mut fields = Fields::of(node, "a metric").unwrap();
            for known in ["path", "labels", "valuetype"] {
                fields.take(known);
            }
            let error = fields.end().unwrap_err().to_string();
            assert_eq!(error, format!("line 3: unknown key {key} in a metric; did you mean {meant}?"));
        }
    }

    #[test]
    fn a_required_key_may_be_misspelled_too() {
        let error = |text| {
            let mut fields = Fields::of(yaml::parse(text).unwrap(), "a metric").unwrap();
            fields.required("name").unwrap_err().to_string()
        };
        assert_eq!(error("path: x\nnme: y\n"), "line 2: unknown key nme in a metric; did you mean name?");
        assert_eq!(error("path: x\n"), "line 1: missing key name in a metric");
        assert_eq!(error("name: {.x}\n"), "line 1: name: expected a single value; quote a value that starts with {");
    }

    #[test]
    fn an_unknown_key_without_similar_keys_is_reported_with_all_known_keys() {
        let mut fields = Fields::of(yaml::parse("nonsense: 1\n").unwrap(), "body").unwrap();
        assert!(fields.take("content").is_none() && fields.take("templatize").is_none());
        let error = fields.end().unwrap_err().to_string();
        assert_eq!(error, "line 1: unknown key nonsense in body; known keys are content, templatize");
    }

    #[test]
    fn a_single_string_is_a_list_of_one() {
        let mut fields = Fields::of(yaml::parse("a: x\nb: [y, z]\nc: {d: e}\n").unwrap(), "the file").unwrap();
        assert_eq!(fields.texts("a").unwrap(), ["x"]);
        assert_eq!(fields.texts("b").unwrap(), ["y", "z"]);
        assert_eq!(fields.texts("c").unwrap_err().to_string(), "line 3: c: expected a list");
    }
}

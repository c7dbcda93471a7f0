//! A tree of settings, which both syntaxes of a configuration give, and a reader of its maps.

use std::cell::RefCell;

use exporter_common::yaml::{Node, NodeValue};

/// A setting and its line, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) value: SettingValue,
}

/// The value of a setting. Scalars stay text, since the type of a scalar depends on its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SettingValue {
    Null,
    Text(String),
    List(Vec<Setting>),
    /// A block with a label is a map with the label as its only key. HCL has several blocks with one key.
    Map(Vec<(String, Setting)>),
}

/// An error, with its line.
pub(super) type Result<T> = std::result::Result<T, String>;

impl From<Node> for Setting {
    fn from(node: Node) -> Self {
        let value = match node.value {
            NodeValue::Null => SettingValue::Null,
            NodeValue::Text(text) => SettingValue::Text(text),
            NodeValue::List(list) => SettingValue::List(list.into_iter().map(Self::from).collect()),
            NodeValue::Map(map) => SettingValue::Map(map.into_iter().map(|(key, node)| (key, node.into())).collect()),
        };
        Self { line: node.line, value }
    }
}

impl Setting {
    fn mistake(&self, name: &str, expected: &str) -> String {
        format!("line {}: {name}: expected {expected}", self.line)
    }

    /// The text of a scalar.
    pub(super) fn text(self, name: &str) -> Result<String> {
        match self.value {
            SettingValue::Text(text) => Ok(text),
            SettingValue::Null => Ok(String::new()),
            _ => Err(self.mistake(name, "a single value")),
        }
    }

    /// The items of a list. A single value is a list of one, as in the Go libraries of both syntaxes.
    pub(super) fn list(self, name: &str) -> Result<Vec<Self>> {
        match self.value {
            SettingValue::List(list) => Ok(list),
            SettingValue::Text(_) => Ok(vec![self]),
            SettingValue::Null => Ok(Vec::new()),
            SettingValue::Map(_) => Err(self.mistake(name, "a list")),
        }
    }

    /// The entries of a map.
    pub(super) fn entries(self, name: &str) -> Result<Vec<(String, Self)>> {
        match self.value {
            SettingValue::Map(entries) => Ok(entries),
            SettingValue::Null => Ok(Vec::new()),
            _ => Err(self.mistake(name, "a block of settings")),
        }
    }
}

/// The settings of one map that are not read yet. A setting that nothing reads is reported as a warning, since
/// prometheus-nginxlog-exporter ignores it.
pub(super) struct Section<'w> {
    /// The line where it starts.
    pub(super) line: usize,
    /// Its name in messages.
    pub(super) name: String,
    unread: Vec<(String, Setting)>,
    warnings: &'w RefCell<Vec<String>>,
}

impl<'w> Section<'w> {
    /// The settings of a map.
    pub(super) fn of(setting: Setting, name: impl Into<String>, warnings: &'w RefCell<Vec<String>>) -> Result<Self> {
        let (name, line) = (name.into(), setting.line);
        Ok(Self { line, unread: setting.entries(&name)?, name, warnings })
    }

    /// An error in this section.
    pub(super) fn mistake(&self, what: &str) -> String {
        format!("line {}: {}: {what}", self.line, self.name)
    }

    /// Adds a warning on this section.
    pub(super) fn warn(&self, what: &str) {
        self.warnings.borrow_mut().push(self.mistake(what));
    }

    /// Takes all settings with a key. HCL ignores the case of keys.
    pub(super) fn all(&mut self, key: &str) -> Vec<Setting> {
        let (taken, unread) =
            std::mem::take(&mut self.unread).into_iter().partition(|(name, _)| name.eq_ignore_ascii_case(key));
        self.unread = unread;
        taken.into_iter().map(|(_, setting)| setting).collect()
    }

    /// Takes a setting: the last one with the key, or all blocks with it as one.
    pub(super) fn take(&mut self, key: &str) -> Option<Setting> {
        self.all(key).into_iter().reduce(|mut first, mut next| {
            if let (SettingValue::Map(entries), SettingValue::Map(more)) = (&mut first.value, &mut next.value) {
                entries.append(more);
                return first;
            }
            next
        })
    }

    /// Takes an optional text. An empty one counts as missing.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>> {
        let text = self.take(key).map(|setting| setting.text(key)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Takes an optional number.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<i64>> {
        let Some(setting) = self.take(key) else { return Ok(None) };
        let line = setting.line;
        let text = setting.text(key)?;
        text.parse().map(Some).map_err(|_| format!("line {line}: {key}: expected a whole number, not {text:?}"))
    }

    /// Takes an optional boolean; a missing one is false.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool> {
        let Some(setting) = self.take(key) else { return Ok(false) };
        let line = setting.line;
        let text = setting.text(key)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "1" => Ok(true),
            "false" | "no" | "off" | "n" | "0" | "" => Ok(false),
            _ => Err(format!("line {line}: {key}: expected true or false, not {text:?}")),
        }
    }

    /// Takes a list of texts; a missing one is empty.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>> {
        let list = self.take(key).map(|setting| setting.list(key)).transpose()?.unwrap_or_default();
        list.into_iter().map(|item| item.text(key)).collect()
    }

    /// Takes a section.
    pub(super) fn section(&mut self, key: &str) -> Result<Option<Self>> {
        let setting = self.take(key).filter(|setting| setting.value != SettingValue::Null);
        setting.map(|setting| Self::of(setting, key, self.warnings)).transpose()
    }

    /// A section within this one.
    pub(super) fn inner(&self, setting: Setting, name: impl Into<String>) -> Result<Self> {
        Self::of(setting, name, self.warnings)
    }

    /// Ignores all that is not read.
    pub(super) fn ignore_rest(mut self) {
        self.unread.clear();
    }

    /// Warns of every setting that was not read.
    pub(super) fn end(self) {
        for (key, setting) in &self.unread {
            let warning = format!("line {}: unknown setting {key} in {} is ignored", setting.line, self.name);
            self.warnings.borrow_mut().push(warning);
        }
    }
}

//! The rules that flags define for the fields of a line: labels, and which lines are dropped.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::container;
use crate::format::Format;
use crate::format::request::{Method, StatusCode};
use crate::metrics::drop_rule::DropRule;
use crate::metrics::label::{Label, SEPARATOR};

/// All rules, and the fields of the current line.
#[derive(Debug)]
pub(crate) struct LineRules {
    labels: Vec<(Source, Label)>,
    drops: Vec<(Source, DropRule)>,
    /// The positions of the captured fields; allocated once.
    found: Vec<Option<Range<usize>>>,
    /// The names in the path of the current log, in the order of [`CONTAINER`].
    container: [Vec<u8>; 3],
}

/// Where the text of a field is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The path of the request, which all formats have in the same form.
    Path,
    /// The index of a captured field.
    Captured(usize),
    /// The index of a name in [`CONTAINER`].
    Container(usize),
    /// The known method of the request, or `other`.
    Method,
    /// The first digit of the status.
    StatusClass,
}

/// A line that matches the format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLine<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
}

/// The name of the path of a request, without its query, in every format that has it.
pub(crate) const PATH: &str = "path";
/// The names that the path of a container's log has, in the order of [`container::names`].
const CONTAINER: [&str; 3] = ["@pod", "@namespace", "@container"];
/// The known method of a request, or `other`.
const METHOD: &str = "@method";
/// The class of the status.
const STATUS_CLASS: &str = "@status_class";
/// The classes of status codes, by their first digit; the last one is for requests without a response.
const CLASSES: [&str; 11] = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx", "-"];

/// Whether a line of the format has the field, so that it is captured.
fn is_captured(field: &str, format: &Format) -> bool {
    Source::named(field).is_none() && (field != PATH || !format.has_path())
}

impl LineRules {
    /// The rules of flags, if there are any, and the format that captures their fields.
    pub(crate) fn of(format: Format, labels: &[Label], drops: &[DropRule]) -> Result<(Format, Option<Self>)> {
        let mut names = BTreeSet::new();
        if let Some(label) = labels.iter().find(|label| !names.insert(&label.name)) {
            bail!("--metrics.label: two labels have the same name ({})", label.name);
        }
        let mut captured = BTreeSet::new();
        let dropped = drops.iter().map(|drop| ("--access-log.drop", &drop.field));
        for (flag, field) in dropped.chain(labels.iter().map(|label| ("--metrics.label", &label.field))) {
            if is_captured(field, &format) && captured.insert(field.as_str()) {
                let [pod, namespace, container] = CONTAINER;
                let own = format!("{METHOD}, {STATUS_CLASS}, {pod}, {namespace}, {container}");
                if field.starts_with('@') {
                    bail!("{flag}: unknown field {field}; the fields that start with @ are {own}");
                }
                let checked = format.clone().with_captured(&[field]);
                checked.map_err(|error| anyhow!("{flag}: {error}; fields of every format: {own}"))?;
            }
        }
        let captured: Vec<_> = captured.into_iter().collect();
        let format = format.with_captured(&captured).map_err(anyhow::Error::msg)?;
        let has_rules = !labels.is_empty() || !drops.is_empty();
        let rules = has_rules.then(|| Self::new(labels.to_vec(), drops.to_vec(), &captured));
        Ok((format, rules))
    }

    /// Resolves the fields of rules; a field that is not captured is the path.
    pub(crate) fn new(labels: Vec<Label>, drops: Vec<DropRule>, captured: &[&str]) -> Self {
        let source = |field: &str| {
            let captured = captured.iter().position(|name| *name == field).map(Source::Captured);
            Source::named(field).or(captured).unwrap_or(Source::Path)
        };
        Self {
            labels: labels.into_iter().map(|label| (source(&label.field), label)).collect(),
            drops: drops.into_iter().map(|drop| (source(&drop.field), drop)).collect(),
            found: vec![None; captured.len()],
            container: Default::default(),
        }
    }

    /// Sets the log whose lines follow; the first path with names of a container gives them.
    pub(crate) fn set_log<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        let names = paths.into_iter().find_map(container::names).unwrap_or_default();
        for (known, name) in self.container.iter_mut().zip(names) {
            known.clear();
            known.extend_from_slice(name.as_bytes());
        }
    }

    /// Finds the captured fields of a line that matches the format.
    pub(crate) fn find(&mut self, format: &mut Format, line: &[u8]) {
        if !self.found.is_empty() {
            format.capture(line, &mut self.found);
        }
    }

    /// Whether there are labels.
    pub(crate) fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Whether lines may be dropped.
    pub(crate) fn has_drops(&self) -> bool {
        !self.drops.is_empty()
    }

    /// Whether the current line is dropped.
    pub(crate) fn is_dropped(&self, line: &RequestLine<'_>) -> bool {
        let text = |source: Source| source.text(&self.found, &self.container, line);
        self.drops.iter().any(|(source, drop)| text(*source).is_some_and(|text| drop.pattern.is_match(text)))
    }

    /// Appends the value of every label, each after a separator.
    pub(crate) fn append_labels(&mut self, line: &RequestLine<'_>, values: &mut Vec<u8>) {
        let Self { labels, found, container, .. } = self;
        for (source, label) in labels {
            values.push(SEPARATOR as u8);
            label.append(source.text(found, container, line), values);
        }
    }
}

impl Source {
    /// The source with a name, if it is not a field of the format.
    fn named(name: &str) -> Option<Self> {
        match name {
            METHOD => Some(Self::Method),
            STATUS_CLASS => Some(Self::StatusClass),
            _ => CONTAINER.iter().position(|known| *known == name).map(Self::Container),
        }
    }

    /// The text in a line; `None` if it has no such field.
    fn text<'a>(
        self,
        found: &[Option<Range<usize>>],
        container: &'a [Vec<u8>],
        line: &RequestLine<'a>,
    ) -> Option<&'a [u8]> {
        match self {
            Self::Path => Some(line.path).filter(|path| !path.is_empty()),
            Self::Captured(index) => line.text.get(found.get(index)?.clone()?),
            Self::Container(index) => container.get(index).map(Vec::as_slice).filter(|name| !name.is_empty()),
            Self::Method => Some(line.method.name().as_bytes()),
            Self::StatusClass => CLASSES.get(line.status.index() / 100).map(|class| class.as_bytes()),
        }
    }
}

//! The rules that flags define for the fields of a line: labels.

use std::ops::Range;

use crate::format::Format;
use crate::metrics::label::{Label, SEPARATOR};

/// All rules, and the fields of the current line.
#[derive(Debug)]
pub(crate) struct LineRules {
    labels: Vec<(Source, Label)>,
    /// The positions of the captured fields; allocated once.
    found: Vec<Option<Range<usize>>>,
}

/// Where the text of a field is.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The path of the request, which all formats have in the same form.
    Path,
    /// The index of a captured field.
    Captured(usize),
}

/// The name of the path of a request, without its query, in every format that has it.
pub(crate) const PATH: &str = "path";

impl LineRules {
    /// Resolves the fields of rules; a field that is not captured is the path.
    pub(crate) fn new(labels: Vec<Label>, captured: &[&str]) -> Self {
        let source =
            |field: &str| captured.iter().position(|name| *name == field).map_or(Source::Path, Source::Captured);
        Self {
            labels: labels.into_iter().map(|label| (source(&label.field), label)).collect(),
            found: vec![None; captured.len()],
        }
    }

    /// Finds the captured fields of a line that matches the format.
    pub(crate) fn find(&mut self, format: &mut Format, line: &[u8]) {
        if !self.found.is_empty() {
            format.capture(line, &mut self.found);
        }
    }

    /// Appends the value of every label, each after a separator.
    pub(crate) fn append_labels(&mut self, line: &[u8], path: &[u8], values: &mut Vec<u8>) {
        for (source, label) in &mut self.labels {
            values.push(SEPARATOR as u8);
            label.append(source.text(&self.found, line, path), values);
        }
    }
}

impl Source {
    fn text<'a>(self, found: &[Option<Range<usize>>], line: &'a [u8], path: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Path => Some(path),
            Self::Captured(index) => line.get(found.get(index)?.clone()?),
        }
    }
}

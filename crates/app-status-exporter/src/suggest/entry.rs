//! The metrics of the configuration, each with a comment. Each one is tested with the page before it is printed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::hash::RandomState;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::changes::change;
use super::guess::{Guess, Names, Number, guess};
use super::walk::{PathValues, ValuePath, text, walk};
use super::words::words;
use crate::config;
use crate::json::document::{Document, NodeId, Value};
use crate::metrics::mapping;

/// The maximum number of series of all metrics.
const MAX_SERIES: usize = 2000;

/// The maximum duration of a test of a metric.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The lines of `metrics:`.
///
/// # Errors
/// The page has no value for a metric.
pub(super) async fn metrics(
    document: &Document<'_>,
    second: Option<&Document<'_>>,
    prefix: &str,
) -> Result<Vec<String>> {
    let mut printed = Printed { document, prefix, lines: Vec::new(), names: BTreeSet::new(), series: 0 };
    let mut infos = Vec::new();
    for (value_path, found) in walk(document) {
        match found {
            PathValues::Nothing(why) => printed.comment(&value_path, None, &why),
            PathValues::Scalars { .. } if value_path.is_label() => {}
            PathValues::Scalars { values, null } => {
                let guess = guess_values(document, &value_path, &values, second);
                match guess {
                    Guess::Number(number) => printed.number(&value_path, &values, null, number).await,
                    Guess::State(states, reason) => printed.states(&value_path, &values, null, &states, reason).await,
                    Guess::Info if value_path.elements.is_none() && !null => infos.push(value_path),
                    Guess::Info => printed.comment(&value_path, values.first(), "a text: use it as a label"),
                    Guess::Nothing(why) => printed.comment(&value_path, values.first(), why),
                }
            }
        }
        if printed.series > MAX_SERIES {
            printed.lines.push(format!("# more than {MAX_SERIES} series: the other values of the page are left out"));
            break;
        }
    }
    printed.info(&infos).await;
    ensure!(!printed.names.is_empty(), "the page has no value for a metric: {}", printed.lines.join("; "));
    Ok(printed.lines)
}

fn guess_values(
    document: &Document<'_>,
    value_path: &ValuePath,
    values: &[NodeId],
    second: Option<&Document<'_>>,
) -> Guess {
    let all: Vec<_> = value_path.keys.iter().flat_map(|key| words(key)).collect();
    let last = value_path.keys.last().map(|key| words(key)).unwrap_or_default();
    let texts: Vec<_> = values.iter().map(|id| text(document, *id)).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let are_texts = values.iter().any(|id| matches!(document.value(*id), Value::Text(_)));
    let mut guess = guess(&Names { all: &all, last: &last }, &texts, are_texts, change(document, values, second));
    if let Guess::Number(number) = &mut guess
        && values.iter().all(|id| matches!(document.value(*id), Value::Bool(_)))
    {
        number.is_counter = false;
        "true is 1, false is 0".clone_into(&mut number.reason);
    }
    guess
}

/// The lines so far.
struct Printed<'d> {
    document: &'d Document<'d>,
    prefix: &'d str,
    lines: Vec<String>,
    /// The names of metrics.
    names: BTreeSet<String>,
    series: usize,
}

impl Printed<'_> {
    async fn number(&mut self, value_path: &ValuePath, values: &[NodeId], null: bool, number: Number) {
        let kind = if number.is_counter { "counter" } else { "gauge" };
        let mut keys = vec![("valuetype", kind.to_owned())];
        keys.extend(number.format.map(|format| ("format", format.to_owned())));
        keys.extend(number.scale.map(|scale| ("scale", scale.to_string())));
        let mut words = number.words;
        words.extend(number.is_counter.then(|| "total".to_owned()));
        self.metric(value_path, values, null, &words, keys, &number.reason, 1).await;
    }

    async fn states(&mut self, value_path: &ValuePath, values: &[NodeId], null: bool, states: &[String], reason: &str) {
        let list: Vec<_> = states.iter().map(|state| quoted(state)).collect();
        let keys = vec![("valuetype", "stateset".to_owned()), ("states", format!("[{}]", list.join(", ")))];
        let words: Vec<_> = value_path.keys.iter().flat_map(|key| words(key)).collect();
        self.metric(value_path, values, null, &words, keys, reason, states.len()).await;
    }

    /// Adds a metric, or its reason as a comment if it fails with the page.
    #[expect(clippy::too_many_arguments, reason = "the parts of one entry")]
    async fn metric(
        &mut self,
        value_path: &ValuePath,
        values: &[NodeId],
        null: bool,
        words: &[String],
        keys: Vec<(&str, String)>,
        reason: &str,
        series_per_element: usize,
    ) {
        let name = self.name(words);
        let path = |path: &str| quoted(&format!("{{{}}}", if path.is_empty() { "." } else { path }));
        let mut fields = vec![("name", name.clone()), ("help", quoted(&help(value_path)))];
        match &value_path.elements {
            None => fields.push(("path", path(&value_path.path))),
            Some(elements) => fields.extend([("path", path(elements)), ("value", path(&value_path.path))]),
        }
        fields.extend(keys);
        if !value_path.labels.is_empty() {
            fields.push(("labels", map(&value_path.labels)));
        }
        if values.len() < value_path.count {
            fields.push(("if_missing", "skip".to_owned()));
        }
        if null {
            fields.push(("if_null", "skip".to_owned()));
        }
        let line = line(&fields);
        match test(self.document, &line).await {
            Ok(()) => {
                self.comment(value_path, values.first(), reason);
                self.lines.push(line);
                self.names.insert(name);
                self.series += value_path.count * series_per_element;
            }
            Err(why) => self.comment(value_path, values.first(), &why),
        }
    }

    /// Adds the texts that are labels of an info metric.
    async fn info(&mut self, paths: &[ValuePath]) {
        let mut labels: Vec<(String, String)> = Vec::new();
        for value_path in paths {
            let words: Vec<_> = value_path.keys.iter().flat_map(|key| words(key)).collect();
            let label = words.join("_");
            let is_name = label.starts_with(|first: char| first.is_ascii_alphabetic());
            if is_name && !labels.iter().any(|(other, _)| *other == label) {
                labels.push((label, format!("{{{}}}", value_path.path)));
            }
        }
        if labels.is_empty() {
            return;
        }
        let name = self.name(&["info".to_owned()]);
        let fields = [
            ("name", name.clone()),
            ("help", quoted("Texts of the status page.")),
            ("valuetype", "info".to_owned()),
            ("labels", map(&labels)),
        ];
        let line = line(&fields);
        match test(self.document, &line).await {
            Ok(()) => {
                self.lines.extend(["# texts that seldom change; each change makes a new series".to_owned(), line]);
                self.names.insert(name);
            }
            Err(why) => self.lines.push(format!("# texts that seldom change: {why}")),
        }
    }

    fn comment(&mut self, value_path: &ValuePath, example: Option<&NodeId>, why: &str) {
        let mut line = format!("# {}{}", value_path.elements.as_deref().unwrap_or_default(), value_path.path);
        if let Some(example) = example {
            let _ = write!(line, " is {}", self.document.describe(*example));
        }
        if value_path.count > 1 {
            let _ = write!(line, " in the first of {} elements", value_path.count);
        }
        let _ = write!(line, ": {}", why.replace(char::is_control, " "));
        self.lines.push(line);
    }

    /// A name that no other metric has.
    fn name(&self, words: &[String]) -> String {
        let name = if words.is_empty() {
            format!("{}_value", self.prefix)
        } else {
            format!("{}_{}", self.prefix, words.join("_"))
        };
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !self.names.contains(name)).unwrap_or(name)
    }
}

/// Maps the page with one metric. The error is a reason for the comment.
async fn test(document: &Document<'_>, line: &str) -> Result<(), String> {
    let text = format!("modules:\n  default:\n    metrics:\n      {line}\n");
    let module = config::parse(&text).map_err(|error| error.message)?;
    let deadline = Instant::now() + TIMEOUT;
    let mapped = mapping::map(&module.metrics, 0, document, deadline, &RandomState::new()).await;
    let mapped = mapped.map_err(|error| error.error.to_string())?;
    mapped.lost.first().map_or(Ok(()), |lost| Err(lost.message.clone()))
}

fn help(value_path: &ValuePath) -> String {
    let keys: Vec<_> = value_path.keys.iter().map(|key| key.replace(char::is_control, " ")).collect();
    match keys.is_empty() {
        true => "From the status page.".to_owned(),
        false => format!("From {} of the status page.", keys.join(".")),
    }
}

fn map(entries: &[(String, String)]) -> String {
    let entries: Vec<_> = entries.iter().map(|(name, value)| format!("{name}: {}", quoted(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// An entry of a list in one line.
fn line(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("- {{{}}}", fields.join(", "))
}

/// A text in YAML's quotes.
fn quoted(text: &str) -> String {
    if text.contains('\'') {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("'{text}'")
    }
}

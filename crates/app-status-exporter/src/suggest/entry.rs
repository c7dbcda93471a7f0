//! The metrics of the configuration, each with a comment. Each one is tested with the page before it is printed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::hash::RandomState;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::changes::change;
use super::guess::{Guess, Names, Number, guess};
use super::walk::{Found, Place, text, walk};
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
    for (place, found) in walk(document) {
        match found {
            Found::Nothing(why) => printed.comment(&place, None, &why),
            Found::Scalars { .. } if place.is_label() => {}
            Found::Scalars { values, null } => {
                let guess = guess_values(document, &place, &values, second);
                match guess {
                    Guess::Number(number) => printed.number(&place, &values, null, number).await,
                    Guess::State(states, reason) => printed.states(&place, &values, null, &states, reason).await,
                    Guess::Info if place.elements.is_none() && !null => infos.push(place),
                    Guess::Info => printed.comment(&place, values.first(), "a text: use it as a label"),
                    Guess::Nothing(why) => printed.comment(&place, values.first(), why),
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

fn guess_values(document: &Document<'_>, place: &Place, values: &[NodeId], second: Option<&Document<'_>>) -> Guess {
    let all: Vec<_> = place.keys.iter().flat_map(|key| words(key)).collect();
    let last = place.keys.last().map(|key| words(key)).unwrap_or_default();
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
    async fn number(&mut self, place: &Place, values: &[NodeId], null: bool, number: Number) {
        let kind = if number.is_counter { "counter" } else { "gauge" };
        let mut keys = vec![("valuetype", kind.to_owned())];
        keys.extend(number.format.map(|format| ("format", format.to_owned())));
        keys.extend(number.scale.map(|scale| ("scale", scale.to_string())));
        let mut words = number.words;
        words.extend(number.is_counter.then(|| "total".to_owned()));
        self.metric(place, values, null, &words, keys, &number.reason, 1).await;
    }

    async fn states(&mut self, place: &Place, values: &[NodeId], null: bool, states: &[String], reason: &str) {
        let list: Vec<_> = states.iter().map(|state| quoted(state)).collect();
        let keys = vec![("valuetype", "stateset".to_owned()), ("states", format!("[{}]", list.join(", ")))];
        let words: Vec<_> = place.keys.iter().flat_map(|key| words(key)).collect();
        self.metric(place, values, null, &words, keys, reason, states.len()).await;
    }

    /// Adds a metric, or its reason as a comment if it fails with the page.
    #[expect(clippy::too_many_arguments, reason = "the parts of one entry")]
    async fn metric(
        &mut self,
        place: &Place,
        values: &[NodeId],
        null: bool,
        words: &[String],
        keys: Vec<(&str, String)>,
        reason: &str,
        series_per_element: usize,
    ) {
        let name = self.name(words);
        let path = |path: &str| quoted(&format!("{{{}}}", if path.is_empty() { "." } else { path }));
        let mut fields = vec![("name", name.clone()), ("help", quoted(&help(place)))];
        match &place.elements {
            None => fields.push(("path", path(&place.path))),
            Some(elements) => fields.extend([("path", path(elements)), ("value", path(&place.path))]),
        }
        fields.extend(keys);
        if !place.labels.is_empty() {
            fields.push(("labels", map(&place.labels)));
        }
        if values.len() < place.count {
            fields.push(("if_missing", "skip".to_owned()));
        }
        if null {
            fields.push(("if_null", "skip".to_owned()));
        }
        let line = line(&fields);
        match test(self.document, &line).await {
            Ok(()) => {
                self.comment(place, values.first(), reason);
                self.lines.push(line);
                self.names.insert(name);
                self.series += place.count * series_per_element;
            }
            Err(why) => self.comment(place, values.first(), &why),
        }
    }

    /// Adds the texts that are labels of an info metric.
    async fn info(&mut self, places: &[Place]) {
        let mut labels: Vec<(String, String)> = Vec::new();
        for place in places {
            let words: Vec<_> = place.keys.iter().flat_map(|key| words(key)).collect();
            let label = words.join("_");
            let is_name = label.starts_with(|first: char| first.is_ascii_alphabetic());
            if is_name && !labels.iter().any(|(other, _)| *other == label) {
                labels.push((label, format!("{{{}}}", place.path)));
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

    fn comment(&mut self, place: &Place, example: Option<&NodeId>, why: &str) {
        let mut line = format!("# {}{}", place.elements.as_deref().unwrap_or_default(), place.path);
        if let Some(example) = example {
            let _ = write!(line, " is {}", self.document.describe(*example));
        }
        if place.count > 1 {
            let _ = write!(line, " in the first of {} elements", place.count);
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

fn help(place: &Place) -> String {
    let keys: Vec<_> = place.keys.iter().map(|key| key.replace(char::is_control, " ")).collect();
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

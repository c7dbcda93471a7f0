//! Counts the lines of one namespace.

use std::borrow::Cow;
use std::ops::Range;

use super::config::NamespaceConfig;
use super::counts::{Budget, Requests, TIMES, Table, Times, Totals};
use super::relabel::Relabel;
use crate::format::request::{Number, Unit};
use crate::format::{CapturedField, Format};
use crate::metrics::health::LineResult;
use crate::metrics::label::{OTHER, SEPARATOR};

/// The counters of a namespace.
#[derive(Debug)]
pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) prefix: String,
    /// Labels that all series have.
    pub(super) labels: Vec<(String, String)>,
    /// Whether the first label is the namespace's, which the counter of errors has, too.
    pub(super) has_label: bool,
    pub(super) tags: Vec<String>,
    pub(super) format: Format,
    is_json: bool,
    /// Each with the index of its field among the found ones.
    relabels: Vec<(Option<usize>, Relabel)>,
    /// The indexes of [`NUMBERS`] among the fields that are found.
    numbers: [Option<usize>; NUMBERS.len()],
    /// The positions of the fields in the current line; allocated once.
    found: Vec<Option<CapturedField>>,
    /// The upper bounds of histograms in seconds, and in nanoseconds.
    pub(super) bounds: Vec<f64>,
    pub(super) nanoseconds: Vec<u64>,
    pub(super) requests: Table<Requests>,
    pub(super) rest: Table<Totals>,
    /// Lines and numbers that could not be parsed.
    pub(super) parse_errors: u64,
    keys: Keys,
}

/// The values of labels with separators between them; allocated once.
#[derive(Debug, Default)]
struct Keys {
    requests: Vec<u8>,
    /// Without the labels that only the counter of requests has.
    rest: Vec<u8>,
    /// The same with other as the value of every label but method and status.
    requests_fallback: Vec<u8>,
    rest_fallback: Vec<u8>,
}

/// The fields that are numbers: bytes, then durations.
const NUMBERS: [&str; 2 + TIMES] =
    ["body_bytes_sent", "request_length", "request_time", "upstream_response_time", "upstream_connect_time"];

impl Namespace {
    /// Creates the counters of a namespace.
    pub(super) fn new(config: &NamespaceConfig, budget: &mut Budget) -> Result<Self, String> {
        let mut names: Vec<&str> = NUMBERS.to_vec();
        for relabel in &config.relabels {
            if !names.contains(&relabel.from.as_str()) {
                names.push(&relabel.from);
            }
        }
        let (format, known) = Format::of_fields(config.format.as_deref(), &names)?;
        let index = |name: &str| names.iter().position(|other| *other == name).filter(|index| known[*index]);
        let relabels: Vec<_> = config.relabels.iter().map(|relabel| (index(&relabel.from), relabel.clone())).collect();
        for (_, relabel) in relabels.iter().filter(|(index, _)| index.is_none()) {
            let Relabel { label, from, .. } = relabel;
            tracing::warn!(namespace = config.name, label, from, "the format has no such field: the label is empty");
        }
        let numbers = NUMBERS.map(index);
        let has = |number: &Option<usize>| usize::from(number.is_some());
        let times = numbers[2..].iter().map(has).sum::<usize>() * Times::series(config.buckets.len());
        let series = numbers[..2].iter().map(has).sum::<usize>() + times;
        let in_rest = relabels.iter().filter(|(_, relabel)| !relabel.only_counter).count();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let nanoseconds = config.buckets.iter().map(|bound| (bound * 1e9).round() as u64).collect();
        Ok(Self {
            name: config.name.clone(),
            prefix: config.prefix.clone(),
            labels: config.labels.clone(),
            has_label: config.has_label,
            tags: config.tags.clone(),
            is_json: config.format.is_none(),
            found: vec![None; names.len()],
            bounds: config.buckets.clone(),
            nanoseconds,
            requests: Table::new(relabels.len(), 1, budget),
            rest: Table::new(in_rest, series.max(1), budget),
            parse_errors: 0,
            keys: Keys::default(),
            format,
            relabels,
            numbers,
        })
    }

    /// The names of the labels with values of a line.
    pub(super) fn label_names(&self) -> impl Iterator<Item = &str> {
        self.relabels.iter().map(|(_, relabel)| relabel.label.as_str())
    }

    /// The same without the labels of the counter of requests.
    pub(super) fn rest_names(&self) -> impl Iterator<Item = &str> {
        let relabels = self.relabels.iter().filter(|(_, relabel)| !relabel.only_counter);
        relabels.map(|(_, relabel)| relabel.label.as_str())
    }

    /// Counts a line; `None` if it does not match the format.
    pub(super) fn count(&mut self, line: &[u8], interval: u64, budget: &mut Budget) -> Option<LineResult> {
        if !self.format.capture(line, &mut self.found) {
            self.parse_errors += 1;
            return None;
        }
        self.set_keys(line);
        let Keys { requests, rest, requests_fallback, rest_fallback } = &self.keys;
        let place = self.requests.place(requests, requests_fallback, budget);
        *self.requests.totals(place) += 1;
        let mut is_own = place.is_own;
        let place = self.rest.place(rest, rest_fallback, budget);
        is_own &= place.is_own;
        if !is_own {
            budget.overflow();
        }
        let text = |number: usize| line.get(self.found[self.numbers[number]?].as_ref()?.range.clone());
        let bytes = [number_of_bytes(text(0)), number_of_bytes(text(1))];
        let times = [text(2), text(3), text(4)].map(seconds);
        for (at, bytes) in bytes.into_iter().enumerate() {
            if let Number::Value(bytes) = bytes {
                *self.rest.totals(place).bytes[at].get_or_insert(0) += u128::from(bytes);
            }
        }
        for (at, time) in times.into_iter().enumerate() {
            if let Number::Value(nanoseconds) = time {
                let bounds = &self.nanoseconds;
                let times = self.rest.totals(place).times[at].get_or_insert_with(|| Box::new(Times::new(bounds.len())));
                times.observe(nanoseconds, bounds, interval);
            }
        }
        let wrong = bytes.into_iter().chain(times).filter(|number| *number == Number::Wrong).count();
        self.parse_errors += wrong as u64;
        Some(LineResult::of(wrong == 0))
    }

    /// Sets the keys of a line, whose fields are found.
    fn set_keys(&mut self, line: &[u8]) {
        let Keys { requests, rest, requests_fallback, rest_fallback } = &mut self.keys;
        let mut keys = [requests, rest, requests_fallback, rest_fallback];
        keys.iter_mut().for_each(|key| key.clear());
        let (mut is_first, mut is_first_of_rest) = (true, true);
        for (index, relabel) in &mut self.relabels {
            let range = index.and_then(|index| Some(self.found[index].as_ref()?.range.clone()));
            let text = range
                .and_then(|range| if self.is_json { json_text(line, range) } else { line.get(range).map(Cow::from) });
            let [requests, rest, requests_fallback, rest_fallback] = &mut keys;
            if !std::mem::take(&mut is_first) {
                requests.push(SEPARATOR as u8);
                requests_fallback.push(SEPARATOR as u8);
            }
            let begin = requests.len();
            relabel.append(text.as_deref(), requests);
            let value = &requests[begin..];
            let fallback = if matches!(relabel.label.as_str(), "method" | "status") { value } else { OTHER.as_bytes() };
            requests_fallback.extend_from_slice(fallback);
            if !relabel.only_counter {
                if !std::mem::take(&mut is_first_of_rest) {
                    rest.push(SEPARATOR as u8);
                    rest_fallback.push(SEPARATOR as u8);
                }
                rest.extend_from_slice(value);
                rest_fallback.extend_from_slice(fallback);
            }
        }
    }
}

/// The text of a value in JSON, without escapes.
fn json_text(line: &[u8], range: Range<usize>) -> Option<Cow<'_, [u8]>> {
    let text = line.get(range.clone())?;
    if !text.contains(&b'\\') {
        return Some(text.into());
    }
    let quoted = line.get(range.start.checked_sub(1)?..range.end + 1)?;
    Some(serde_json::from_slice::<String>(quoted).map_or(text.into(), |text| text.into_bytes().into()))
}

/// A number of bytes; absent if the field is missing, empty or `-`.
fn number_of_bytes(text: Option<&[u8]>) -> Number {
    match text {
        None | Some(b"" | b"-") => Number::Absent,
        Some(text) => match Number::bytes(text) {
            // JSON may have a fraction and an exponent
            Number::Wrong => whole(text, 1.0, 1e18),
            number => number,
        },
    }
}

/// A number as Go reads it, times a factor, rounded to an integer.
fn whole(text: &[u8], factor: f64, limit: f64) -> Number {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match number.map(|number| number * factor).filter(|number| (0.0..limit).contains(number)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        Some(number) => Number::Value(number.round() as u64),
        None => Number::Wrong,
    }
}

/// The sum of a list of durations; absent if the field is missing or no item is a number.
fn seconds(text: Option<&[u8]>) -> Number {
    let Some(text) = text else { return Number::Absent };
    let number = Number::times(text, Unit::Seconds);
    if number != Number::Wrong || !text.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return number;
    }
    whole(text, 1e9, 1e18) // JSON may have an exponent
}

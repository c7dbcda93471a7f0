//! Guesses the type, the unit and the conversion of a value from the words of its keys and from its texts.

use super::words::{self, any};
use crate::metrics::conversion::{Conversion, Format, timestamp};

/// How a value changed between two reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Change {
    /// There was only one read.
    #[default]
    Unknown,
    /// In one element at least, and it fell in none.
    Rose,
    Fell,
    Same,
}

/// The guess for a value.
#[derive(Debug, PartialEq)]
pub(super) enum Guess {
    Number(Number),
    /// One of these states.
    State(Vec<String>, &'static str),
    /// A label of an info metric.
    Info,
    /// Nothing, with the reason.
    Nothing(&'static str),
}

/// The guess for a number.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Number {
    pub(super) is_counter: bool,
    /// The words of the metric's name, with the unit and without `total`.
    pub(super) words: Vec<String>,
    pub(super) format: Option<&'static str>,
    pub(super) scale: Option<f64>,
    pub(super) reason: String,
}

/// The words of a value's keys: of all of them for the name and the unit, of the last one for the type.
pub(super) struct Names<'a> {
    pub(super) all: &'a [String],
    pub(super) last: &'a [String],
}

/// Guesses a number from its words and values. `format` is the format of texts that are not plain numbers.
fn number(names: &Names<'_>, values: &[f64], format: Option<&'static str>, change: Change) -> Number {
    let all = names.all;
    let mut words = all.to_vec();
    let with_unit = |mut words: Vec<String>, unit: &str| {
        words.retain(|word| word != unit);
        words.push(unit.to_owned());
        words
    };
    let within = |low: f64, high: f64| values.iter().all(|value| (low..high).contains(value));
    let since_1970 = within(1e9, 5e9) || within(1e12, 5e12) || within(1e15, 5e15) || within(1e18, 5e18);
    if format == Some("time") || since_1970 && any(names.last, words::TIMES) {
        words.retain(|word| !matches!(word.as_str(), "time" | "timestamp" | "ts" | "epoch" | "ms" | "seconds"));
        words.extend(["timestamp".to_owned(), "seconds".to_owned()]);
        let reason = "a time, in seconds since 1970".to_owned();
        return Number { words, format: Some("time"), reason, ..Number::default() };
    }
    if format == Some("duration") {
        let words = with_unit(words, "seconds");
        return Number { words, format, reason: "a duration in seconds".to_owned(), ..Number::default() };
    }
    let mut reasons = Vec::new();
    let mut scale = None;
    if let Some((at, unit, factor)) = words::unit(all) {
        words.remove(at);
        words = with_unit(words, unit);
        scale = (factor != 1.0).then_some(factor);
        reasons.push(format!("in {unit}, because of \"{}\"", all[at]));
    } else if any(all, &["uptime"]) {
        words = with_unit(words, "seconds");
        reasons.push("an uptime, assumed to be in seconds".to_owned());
    } else if any(all, words::SIZES) && values.iter().any(|value| *value >= 65_536.0) {
        words = with_unit(words, "bytes");
        reasons.push("a size, assumed to be in bytes".to_owned());
    }
    let whole = values.iter().all(|value| *value >= 0.0 && value.fract() == 0.0);
    let may_fall = any(names.last, words::GAUGES);
    let named_counter = whole && any(all, words::COUNTERS);
    let (is_counter, reason) = match change {
        _ if may_fall => (false, "a gauge, because of its name"),
        Change::Rose => (true, "a counter, because it rose"),
        Change::Fell => (false, "a gauge, because it fell"),
        Change::Same if named_counter => (true, "a counter, because of its name; it did not change"),
        Change::Unknown if named_counter => (true, "a counter, because of its name"),
        Change::Same => (false, "assumed to be a gauge; it did not change"),
        Change::Unknown => (false, "assumed to be a gauge"),
    };
    reasons.push(reason.to_owned());
    if is_counter {
        words.retain(|word| word != "total");
    }
    // these endings are for counters and histograms
    while words.len() > 1
        && words.last().is_some_and(|word| matches!(word.as_str(), "total" | "count" | "sum" | "bucket" | "info"))
    {
        words.pop();
    }
    Number { is_counter, words, format, scale, reason: reasons.join("; ") }
}

/// Guesses a value from its words and its texts, at least one. `are_texts` is whether the page has strings.
pub(super) fn guess(names: &Names<'_>, texts: &[&str], are_texts: bool, change: Change) -> Guess {
    let in_format = |format| {
        let conversion = Conversion { format, ..Conversion::default() };
        let numbers = texts.iter().map(|text| conversion.number(text).ok());
        numbers.collect::<Option<Vec<_>>>()
    };
    if are_texts && any(names.last, words::STATES) && in_format(Format::Number).is_none() {
        return state(texts, true);
    }
    if let Some(numbers) = in_format(Format::Number).filter(|numbers| numbers.iter().all(|number| number.is_finite())) {
        if are_texts && any(names.last, words::INFOS) {
            return Guess::Info;
        }
        return Guess::Number(number(names, &numbers, None, change));
    }
    let has_date = texts.iter().all(|text| text.contains('-') && timestamp(text).is_some());
    if has_date {
        return Guess::Number(number(names, &[], Some("time"), change));
    }
    let durations = in_format(Format::Duration);
    if let Some(durations) = durations.filter(|_| any(names.last, words::DURATIONS)) {
        return Guess::Number(number(names, &durations, Some("duration"), change));
    }
    if let Some(quantities) = in_format(Format::Quantity) {
        return quantity(names, texts, &quantities, change);
    }
    match state(texts, false) {
        Guess::Nothing(_) if any(names.last, words::INFOS) && texts.iter().all(|text| text.len() <= 64) => Guess::Info,
        guess => guess,
    }
}

fn quantity(names: &Names<'_>, texts: &[&str], numbers: &[f64], change: Change) -> Guess {
    let unit = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit() || "+-. eE".contains(c)).to_owned();
    let units: Vec<_> = texts.iter().map(|text| unit(text)).collect();
    let all_end_in = |ends: &[&str]| units.iter().all(|unit| ends.iter().any(|end| unit.ends_with(end)));
    if all_end_in(&["m"]) && texts.iter().all(|text| text.ends_with('m')) {
        return Guess::Nothing("m can be minutes, milli or meters: set format: duration or format: quantity");
    }
    let mut guess = number(names, numbers, Some("quantity"), change);
    if all_end_in(&["%"]) {
        guess.scale = Some(0.01);
        guess.words.retain(|word| word != "ratio");
        guess.words.push("ratio".to_owned());
    } else if all_end_in(&["B", "byte", "bytes", "Ki", "Mi", "Gi", "Ti"])
        && !guess.words.iter().any(|word| word == "bytes")
    {
        guess.words.push("bytes".to_owned());
    }
    guess.reason = format!("with a unit; {}", guess.reason);
    Guess::Number(guess)
}

/// The guess for texts that are states, if the name says so or all of them are in a known group.
fn state(texts: &[&str], named: bool) -> Guess {
    let is = |state: &str, text: &&str| text.to_lowercase().replace(['-', ' '], "_") == state;
    let known =
        words::STATE_GROUPS.iter().find(|group| texts.iter().all(|text| group.iter().any(|state| is(state, text))));
    if let Some(group) = known {
        // as the page writes the states that it has
        let written = |state: &&str| match texts.iter().find(|text| is(state, text)) {
            Some(text) => (*text).to_owned(),
            None if texts.iter().all(|text| text.to_uppercase() == **text) => state.to_uppercase(),
            None => (*state).to_owned(),
        };
        return Guess::State(
            group.iter().map(written).collect(),
            "a state; the states that the page did not show are guessed",
        );
    }
    let mut states: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
    states.sort();
    states.dedup();
    match states.len() {
        2..=10 if named && states.iter().all(|state| !state.is_empty() && state.len() <= 64) => {
            Guess::State(states, "a state; add the states that the page did not show")
        }
        _ if named => {
            Guess::Nothing("a state whose other values are unknown: use valuetype: stateset, and list all states")
        }
        _ => Guess::Nothing("a text: use it as a label, or give its values numbers with map"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::words;
    use super::*;

    /// The guess in one line: words, type, format, scale.
    fn line(key: &str, texts: &[&str], are_texts: bool, change: Change) -> String {
        let words = words(key);
        match guess(&Names { all: &words, last: &words }, texts, are_texts, change) {
            Guess::Number(number) => {
                let kind = if number.is_counter { "counter" } else { "gauge" };
                let format = number.format.map(|format| format!(" {format}")).unwrap_or_default();
                let scale = number.scale.map(|scale| format!(" *{scale}")).unwrap_or_default();
                format!("{} {kind}{format}{scale}", number.words.join("_"))
            }
            Guess::State(states, _) => states.join("|"),
            Guess::Info => "info".to_owned(),
            Guess::Nothing(_) => "nothing".to_owned(),
        }
    }

    #[test]
    fn numbers_are_guessed_from_names_and_values() {
        for (key, text, expected) in [
            ("total_uptime", "123456.5", "total_uptime_seconds gauge"),
            ("current_requests", "7", "current_requests gauge"),
            ("requests", "7", "requests counter"),
            ("Total Accesses", "7", "accesses counter"),
            ("Total kBytes", "7", "bytes counter *1024"),
            ("latency_ms", "12.5", "latency_seconds gauge *0.001"),
            ("cpuPercent", "99", "cpu_ratio gauge *0.01"),
            ("heap_size", "1048576", "heap_size_bytes gauge"),
            ("heap_size", "12", "heap_size gauge"),
            ("start time", "1796015488", "start_timestamp_seconds gauge time"),
            ("updatedAt", "1796015488000", "updated_at_timestamp_seconds gauge time"),
            ("thread_count", "7", "thread gauge"),
            ("errors", "0.5", "errors gauge"),
            ("up", "true", "up gauge"),
        ] {
            assert_eq!(line(key, &[text], false, Change::Unknown), expected, "{key} {text}");
        }
    }

    #[test]
    fn texts_are_guessed_from_names_and_values() {
        for (key, text, expected) in [
            ("memory", "1000 MB", "memory_bytes gauge quantity"),
            ("cpu", "12.5 %", "cpu_ratio gauge quantity *0.01"),
            ("uptime", "1d22h", "uptime_seconds gauge duration"),
            ("started", "2026-11-20T09:26:10Z", "started_timestamp_seconds gauge time"),
            ("cpu", "150m", "nothing"),
            ("health", "healthy", "healthy|unhealthy"),
            ("status", "UP", "UP|DOWN"),
            ("mood", "ok", "ok|error"),
            ("status", "so-so", "nothing"),
            ("version", "1.2", "info"),
            ("version", "1.2.3", "info"),
            ("greeting", "hello", "nothing"),
            ("jobs", "7", "jobs gauge"),
        ] {
            assert_eq!(line(key, &[text], true, Change::Unknown), expected, "{key} {text}");
        }
        assert_eq!(line("status", &["OPEN", "UP", "OPEN"], true, Change::Unknown), "OPEN|UP");
    }

    #[test]
    fn a_second_read_tells_counters_from_gauges() {
        for (key, change, expected) in [
            ("things", Change::Rose, "things counter"),
            ("things", Change::Fell, "things gauge"),
            ("things", Change::Same, "things gauge"),
            ("errors", Change::Same, "errors counter"),
            ("errors", Change::Fell, "errors gauge"),
            ("errors_pending", Change::Rose, "errors_pending gauge"),
        ] {
            assert_eq!(line(key, &["7"], false, change), expected, "{key} {change:?}");
        }
    }
}

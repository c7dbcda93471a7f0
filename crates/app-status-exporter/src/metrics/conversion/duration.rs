//! Durations.

use exporter_common::config::duration::{split_number, sum};

/// Parses a duration into seconds: `1d22h`, `250ms`, `01:02:03`, `PT5M`, or a number of seconds. A number next to other
/// parts needs a unit: `1h30` could be minutes or seconds.
pub(super) fn duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |text| (-1.0, text));
    let in_exponent =
        |before: &str| before.strip_suffix(['e', 'E']).is_some_and(|number| number.ends_with(char::is_numeric));
    if text.match_indices(['+', '-']).any(|(at, _)| !in_exponent(&text[..at])) {
        return None;
    }
    if text.contains(':') {
        return clock(text).map(|seconds| sign * seconds);
    }
    if let Some(iso) = text.strip_prefix('P') {
        let (date, time) = iso.split_once('T').unwrap_or((iso, ""));
        let days = sum(date, |unit| match unit {
            "D" => Some(86_400.0),
            "W" => Some(604_800.0),
            _ => None, // months and years have no fixed length
        })?;
        let seconds = sum(time, |unit| match unit {
            "H" => Some(3600.0),
            "M" => Some(60.0),
            "S" => Some(1.0),
            _ => None,
        })?;
        return (!iso.is_empty() && iso != "T").then_some(sign * (days + seconds));
    }
    if let Some((number, "")) = split_number(text) {
        return number.parse::<f64>().ok().map(|seconds| sign * seconds);
    }
    if text.is_empty() || !is_list_of_parts(text) {
        return None;
    }
    let seconds = sum(text, |unit| {
        Some(match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1e-3,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return None,
        })
    })?;
    Some(sign * seconds)
}

/// Whether a comma is only between parts, followed by a blank or a digit after a unit: `2 days, 4 hours`.
fn is_list_of_parts(text: &str) -> bool {
    let mut previous = ' ';
    text.chars().all(|character| {
        let separates = character != ',' || previous.is_alphabetic();
        previous = character;
        separates
    }) && !text.ends_with(',')
}

/// Parses `02:03`, `01:02:03.5`, `3 days, 1:02:03` or `1.02:03:04`. Only the first field may exceed its unit.
fn clock(text: &str) -> Option<f64> {
    let (days, clock) = match text.split_once("day") {
        Some((days, clock)) => (days.trim(), clock.trim_start_matches(['s', ',', ' '])),
        None => match text.split_once('.') {
            Some((days, clock)) if clock.contains(':') => (days, clock),
            _ => ("0", text),
        },
    };
    let fields: Vec<&str> = clock.split(':').collect();
    let (last, others) = fields.split_last()?;
    let mut seconds = 0.0;
    for (at, field) in others.iter().enumerate() {
        let number = field.parse::<u32>().ok().filter(|number| at == 0 || *number < 60)?;
        seconds = seconds * 60.0 + f64::from(number);
    }
    let digits = last.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let last: f64 = last.parse().ok().filter(|last| digits && *last < 60.0)?;
    let days = f64::from(days.parse::<u32>().ok()?);
    ((2..=3).contains(&fields.len())).then_some(days * 86_400.0 + seconds * 60.0 + last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_seconds() {
        for (text, expected) in [
            ("1d22h", 165_600.0),
            ("1h30m", 5400.0),
            ("250ms", 0.25),
            ("1.5s", 1.5),
            ("2 days, 4 hours", 187_200.0),
            ("3 hours", 10_800.0),
            ("3 min", 180.0),
            ("01:02:03", 3723.0),
            ("100:02:03", 360_123.0),
            ("02:03.5", 123.5),
            ("12:30", 750.0),
            ("3 days, 1:00:00", 262_800.0),
            ("1.02:00:00", 93_600.0),
            ("P1DT2H3M4.5S", 93_784.5),
            ("PT0.25S", 0.25),
            ("-5m", -300.0),
            ("42", 42.0),
            ("1e3", 1000.0),
            ("1w", 604_800.0),
        ] {
            assert_eq!(duration(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_wholly_a_duration_is_invalid() {
        for text in [
            "",
            "soon",
            "1 fortnight",
            "P",
            "PT",
            "P1Y",
            "1:2:3:4",
            "a:b",
            "1:-2",
            "5m x",
            "1h30",
            "1,5h",
            "1,234 s",
            "1h-30m",
            "12:75",
            "1:60:00",
            "3/10",
            "2024-06-29",
            "1 2",
            "5m,",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}

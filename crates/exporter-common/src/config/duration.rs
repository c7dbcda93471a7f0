//! Durations as flags and configuration files write them: `500ms`, `5s`, `1m`, `1h30m`, `0`.
//!
//! ```
//! use std::time::Duration;
//!
//! use scrapewright::duration::{human, parse, parse_go, parse_positive, split_number, sum};
//!
//! assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
//! assert_eq!(parse_positive("0"), Err("must be longer than 0".to_owned()));
//! assert_eq!(parse_go("1.5s"), Some(Duration::from_millis(1500)));
//! assert_eq!(human(Duration::from_millis(250)), "250ms");
//! // the uptime of an application that has its own units
//! let seconds = |unit: &str| Some(if unit == "days" { 86_400.0 } else { 3600.0 });
//! assert_eq!(sum("2 days, 4 hours", seconds), Some(187_200.0));
//! assert_eq!(split_number("12.5MB"), Some(("12.5", "MB")));
//! ```

use std::time::Duration;

/// The longest duration that a flag accepts.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Parses a duration: numbers with a unit (`ms`, `s`, `m`, `h`, `d`), one after the other, or `0`.
///
/// # Errors
/// The text is not a duration, or is longer than a year.
pub fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let seconds = sum_plain(text, |unit| match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86_400.0),
        _ => None,
    });
    let seconds = seconds.ok_or_else(|| format!("'{text}' is not a duration: write 500ms, 5s, 1m or 1h30m"))?;
    if seconds > LONGEST.as_secs_f64() {
        return Err(format!("'{text}' is longer than a year"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a duration as Go writes it (`1.5s`, `1m30s`), or a whole number of nanoseconds. Negative durations count as 0.
pub fn parse_go(text: &str) -> Option<Duration> {
    if let Ok(nanos) = text.parse::<i64>() {
        return Some(Duration::from_nanos(nanos.max(0).unsigned_abs()));
    }
    let seconds = sum_plain(text.strip_prefix(['-', '+']).unwrap_or(text), |unit| match unit {
        "ns" => Some(1e-9),
        "us" | "µs" | "μs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    })?;
    Duration::try_from_secs_f64(if text.starts_with('-') { 0.0 } else { seconds }).ok()
}

/// The sum of plain decimal numbers, each followed by its unit.
fn sum_plain(text: &str, seconds_of_unit: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let plain = !text.is_empty() && !text.contains(['+', '-', 'e', 'E', ' ', ',']);
    plain.then(|| sum(text, seconds_of_unit)).flatten()
}

/// The sum in seconds of numbers with units, such as `1h30m` or `2 days, 4 hours`. An empty text sums up to 0.
pub fn sum(mut text: &str, seconds_of_unit: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut sum = 0.0;
    while !text.is_empty() {
        let (number, rest) = split_number(text)?;
        let rest = rest.trim_start();
        let end = rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        sum += number.parse::<f64>().ok()? * seconds_of_unit(unit)?;
        text = rest.trim_start_matches([' ', ',']);
    }
    Some(sum)
}

/// Splits a text after the number at its start; `None` if it does not start with a number.
pub fn split_number(text: &str) -> Option<(&str, &str)> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text[sign..].find(|character: char| !character.is_ascii_digit() && character != '.');
    let mut end = digits.map_or(text.len(), |digits| sign + digits);
    // an `e` without digits belongs to the unit
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            end += 1 + (exponent.len() - unsigned.len()) + digits;
        }
    }
    (end > sign).then(|| text.split_at(end))
}

/// Parses a duration that must not be 0.
///
/// # Errors
/// As [`parse`], and the duration is 0.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// Formats a duration for messages, to the millisecond.
pub fn human(duration: Duration) -> String {
    let seconds = (duration.as_secs_f64() * 1000.0).round() / 1000.0;
    if seconds < 1.0 { format!("{}ms", seconds * 1000.0) } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_prometheus_writes_them() {
        for (text, millis) in
            [("0", 0), ("500ms", 500), ("5s", 5000), ("1m", 60_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_rejected() {
        for text in ["", "5", "s", "5 s", "-5s", "5x", "1m5", "..s", "5sm", "9999999d", "5µs", "1e3s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_positive("0").is_err());
    }

    #[test]
    fn messages_round_durations_to_milliseconds() {
        assert_eq!(human(Duration::from_millis(9500)), "9.5s");
        assert_eq!(human(Duration::from_micros(250_400)), "250ms");
    }

    #[test]
    fn durations_are_parsed_as_go_writes_them() {
        for (text, nanos) in
            [("0", 0), ("1", 1), ("1s", 1_000_000_000), ("1m0.5s", 60_500_000_000), ("1.5ms", 1_500_000)]
        {
            assert_eq!(parse_go(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(parse_go("-1s"), Some(Duration::ZERO));
        for text in ["", "s", "1x", "1s ", "..s", "1e3s", "1h-1s"] {
            assert_eq!(parse_go(text), None, "{text}");
        }
    }
}

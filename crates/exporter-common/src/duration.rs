//! Durations as flags take them: `500ms`, `5s`, `1m`, `1h30m`, `0`.

use std::time::Duration;

/// Reads a duration: numbers with a unit (`ms`, `s`, `m`, `h`, `d`), one after the other, or `0`.
///
/// # Errors
/// What is wrong, and an example.
pub fn parse(text: &str) -> Result<Duration, String> {
    let fault = || format!("'{text}' is no duration; write it as 500ms, 5s, 1m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fault)?;
        let (number, unit_on) = rest.split_at(unit_at);
        let unit_len = unit_on.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit_on.len());
        let (unit, following) = unit_on.split_at(unit_len);
        let number: f64 = number.parse().map_err(|_| fault())?;
        seconds += number
            * match unit {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return Err(fault()),
            };
        rest = following;
    }
    if text.is_empty() {
        return Err(fault());
    }
    if seconds > 366.0 * 86_400.0 {
        return Err(format!("'{text}' is longer than a year"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// The same as [`parse`] for what must not be 0.
///
/// # Errors
/// As [`parse`], and for 0.
pub fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// A duration for people, to the millisecond.
pub fn human(duration: Duration) -> String {
    let seconds = (duration.as_secs_f64() * 1000.0).round() / 1000.0;
    if seconds < 1.0 { format!("{}ms", seconds * 1000.0) } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_writes_them() {
        for (text, millis) in
            [("0", 0), ("500ms", 500), ("5s", 5000), ("1m", 60_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("0s", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", "5 s", "-5s", "5x", "1m5", "..s", "5sm", "9999999d", "5µs", "1e3s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_positive("0").is_err());
    }

    #[test]
    fn people_read_short_durations() {
        assert_eq!(human(Duration::from_millis(9500)), "9.5s");
        assert_eq!(human(Duration::from_micros(250_400)), "250ms");
    }
}

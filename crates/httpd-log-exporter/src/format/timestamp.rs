//! Parser of the timestamps in log lines, for `httpd_log_lag_seconds`.

use exporter_common::config::calendar::{MONTHS, Timestamp, days_since_epoch, zone_offset};

/// Converts a timestamp to seconds since the epoch. It accepts `20/Nov/2026:09:26:10 +0000` (also after `[`),
/// `2026-11-20T09:26:10.123+00:00`, and seconds, milliseconds, microseconds or nanoseconds since the epoch. A local time
/// without a zone is `None`.
pub(crate) fn epoch_seconds(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.rsplit('[').next()?.trim();
    let seconds = clf(text).or_else(|| iso(text)).or_else(|| number(text))?;
    (0.0..END).contains(&seconds).then_some(seconds)
}

/// The seconds since the epoch of a date and a time in UTC, which are in separate fields.
pub(crate) fn utc_seconds(date: &[u8], time: &[u8]) -> Option<f64> {
    epoch_seconds(&[date, b"T", time, b"Z"].concat())
}

/// The year 10000: years have four digits.
const END: f64 = 253_402_300_800.0;

fn clf(text: &str) -> Option<f64> {
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.splitn(6, ['/', ':']);
    let (day, month, year) = (digits(parts.next()?)?, parts.next()?, digits(parts.next()?)?);
    let month = MONTHS.iter().position(|name| *name == month)?;
    let (hours, minutes, seconds) = (digits(parts.next()?)?, digits(parts.next()?)?, parts.next()?);
    let (seconds, fraction) = seconds.split_at(seconds.find('.').unwrap_or(seconds.len()));
    let seconds = digits(seconds)?;
    let fraction = if fraction.is_empty() { 0.0 } else { format!("0{fraction}").parse::<f64>().ok()? };
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let midnight = days_since_epoch(year, month as i64 + 1, day)? * 86_400;
    let time = midnight + hours * 3600 + minutes * 60 + seconds - zone_offset(zone.trim())?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years are far below 2^53")]
    Some(time as f64 + fraction)
}

/// A number of one to four digits.
fn digits(text: &str) -> Option<i64> {
    let valid = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

fn iso(text: &str) -> Option<f64> {
    Timestamp::parse(text).filter(|timestamp| timestamp.has_zone).map(|timestamp| timestamp.seconds)
}

/// Parses a number since the epoch; its magnitude determines the unit.
fn number(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok().filter(|number| *number >= 1e9)?;
    let divisor = [1.0, 1e3, 1e6, 1e9].into_iter().find(|divisor| number / divisor < 1e10)?;
    Some(number / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_servers_are_parsed() {
        for (text, seconds) in [
            ("20/Nov/2026:09:26:10 +0000", 1_795_166_770.0),
            ("::1 - - [20/Nov/2026:10:26:10 +0100", 1_795_166_770.0),
            ("29/Feb/2024:23:59:59 -0330", 1_709_263_799.0),
            ("2026-11-20T09:26:10+00:00", 1_795_166_770.0),
            ("2026-11-20T09:26:10.250Z", 1_795_166_770.25),
            ("1795166770.043", 1_795_166_770.043),
            ("1795166770043", 1_795_166_770.043),
            ("1795166770043000", 1_795_166_770.043),
        ] {
            let read = epoch_seconds(text.as_bytes()).unwrap_or_else(|| panic!("not parsed: {text}"));
            assert!((read - seconds).abs() < 1e-3, "{text}: {read}");
        }
    }

    #[test]
    fn other_text_and_times_without_a_zone_are_none() {
        for text in [
            "",
            "-",
            "x",
            "06/Feb/2026:12:14:14.655",
            "20/Foo/2026:09:26:10 +0000",
            "2026-11-20T09:26:10",
            "12",
            "é [é",
            "20/Nov/2026:inf:00:00 +0000",
            "20/Nov/2026:1e9:00:00 +0000",
            "20/Nov/2026:nan:00:00 +0000",
            "20/Nov/2026:-1:00:00 +0000",
            "20/Nov/2026:24:00:00 +0000",
            "20/Nov/2026:09:60:00 +0000",
            "20/Nov/2026:09:00:61 +0000",
            "20/Nov/2026:09:00:inf +0000",
            "20/Nov/2026:09:00:00.inf +0000",
            "20/Nov/0000:09:00:00 +0000",
            "20/Nov/99999:09:00:00 +0000",
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "inf",
            "infinity",
            "1e300",
        ] {
            assert_eq!(epoch_seconds(text.as_bytes()), None, "{text}");
        }
    }
}

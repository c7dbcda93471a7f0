//! Parser of the timestamps in log lines, for `httpd_log_lag_seconds`.

/// Converts a timestamp to seconds since the epoch. It accepts `20/Nov/2026:09:26:10 +0000` (also after `[`),
/// `2026-11-20T09:26:10.123+00:00`, and seconds, milliseconds, microseconds or nanoseconds since the epoch. A local time
/// without a zone is `None`.
pub(crate) fn epoch_seconds(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.rsplit('[').next()?.trim();
    clf(text).or_else(|| iso(text)).or_else(|| number(text))
}

fn clf(text: &str) -> Option<f64> {
    let (date, zone) = text.split_once(' ')?;
    let mut parts = date.split(['/', ':']);
    let day = parts.next()?.parse().ok()?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = parts.next()?.parse().ok()?;
    let mut clock = || parts.next()?.parse::<f64>().ok();
    let (hours, minutes, seconds) = (clock()?, clock()?, clock()?);
    Some(days(year, month as i64 + 1, day)? * 86_400.0 + hours * 3600.0 + minutes * 60.0 + seconds - offset(zone)?)
}

fn iso(text: &str) -> Option<f64> {
    let (date, clock) = text.split_once(['T', ' '])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let at = clock.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.')?;
    let (clock, zone) = clock.split_at(at);
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(days(year, month, day)? * 86_400.0 + hours * 3600.0 + minutes * 60.0 + seconds - offset(zone)?)
}

/// Parses a number since the epoch; its magnitude determines the unit.
fn number(text: &str) -> Option<f64> {
    let number = text.parse::<f64>().ok().filter(|number| *number >= 1e9)?;
    let divisor = [1.0, 1e3, 1e6, 1e9].into_iter().find(|divisor| number / divisor < 1e10)?;
    Some(number / divisor)
}

/// The offset of a zone from UTC in seconds: `Z`, `+0100`, `-03:30`.
fn offset(zone: &str) -> Option<f64> {
    if zone.trim() == "Z" {
        return Some(0.0);
    }
    let (sign, digits) = match zone.trim().split_at_checked(1)? {
        ("+", digits) => (1.0, digits.replace(':', "")),
        ("-", digits) => (-1.0, digits.replace(':', "")),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    Some(sign * (hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0))
}

/// Days since the epoch of a date in the Gregorian calendar, computed with years that start in March.
fn days(year: i64, month: i64, day: i64) -> Option<f64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year / 400, (month + 9) % 12);
    let of_era = year % 400;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    #[expect(clippy::cast_precision_loss, reason = "a few million at most")]
    Some((era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468) as f64)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

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
        ] {
            assert_eq!(epoch_seconds(text.as_bytes()), None, "{text}");
        }
    }
}

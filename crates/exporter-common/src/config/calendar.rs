//! The Gregorian calendar and RFC 3339 timestamps, in UTC.
//!
//! ```
//! use scrapewright::config::calendar::{MONTHS, Timestamp, date_of_minute, days_since_epoch, zone_offset};
//!
//! let backup = Timestamp::parse("2026-11-20T09:26:10.25+01:00").unwrap();
//! assert_eq!((backup.seconds, backup.has_zone), (1_795_163_170.25, true));
//! assert_eq!(days_since_epoch(2026, 2, 29), None);
//! assert_eq!(date_of_minute(29_919_647), (2026, 11, 20, 12, 47));
//! assert_eq!(zone_offset("-03:30"), Some(-12_600));
//! assert_eq!(MONTHS.iter().position(|month| *month == "Nov"), Some(10));
//! ```

/// The names of the months in dates of logs and status pages, such as 20/Nov/2026.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days since 1970-01-01 of a date, or `None` if the date does not exist.
pub fn days_since_epoch(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    // in years that start in March, the leap day is the last day
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month, day, hour and minute in UTC of a minute since the epoch.
pub fn date_of_minute(minute: u64) -> (u64, u64, u64, u64, u64) {
    // days since March of the year 0
    let days = minute / 1440 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day, minute / 60 % 24, minute % 60)
}

/// A timestamp such as `2026-11-20T09:26:10.25+01:00`, with or without its zone.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timestamp {
    /// Seconds since the epoch; a timestamp without a zone counts as UTC.
    pub seconds: f64,
    /// Whether the text names a zone.
    pub has_zone: bool,
}

impl Timestamp {
    /// Parses a date (`2026-11-20`), or a date and time, with an optional fraction and an optional zone.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (year, month, day) = (digits(date, 0, 4)?, digits(date, 5, 2)?, digits(date, 8, 2)?);
        let dashes = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
        let midnight = days_since_epoch(year, month, day).filter(|_| dashes)? * 86_400;
        if rest.is_empty() {
            return Some(Self { seconds: as_f64(midnight), has_zone: false });
        }
        let clock = rest.strip_prefix(['T', 't', ' '])?;
        let (hour, minute, second) = (digits(clock, 0, 2)?, digits(clock, 3, 2)?, digits(clock, 6, 2)?);
        let colons = clock.as_bytes()[2] == b':' && clock.as_bytes()[5] == b':';
        if !colons || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut zone = &clock[8..];
        let mut fraction = 0.0;
        if let Some(decimals) = zone.strip_prefix(['.', ',']) {
            let end = decimals.find(|c: char| !c.is_ascii_digit()).unwrap_or(decimals.len());
            fraction = format!("0.{}", &decimals[..end]).parse().ok().filter(|_| end > 0)?;
            zone = &decimals[end..];
        }
        let zone = zone.trim_start();
        let offset = if zone.is_empty() { 0 } else { zone_offset(zone)? };
        let seconds = as_f64(midnight + hour * 3600 + minute * 60 + second - offset) + fraction;
        Some(Self { seconds, has_zone: !zone.is_empty() })
    }
}

/// The offset of a zone from UTC in seconds: `Z`, `UTC`, `+0100`, `-03:30`, `+02`.
pub fn zone_offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return matches!(zone, "Z" | "z" | "UTC").then_some(0),
    };
    let number = zone[1..].replace(':', "");
    let (hours, minutes) = (digits(&number, 0, 2)?, digits(&number, 2, 2).unwrap_or(0));
    (hours <= 23 && minutes <= 59 && matches!(number.len(), 2 | 4)).then_some(sign * (hours * 60 + minutes) * 60)
}

fn digits(text: &str, start: usize, length: usize) -> Option<i64> {
    let digits = text.get(start..start + length)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[expect(clippy::cast_precision_loss, reason = "seconds of four-digit years are far below 2^53")]
fn as_f64(seconds: i64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_converted_to_seconds_since_the_epoch() {
        for (text, seconds, has_zone) in [
            ("1970-01-01T00:00:00Z", 0.0, true),
            ("2000-02-29T23:59:59.500000Z", 951_868_799.5, true),
            ("2026-11-20T10:00:00", 1_795_168_800.0, false),
            ("2026-11-20 11:00:00.25 +0100", 1_795_168_800.25, true),
            ("2026-11-20T06:30:00,5-03:30", 1_795_168_800.5, true),
            ("2026-11-20", 1_795_132_800.0, false),
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp { seconds, has_zone }), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-02-29",
            "2026-04-31",
            "2026-11-20T",
            "2026-11-20T24:00:00Z",
            "2026-11-20T10:00:00.Z",
            "2026-11-20T10:00:00 CET",
            "2026/11/20",
            "é026-11-20",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_minute_is_converted_to_a_date_and_back() {
        assert_eq!(date_of_minute(0), (1970, 1, 1, 0, 0));
        for minute in (0..80_000_000).step_by(997) {
            let (year, month, day, hour, past) = date_of_minute(minute);
            let timestamp = Timestamp::parse(&format!("{year}-{month:02}-{day:02}T{hour:02}:{past:02}:00Z")).unwrap();
            assert_eq!(timestamp.seconds, minute as f64 * 60.0);
        }
    }
}

//! Timestamps of queue systems and ages computed from them.

use std::time::SystemTime;

/// Seconds since the Unix epoch by this host's clock.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The age of a timestamp in seconds; 0 if the other clock is ahead. `None` for a number that cannot be the time of a
/// message, such as one that does not count from the Unix epoch.
pub(crate) fn seconds_since(then: f64, now: f64) -> Option<f64> {
    const EARLIEST: f64 = 1e9; // in 2001
    const MAX_CLOCK_DIFFERENCE: f64 = 86_400.0;
    (then >= EARLIEST && then <= now + MAX_CLOCK_DIFFERENCE).then(|| (now - then).max(0.0))
}

/// Parses a UTC time as Python writes it: `2026-05-01T12:00:00.250000Z`. Returns seconds since the Unix epoch.
pub(crate) fn parse_utc(text: &str) -> Option<f64> {
    let (date, time) = text.trim_end_matches('Z').split_once(['T', ' '])?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    // in years that start in March, the leap day is the last day
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468;
    #[expect(clippy::cast_precision_loss, reason = "the number of days is small")]
    let days = days as f64;
    Some(days * 86_400.0 + hours * 3600.0 + minutes * 60.0 + seconds)
}

/// Year, month, day, hour and minute in UTC of a minute since the Unix epoch.
pub(crate) fn utc(minute: u64) -> (u64, u64, u64, u64, u64) {
    // days since March 1 of the year 0: in years that start in March, the leap day is the last day
    let days = minute / 1440 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    (era * 400 + year, month, day, minute / 60 % 24, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_utc_time_is_parsed_to_seconds_since_the_epoch() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("2000-02-29T23:59:59.500000Z", Some(951_868_799.5)),
            ("2026-11-20T10:00:00", Some(1_795_168_800.0)),
            ("2026-13-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_utc(text), seconds, "{text}");
        }
    }

    #[test]
    fn minutes_convert_to_dates_and_back() {
        assert_eq!(utc(0), (1970, 1, 1, 0, 0));
        for minute in (0..80_000_000).step_by(997) {
            let (year, month, day, hour, past) = utc(minute);
            let seconds = parse_utc(&format!("{year}-{month:02}-{day:02}T{hour:02}:{past:02}:00Z"));
            assert_eq!(seconds, Some(minute as f64 * 60.0));
        }
    }

    #[test]
    fn a_number_that_is_not_a_timestamp_has_no_age() {
        assert_eq!(seconds_since(1.6e9, 1.6e9 + 5.0), Some(5.0));
        assert_eq!(seconds_since(1.6e9 + 1.0, 1.6e9), Some(0.0));
        assert_eq!([seconds_since(7.0, 1.6e9), seconds_since(1.6e12, 1.6e9)], [None, None]);
        assert!(now() > 1.7e9);
    }
}

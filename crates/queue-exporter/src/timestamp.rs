//! Timestamps of queue systems and ages computed from them.

use std::time::SystemTime;

use exporter_common::config::calendar::Timestamp;

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

/// A time in seconds or milliseconds since the epoch, in seconds.
pub(crate) fn in_seconds(time: f64) -> f64 {
    const LATEST: f64 = 1e11; // in the year 5138, or in milliseconds, 1973
    if time > LATEST { time / 1000.0 } else { time }
}

/// Parses a UTC time as Python writes it: `2026-05-01T12:00:00.250000Z`. Returns seconds since the Unix epoch.
pub(crate) fn parse_utc(text: &str) -> Option<f64> {
    Timestamp::parse(text).map(|timestamp| timestamp.seconds).filter(|seconds| *seconds >= 0.0)
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
    fn a_number_that_is_not_a_timestamp_has_no_age() {
        assert_eq!(seconds_since(1.6e9, 1.6e9 + 5.0), Some(5.0));
        assert_eq!(seconds_since(1.6e9 + 1.0, 1.6e9), Some(0.0));
        assert_eq!([seconds_since(7.0, 1.6e9), seconds_since(1.6e12, 1.6e9)], [None, None]);
        assert!(now() > 1.7e9);
    }
}

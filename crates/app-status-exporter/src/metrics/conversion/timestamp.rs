//! Timestamps.

use exporter_common::config::calendar::Timestamp;

use super::number::go_number;

/// Parses a timestamp into seconds since the epoch: RFC 3339, a date, or a number of seconds to nanoseconds.
pub(crate) fn timestamp(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(number) = go_number(text) {
        // seconds up to the year 5138; the size of a larger number shows its unit
        return Some(match number.abs() {
            1e17.. => number / 1e9,
            1e14.. => number / 1e6,
            1e11.. => number / 1e3,
            _ => number,
        })
        .filter(|number| number.is_finite());
    }
    Timestamp::parse(text).map(|timestamp| timestamp.seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_in_seconds_since_the_epoch() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2025-01-22T19:30:19Z", 1_737_574_219.0),
            ("2025-01-22T20:30:19.25+01:00", 1_737_574_219.25),
            ("2025-01-22 14:00:19-0530", 1_737_574_219.0),
            ("2024-06-29", 1_719_619_200.0),
            ("2024-02-29", 1_709_164_800.0),
            ("1969-12-31T23:59:59Z", -1.0),
            ("1757568506", 1_757_568_506.0),
            ("1757568506000", 1_757_568_506.0),
            ("1757568506000000", 1_757_568_506.0),
            ("1757568506000000000", 1_757_568_506.0),
        ] {
            assert_eq!(timestamp(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "today",
            "2025-13-01",
            "2025-02-29",
            "2025-01-01T",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:00X",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00+1",
            "2025/01/01",
            "NaN",
            "2025-01-0ä",
            "ä025-01-01T00:00:00Z",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}

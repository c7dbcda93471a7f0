//! Timestamps.

use exporter_common::config::calendar::{MONTHS, Timestamp};

use super::number::go_number;

/// Parses a timestamp into seconds since the epoch: RFC 3339, a date of HTTP or .NET, a date, or a number of seconds to
/// nanoseconds.
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
    let timestamp = Timestamp::parse(text).or_else(|| Timestamp::parse(&from_http(text)?));
    timestamp.map(|timestamp| timestamp.seconds).or_else(|| dot_net(text))
}

/// A date of HTTP or of mail, `Sun, 06 Nov 1994 08:49:37 GMT`, in the format of RFC 3339.
fn from_http(text: &str) -> Option<String> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (day_of_week, rest) = text.split_once(", ")?;
    let parts: Vec<_> = rest.split(' ').collect();
    let [day, month, year, time, zone] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let zone = if zone == "GMT" { "Z" } else { zone };
    let valid = DAYS.contains(&day_of_week) && time.len() == 8;
    valid.then(|| format!("{year}-{month:02}-{day:0>2}T{time}{zone}"))
}

/// A date of .NET's JSON: `/Date(1198908717056)/`, in milliseconds. Its offset, `/Date(1198908717056+0100)/`, only says
/// in which zone to show it.
fn dot_net(text: &str) -> Option<f64> {
    let date = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let offset = date.get(1..)?.find(['+', '-']).map_or(date.len(), |at| at + 1);
    let (milliseconds, offset) = date.split_at(offset);
    let digits = offset.get(1..).unwrap_or_default();
    let valid = matches!(digits.len(), 0 | 4) && digits.bytes().all(|digit| digit.is_ascii_digit());
    let milliseconds: i64 = milliseconds.parse().ok().filter(|_| valid && offset.len() != 1)?;
    Some(milliseconds as f64 / 1000.0)
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
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777.0),
            ("Sun, 6 Nov 1994 09:49:37 +0100", 784_111_777.0),
            ("/Date(1198908717056)/", 1_198_908_717.056),
            ("/Date(1198908717056+0100)/", 1_198_908_717.056),
            ("/Date(-1000-0800)/", -1.0),
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
            "06 Nov 1994 08:49:37 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37",
            "/Date()/",
            "/Date(12+1)/",
            "/Date(12+)/",
            "/Date(1x)/",
            "Date(12)",
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

//! Formats values for display, in the unit of the metric's name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::exposition::family::Histogram;

/// A value of a metric: `3.2 GiB`, `2 d 4 h`, `12.5 ms`, `97 %`, `1,234,567`.
pub(super) fn value(name: &str, value: f64) -> String {
    if !value.is_finite() {
        return format!("{value}");
    }
    let base = name.strip_suffix("_total").unwrap_or(name);
    let ends = |suffix: &str| base.ends_with(suffix);
    if ends("_timestamp_seconds") || ends("_time_seconds") && value > 1e9 {
        time(value)
    } else if ends("_seconds") {
        seconds(value)
    } else if ends("_hertz") {
        scaled(value, 1000.0, &["Hz", "kHz", "MHz", "GHz"])
    } else if ends("_ratio") {
        format!("{} %", number(value * 100.0))
    } else if ends("_percent") {
        format!("{} %", number(value))
    } else if ends("_celsius") {
        format!("{} °C", number(value))
    } else if base.split('_').any(|part| part == "bytes") {
        scaled(value, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
    } else {
        number(value)
    }
}

/// A histogram: the count, the mean, and the upper bounds of 50 % and 99 % of the observations.
pub(super) fn histogram(name: &str, histogram: &Histogram) -> String {
    let mut parts = vec![format!("{} ×", number(histogram.count as f64))];
    if histogram.count > 0 {
        if let Some(sum) = histogram.sum {
            parts.push(format!("mean {}", value(name, sum / histogram.count as f64)));
        }
        for (percent, share) in [("50 %", 0.5), ("99 %", 0.99)] {
            let wanted = histogram.count as f64 * share;
            let bound = histogram.buckets.iter().find(|(_, cumulative)| *cumulative as f64 >= wanted);
            let last = histogram.buckets.last();
            match (bound, last) {
                (Some((bound, _)), _) => parts.push(format!("{percent} ≤ {}", value(name, *bound))),
                (None, Some((last, _))) => parts.push(format!("{percent} > {}", value(name, *last))),
                (None, None) => {}
            }
        }
    }
    parts.join(", ")
}

/// Three significant digits; whole numbers completely, with commas.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 0.001) {
        return format!("{value:.2e}");
    }
    let decimals = match size {
        _ if size.fract() == 0.0 || size >= 1000.0 => 0,
        100.0.. => 1,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{size:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (value, 0);
    while value.abs() >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    format!("{} {}", number(value), units.get(unit).copied().unwrap_or_default())
}

fn seconds(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0 s".to_owned()
    } else if size < 1e-3 {
        format!("{} µs", number(value * 1e6))
    } else if size < 1.0 {
        format!("{} ms", number(value * 1e3))
    } else if size < 120.0 {
        format!("{} s", number(value))
    } else if size < 7200.0 {
        two(value, 60.0, "min", "s")
    } else if size < 2.0 * 86_400.0 {
        two(value / 60.0, 60.0, "h", "min")
    } else {
        two(value / 3600.0, 24.0, "d", "h")
    }
}

/// A value in two units.
fn two(value: f64, step: f64, larger: &str, smaller: &str) -> String {
    let whole = value.round();
    format!("{} {larger} {} {smaller}", number((whole / step).trunc()), number((whole % step).abs()))
}

/// A Unix time as a date, and its age.
fn time(value: f64) -> String {
    let Ok(since) = Duration::try_from_secs_f64(value) else { return number(value) };
    let Some(then) = UNIX_EPOCH.checked_add(since).filter(|_| value < 2e11) else { return number(value) };
    let date = humantime::format_rfc3339_seconds(then);
    match SystemTime::now().duration_since(then) {
        Ok(ago) => format!("{date}, {} ago", seconds(ago.as_secs_f64().trunc())),
        Err(_) => date.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_formatted_in_the_unit_of_their_name() {
        for (name, given, shown) in [
            ("a_bytes", 0.0, "0 B"),
            ("a_bytes_total", 1536.0, "1.5 KiB"),
            ("a_bytes_sent_total", 1536.0, "1.5 KiB"),
            ("a_bytes_sent_seconds", 1.5, "1.5 s"),
            ("a_bytes", 3.4e9, "3.17 GiB"),
            ("a_bytes", 18_446_744_073_709_551_615.0, "16 EiB"),
            ("a_seconds", 0.0, "0 s"),
            ("a_seconds", 0.000_012_3, "12.3 µs"),
            ("a_seconds", 0.0425, "42.5 ms"),
            ("a_seconds_total", 12.3456, "12.3 s"),
            ("a_seconds_total", 125.0, "2 min 5 s"),
            ("a_seconds_total", 7500.0, "2 h 5 min"),
            ("a_seconds_total", 266_400.0, "3 d 2 h"),
            ("a_seconds", -12.0, "-12 s"),
            ("a_hertz", 2.4e9, "2.4 GHz"),
            ("a_ratio", 0.975, "97.5 %"),
            ("a_celsius", 41.0, "41 °C"),
            ("a_total", 1_234_567.0, "1,234,567"),
            ("a", 1234.56, "1,235"),
            ("a", 0.5, "0.5"),
            ("a", -1.25, "-1.25"),
            ("a", 1e-9, "1.00e-9"),
            ("a", 1e300, "1.00e300"),
            ("a", f64::NAN, "NaN"),
            ("a_bytes", f64::INFINITY, "inf"),
            ("a_timestamp_seconds", 1e300, "1.00e300"),
            ("a_time_seconds", 5.0, "5 s"),
        ] {
            assert_eq!(value(name, given), shown, "{name} {given}");
        }
        assert!(value("a_timestamp_seconds", 1e9).starts_with("2001-09-09T01:46:40Z, "));
        assert!(value("a_timestamp_seconds", 1e10).starts_with("2286-11-20T17:46:40Z"));
    }

    #[test]
    fn histograms_are_summarized() {
        let buckets = vec![(0.01, 60), (0.1, 98), (1.0, 99)];
        let shown = histogram("a_seconds", &Histogram::new(buckets.clone(), Some(5.0), 100));
        assert_eq!(shown, "100 ×, mean 50 ms, 50 % ≤ 10 ms, 99 % ≤ 1 s");
        let shown = histogram("a_seconds", &Histogram::new(buckets, None, 198));
        assert_eq!(shown, "198 ×, 50 % ≤ 1 s, 99 % > 1 s");
        assert_eq!(histogram("a", &Histogram::new(Vec::new(), Some(0.0), 0)), "0 ×");
    }
}

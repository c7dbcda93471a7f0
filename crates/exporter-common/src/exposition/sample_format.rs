//! Encodes samples in both text formats: names, labels, escapes and numbers.

use std::time::UNIX_EPOCH;

use super::family::{Exemplar, Family, Value};
use super::names::{is_legacy, is_legacy_label};

/// The text formats, which differ in numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics, which writes whole floats with `.0`.
    OpenMetrics,
}

/// A comment line of a family: `# HELP name text`.
pub(crate) fn comment(family: &Family, keyword: &str, name: &str, text: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"# ");
    out.extend_from_slice(keyword.as_bytes());
    out.push(b' ');
    if family.is_plain() || is_legacy(name) {
        out.extend_from_slice(name.as_bytes())
    } else {
        quoted(name, out)
    }
    out.push(b' ');
    text(out);
    out.push(b'\n');
}

/// The lines of one series.
pub(crate) fn sample(dialect: Dialect, family: &Family, series: usize, out: &mut Vec<u8>) {
    let time = family.time(series);
    let mut part = |suffix, last, write: &dyn Fn(&mut Vec<u8>), exemplar: Option<&Exemplar>| {
        start(dialect, family, series, (family.name(), suffix), last, out);
        write(out);
        end(dialect, time, exemplar, out);
    };
    match family.series_value(series) {
        Value::Number(number) => part("", None, &|out| float(dialect, *number, out), family.exemplar(series)),
        Value::Histogram(histogram) => {
            let buckets = histogram.buckets.iter().copied().chain([(f64::INFINITY, histogram.count)]);
            for ((bound, cumulative), exemplar) in buckets.zip(histogram.bucket_exemplars()) {
                part("_bucket", Some(("le", bound)), &|out| integer(cumulative, out), exemplar);
            }
            if let Some(sum) = histogram.sum {
                part("_sum", None, &|out| float(dialect, sum, out), None);
            }
            // OpenMetrics requires a sum and a count together
            if histogram.sum.is_some() || dialect == Dialect::Text {
                part("_count", None, &|out| integer(histogram.count, out), None);
            }
        }
        Value::Summary(summary) => {
            for (quantile, at) in &summary.quantiles {
                part("", Some(("quantile", *quantile)), &|out| float(dialect, *at, out), None);
            }
            part("_sum", None, &|out| float(dialect, summary.sum, out), None);
            part("_count", None, &|out| integer(summary.count, out), None);
        }
    }
}

/// The line of OpenMetrics with the created timestamp of a series. `name` is the family's name without a suffix.
pub(crate) fn created(family: &Family, name: &str, series: usize, milliseconds: u64, out: &mut Vec<u8>) {
    start(Dialect::OpenMetrics, family, series, (name, "_created"), None, out);
    seconds(milliseconds as f64, out);
    out.push(b'\n');
}

/// A sample up to its value: name and suffix, labels, a space. `last` is the label `le` or `quantile`.
fn start(
    dialect: Dialect,
    family: &Family,
    series: usize,
    (name, suffix): (&str, &str),
    last: Option<(&str, f64)>,
    out: &mut Vec<u8>,
) {
    let mut before: &[u8] = b"{";
    let plain = family.is_plain();
    if plain || is_legacy(name) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
    } else {
        // a UTF-8 name is quoted inside the braces
        out.push(b'{');
        quoted(&format!("{name}{suffix}"), out);
        before = b",";
    }
    for (name, value) in family.labels(series) {
        out.extend_from_slice(before);
        if plain || is_legacy_label(name) {
            out.extend_from_slice(name.as_bytes());
        } else {
            quoted(name, out);
        }
        out.push(b'=');
        out.push(b'"');
        escape_bytes(value, true, out);
        out.push(b'"');
        before = b",";
    }
    if let Some((name, value)) = last {
        out.extend_from_slice(before);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        float(dialect, value, out);
        out.push(b'"');
        before = b",";
    }
    out.extend_from_slice(if before == b"{" { b" " } else { b"} " });
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, true, out);
    out.push(b'"');
}

/// Escapes `\`, newline and optionally `"`.
pub(crate) fn escape(text: &str, quotes: bool, out: &mut Vec<u8>) {
    escape_bytes(text.as_bytes(), quotes, out);
}

pub(super) fn escape_bytes(text: &[u8], quotes: bool, out: &mut Vec<u8>) {
    let special = |byte: &u8| *byte == b'\\' || *byte == b'\n' || (quotes && *byte == b'"');
    if !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    for &byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            other => out.push(other),
        }
    }
}

/// A count. Go prints counts as integers in both formats.
fn integer(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A time in milliseconds as OpenMetrics writes it, in seconds. It is exact while milliseconds are below 2^53.
fn seconds(milliseconds: f64, out: &mut Vec<u8>) {
    float(Dialect::OpenMetrics, milliseconds / 1000.0, out);
}

/// The end of a sample's line, with the timestamp in milliseconds if the sample has one, and its exemplar.
fn end(dialect: Dialect, time: Option<i64>, exemplar: Option<&Exemplar>, out: &mut Vec<u8>) {
    if let Some(time) = time {
        out.push(b' ');
        match dialect {
            Dialect::Text => out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes()),
            Dialect::OpenMetrics => seconds(time as f64, out),
        }
    }
    if let (Some(exemplar), Dialect::OpenMetrics) = (exemplar, dialect) {
        let mut before = b" # {".as_slice();
        for (name, value) in &exemplar.labels {
            out.extend_from_slice(before);
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            quoted(value, out);
            before = b",";
        }
        out.extend_from_slice(if before == b"," { b"} " } else { b" # {} " });
        float(dialect, exemplar.value, out);
        if let Some(since) = exemplar.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            out.push(b' ');
            seconds(since.as_millis() as f64, out);
        }
    }
    out.push(b'\n');
}

/// A float as the Go client formats it.
///
/// ```
/// assert_eq!(scrapewright::float_to_text(1_655_371.0), "1.655371e+06");
/// ```
pub fn float_to_text(value: f64) -> String {
    let mut out = Vec::new();
    go_float(value, &mut out);
    String::from_utf8(out).unwrap_or_default() // ASCII
}

/// A float as the Go client formats it in this text format.
fn float(dialect: Dialect, value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    go_float(value, out);
    if dialect == Dialect::OpenMetrics && out[start..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
        out.extend_from_slice(b".0");
    }
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`: the shortest digits that parse to the same
/// double, in exponent form if the decimal exponent is below −4 or at least 6.
pub(super) fn go_float(value: f64, out: &mut Vec<u8>) {
    if value == 0.0 {
        out.push(b'0'); // −0 too: the Go client special-cases it
        return;
    }
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
        return;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let magnitude = value.abs();
    if magnitude < EXACT_INTEGERS && magnitude.fract() == 0.0 {
        // Nearly all values are whole numbers, whose digits need no float algorithm.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, positive and below 2^53")]
        let whole = magnitude as u64;
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(whole).as_bytes();
        general(digits, digits.len() as i32, out);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(magnitude).as_bytes();
    if (1e-4..1e6).contains(&magnitude) {
        out.extend_from_slice(shortest); // here both write it plain
        return;
    }
    let (mut digits, mut len, mut point, mut exponent) = ([b'0'; 32], 0, None, 0);
    for (at, &byte) in shortest.iter().enumerate() {
        match byte {
            b'.' => point = Some(len),
            b'e' => {
                exponent =
                    std::str::from_utf8(&shortest[at + 1..]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                break;
            }
            digit => {
                digits[len] = digit; // at most 17 digits and 5 zeros before them
                len += 1;
            }
        }
    }
    let zeros = digits[..len].iter().take_while(|digit| **digit == b'0').count();
    general(&digits[zeros..len], point.unwrap_or(len) as i32 + exponent - zeros as i32, out);
}

/// Writes digits in Go's 'g' form, with `point` digits before the decimal point.
fn general(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |at| at + 1);
    let exponent = point - 1;
    if !(-4..6).contains(&exponent) {
        out.push(digits[0]);
        if significant > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..significant]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        out.extend_from_slice(itoa::Buffer::new().format(exponent.abs()).as_bytes());
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(&digits[..significant]);
    } else {
        let point = point.unsigned_abs() as usize;
        if significant > point {
            out.extend_from_slice(&digits[..point]);
            out.push(b'.');
            out.extend_from_slice(&digits[point..significant]);
        } else {
            out.extend_from_slice(&digits[..significant]);
            out.extend(std::iter::repeat_n(b'0', point - significant));
        }
    }
}

/// 2^53: below it every whole number is a double.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (10.0, "10"),
            (186_066.0, "186066"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1_418_183_276.0, "1.418183276e+09"),
            (1_699_981_000.0, "1.699981e+09"),
            (343_796.328_169_361, "343796.328169361"),
            (2_045_936.778_163_039, "2.045936778163039e+06"),
            (14_036_781.0 / 1000.0 / 1000.0, "14.036781000000001"),
            (14_036_781.0 / 1e6, "14.036781"),
            (0.1, "0.1"),
            (-0.25, "-0.25"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.000_09, "9e-05"),
            (9.5e-5, "9.5e-05"),
            (1e21, "1e+21"),
            (1e300, "1e+300"),
            (9_007_199_254_740_993.0, "9.007199254740992e+15"),
            (18_446_744_073_709_551_615.0, "1.8446744073709552e+19"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = Vec::new();
            go_float(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn every_float_reads_back_to_itself() {
        // a linear congruential walk over bit patterns reaches all exponents
        let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                let mut out = Vec::new();
                go_float(value, &mut out);
                let text = String::from_utf8(out).unwrap();
                assert_eq!(text.parse::<f64>().unwrap(), value, "{text}");
            }
        }
    }

    #[test]
    fn openmetrics_shows_that_a_value_is_a_float() {
        for (value, expected) in
            [(1.0, "1.0"), (-0.0, "0.0"), (-3.0, "-3.0"), (1e6, "1e+06"), (0.5, "0.5"), (f64::INFINITY, "+Inf")]
        {
            let mut out = Vec::new();
            float(Dialect::OpenMetrics, value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}

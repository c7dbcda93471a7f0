//! The text format 0.0.4, byte for byte as the Go client writes it.
//!
//! Source: the exposition formats page of Prometheus, and the output of client_golang.

use std::sync::Arc;

use crate::exposition::Exposition;
use crate::family::{Family, Kind, Value};

/// The format's Content-Type.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Families as they are answered in the text format: joined, sorted, without duplicates.
pub fn to_text(families: impl IntoIterator<Item = Family>) -> String {
    let mut out = Vec::new();
    encode(&Exposition::merge(families.into_iter().map(Arc::new).collect()), &mut out);
    String::from_utf8(out).unwrap_or_default() // whole strings and ASCII are UTF-8
}

/// Writes all groups of an exposition.
pub(crate) fn encode(exposition: &Exposition, out: &mut Vec<u8>) {
    for group in &exposition.groups {
        header(group.head(), out);
        for (family, series) in group.series() {
            sample(family, series, out);
        }
    }
}

fn header(family: &Family, out: &mut Vec<u8>) {
    if !family.help().is_empty() {
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(family.name().as_bytes());
        out.push(b' ');
        escape(family.help(), false, out);
        out.push(b'\n');
    }
    out.extend_from_slice(b"# TYPE ");
    out.extend_from_slice(family.name().as_bytes());
    out.extend_from_slice(match family.kind() {
        Kind::Counter => b" counter\n",
        Kind::Gauge | Kind::Info | Kind::StateSet => b" gauge\n",
        Kind::Histogram => b" histogram\n",
        Kind::Summary => b" summary\n",
        Kind::Unknown => b" untyped\n",
    });
}

fn sample(family: &Family, series: usize, out: &mut Vec<u8>) {
    match family.series_value(series) {
        Value::Number(value) => {
            line(family, series, "", None, out);
            float(*value, out);
            out.push(b'\n');
        }
        Value::Histogram(histogram) => {
            for (bound, count) in &histogram.buckets {
                line(family, series, "_bucket", Some(("le", *bound)), out);
                integer(*count, out);
            }
            line(family, series, "_bucket", Some(("le", f64::INFINITY)), out);
            integer(histogram.count, out);
            if let Some(sum) = histogram.sum {
                line(family, series, "_sum", None, out);
                float(sum, out);
                out.push(b'\n');
            }
            line(family, series, "_count", None, out);
            integer(histogram.count, out);
        }
        Value::Summary(summary) => {
            for (quantile, value) in &summary.quantiles {
                line(family, series, "", Some(("quantile", *quantile)), out);
                float(*value, out);
                out.push(b'\n');
            }
            line(family, series, "_sum", None, out);
            float(summary.sum, out);
            out.push(b'\n');
            line(family, series, "_count", None, out);
            integer(summary.count, out);
        }
    }
}

/// A sample up to its value: name, labels, a blank.
fn line(family: &Family, series: usize, suffix: &str, last: Option<(&str, f64)>, out: &mut Vec<u8>) {
    out.extend_from_slice(family.name().as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    let mut before: &[u8] = b"{";
    for (name, value) in family.labels(series) {
        out.extend_from_slice(before);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape(value, true, out);
        out.push(b'"');
        before = b",";
    }
    if let Some((name, value)) = last {
        out.extend_from_slice(before);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        float(value, out);
        out.push(b'"');
        before = b",";
    }
    out.extend_from_slice(if before == b"{" { b" " } else { b"} " });
}

fn escape(text: &str, quotes: bool, out: &mut Vec<u8>) {
    let special = |byte: &u8| *byte == b'\\' || *byte == b'\n' || (quotes && *byte == b'"');
    if !text.as_bytes().iter().any(special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if quotes => out.extend_from_slice(b"\\\""),
            other => out.push(other),
        }
    }
}

fn integer(value: u64, out: &mut Vec<u8>) {
    // Go prints counts of buckets as integers, however large
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b'\n');
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`: the shortest digits that read back to the same
/// double, in exponent form when the decimal exponent is below −4 or at least 6.
pub(crate) fn float(value: f64, out: &mut Vec<u8>) {
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
    let mut buffer = ryu::Buffer::new();
    let (mantissa, exponent) = match buffer.format_finite(magnitude).split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (buffer.format_finite(magnitude), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [b'0'; 32];
    let len = whole.len() + fraction.len(); // at most 17 digits and 5 zeros before them
    digits[..whole.len()].copy_from_slice(whole.as_bytes());
    digits[whole.len()..len].copy_from_slice(fraction.as_bytes());
    let zeros = digits[..len].iter().take_while(|digit| **digit == b'0').count();
    general(&digits[zeros..len], whole.len() as i32 + exponent - zeros as i32, out);
}

/// Writes digits, of which `point` stand before the decimal point, in Go's 'g' form.
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
    use crate::family::{Histogram, Summary};

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
            float(value, &mut out);
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
                float(value, &mut out);
                let text = String::from_utf8(out).unwrap();
                assert_eq!(text.parse::<f64>().unwrap(), value, "{text}");
            }
        }
    }

    #[test]
    fn families_series_and_labels_come_out_sorted() {
        let cpus = Family::gauge("b_cpu", "", &["cpu"]).with(&["2"], 1.0).with(&["10"], 2.0);
        let modes = Family::counter("a_total", "A.", &["mode", "cpu"]).with(&["user", "0"], 1.5);
        assert_eq!(
            to_text([cpus, modes]),
            "# HELP a_total A.\n# TYPE a_total counter\na_total{cpu=\"0\",mode=\"user\"} 1.5\n\
             # TYPE b_cpu gauge\nb_cpu{cpu=\"10\"} 2\nb_cpu{cpu=\"2\"} 1\n"
        );
    }

    #[test]
    fn help_and_label_values_are_escaped() {
        let family = Family::gauge("g", "a \\ b\nc \"d\"", &["l"]).with(&["a \\ b\nc \"d\""], 1.0);
        assert_eq!(
            to_text([family]),
            "# HELP g a \\\\ b\\nc \"d\"\n# TYPE g gauge\ng{l=\"a \\\\ b\\nc \\\"d\\\"\"} 1\n"
        );
    }

    #[test]
    fn histograms_and_summaries_are_written_whole() {
        let histogram = Histogram { buckets: vec![(0.5, 1), (1.0, 3)], sum: Some(2.25), count: 4 };
        let summary = Summary { quantiles: vec![(0.5, 0.1)], sum: 0.3, count: 3 };
        let families = [
            Family::histogram("h_seconds", "", &["q"]).with(&["x"], histogram),
            Family::new(Kind::Summary, "s_seconds", "", [""; 0]).value(summary),
        ];
        assert_eq!(
            to_text(families),
            "# TYPE h_seconds histogram\nh_seconds_bucket{q=\"x\",le=\"0.5\"} 1\n\
             h_seconds_bucket{q=\"x\",le=\"1\"} 3\nh_seconds_bucket{q=\"x\",le=\"+Inf\"} 4\n\
             h_seconds_sum{q=\"x\"} 2.25\nh_seconds_count{q=\"x\"} 4\n\
             # TYPE s_seconds summary\ns_seconds{quantile=\"0.5\"} 0.1\ns_seconds_sum 0.3\ns_seconds_count 3\n"
        );
    }

    #[test]
    fn state_sets_and_infos_are_gauges() {
        let families = [
            Family::state_set("app_health", "Health.", &["healthy", "unhealthy"], "unhealthy"),
            Family::info("x_info", "", &["version"]).with(&["1"], 1.0),
            Family::gauge("empty", "Nothing to say.", &[]),
        ];
        assert_eq!(
            to_text(families),
            "# HELP app_health Health.\n# TYPE app_health gauge\napp_health{app_health=\"healthy\"} 0\n\
             app_health{app_health=\"unhealthy\"} 1\n# TYPE x_info gauge\nx_info{version=\"1\"} 1\n"
        );
    }
}

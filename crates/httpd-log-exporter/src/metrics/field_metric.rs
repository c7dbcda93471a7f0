//! Metrics of numeric fields of the log: the flags `--metrics.counter` and `--metrics.histogram`.

use crate::format::field::Field;
use crate::format::request::{Number, Unit};
use crate::metrics::label::field_name;
use crate::metrics::names::OWN_NAMES;

/// A counter or a histogram of a numeric field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldMetric {
    pub(crate) name: String,
    /// The field, without the `$` of nginx.
    pub(crate) field: String,
    /// The upper bounds of the buckets; `None` for a counter.
    pub(crate) bounds: Option<Vec<f64>>,
}

/// Suffixes of units that Prometheus does not use, and the base unit instead.
const OTHER_UNITS: &[(&str, &str)] = &[
    ("_ms", "_seconds"),
    ("_milliseconds", "_seconds"),
    ("_us", "_seconds"),
    ("_microseconds", "_seconds"),
    ("_ns", "_seconds"),
    ("_nanoseconds", "_seconds"),
    ("_minutes", "_seconds"),
    ("_hours", "_seconds"),
    ("_bits", "_bytes"),
    ("_kb", "_bytes"),
    ("_kilobytes", "_bytes"),
    ("_mb", "_bytes"),
    ("_megabytes", "_bytes"),
    ("_percent", "_ratio"),
];
/// Suffixes of the series of a histogram, and of a counter.
const SERIES: [&str; 5] = ["_total", "_bucket", "_sum", "_count", "_created"];
/// Prefixes of metrics that every exporter has, and of health metrics.
const RESERVED: &[&str] = &["httpd_log_", "exporter_", "process_", "promhttp_", "scrape_", "__"];

/// The default buckets of names that end in `_seconds`.
pub(crate) const SECONDS: &str = ".005,.01,.025,.05,.1,.25,.5,1,2.5,5,10";
/// The default buckets of names that end in `_bytes`.
const BYTES: &str = "100,1000,10000,100000,1e6,1e7,1e8,1e9";

impl FieldMetric {
    /// Parses NAME=FIELD.
    pub(crate) fn counter(text: &str) -> Result<Self, String> {
        let (name, field) = text.split_once('=').ok_or("expected NAME=FIELD")?;
        Self::new(name, field, None)
    }

    /// Parses NAME=FIELD or NAME=FIELD:BUCKETS.
    pub(crate) fn histogram(text: &str) -> Result<Self, String> {
        let (name, field) = text.split_once('=').ok_or("expected NAME=FIELD or NAME=FIELD:BUCKETS")?;
        // the name of a field may have a colon, but no number after it
        let is_list = |text: &str| {
            text.trim_start().starts_with(|first: char| first.is_ascii_digit() || matches!(first, '.' | '+' | '-'))
        };
        let buckets = field.rsplit_once(':').filter(|(_, buckets)| is_list(buckets));
        let (field, buckets) = buckets.map_or((field, None), |(field, buckets)| (field, Some(buckets)));
        Self::new(name, field, Some(buckets))
    }

    /// A counter, or a histogram with buckets or the default ones.
    pub(crate) fn new(name: &str, field: &str, histogram: Option<Option<&str>>) -> Result<Self, String> {
        check_name(name, histogram.is_none())?;
        let bounds = match histogram {
            None => None,
            Some(Some(buckets)) => Some(bounds(buckets)?),
            Some(None) if name.ends_with("_seconds") => Some(bounds(SECONDS)?),
            Some(None) if name.ends_with("_bytes") => Some(bounds(BYTES)?),
            Some(None) => {
                return Err(format!(
                    "'{name}' has no default buckets, since it does not end in _seconds or _bytes: add them"
                ));
            }
        };
        Ok(Self { name: name.to_owned(), field: field_name(field)?.to_owned(), bounds })
    }

    /// The name of its family, which two metrics must not share.
    pub(crate) fn family(&self) -> &str {
        self.name.strip_suffix("_total").unwrap_or(&self.name)
    }

    /// The number of decimal places of its values: bytes are whole.
    fn unit(&self) -> Unit {
        if self.family().ends_with("_bytes") { Unit::Nanoseconds } else { Unit::Seconds }
    }

    /// The factor between its values and the whole numbers that are counted, so that sums are exact.
    pub(crate) fn scale(&self) -> f64 {
        10_f64.powi(self.unit() as i32)
    }

    /// Parses the text of its field, whose meaning in the format may have another unit.
    pub(crate) fn value(&self, meaning: Field, text: &[u8]) -> Number {
        if matches!(text, b"" | b"-") {
            return Number::Absent;
        }
        if self.unit() == Unit::Nanoseconds && has_fraction(text) {
            return Number::Wrong; // bytes are whole
        }
        let in_seconds = self.family().ends_with("_seconds");
        let unit = match meaning {
            Field::Duration(unit) | Field::Upstream(_, unit) if in_seconds => unit,
            _ if in_seconds => unit_of_name(&self.field),
            _ => self.unit(),
        };
        // nginx writes one value for each upstream server
        let is_list = matches!(meaning, Field::Upstream(..)) || self.field.starts_with("upstream_");
        let value = if is_list { Number::times(text, unit) } else { Number::time(text, unit) };
        if value == Number::Wrong { with_exponent(text, unit) } else { value }
    }
}

/// The unit of a field whose name ends in it; otherwise seconds.
fn unit_of_name(field: &str) -> Unit {
    match field {
        _ if field.ends_with("_ms") => Unit::Milliseconds,
        _ if field.ends_with("_us") => Unit::Microseconds,
        _ if field.ends_with("_ns") => Unit::Nanoseconds,
        _ => Unit::Seconds,
    }
}

/// Whether a number in a list has decimal places other than 0. With an exponent it may be whole.
fn has_fraction(list: &[u8]) -> bool {
    list.split(|byte| matches!(byte, b',' | b':')).any(|item| {
        let places = item.iter().skip_while(|byte| **byte != b'.').skip(1);
        !item.iter().any(|byte| matches!(byte, b'e' | b'E')) && places.copied().any(|byte| byte != b'0')
    })
}

/// Parses a number with an exponent, which JSON allows.
fn with_exponent(text: &[u8], unit: Unit) -> Number {
    let is_number = text.first().is_some_and(u8::is_ascii_digit) && text.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let number = std::str::from_utf8(text).ok().filter(|_| is_number).and_then(|text| text.parse::<f64>().ok());
    let scaled = number.map_or(f64::NAN, |number| (number * 10_f64.powi(unit as i32)).round());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    if (0.0..1.8e19).contains(&scaled) { Number::Value(scaled as u64) } else { Number::Wrong }
}

/// Parses upper bounds of buckets in ascending order.
pub(crate) fn bounds(text: &str) -> Result<Vec<f64>, String> {
    let bound = |part: &str| match part.trim().parse::<f64>() {
        Ok(bound) if bound > 0.0 => Ok(bound),
        _ => Err(format!("'{part}' is not a number above 0")),
    };
    let mut bounds = text.split(',').map(bound).collect::<Result<Vec<_>, _>>()?;
    if !bounds.is_sorted_by(|a, b| a < b) {
        return Err("the bounds must be in ascending order".to_owned());
    }
    bounds.pop_if(|last| last.is_infinite()); // the encoders add this bucket
    Ok(bounds)
}

/// Checks the name of a metric.
fn check_name(name: &str, is_counter: bool) -> Result<(), String> {
    let is_valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_valid || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(format!("'{name}' is not a metric name: use letters, digits and _"));
    }
    let family = match name.strip_suffix("_total") {
        Some(family) if is_counter => family,
        None if is_counter => return Err(format!("the name '{name}' of a counter must end in _total")),
        _ => name,
    };
    if let Some(suffix) = SERIES.iter().find(|suffix| family.ends_with(**suffix)) {
        return Err(format!("the name '{name}' has the suffix {suffix} of other series: choose another one"));
    }
    if let Some((unit, base)) = OTHER_UNITS.iter().find(|(unit, _)| family.ends_with(unit)) {
        return Err(format!("the name '{name}' has the unit {unit}: use the base unit {base}"));
    }
    let own = |own: &&str| own.strip_suffix("_total").unwrap_or(own) == family;
    if OWN_NAMES.iter().any(own) || RESERVED.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(format!("the name '{name}' is reserved for the exporter: choose another one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::request::Upstream;

    #[test]
    fn a_metric_has_a_name_a_field_and_buckets() {
        let histogram = |text: &str| FieldMetric::histogram(text).unwrap();
        assert_eq!(histogram("x_seconds=$a").bounds.unwrap().len(), 11);
        assert_eq!(histogram("x_bytes=a").bounds.unwrap().len(), 8);
        let own = histogram("x_bytes=$body_bytes_sent:10,1e3,+Inf");
        assert_eq!((own.field.as_str(), own.bounds), ("body_bytes_sent", Some(vec![10.0, 1000.0])));
        let colon = histogram("x_seconds=%{a:b}o");
        assert_eq!(colon.field, "%{a:b}o");
        let counter = FieldMetric::counter("x_bytes_total=$gzip:1").unwrap();
        assert_eq!((counter.field.as_str(), counter.family()), ("gzip:1", "x_bytes"));
    }

    #[test]
    fn names_follow_the_rules_of_prometheus_and_clash_with_nothing() {
        for (name, expected) in [
            ("x=$a", "has no default buckets"),
            ("x_bytes=$a:1k,10k", "1k"),
            ("x_ms=a", "the name 'x_ms' has the unit _ms: use the base unit _seconds"),
            ("x_count=a:1", "has the suffix _count of other series"),
            ("x_total=a:1", "has the suffix _total of other series"),
            ("1x=a", "'1x' is not a metric name"),
            ("x-y=a", "is not a metric name"),
            ("httpd_request_duration_seconds=a", "is reserved"),
            ("process_x_seconds=a", "is reserved"),
            ("x_bytes=", "no field"),
            ("x_bytes=a:2,1", "ascending"),
            ("x_bytes=a:-1", "'-1' is not a number above 0"),
            ("x_bytes", "expected NAME=FIELD or NAME=FIELD:BUCKETS"),
        ] {
            let error = FieldMetric::histogram(name).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
        for (name, expected) in [
            ("x=a", "the name 'x' of a counter must end in _total"),
            ("httpd_requests_total=a", "is reserved"),
            ("x_ms_total=a", "has the unit _ms"),
            ("x_sum_total=a", "has the suffix _sum of other series"),
        ] {
            let error = FieldMetric::counter(name).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn a_value_has_the_unit_of_its_field_and_anything_else_is_wrong() {
        let value = |metric: &str, meaning: Field, text: &str| {
            FieldMetric::histogram(&format!("{metric}:1")).unwrap().value(meaning, text.as_bytes())
        };
        let milliseconds = Field::Duration(Unit::Milliseconds);
        for (metric, meaning, text, expected) in [
            ("x_seconds=a", Field::Skip, "1.5", Number::Value(1_500_000_000)),
            ("x_seconds=a", milliseconds, "1.5", Number::Value(1_500_000)),
            ("x_seconds=a_ms", Field::Skip, "2", Number::Value(2_000_000)),
            ("x=a_ms", milliseconds, "2", Number::Value(2_000_000_000)),
            ("x_bytes=a", Field::Bytes, "612", Number::Value(612)),
            ("x_bytes=a", Field::Skip, "20000000000", Number::Value(20_000_000_000)),
            ("x_bytes=a", Field::Bytes, "12.0", Number::Value(12)),
            ("x_bytes=a", Field::Bytes, "1.5e3", Number::Value(1500)),
            ("x_bytes=a", Field::Bytes, "12.9", Number::Wrong),
            ("x=a", Field::Skip, "20000000000", Number::Wrong),
            ("x_seconds=a", Field::Skip, "2.5e-3", Number::Value(2_500_000)),
            (
                "x_seconds=a",
                Field::Upstream(Upstream::Response, Unit::Seconds),
                "0.1, 0.2 : -",
                Number::Value(300_000_000),
            ),
            ("x=upstream_tries", Field::Skip, "1, 2", Number::Value(3_000_000_000)),
            ("x=a", Field::Skip, "1, 2", Number::Wrong),
            ("x=a", Field::Skip, "12:30", Number::Wrong),
            ("x=a", Field::Skip, "-5", Number::Wrong),
            ("x=a", Field::Skip, "inf", Number::Wrong),
            ("x=a", Field::Skip, "1e300", Number::Wrong),
            ("x=a", Field::Skip, "text", Number::Wrong),
            ("x=a", Field::Skip, "-", Number::Absent),
            ("x=a", Field::Skip, "", Number::Absent),
        ] {
            assert_eq!(value(metric, meaning, text), expected, "{metric} {text}");
        }
    }
}

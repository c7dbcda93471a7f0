//! Encodes the protobuf format: delimited messages of io.prometheus.client.MetricFamily.
//!
//! Source: io/prometheus/client/metrics.proto of prometheus/client_model. The messages are few and small,
//! so they are encoded without generated code.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::encoder::{self, Encode};
use super::family::{Exemplar, Family, Histogram, Kind, Value};
use super::merge::{Exposition, Group};
use super::native_histogram::NativeHistogram;

/// Families in the protobuf format: merged, sorted, without duplicates. Each is a length-delimited message of
/// `io.prometheus.client.MetricFamily`.
///
/// ```
/// use scrapewright::{Family, to_protobuf};
///
/// assert!(to_protobuf([Family::gauge("queue_depth", "", &[]).value(3.0)]).starts_with(b"\x1c\x0a\x0bqueue_depth"));
/// ```
pub fn to_protobuf(families: impl IntoIterator<Item = Family>) -> Vec<u8> {
    let mut out = Vec::new();
    let exposition = Exposition::merge(families.into_iter().map(Arc::new).collect());
    encoder::encode(&exposition, Box::new(Protobuf::default()), &mut out);
    out
}

/// The protobuf format.
#[derive(Default)]
pub(crate) struct Protobuf {
    /// Histograms and summaries are measured by encoding them into this buffer.
    scratch: Vec<u8>,
}

impl Encode for Protobuf {
    fn header(&mut self, _index: usize, group: &Group, out: &mut Vec<u8>) {
        let mut described = Vec::new();
        describe(group.head(), &mut described);
        // the length of the message precedes it, so all series are measured before the first one is written
        let mut length = described.len();
        group.for_each_series(|family, series| length += delimited_length(self.metric_length(family, series)));
        varint(length as u64, out);
        out.extend_from_slice(&described);
    }

    fn series(&mut self, family: &Family, series: usize, out: &mut Vec<u8>) {
        nested(METRIC, out, |out| metric(family, series, out));
    }
}

/// The labels, the value and the time of a series.
pub(super) fn metric(family: &Family, series: usize, out: &mut Vec<u8>) {
    for (name, value) in family.labels(series) {
        prefix(1, label_length(name, value), out);
        bytes(1, name.as_bytes(), out);
        bytes(2, value, out);
    }
    sample(family, series, out);
}

/// The field of a family that holds one of its series.
const METRIC: u64 = 4;

impl Protobuf {
    /// The length of a series' message.
    fn metric_length(&mut self, family: &Family, series: usize) -> usize {
        labels_length(family, series)
            + if is_plain(family, series) {
                NUMBER_LENGTH
            } else {
                self.scratch.clear();
                sample(family, series, &mut self.scratch);
                self.scratch.len()
            }
    }
}

/// Whether a series is only a number.
fn is_plain(family: &Family, series: usize) -> bool {
    matches!(family.series_value(series), Value::Number(_))
        && family.exemplar(series).is_none()
        && family.time(series).is_none()
        && family.created(series).is_none()
}

/// The length of the label pairs of a series.
fn labels_length(family: &Family, series: usize) -> usize {
    let (labels, text) = family.labels_text(series);
    if text + 4 < 0x80 {
        return text + labels * 6; // all lengths fit in one byte
    }
    family.labels(series).map(|(name, value)| delimited_length(label_length(name, value))).sum()
}

/// The length of a counter, gauge or untyped message with a number, as a field.
const NUMBER_LENGTH: usize = 11;

/// The length of a label pair's message.
fn label_length(name: &str, value: &[u8]) -> usize {
    delimited_length(name.len()) + delimited_length(value.len())
}

/// The length of a field that contains this number of bytes, if its number is below 16.
fn delimited_length(length: usize) -> usize {
    1 + varint_length(length) + length
}

/// The name, help and type of a family.
pub(super) fn describe(head: &Family, out: &mut Vec<u8>) {
    bytes(1, head.name().as_bytes(), out);
    if !head.help().is_empty() {
        bytes(2, head.help().as_bytes(), out);
    }
    let kind = match head.kind() {
        Kind::Counter => 0,
        Kind::Gauge | Kind::Info | Kind::StateSet => 1,
        Kind::Summary => 2,
        Kind::Unknown => 3,
        Kind::Histogram => 4,
    };
    unsigned(3, kind, out);
}

/// The value and the time of a series.
fn sample(family: &Family, series: usize, out: &mut Vec<u8>) {
    let created = |field, out: &mut Vec<u8>| {
        if let Some(milliseconds) = family.created(series) {
            timestamp(field, Duration::from_millis(milliseconds), out);
        }
    };
    match family.series_value(series) {
        Value::Number(value) if family.kind() != Kind::Counter => {
            number(if family.kind() == Kind::Unknown { 5 } else { 2 }, *value, out);
        }
        Value::Number(value) if family.exemplar(series).is_none() && family.created(series).is_none() => {
            number(3, *value, out);
        }
        Value::Number(value) => nested(3, out, |out| {
            double(1, *value, out);
            if let Some(found) = family.exemplar(series) {
                exemplar(2, found, out);
            }
            created(3, out);
        }),
        Value::Summary(summary) => nested(4, out, |out| {
            unsigned(1, summary.count, out);
            double(2, summary.sum, out);
            for (quantile, value) in &summary.quantiles {
                nested(3, out, |out| {
                    double(1, *quantile, out);
                    double(2, *value, out);
                });
            }
            created(4, out);
        }),
        Value::Histogram(histogram) => nested(7, out, |out| {
            classic(histogram, out);
            if let Some(native) = &histogram.native {
                exponential(native, out);
            }
            created(15, out);
        }),
    }
    if let Some(time) = family.time(series) {
        unsigned(6, time.cast_unsigned(), out);
    }
}

/// The count, the sum and the classic buckets of a histogram, with their exemplars. Clients also take the exemplars of a
/// native histogram from there.
fn classic(histogram: &Histogram, out: &mut Vec<u8>) {
    unsigned(1, histogram.count, out);
    if let Some(sum) = histogram.sum {
        double(2, sum, out);
    }
    let buckets = histogram.buckets.iter().copied().chain([(f64::INFINITY, histogram.count)]);
    for ((bound, count), found) in buckets.zip(histogram.bucket_exemplars()) {
        if bound.is_infinite() && found.is_none() {
            continue; // clients add this bucket
        }
        nested(3, out, |out| {
            unsigned(1, count, out);
            double(2, bound, out);
            if let Some(found) = found {
                exemplar(3, found, out);
            }
        });
    }
}

/// The exponential buckets of a native histogram.
fn exponential(native: &NativeHistogram, out: &mut Vec<u8>) {
    signed(5, native.schema().into(), out);
    double(6, NativeHistogram::ZERO_THRESHOLD, out);
    unsigned(7, native.zero_count(), out);
    spans(9, native.negative(), out);
    spans(12, native.positive(), out);
}

/// Buckets as spans of consecutive indices, and in the next field the difference of each count to the one before.
fn spans(field: u64, buckets: impl Iterator<Item = (i32, u64)>, out: &mut Vec<u8>) {
    /// A gap up to this length takes less space as empty buckets.
    const MAX_GAP: i64 = 2;
    let (mut spans, mut deltas) = (Vec::<(i64, u64)>::new(), Vec::new());
    let (mut next, mut last) = (0_i64, 0_i64);
    for (index, count) in buckets {
        let (gap, count) = (i64::from(index) - next, count.cast_signed());
        match spans.last_mut() {
            Some((_, length)) if gap <= MAX_GAP => {
                for _ in 0..gap {
                    deltas.push(std::mem::take(&mut last).wrapping_neg());
                }
                *length += gap.cast_unsigned() + 1;
            }
            _ => spans.push((gap, 1)),
        }
        deltas.push(count.wrapping_sub(last));
        (next, last) = (i64::from(index) + 1, count);
    }
    for (offset, length) in spans {
        nested(field, out, |out| {
            signed(1, offset, out);
            unsigned(2, length, out);
        });
    }
    for delta in deltas {
        signed(field + 1, delta, out);
    }
}

fn exemplar(field: u64, exemplar: &Exemplar, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        for (name, value) in &exemplar.labels {
            nested(1, out, |out| {
                bytes(1, name.as_bytes(), out);
                bytes(2, value.as_bytes(), out);
            });
        }
        double(2, exemplar.value, out);
        if let Some(since) = exemplar.time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            timestamp(3, since, out);
        }
    });
}

/// A google.protobuf.Timestamp.
fn timestamp(field: u64, since_1970: Duration, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        unsigned(1, since_1970.as_secs(), out);
        unsigned(2, since_1970.subsec_nanos().into(), out);
    });
}

/// A nested message. Its length precedes it, but is known only after it is written.
pub(super) fn nested(field: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    varint(field << 3 | 2, out);
    let at = out.len();
    out.push(0); // the length of most messages fits in one byte
    write(out);
    let len = out.len() - at - 1;
    if len < 0x80 {
        out[at] = len as u8;
    } else {
        let mut prefix = Vec::with_capacity(4);
        varint(len as u64, &mut prefix);
        out.splice(at..=at, prefix);
    }
}

fn bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    prefix(field, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// What precedes a field of this length, if the field's number is below 16. Most lengths fit in one byte.
fn prefix(field: u8, length: usize, out: &mut Vec<u8>) {
    let tag = field << 3 | 2;
    if length < 0x80 {
        out.extend_from_slice(&[tag, length as u8]);
    } else {
        out.push(tag);
        varint(length as u64, out);
    }
}

/// A counter, gauge or untyped message with a number.
fn number(field: u8, value: f64, out: &mut Vec<u8>) {
    let mut message = [0; NUMBER_LENGTH];
    message[..3].copy_from_slice(&[field << 3 | 2, 9, 1 << 3 | 1]);
    message[3..].copy_from_slice(&value.to_le_bytes());
    out.extend_from_slice(&message);
}

fn unsigned(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

/// A sint32 or sint64, whose absolute value determines its length.
fn signed(field: u64, value: i64, out: &mut Vec<u8>) {
    unsigned(field, ((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

fn double(field: u64, value: f64, out: &mut Vec<u8>) {
    varint(field << 3 | 1, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_length(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(family: Family) -> Vec<u8> {
        to_protobuf([family])
    }

    #[test]
    fn a_counter_is_written_as_the_schema_says() {
        let family = Family::counter("a_total", "A.", &["l"]).with(&["x"], 1.0);
        let out = encoded(family);
        let expected = [
            b"\x24".as_slice(),                              // 36 bytes follow
            b"\x0a\x07a_total\x12\x02A.\x18\x00",            // name, help, type
            b"\x22\x13\x0a\x06\x0a\x01l\x12\x01x",           // metric, label
            b"\x1a\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f", // counter
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn the_time_of_a_sample_is_written_in_milliseconds() {
        let mut family = Family::gauge("g", "", &[]);
        family.push_at::<&str>(&[], 0.0, 300);
        let out = encoded(family);
        assert!(out.ends_with(b"\x30\xac\x02"), "{out:x?}");
    }

    #[test]
    fn a_native_histogram_has_spans_and_deltas() {
        let mut native = NativeHistogram::with_schema(0);
        // buckets 0 to 2, 4 after a short gap, and 9 after a long one
        for value in [0.0, 1.0, 1.5, 1.5, 1.5, 4.0, 16.0, 16.0, 500.0] {
            native.observe(value);
        }
        let histogram = Histogram::new([], None, 9).with_native(native);
        let out = encoded(Family::histogram("h", "", &[]).value(histogram));
        let expected = [
            b"\x08\x09\x28\x00".as_slice(),                      // count, schema
            b"\x31\0\0\0\0\0\0\xf0\x37\x38\x01",                 // zero threshold 2^-128, zero count
            b"\x62\x04\x08\x00\x10\x05",                         // five buckets from 0
            b"\x62\x04\x08\x08\x10\x01",                         // four free, then one bucket
            b"\x68\x02\x68\x04\x68\x03\x68\x01\x68\x04\x68\x01", // 1, 3, 1, 0, 2, and 1
        ];
        assert!(out.ends_with(&expected.concat()), "{out:x?}");
    }

    #[test]
    fn created_times_and_exemplars_are_written() {
        let time = UNIX_EPOCH + Duration::from_millis(3005);
        let mut counter = Family::counter("a_total", "", &[]).value(1.0);
        counter.set_created(time);
        counter.set_exemplar(Exemplar::new([("t", "x")], 1.0).at(time));
        let one = b"\x09\0\0\0\0\0\0\xf0\x3f";
        let timestamp = b"\x08\x03\x10\xc0\x96\xb1\x02";
        let expected = [
            b"\x1a\x2e",
            &one[..],
            b"\x12\x1a\x0a\x06\x0a\x01t\x12\x01x\x11",
            &one[1..],
            b"\x1a\x07",
            timestamp,
            b"\x1a\x07",
            timestamp,
        ];
        let out = encoded(counter);
        assert!(out.ends_with(&expected.concat()), "{out:x?}");
        let exemplars = [Exemplar::new([("t", "x")], 9.0)];
        let mut histogram =
            Family::histogram("h", "", &[]).value(Histogram::new([], None, 1).with_exemplars(exemplars));
        histogram.set_created(time);
        let infinite = [b"\x1a".as_slice(), &[30], b"\x08\x01\x11", &f64::INFINITY.to_le_bytes(), b"\x1a\x11"].concat();
        let out = encoded(histogram);
        assert!(out.windows(infinite.len()).any(|part| part == infinite), "{out:x?}");
        assert!(out.ends_with(&[b"\x7a\x07", &timestamp[..]].concat()), "{out:x?}");
    }

    #[test]
    fn the_length_of_every_message_is_that_of_its_content() {
        let native = || {
            let mut native = NativeHistogram::new();
            (1..500).for_each(|value| native.observe(f64::from(value)));
            native
        };
        let long = "x".repeat(200);
        let histogram = Histogram::new((1..40).map(|bound| (f64::from(bound), 1)).collect::<Vec<_>>(), Some(1.0), 499);
        let mut counter = Family::counter("a_total", long.clone(), &["l"]).with(&[&long], 1.0);
        counter.set_created(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        counter.push(&["y"], 1.0);
        counter.push_at(&["z"], 1.0, -5);
        let mut rest = &[
            encoded(counter),
            encoded(Family::histogram("h", "", &["l"]).with(&[&long], histogram.with_native(native()))),
        ]
        .concat()[..];
        for _ in 0..2 {
            let (mut length, mut shift) = (0, 0);
            while let [byte, after @ ..] = rest {
                (length, shift, rest) = (length | usize::from(byte & 0x7f) << shift, shift + 7, after);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            assert_eq!(rest[0], 0x0a, "a family starts with its name");
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn long_messages_have_long_lengths() {
        let value = "x".repeat(300);
        let family = Family::gauge("g", "", &["l"]).with(&[&value], 0.0);
        let out = encoded(family);
        // the metric: a label pair of 306 bytes behind a tag and two bytes of length, and the gauge of 11
        let metric = out.windows(3).position(|bytes| bytes == [0x22, 0xc0, 0x02]).unwrap();
        assert_eq!(out.len(), metric + 3 + 320);
    }
}

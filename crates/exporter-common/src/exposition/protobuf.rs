//! Encodes the protobuf format: delimited messages of io.prometheus.client.MetricFamily.
//!
//! Source: io/prometheus/client/metrics.proto of prometheus/client_model. The messages are few and small,
//! so they are encoded without generated code.

use super::encoder::Encode;
use super::family::{Family, Kind, Value};
use super::merge::Group;

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
        for (family, series) in group.series() {
            length += delimited_length(self.metric_length(family, series));
        }
        varint(length as u64, out);
        out.extend_from_slice(&described);
    }

    fn series(&mut self, family: &Family, series: usize, out: &mut Vec<u8>) {
        varint(METRIC << 3 | 2, out);
        varint(self.metric_length(family, series) as u64, out);
        for (name, value) in family.labels(series) {
            varint(1 << 3 | 2, out);
            varint(label_length(name, value) as u64, out);
            bytes(1, name.as_bytes(), out);
            bytes(2, value, out);
        }
        sample(family, series, out);
    }
}

/// The field of a family that holds one of its series.
const METRIC: u64 = 4;

impl Protobuf {
    /// The length of a series' message.
    fn metric_length(&mut self, family: &Family, series: usize) -> usize {
        let labels: usize =
            family.labels(series).map(|(name, value)| delimited_length(label_length(name, value))).sum();
        if let (Value::Number(_), None) = (family.series_value(series), family.time(series)) {
            return labels + NUMBER_LENGTH;
        }
        self.scratch.clear();
        sample(family, series, &mut self.scratch);
        labels + self.scratch.len()
    }
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
fn describe(head: &Family, out: &mut Vec<u8>) {
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
    match family.series_value(series) {
        Value::Number(value) => {
            let field = match family.kind() {
                Kind::Counter => 3,
                Kind::Unknown => 5,
                _ => 2,
            };
            nested(field, out, |out| double(1, *value, out));
        }
        Value::Summary(summary) => nested(4, out, |out| {
            unsigned(1, summary.count, out);
            double(2, summary.sum, out);
            for (quantile, value) in &summary.quantiles {
                nested(3, out, |out| {
                    double(1, *quantile, out);
                    double(2, *value, out);
                });
            }
        }),
        Value::Histogram(histogram) => nested(7, out, |out| {
            unsigned(1, histogram.count, out);
            if let Some(sum) = histogram.sum {
                double(2, sum, out);
            }
            for (bound, count) in &histogram.buckets {
                nested(3, out, |out| {
                    unsigned(1, *count, out);
                    double(2, *bound, out);
                });
            }
        }),
    }
    if let Some(time) = family.time(series) {
        unsigned(6, time.cast_unsigned(), out);
    }
}

/// A nested message. Its length precedes it, but is known only after it is written.
fn nested(field: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
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

fn bytes(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn unsigned(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
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
    use std::sync::Arc;

    use super::*;
    use crate::exposition::Exposition;
    use crate::exposition::encoder;

    fn encoded(family: Family) -> Vec<u8> {
        let mut out = Vec::new();
        encoder::encode(&Exposition::merge(vec![Arc::new(family)]), Box::new(Protobuf::default()), &mut out);
        out
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
    fn long_messages_have_long_lengths() {
        let value = "x".repeat(300);
        let family = Family::gauge("g", "", &["l"]).with(&[&value], 0.0);
        let out = encoded(family);
        // the metric: a label pair of 306 bytes behind a tag and two bytes of length, and the gauge of 11
        let metric = out.windows(3).position(|bytes| bytes == [0x22, 0xc0, 0x02]).unwrap();
        assert_eq!(out.len(), metric + 3 + 320);
    }
}

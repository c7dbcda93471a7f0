//! The protobuf format as text, for people: `encoding=text`, and `encoding=compact-text` with one family per line.
//!
//! Source: prototext of Go's protobuf module, which varies its spaces on purpose, and metrics.proto of
//! prometheus/client_model. The messages are encoded, and written by the names of their fields.

use super::encoder::Encode;
use super::family::Family;
use super::merge::Group;
use super::protobuf::{describe, metric, nested};
use super::sample_format::{escape_bytes, go_float};

/// The format.
pub(crate) struct ProtobufText {
    compact: bool,
}

/// A field of a message: number, name and type.
type Field = (u64, &'static str, FieldType);

#[derive(Clone, Copy)]
enum FieldType {
    Text,
    Unsigned,
    Signed,
    /// An int64, which is not zigzag-encoded.
    Integer,
    Double,
    /// The type of a family.
    MetricType,
    Message(&'static [Field]),
}

use FieldType::{Double, Integer, Message, MetricType, Signed, Text, Unsigned};

const METRIC_TYPES: [&str; 5] = ["COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM"];
const FAMILY: &[Field] = &[(1, "name", Text), (2, "help", Text), (3, "type", MetricType), (4, "metric", METRIC)];
const METRIC: FieldType = Message(&[
    (1, "label", LABEL),
    (2, "gauge", NUMBER),
    (3, "counter", Message(&[(1, "value", Double), (2, "exemplar", EXEMPLAR), (3, "created_timestamp", TIMESTAMP)])),
    (4, "summary", SUMMARY),
    (5, "untyped", NUMBER),
    (6, "timestamp_ms", Integer),
    (7, "histogram", HISTOGRAM),
]);
const LABEL: FieldType = Message(&[(1, "name", Text), (2, "value", Text)]);
const NUMBER: FieldType = Message(&[(1, "value", Double)]);
const SUMMARY: FieldType = Message(&[
    (1, "sample_count", Unsigned),
    (2, "sample_sum", Double),
    (3, "quantile", Message(&[(1, "quantile", Double), (2, "value", Double)])),
    (4, "created_timestamp", TIMESTAMP),
]);
const HISTOGRAM: FieldType = Message(&[
    (1, "sample_count", Unsigned),
    (2, "sample_sum", Double),
    (3, "bucket", Message(&[(1, "cumulative_count", Unsigned), (2, "upper_bound", Double), (3, "exemplar", EXEMPLAR)])),
    (5, "schema", Signed),
    (6, "zero_threshold", Double),
    (7, "zero_count", Unsigned),
    (9, "negative_span", SPAN),
    (10, "negative_delta", Signed),
    (12, "positive_span", SPAN),
    (13, "positive_delta", Signed),
    (15, "created_timestamp", TIMESTAMP),
]);
const SPAN: FieldType = Message(&[(1, "offset", Signed), (2, "length", Unsigned)]);
const EXEMPLAR: FieldType = Message(&[(1, "label", LABEL), (2, "value", Double), (3, "timestamp", TIMESTAMP)]);
const TIMESTAMP: FieldType = Message(&[(1, "seconds", Unsigned), (2, "nanos", Unsigned)]);

impl ProtobufText {
    pub(crate) fn new(compact: bool) -> Self {
        Self { compact }
    }

    /// Writes the fields of an encoded message. `first` says whether nothing of the message is written before.
    fn message(&self, mut bytes: &[u8], fields: &[Field], depth: usize, mut first: bool, out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let (number, content) = match tag & 7 {
                0 => (varint(&mut bytes), &[][..]),
                1 => (0, take(&mut bytes, 8)),
                _ => {
                    let length = varint(&mut bytes) as usize;
                    (0, take(&mut bytes, length))
                }
            };
            let Some((_, name, kind)) = fields.iter().find(|(number, ..)| *number == tag >> 3) else { continue };
            match self.compact {
                true if first => {}
                true => out.push(b' '),
                false => out.extend(std::iter::repeat_n(b' ', 2 * depth)),
            }
            first = false;
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            match kind {
                Text => {
                    out.push(b'"');
                    escape_bytes(content, true, out);
                    out.push(b'"');
                }
                Double => double(content, out),
                Unsigned => out.extend_from_slice(number.to_string().as_bytes()),
                Integer => out.extend_from_slice(number.cast_signed().to_string().as_bytes()),
                Signed => {
                    let value = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
                    out.extend_from_slice(value.to_string().as_bytes());
                }
                MetricType => {
                    let name = METRIC_TYPES.get(number as usize).copied().unwrap_or_default();
                    out.extend_from_slice(name.as_bytes());
                }
                Message(fields) => {
                    out.extend_from_slice(if self.compact { b"{" } else { b"{\n" });
                    self.message(content, fields, depth + 1, true, out);
                    if !self.compact {
                        out.extend(std::iter::repeat_n(b' ', 2 * depth));
                    }
                    out.push(b'}');
                }
            }
            if !self.compact {
                out.push(b'\n');
            }
        }
    }
}

impl Encode for ProtobufText {
    fn header(&mut self, index: usize, group: &Group, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(b'\n');
        }
        let mut described = Vec::new();
        describe(group.head(), &mut described);
        self.message(&described, FAMILY, 0, true, out);
    }

    fn series(&mut self, family: &Family, series: usize, out: &mut Vec<u8>) {
        let mut encoded = Vec::new();
        nested(4, &mut encoded, |out| metric(family, series, out));
        self.message(&encoded, FAMILY, 0, false, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }
}

fn double(bytes: &[u8], out: &mut Vec<u8>) {
    let value = bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"nan"),
        f64::INFINITY => out.extend_from_slice(b"inf"),
        f64::NEG_INFINITY => out.extend_from_slice(b"-inf"),
        _ => go_float(value, out),
    }
}

/// Takes the first bytes.
fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let [byte, rest @ ..] = *bytes {
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::exposition::encoder::encode;
    use crate::exposition::family::{Exemplar, Histogram};
    use crate::exposition::merge::Exposition;
    use crate::exposition::native_histogram::NativeHistogram;

    fn text(families: impl IntoIterator<Item = Family>, compact: bool) -> String {
        let exposition = Exposition::merge(families.into_iter().map(Arc::new).collect());
        let mut out = Vec::new();
        encode(&exposition, Box::new(ProtobufText::new(compact)), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_are_written_by_name_with_one_family_per_line_or_one_field_per_line() {
        let mut counter = Family::counter("a_total", "An \"a\".", &["l"]).with(&["x"], 1.0);
        counter.push_at(&["y"], f64::INFINITY, -5);
        let gauge = Family::gauge("g", "", &[]).value(f64::NAN);
        let expected = "name: \"a_total\" help: \"An \\\"a\\\".\" type: COUNTER \
             metric: {label: {name: \"l\" value: \"x\"} counter: {value: 1}} \
             metric: {label: {name: \"l\" value: \"y\"} counter: {value: inf} timestamp_ms: -5}\n\
             name: \"g\" type: GAUGE metric: {gauge: {value: nan}}\n";
        assert_eq!(text([counter, gauge.clone()], true), expected);
        let expected = "name: \"g\"\ntype: GAUGE\nmetric: {\n  gauge: {\n    value: nan\n  }\n}\n\n";
        assert_eq!(text([gauge], false), expected);
    }

    #[test]
    fn every_field_of_a_histogram_has_a_name() {
        let mut native = NativeHistogram::with_schema(0);
        [-1.0, 0.0, 1.0, 500.0].into_iter().for_each(|value| native.observe(value));
        let exemplar = Exemplar::new([("t", "x")], 0.5).at(UNIX_EPOCH + Duration::from_millis(3005));
        let histogram = Histogram::new([(1.0, 3)], Some(500.0), 4).with_native(native).with_exemplars([exemplar]);
        let mut family = Family::histogram("h", "", &[]).value(histogram);
        family.set_created(UNIX_EPOCH + Duration::from_secs(7));
        let expected = "name: \"h\" type: HISTOGRAM metric: {histogram: {sample_count: 4 sample_sum: 500 \
             bucket: {cumulative_count: 3 upper_bound: 1 exemplar: {label: {name: \"t\" value: \"x\"} value: 0.5 \
             timestamp: {seconds: 3 nanos: 5000000}}} schema: 0 zero_threshold: 2.938735877055719e-39 zero_count: 1 \
             negative_span: {offset: 0 length: 1} negative_delta: 1 positive_span: {offset: 0 length: 1} \
             positive_span: {offset: 8 length: 1} positive_delta: 1 positive_delta: 0 created_timestamp: {seconds: 7 nanos: 0}}}\n";
        assert_eq!(text([family], true), expected);
    }
}

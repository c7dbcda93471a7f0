//! Negotiates the format and the escaping by `Accept`, and gzip by `Accept-Encoding`.
//!
//! Source: NegotiateIncludingOpenMetrics of prometheus/common, and RFC 9110.

use super::encoder::Encode;
use super::escaping::Escaping;
use super::merge::Exposition;
use super::openmetrics::OpenMetrics;
#[cfg(feature = "protobuf")]
use super::protobuf::Protobuf;
#[cfg(feature = "protobuf")]
use super::protobuf_text::ProtobufText;
use super::text::Text;

/// The formats of an exposition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExpositionFormat {
    /// The text format 0.0.4, which is the default.
    #[default]
    Text,
    /// OpenMetrics as text.
    OpenMetrics(OpenMetricsVersion),
    /// Protobuf messages.
    #[cfg(feature = "protobuf")]
    Protobuf(ProtobufEncoding),
}

/// The encodings of protobuf messages.
#[cfg(feature = "protobuf")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtobufEncoding {
    Delimited,
    Text,
    CompactText,
}

/// The versions of OpenMetrics, which differ here only in their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMetricsVersion {
    V0_0_1,
    V1_0_0,
}

impl ExpositionFormat {
    /// The format's Content-Type.
    pub(crate) fn content_type(self, escaping: Escaping) -> String {
        let format = match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics(OpenMetricsVersion::V0_0_1) => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            }
            Self::OpenMetrics(OpenMetricsVersion::V1_0_0) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            #[cfg(feature = "protobuf")]
            Self::Protobuf(ProtobufEncoding::Delimited) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            #[cfg(feature = "protobuf")]
            Self::Protobuf(ProtobufEncoding::Text) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text"
            }
            #[cfg(feature = "protobuf")]
            Self::Protobuf(ProtobufEncoding::CompactText) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=compact-text"
            }
        };
        format!("{format}; escaping={}", escaping.name())
    }

    /// The encoding of an exposition. `with_created` adds created timestamps to OpenMetrics.
    pub(crate) fn encoder(self, exposition: &Exposition, with_created: bool) -> Box<dyn Encode> {
        match self {
            Self::Text => Box::new(Text),
            Self::OpenMetrics(_) => Box::new(OpenMetrics::new(exposition, with_created)),
            #[cfg(feature = "protobuf")]
            Self::Protobuf(ProtobufEncoding::Delimited) => Box::new(Protobuf::default()),
            #[cfg(feature = "protobuf")]
            Self::Protobuf(encoding) => Box::new(ProtobufText::new(encoding == ProtobufEncoding::CompactText)),
        }
    }
}

/// The supported format that `Accept` prefers, and the escaping.
pub(crate) fn format(accept: &str) -> (ExpositionFormat, Escaping) {
    let mut escaping = Escaping::default();
    for clause in clauses(accept) {
        // An escaping applies from its clause on, even if the clause's format is unknown: Prometheus 3 sends
        // `text/plain;version=1.0.0;escaping=allow-utf-8` before version 0.0.4.
        if let Some(named) = clause.parameter("escaping").and_then(Escaping::named) {
            escaping = named;
        }
        let format = match (clause.name.as_str(), clause.parameter("version")) {
            ("text/plain", None | Some("0.0.4")) => ExpositionFormat::Text,
            ("application/openmetrics-text", Some("1.0.0")) => {
                ExpositionFormat::OpenMetrics(OpenMetricsVersion::V1_0_0)
            }
            ("application/openmetrics-text", None | Some("0.0.1")) => {
                ExpositionFormat::OpenMetrics(OpenMetricsVersion::V0_0_1)
            }
            #[cfg(feature = "protobuf")]
            ("application/vnd.google.protobuf", _)
                if clause.parameter("proto") == Some("io.prometheus.client.MetricFamily") =>
            {
                ExpositionFormat::Protobuf(match clause.parameter("encoding") {
                    Some("delimited") => ProtobufEncoding::Delimited,
                    Some("text") => ProtobufEncoding::Text,
                    Some("compact-text") => ProtobufEncoding::CompactText,
                    _ => continue,
                })
            }
            _ => continue,
        };
        return (format, escaping);
    }
    (ExpositionFormat::Text, escaping)
}

/// Whether gzip is accepted, and not less preferred than no encoding.
#[cfg(feature = "gzip")]
pub(crate) fn gzip(accept_encoding: &str) -> bool {
    let clauses = clauses(accept_encoding);
    let quality = |name| clauses.iter().find(|clause| clause.name == name).map(|clause| clause.quality);
    quality("gzip").is_some_and(|gzip| gzip >= quality("identity").unwrap_or(0.0))
}

/// A clause of an Accept header: `name;key=value;q=0.5`.
struct Clause {
    name: String,
    parameters: Vec<(String, String)>,
    quality: f64,
}

impl Clause {
    fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// The clauses of a header, ordered by quality, without clauses of quality 0.
fn clauses(header: &str) -> Vec<Clause> {
    let mut clauses: Vec<_> = header.split(',').map(clause).filter(|clause| clause.quality > 0.0).collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

fn clause(text: &str) -> Clause {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let pairs = parts.filter_map(|part| part.split_once('='));
    let parameters: Vec<_> = pairs
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
        .collect();
    let mut clause = Clause { name, parameters, quality: 1.0 };
    if let Some(quality) = clause.parameter("q") {
        clause.quality = quality.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0);
    }
    clause
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOBUF: &str =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

    fn negotiated(accept: &str) -> String {
        let (format, escaping) = format(accept);
        format.content_type(escaping)
    }

    #[test]
    fn formats_are_negotiated_as_prometheus_common_negotiates_them() {
        let openmetrics = |version: &str| format!("application/openmetrics-text; version={version}; charset=utf-8");
        for (accept, format, escaping) in [
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                PROTOBUF,
                "underscores",
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited; escaping=allow-utf-8;",
                PROTOBUF,
                "allow-utf-8",
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
                &PROTOBUF.replace("delimited", "text"),
                "underscores",
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=compact-text;escaping=dots",
                &PROTOBUF.replace("delimited", "compact-text"),
                "dots",
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=other",
                TEXT,
                "underscores",
            ),
            ("text/plain;version=0.0.4", TEXT, "underscores"),
            ("text/plain;version=0.0.4; escaping=values;", TEXT, "values"),
            ("application/openmetrics-text", &openmetrics("0.0.1"), "underscores"),
            ("application/openmetrics-text;version=0.0.1; escaping=underscores", &openmetrics("0.0.1"), "underscores"),
            ("application/openmetrics-text;version=1.0.0", &openmetrics("1.0.0"), "underscores"),
            ("application/openmetrics-text;version=1.0.0; escaping=values;", &openmetrics("1.0.0"), "values"),
            ("application/openmetrics-text;version=2.0.0", TEXT, "underscores"),
            ("application/openmetrics-text;version=0.0.4", TEXT, "underscores"),
            ("text/plain;version=0.0.4; escaping=allow-utf-8", TEXT, "allow-utf-8"),
            ("text/plain;version=0.0.4; escaping=nonsense", TEXT, "underscores"),
            ("text/plain", TEXT, "underscores"),
            ("*/*", TEXT, "underscores"),
            ("", TEXT, "underscores"),
            ("application/openmetrics-text;q=0, text/plain;q=0.1", TEXT, "underscores"),
            (
                "text/plain;q=0.2, APPLICATION/openmetrics-text; version=\"1.0.0\";q=0.9",
                &openmetrics("1.0.0"),
                "underscores",
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                &openmetrics("1.0.0"),
                "allow-utf-8",
            ),
            ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3", TEXT, "allow-utf-8"),
            (";;,=,q=,;q=x,text/plain;q=nan,,,", TEXT, "underscores"),
        ] {
            assert_eq!(negotiated(accept), format!("{format}; escaping={escaping}"), "{accept}");
        }
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn gzip_is_used_if_it_is_preferred() {
        for (header, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("*", false),
            ("gzip;q=0.5, identity", false),
            ("gzip, zstd", true),
            ("zstd", false),
            ("", false),
        ] {
            assert_eq!(gzip(header), expected, "{header}");
        }
    }
}

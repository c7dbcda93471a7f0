//! The meaning of a log field, and the names that servers give it.

use crate::format::request::{
    CacheStatus, Details, Method, Number, Protocol, Request, StatusCode, Unit, Upstream, path_of_target,
};

/// The meaning of a log field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// The whole request line.
    Request,
    Method,
    Path,
    Protocol,
    Status,
    Bytes,
    Received,
    Duration(Unit),
    Upstream(Upstream, Unit),
    Cache,
    Vhost,
    /// The time of the request.
    Time,
    /// The trace of the request, for an exemplar.
    Trace,
    /// A field that is not counted.
    Skip,
}

impl Field {
    /// Whether two fields have the same meaning, possibly in different units. One of them is enough.
    pub(crate) fn same(self, other: Self) -> bool {
        self.kind() == other.kind()
    }

    /// The number of kinds.
    pub(crate) const KINDS: usize = 16;

    /// Its kind, the same for fields with the same meaning.
    pub(crate) fn kind(self) -> usize {
        match self {
            Self::Request => 0,
            Self::Method => 1,
            Self::Path => 2,
            Self::Protocol => 3,
            Self::Status => 4,
            Self::Bytes => 5,
            Self::Received => 6,
            Self::Duration(_) => 7,
            Self::Upstream(what, _) => 8 + what as usize,
            Self::Cache => 11,
            Self::Vhost => 12,
            Self::Time => 13,
            Self::Trace => 14,
            Self::Skip => 15,
        }
    }

    /// Whether its values are numbers or lists of numbers.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Bytes | Self::Received | Self::Duration(_) | Self::Upstream(..))
    }

    /// Its description in the output of `explain`.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Method => "method",
            Self::Path => "path",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::Bytes => "bytes sent",
            Self::Received => "bytes received",
            Self::Duration(_) => "duration",
            Self::Upstream(Upstream::Connect, _) => "upstream connect duration",
            Self::Upstream(Upstream::Header, _) => "upstream header duration",
            Self::Upstream(Upstream::Response, _) => "upstream response duration",
            Self::Cache => "cache status",
            Self::Vhost => "vhost",
            Self::Time => "time",
            Self::Trace => "trace ID",
            Self::Skip => "",
        }
    }
}

/// Builds a request from its fields, in any order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestBuilder<'a> {
    request: Request<'a>,
    status: Option<StatusCode>,
    has_method: bool,
    details: Details<'a>,
}

impl<'a> RequestBuilder<'a> {
    /// No fields yet.
    pub(crate) const NEW: Self = Self {
        request: Request {
            method: Method::OTHER,
            status: StatusCode::NONE,
            bytes: Number::Absent,
            duration: Number::Absent,
            line: b"",
        },
        status: None,
        has_method: false,
        details: Details::NONE,
    };

    /// Sets a field from its text in the line.
    #[inline]
    pub(crate) fn set(&mut self, field: Field, text: &'a [u8]) {
        match field {
            Field::Skip => {}
            Field::Time => self.details.time = Some(text),
            Field::Trace => self.details.trace = trace_id(text),
            Field::Request => {
                self.request.line = text;
                if !self.has_method {
                    self.request.method = Method::from_request_line(text);
                }
            }
            Field::Method => {
                self.request.method = Method::from_request_line(text);
                self.has_method = true;
            }
            Field::Path => self.details.path = Some(path_of_target(text)),
            Field::Protocol => self.details.protocol = Some(Protocol::parse(text)),
            Field::Status => self.status = StatusCode::parse(text),
            Field::Bytes => self.request.bytes = Number::bytes(text),
            Field::Received => self.details.received = Number::bytes(text),
            Field::Duration(unit) => self.request.duration = Number::time(text, unit),
            Field::Upstream(what, unit) => self.details.upstream[what as usize] = Number::times(text, unit),
            Field::Cache => self.details.cache = Some(CacheStatus::parse(text)),
            Field::Vhost => self.details.vhost = Some(text),
        }
    }

    /// Sets all fields that every format has.
    pub(crate) fn set_request(&mut self, request: Request<'a>) {
        self.status = Some(request.status);
        self.request = request;
    }

    /// Sets the duration of the request.
    pub(crate) fn set_duration(&mut self, duration: Number) {
        self.request.duration = duration;
    }

    /// The request, if it has a valid status. It stays in the builder, since moving it takes longer than a short field.
    #[inline]
    pub(crate) fn finish(&mut self) -> Option<(&Request<'a>, &Details<'a>)> {
        self.request.status = self.status?;
        Some((&self.request, &self.details))
    }
}

/// The trace ID in a field, which may be a whole header `traceparent` of W3C. `None` for a request without a trace, and
/// for a value that is longer than OpenMetrics permits.
fn trace_id(text: &[u8]) -> Option<&str> {
    /// The limit for labels, 128 characters, minus the name `trace_id`.
    const MAX_LENGTH: usize = 120;
    // version, trace ID, span ID, flags
    let id = match text.split_at_checked(35) {
        Some(([_, _, b'-', id @ ..], rest)) if rest.len() == 20 && rest[0] == b'-' && rest[17] == b'-' => id,
        _ => text,
    };
    let id = std::str::from_utf8(id).ok()?;
    let valid = !matches!(id, "" | "-") && id.len() <= MAX_LENGTH;
    valid.then_some(id)
}

/// The meaning of nginx's variables, and of common names in JSON and regular expressions. If a line has several names
/// with the same meaning, the first one in this table is read.
pub(crate) const NAMES: &[(&str, Field)] = &[
    ("request", Field::Request),
    ("request_line", Field::Request),
    ("request_method", Field::Method),
    ("method", Field::Method),
    ("verb", Field::Method),
    ("request_uri", Field::Path),
    ("uri", Field::Path),
    ("document_uri", Field::Path),
    ("path", Field::Path),
    ("request_path", Field::Path),
    ("url", Field::Path),
    ("server_protocol", Field::Protocol),
    ("protocol", Field::Protocol),
    ("proto", Field::Protocol),
    ("request_protocol", Field::Protocol),
    ("status", Field::Status),
    ("status_code", Field::Status),
    ("response_code", Field::Status),
    ("response_status", Field::Status),
    ("code", Field::Status),
    ("body_bytes_sent", Field::Bytes),
    ("bytes_sent", Field::Bytes),
    ("bytes", Field::Bytes),
    ("size", Field::Bytes),
    ("response_size", Field::Bytes),
    ("request_length", Field::Received),
    ("bytes_received", Field::Received),
    ("request_size", Field::Received),
    ("request_time", Field::Duration(Unit::Seconds)),
    ("duration", Field::Duration(Unit::Seconds)),
    ("duration_seconds", Field::Duration(Unit::Seconds)),
    ("duration_ms", Field::Duration(Unit::Milliseconds)),
    ("duration_us", Field::Duration(Unit::Microseconds)),
    ("duration_ns", Field::Duration(Unit::Nanoseconds)),
    ("upstream_connect_time", Field::Upstream(Upstream::Connect, Unit::Seconds)),
    ("upstream_connect_ms", Field::Upstream(Upstream::Connect, Unit::Milliseconds)),
    ("upstream_header_time", Field::Upstream(Upstream::Header, Unit::Seconds)),
    ("upstream_header_ms", Field::Upstream(Upstream::Header, Unit::Milliseconds)),
    ("upstream_response_time", Field::Upstream(Upstream::Response, Unit::Seconds)),
    ("upstream_response_ms", Field::Upstream(Upstream::Response, Unit::Milliseconds)),
    ("upstream_cache_status", Field::Cache),
    ("cache_status", Field::Cache),
    ("server_name", Field::Vhost),
    ("vhost", Field::Vhost),
    ("virtual_host", Field::Vhost),
    ("host", Field::Vhost),
    ("http_host", Field::Vhost),
    ("time_iso8601", Field::Time),
    ("time_local", Field::Time),
    ("msec", Field::Time),
    ("time", Field::Time),
    ("timestamp", Field::Time),
    ("@timestamp", Field::Time),
    ("ts", Field::Time),
];

/// The meaning of a name, and its rank among the names with that meaning.
pub(crate) fn named(name: &str) -> (Field, usize) {
    let found = NAMES.iter().enumerate().find(|(_, (known, _))| *known == name);
    found.map_or((Field::Skip, usize::MAX), |(rank, (_, field))| (*field, rank))
}

/// Why a format with these fields cannot be counted, or `None`.
pub(crate) fn missing(fields: &[Field]) -> Option<&'static str> {
    let has = |wanted: Field| fields.iter().any(|field| field.same(wanted));
    match () {
        () if !has(Field::Status) => Some("it has no status field"),
        () if !has(Field::Request) && !has(Field::Method) => Some("it has no request or method field"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_names_with_the_same_meaning_the_first_has_the_lowest_rank() {
        let (body, all) = (named("body_bytes_sent"), named("bytes_sent"));
        assert!(body.0.same(all.0) && body.1 < all.1);
        assert_eq!(named("http_user_agent").0, Field::Skip);
    }

    #[test]
    fn a_method_field_takes_precedence_over_the_request_line() {
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let mut builder = RequestBuilder::NEW;
            for field in order {
                match field {
                    0 => builder.set(Field::Request, b"GET / HTTP/1.1"),
                    1 => builder.set(Field::Method, b"PUT"),
                    _ => builder.set(Field::Status, b"200"),
                }
            }
            assert_eq!(builder.finish().unwrap().0.method, Method::from_request_line(b"PUT"));
        }
    }

    #[test]
    fn a_trace_id_is_the_field_or_in_the_header_traceparent() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let header = format!("00-{id}-00f067aa0ba902b7-01");
        for (text, expected) in [(id, Some(id)), (&header, Some(id)), ("x", Some("x")), ("", None), ("-", None)] {
            assert_eq!(trace_id(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(trace_id(b"\xff"), None);
        assert!(trace_id(&[b'x'; 120]).is_some() && trace_id(&[b'x'; 121]).is_none());
    }

    #[test]
    fn a_line_without_a_status_is_not_a_request() {
        let mut builder = RequestBuilder::NEW;
        assert!(builder.finish().is_none());
        builder.set(Field::Status, b"2x0");
        assert!(builder.finish().is_none());
    }

    #[test]
    fn a_format_needs_a_status_and_a_request() {
        assert_eq!(missing(&[Field::Status, Field::Method]), None);
        assert!(missing(&[Field::Request]).unwrap().contains("status"));
        assert!(missing(&[Field::Status, Field::Path]).unwrap().contains("request"));
    }
}

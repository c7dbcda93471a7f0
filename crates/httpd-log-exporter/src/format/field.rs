//! What a field of a line means for the counters, and by which names servers call it.

use crate::format::request::{
    CacheStatus, Details, Method, Number, Protocol, Request, StatusCode, Unit, Upstream, without_query,
};

/// What a field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// The whole request line.
    Request,
    Method,
    Path,
    Protocol,
    StatusCode,
    Bytes,
    Received,
    Duration(Unit),
    Upstream(Upstream, Unit),
    CacheStatus,
    Vhost,
    /// When the line was written.
    Time,
    /// Nothing that is counted.
    Skip,
}

impl Field {
    /// Whether two fields say the same, maybe in other units: one of them is enough.
    pub(crate) fn same(self, other: Self) -> bool {
        self.kind() == other.kind()
    }

    /// How many kinds there are.
    pub(crate) const KINDS: usize = 15;

    /// Its kind: fields that say the same have the same.
    pub(crate) fn kind(self) -> usize {
        match self {
            Self::Request => 0,
            Self::Method => 1,
            Self::Path => 2,
            Self::Protocol => 3,
            Self::StatusCode => 4,
            Self::Bytes => 5,
            Self::Received => 6,
            Self::Duration(_) => 7,
            Self::Upstream(what, _) => 8 + what as usize,
            Self::CacheStatus => 11,
            Self::Vhost => 12,
            Self::Time => 13,
            Self::Skip => 14,
        }
    }

    /// Whether it is a number, or a list of numbers.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Bytes | Self::Received | Self::Duration(_) | Self::Upstream(..))
    }

    /// What it is, for people.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Method => "method",
            Self::Path => "path",
            Self::Protocol => "protocol",
            Self::StatusCode => "status",
            Self::Bytes => "bytes sent",
            Self::Received => "bytes received",
            Self::Duration(_) => "duration",
            Self::Upstream(Upstream::Connect, _) => "upstream connect duration",
            Self::Upstream(Upstream::Header, _) => "upstream header duration",
            Self::Upstream(Upstream::Response, _) => "upstream response duration",
            Self::CacheStatus => "cache status",
            Self::Vhost => "vhost",
            Self::Time => "time",
            Self::Skip => "",
        }
    }
}

/// A request as its fields are read one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestBuilder<'a> {
    request: Request<'a>,
    status: Option<StatusCode>,
    method: bool,
    details: Details<'a>,
}

impl<'a> RequestBuilder<'a> {
    /// Nothing was read.
    pub(crate) const NEW: Self = Self {
        request: Request {
            method: Method::OTHER,
            status: StatusCode::NONE,
            bytes: Number::Absent,
            duration: Number::Absent,
            line: b"",
        },
        status: None,
        method: false,
        details: Details::NONE,
    };

    /// Takes a field as it stands in the line.
    #[inline]
    pub(crate) fn set(&mut self, field: Field, text: &'a [u8]) {
        match field {
            Field::Skip | Field::Time => {}
            Field::Request => {
                self.request.line = text;
                if !self.method {
                    self.request.method = Method::of(text);
                }
            }
            Field::Method => {
                self.request.method = Method::of(text);
                self.method = true;
            }
            Field::Path => self.details.path = Some(without_query(text)),
            Field::Protocol => self.details.protocol = Some(Protocol::parse(text)),
            Field::StatusCode => self.status = StatusCode::parse(text),
            Field::Bytes => self.request.bytes = Number::bytes(text),
            Field::Received => self.details.received = Number::bytes(text),
            Field::Duration(unit) => self.request.duration = Number::time(text, unit),
            Field::Upstream(what, unit) => self.details.upstream[what as usize] = Number::times(text, unit),
            Field::CacheStatus => self.details.cache = Some(CacheStatus::parse(text)),
            Field::Vhost => self.details.vhost = Some(text),
        }
    }

    /// Takes how long the request took.
    pub(crate) fn set_duration(&mut self, duration: Number) {
        self.request.duration = duration;
    }

    /// The request, if its status is one.
    #[inline]
    pub(crate) fn finish(self) -> Option<(Request<'a>, Details<'a>)> {
        Some((Request { status: self.status?, ..self.request }, self.details))
    }
}

/// What a name of nginx's variables, or one that people use for the same in JSON and in regular
/// expressions, means. Of several that mean the same, the one that stands first here is read.
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
    ("status", Field::StatusCode),
    ("status_code", Field::StatusCode),
    ("response_code", Field::StatusCode),
    ("response_status", Field::StatusCode),
    ("code", Field::StatusCode),
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
    ("upstream_cache_status", Field::CacheStatus),
    ("cache_status", Field::CacheStatus),
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

/// What a name means, and its rank among those that mean the same.
pub(crate) fn named(name: &str) -> (Field, usize) {
    let found = NAMES.iter().enumerate().find(|(_, (known, _))| *known == name);
    found.map_or((Field::Skip, usize::MAX), |(rank, (_, field))| (*field, rank))
}

/// What is missing in a format's fields, if anything.
pub(crate) fn missing(fields: &[Field]) -> Option<&'static str> {
    let has = |wanted: Field| fields.iter().any(|field| field.same(wanted));
    match () {
        () if !has(Field::StatusCode) => Some("it has no status"),
        () if !has(Field::Request) && !has(Field::Method) => Some("it has no request, nor its method"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_names_that_mean_the_same_has_the_lower_rank() {
        let (body, all) = (named("body_bytes_sent"), named("bytes_sent"));
        assert!(body.0.same(all.0) && body.1 < all.1);
        assert_eq!(named("http_user_agent").0, Field::Skip);
    }

    #[test]
    fn a_method_of_its_own_wins_over_that_of_the_request_line() {
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let mut builder = RequestBuilder::NEW;
            for field in order {
                match field {
                    0 => builder.set(Field::Request, b"GET / HTTP/1.1"),
                    1 => builder.set(Field::Method, b"PUT"),
                    _ => builder.set(Field::StatusCode, b"200"),
                }
            }
            assert_eq!(builder.finish().unwrap().0.method, Method::of(b"PUT"));
        }
    }

    #[test]
    fn without_a_status_there_is_no_request() {
        assert!(RequestBuilder::NEW.finish().is_none());
        let mut builder = RequestBuilder::NEW;
        builder.set(Field::StatusCode, b"2x0");
        assert!(builder.finish().is_none());
    }

    #[test]
    fn a_format_needs_a_status_and_a_request() {
        assert_eq!(missing(&[Field::StatusCode, Field::Method]), None);
        assert!(missing(&[Field::Request]).unwrap().contains("status"));
        assert!(missing(&[Field::StatusCode, Field::Path]).unwrap().contains("request"));
    }
}

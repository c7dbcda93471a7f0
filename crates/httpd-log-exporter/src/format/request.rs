//! One request as parsed from a log line: the plain struct between the formats and the counters.

/// The fields that every format has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) status: StatusCode,
    /// Bytes sent; 0 if the log has `-`.
    pub(crate) bytes: Number,
    /// Duration of the request in nanoseconds.
    pub(crate) duration: Number,
    /// The request line, possibly incomplete. Its path and protocol are parsed only if they are counted.
    pub(crate) line: &'a [u8],
}

/// The fields that only some formats have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Details<'a> {
    /// The path, if the log has it outside the request line.
    pub(crate) path: Option<&'a [u8]>,
    /// The protocol, if the log has it outside the request line.
    pub(crate) protocol: Option<Protocol>,
    /// Bytes received.
    pub(crate) received: Number,
    /// Durations of the upstream server in nanoseconds, indexed by [`Upstream`].
    pub(crate) upstream: [Number; 3],
    pub(crate) cache: Option<CacheStatus>,
    pub(crate) vhost: Option<&'a [u8]>,
    /// The timestamp.
    pub(crate) time: Option<&'a [u8]>,
    /// The ID of its trace, with `--metrics.exemplar`.
    pub(crate) trace: Option<&'a str>,
}

impl Details<'_> {
    /// All fields absent.
    pub(crate) const NONE: Self = Self {
        path: None,
        protocol: None,
        received: Number::Absent,
        upstream: [Number::Absent; 3],
        cache: None,
        vhost: None,
        time: None,
        trace: None,
    };
}

/// The phases of an upstream request whose durations are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    Connect,
    Header,
    Response,
}

/// An HTTP version, or `other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protocol(u8);

impl Protocol {
    /// The label values; the last one stands for all unknown values.
    pub(crate) const NAMES: [&str; 5] = ["HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0", "other"];

    /// Parses the last word of a request line.
    #[inline]
    pub(crate) fn from_request_line(request_line: &[u8]) -> Self {
        match request_line {
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'] => Self(1), // about 90 % of all requests
            _ => Self::parse(request_line.rsplit(|&byte| byte == b' ').next().unwrap_or_default()),
        }
    }

    /// Parses a version such as `HTTP/2.0`, in all spellings that servers use.
    pub(crate) fn parse(token: &[u8]) -> Self {
        Self(match token {
            b"HTTP/1.0" | b"1.0" => 0,
            b"HTTP/1.1" | b"1.1" => 1,
            b"HTTP/2.0" | b"HTTP/2" | b"2.0" | b"2" => 2,
            b"HTTP/3.0" | b"HTTP/3" | b"3.0" | b"3" => 3,
            _ => 4,
        })
    }

    /// Its index in [`Protocol::NAMES`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The server cache's result for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheStatus(u8);

impl CacheStatus {
    /// The label values: nginx's, `other`, and `-` for requests without a cache lookup.
    pub(crate) const NAMES: [&str; 10] =
        ["HIT", "MISS", "BYPASS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED", "SCARCE", "other", "-"];

    /// No cache lookup.
    pub(crate) const NONE: Self = Self(9);

    /// Parses a cache status.
    pub(crate) fn parse(token: &[u8]) -> Self {
        let known = || Self::NAMES[..8].iter().position(|name| name.as_bytes().eq_ignore_ascii_case(token));
        Self(match token {
            b"-" | b"" => Self::NONE.0,
            b"HIT" => 0,
            b"RefreshHit" => 6, // CloudFront's name for REVALIDATED
            _ => known().and_then(|index| u8::try_from(index).ok()).unwrap_or(8),
        })
    }

    /// Its index in [`CacheStatus::NAMES`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The path of a request line, without its query.
pub(crate) fn path(request_line: &[u8]) -> &[u8] {
    let mut words = request_line.splitn(3, |&byte| byte == b' ');
    path_of_target(words.nth(1).unwrap_or_default())
}

/// The path of a request's target, without its query.
pub(crate) fn path_of_target(target: &[u8]) -> &[u8] {
    let path = if target.first() == Some(&b'/') { target } else { behind_authority(target) };
    path.split(|&byte| byte == b'?').next().unwrap_or_default()
}

/// The path of a target in absolute form (`http://host/path`), which clients send to proxies. Any other target is unchanged.
fn behind_authority(target: &[u8]) -> &[u8] {
    let scheme = target.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    match target[scheme..].strip_prefix(b"://") {
        Some(rest) if scheme > 0 => match rest.iter().position(|byte| b"/?".contains(byte)) {
            Some(end) if rest[end] == b'/' => &rest[end..],
            _ => b"/",
        },
        _ => target,
    }
}

/// The value of a numeric field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Value(u64),
    /// The log has `-`, or the format has no such field.
    Absent,
    /// Not a number, or a number out of range.
    Wrong,
}

/// A known method, or `other`: clients can send any text, and labels must be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method(u8);

impl Method {
    /// The label values; the last one stands for all unknown values.
    pub(crate) const NAMES: [&str; 10] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"];

    /// Any unknown method.
    pub(crate) const OTHER: Self = Self(9);

    /// Parses the first word of a request line.
    pub(crate) fn from_request_line(request_line: &[u8]) -> Self {
        if request_line.starts_with(b"GET ") {
            return Self(0); // about 90 % of all requests
        }
        let end = request_line.iter().take(8).position(|&byte| byte == b' ').unwrap_or(request_line.len());
        Self(match &request_line[..end] {
            b"GET" => 0,
            b"HEAD" => 1,
            b"POST" => 2,
            b"PUT" => 3,
            b"DELETE" => 4,
            b"CONNECT" => 5,
            b"OPTIONS" => 6,
            b"TRACE" => 7,
            b"PATCH" => 8,
            _ => 9,
        })
    }

    /// Its label value.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Its index in [`Method::NAMES`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A three-digit HTTP status code, or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusCode(u16);

impl StatusCode {
    /// The number of possible values.
    pub(crate) const COUNT: usize = 1001;
    /// No response was started: Apache writes `-`, HAProxy `-1` and Envoy `0`.
    pub(crate) const NONE: Self = Self(1000);

    /// Parses three digits, `-`, `-1` or `0`.
    pub(crate) fn parse(token: &[u8]) -> Option<Self> {
        match *token {
            [b'-' | b'0'] | [b'-', b'1'] => Some(Self::NONE),
            [a, b, c] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => {
                Some(Self(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')))
            }
            _ => None,
        }
    }

    /// Its index, below [`StatusCode::COUNT`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The label value of the status with this index.
    pub(crate) fn label(index: usize) -> String {
        if index == Self::NONE.index() { "-".to_owned() } else { format!("{index:03}") }
    }
}

impl Number {
    /// Parses a number of bytes; `-` and an empty field are 0.
    pub(crate) fn bytes(token: &[u8]) -> Self {
        match token {
            b"-" | b"" => Self::Value(0),
            [b'+', rest @ ..] => digits(rest).map_or(Self::Wrong, Self::Value), // HAProxy with `option logasap`
            _ => digits(token).map_or(Self::Wrong, Self::Value),
        }
    }

    /// Parses decimal seconds into nanoseconds; `-` and an empty field are absent.
    #[inline]
    pub(crate) fn seconds(token: &[u8]) -> Self {
        Self::time(token, Unit::Seconds)
    }

    /// Parses a decimal duration into nanoseconds. `-`, an empty field and HAProxy's `-1` are absent.
    pub(crate) fn time(token: &[u8], unit: Unit) -> Self {
        let token = match token {
            b"-" | b"" | b"-1" => return Self::Absent,
            [b'+', rest @ ..] => rest, // HAProxy with `option logasap`
            token => token,
        };
        let point = token.iter().position(|&byte| byte == b'.');
        let (whole, fraction) = point.map_or((token, &b""[..]), |at| (&token[..at], &token[at + 1..]));
        let places = unit as usize;
        // digits below a nanosecond are dropped
        let significant = &fraction[..fraction.len().min(places)];
        if (whole.is_empty() && fraction.is_empty()) || !fraction.iter().all(u8::is_ascii_digit) {
            return Self::Wrong;
        }
        let part = |text: &[u8]| if text.is_empty() { Some(0) } else { digits(text) };
        let nanoseconds = part(whole).zip(part(significant)).and_then(|(whole, fraction)| {
            let fraction = fraction * TENS[places - significant.len()];
            whole.checked_mul(TENS[places])?.checked_add(fraction)
        });
        nanoseconds.map_or(Self::Wrong, Self::Value)
    }

    /// Parses nginx's list of durations, one per upstream server (`0.1, 0.2 : -`), into their sum.
    pub(crate) fn times(list: &[u8], unit: Unit) -> Self {
        let mut sum = Self::Absent;
        for item in list.split(|&byte| matches!(byte, b',' | b':')) {
            sum = match (sum, Self::time(item.trim_ascii(), unit)) {
                (Self::Wrong, _) | (_, Self::Wrong) => return Self::Wrong,
                (sum, Self::Absent) => sum,
                (Self::Absent, item) => item,
                (Self::Value(sum), Self::Value(item)) => sum.checked_add(item).map_or(Self::Wrong, Self::Value),
            };
        }
        sum
    }
}

/// The unit of a duration; its value is the number of decimal places down to nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds = 0,
    Microseconds = 3,
    Milliseconds = 6,
    Seconds = 9,
}

/// Parses decimal digits; `None` for other text and for numbers above 64 bits.
fn digits(token: &[u8]) -> Option<u64> {
    if token.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in token {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

const TENS: [u64; 10] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_the_first_word_if_known() {
        for name in &Method::NAMES[..9] {
            for line in [format!("{name} /x HTTP/1.1"), format!("{name} "), (*name).to_owned()] {
                assert_eq!(Method::NAMES[Method::from_request_line(line.as_bytes()).index()], *name, "{line}");
            }
        }
        for line in
            ["", "-", " ", "get / HTTP/1.1", "PROPFIND / HTTP/1.1", "GETS /", "GE", r"\x16\x03\x01", "PRI * HTTP/2.0"]
        {
            assert_eq!(Method::NAMES[Method::from_request_line(line.as_bytes()).index()], "other", "{line}");
        }
    }

    #[test]
    fn a_status_is_three_digits_or_a_hyphen() {
        for text in ["000", "200", "499", "999", "-"] {
            assert_eq!(StatusCode::label(StatusCode::parse(text.as_bytes()).unwrap().index()), text);
        }
        for text in ["-", "-1", "0"] {
            assert_eq!(StatusCode::parse(text.as_bytes()), Some(StatusCode::NONE), "{text}: no response was started");
        }
        for text in ["", "20", "2000", "2x0", "--", "+20", " 20"] {
            assert_eq!(StatusCode::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn byte_counts_are_digits_or_a_hyphen_up_to_64_bits() {
        assert_eq!(Number::bytes(b"-"), Number::Value(0));
        assert_eq!(Number::bytes(b"0"), Number::Value(0));
        assert_eq!(Number::bytes(b"9223372036854775807"), Number::Value(i64::MAX.unsigned_abs()));
        assert_eq!(Number::bytes(b"18446744073709551615"), Number::Value(u64::MAX));
        for text in ["18446744073709551616", "-1", "1.5", "x", "+", "1e3"] {
            assert_eq!(Number::bytes(text.as_bytes()), Number::Wrong, "{text}");
        }
    }

    #[test]
    fn seconds_are_parsed_to_the_nanosecond_without_rounding() {
        for (text, nanoseconds) in [
            ("0.000", 0),
            ("0.005", 5_000_000),
            ("12.345", 12_345_000_000),
            ("7", 7_000_000_000),
            (".5", 500_000_000),
            ("5.", 5_000_000_000),
            ("0.1234567899", 123_456_789),
        ] {
            assert_eq!(Number::seconds(text.as_bytes()), Number::Value(nanoseconds), "{text}");
        }
        for text in ["-", "", "-1"] {
            assert_eq!(Number::seconds(text.as_bytes()), Number::Absent, "{text}");
        }
        for text in [
            "abc",
            "-0.1",
            ".",
            "1.2.3",
            "0,5",
            "inf",
            "nan",
            "1e3",
            "99999999999999999999",
            "0.12345678x9",
            "18446744074",
        ] {
            assert_eq!(Number::seconds(text.as_bytes()), Number::Wrong, "{text}");
        }
    }

    #[test]
    fn a_duration_has_the_unit_of_its_field() {
        for (text, unit, nanoseconds) in [
            ("1500", Unit::Microseconds, 1_500_000),
            ("1.5", Unit::Microseconds, 1500),
            ("12", Unit::Milliseconds, 12_000_000),
            ("0.25", Unit::Milliseconds, 250_000),
            ("+109", Unit::Milliseconds, 109_000_000),
            ("7.9", Unit::Nanoseconds, 7),
        ] {
            assert_eq!(Number::time(text.as_bytes(), unit), Number::Value(nanoseconds), "{text}");
        }
        assert_eq!(Number::time(b"99999999999999", Unit::Seconds), Number::Wrong);
    }

    #[test]
    fn the_durations_of_several_upstream_servers_are_summed() {
        for (list, sum) in [
            ("0.100", Number::Value(100_000_000)),
            ("0.100, 0.200 : 0.300", Number::Value(600_000_000)),
            ("-, 0.002", Number::Value(2_000_000)),
            ("-", Number::Absent),
            ("", Number::Absent),
            ("- : -", Number::Absent),
            ("0.1, x", Number::Wrong),
        ] {
            assert_eq!(Number::times(list.as_bytes(), Unit::Seconds), sum, "{list}");
        }
    }

    #[test]
    fn a_protocol_is_the_last_word_if_known() {
        for (line, name) in [
            ("GET / HTTP/1.1", "HTTP/1.1"),
            ("GET / HTTP/2", "HTTP/2.0"),
            ("GET / HTTP/2.0", "HTTP/2.0"),
            ("HTTP/3.0", "HTTP/3.0"),
            ("GET /", "other"),
            ("-", "other"),
            ("", "other"),
        ] {
            assert_eq!(Protocol::NAMES[Protocol::from_request_line(line.as_bytes()).index()], name, "{line}");
        }
    }

    #[test]
    fn a_path_is_the_second_word_without_its_query() {
        assert_eq!(path(b"GET /a/b?c=d HTTP/1.1"), b"/a/b");
        assert_eq!(path(b"GET"), b"");
        for (target, expected) in [
            ("http://a.example:80/b/c?d", "/b/c"),
            ("http://a.example", "/"),
            ("http://a.example?/b", "/"),
            ("a.example:443", "a.example:443"),
            ("://a/b", "://a/b"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(path_of_target(target.as_bytes()), expected.as_bytes(), "{target}");
        }
    }

    #[test]
    fn a_cache_status_is_known_or_other() {
        for (token, name) in [("HIT", "HIT"), ("miss", "MISS"), ("-", "-"), ("", "-"), ("x", "other")] {
            assert_eq!(CacheStatus::NAMES[CacheStatus::parse(token.as_bytes()).index()], name, "{token}");
        }
    }
}

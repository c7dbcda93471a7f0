//! What one line of an access log says of a request: the plain struct between formats and counters.

/// One request, as far as a metric needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) status: Status,
    /// Bytes sent; 0 where the log has `-`.
    pub(crate) bytes: Number,
    /// How long the request took, in nanoseconds.
    pub(crate) duration: Number,
}

/// A field where a number is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Value(u64),
    /// The log says that there is none, or the format has no such field.
    Absent,
    /// Something that is no number, or none that can be true.
    Wrong,
}

/// A method of the known set, or `other`: clients write what they like there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method(u8);

impl Method {
    /// The label values; the last is for everything else.
    pub(crate) const NAMES: [&str; 10] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"];

    /// The method of a request line: its first word.
    pub(crate) fn of(request_line: &[u8]) -> Self {
        if request_line.starts_with(b"GET ") {
            return Self(0); // nine requests of ten
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

    /// Its place in [`Method::NAMES`].
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Three digits, or `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u16);

impl Status {
    /// How many there are.
    pub(crate) const COUNT: usize = 1001;
    /// What Apache writes where no answer was begun.
    pub(crate) const NONE: Self = Self(1000);

    /// Reads three digits, or `-`.
    pub(crate) fn parse(token: &[u8]) -> Option<Self> {
        match *token {
            [b'-'] => Some(Self::NONE),
            [a, b, c] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => {
                Some(Self(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')))
            }
            _ => None,
        }
    }

    /// Its place among all of them.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The label value of the status at a place.
    pub(crate) fn label(index: usize) -> String {
        if index == Self::NONE.index() { "-".to_owned() } else { format!("{index:03}") }
    }
}

impl Number {
    /// Reads a whole number of bytes; `-` is none sent.
    pub(crate) fn bytes(token: &[u8]) -> Self {
        match token {
            b"-" => Self::Value(0),
            _ => digits(token).map_or(Self::Wrong, Self::Value),
        }
    }

    /// Reads seconds with a fraction as nanoseconds; `-` and nothing at all are no observation.
    pub(crate) fn seconds(token: &[u8]) -> Self {
        if matches!(token, b"-" | b"") {
            return Self::Absent;
        }
        let point = token.iter().position(|&byte| byte == b'.');
        let (whole, fraction) = point.map_or((token, &b""[..]), |at| (&token[..at], &token[at + 1..]));
        // below a nanosecond nothing is measured
        let significant = &fraction[..fraction.len().min(9)];
        if (whole.is_empty() && fraction.is_empty()) || !fraction.iter().all(u8::is_ascii_digit) {
            return Self::Wrong;
        }
        let part = |text: &[u8]| if text.is_empty() { Some(0) } else { digits(text) };
        let nanoseconds = part(whole).zip(part(significant)).and_then(|(seconds, fraction)| {
            let fraction = fraction * TENS[9 - significant.len()];
            seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
        });
        nanoseconds.map_or(Self::Wrong, Self::Value)
    }
}

/// Reads digits; `None` for anything else, and for what 64 bits do not hold.
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
    fn a_method_is_the_first_word_if_it_is_known() {
        for name in &Method::NAMES[..9] {
            for line in [format!("{name} /x HTTP/1.1"), format!("{name} "), (*name).to_owned()] {
                assert_eq!(Method::NAMES[Method::of(line.as_bytes()).index()], *name, "{line}");
            }
        }
        for line in
            ["", "-", " ", "get / HTTP/1.1", "PROPFIND / HTTP/1.1", "GETS /", "GE", r"\x16\x03\x01", "PRI * HTTP/2.0"]
        {
            assert_eq!(Method::NAMES[Method::of(line.as_bytes()).index()], "other", "{line}");
        }
    }

    #[test]
    fn a_status_is_three_digits_or_a_hyphen() {
        for text in ["000", "200", "499", "999", "-"] {
            assert_eq!(Status::label(Status::parse(text.as_bytes()).unwrap().index()), text);
        }
        for text in ["", "20", "2000", "2x0", "--", "+20", " 20"] {
            assert_eq!(Status::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bytes_are_digits_or_a_hyphen_and_may_be_as_large_as_64_bits() {
        assert_eq!(Number::bytes(b"-"), Number::Value(0));
        assert_eq!(Number::bytes(b"0"), Number::Value(0));
        assert_eq!(Number::bytes(b"9223372036854775807"), Number::Value(i64::MAX.unsigned_abs()));
        assert_eq!(Number::bytes(b"18446744073709551615"), Number::Value(u64::MAX));
        for text in ["18446744073709551616", "-1", "1.5", "x", "", "1e3"] {
            assert_eq!(Number::bytes(text.as_bytes()), Number::Wrong, "{text}");
        }
    }

    #[test]
    fn seconds_are_read_to_the_nanosecond_without_rounding() {
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
        assert_eq!(Number::seconds(b"-"), Number::Absent);
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
}

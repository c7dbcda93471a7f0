//! Hand-written parsers of the common log format and its extensions: combined, and combined with the duration.
//!
//! `client ident user [time] "request" status bytes "referer" "user agent" …`

use memchr::{memchr, memchr2, memrchr};

use crate::format::request::{Method, Number, Request, StatusCode};

/// Parses common. Additional fields after the bytes are ignored.
pub(crate) fn common(line: &[u8]) -> Option<Request<'_>> {
    let (request, rest) = head(line)?;
    is_field_end(rest).then_some(request)
}

/// Parses combined or common: referer and user agent, or nothing, follow the bytes.
pub(crate) fn combined(line: &[u8]) -> Option<Request<'_>> {
    let (request, rest) = head(line)?;
    (rest.is_empty() || is_field_end(referer_and_user_agent(rest)?)).then_some(request)
}

/// Parses combined, followed by the duration in seconds.
pub(crate) fn combined_time(line: &[u8]) -> Option<Request<'_>> {
    let (mut request, rest) = head(line)?;
    let (seconds, _) = token(referer_and_user_agent(rest)?.strip_prefix(b" ")?)?;
    request.duration = Number::seconds(seconds);
    Some(request)
}

/// Parses a line up to the bytes, and returns the rest.
#[inline]
fn head(line: &[u8]) -> Option<(Request<'_>, &[u8])> {
    let (request_line, rest) = quoted(after_time(line)?)?;
    let (status, rest) = token(rest.strip_prefix(b" ")?)?;
    let (bytes, rest) = token(rest.strip_prefix(b" ")?)?;
    let request = Request {
        method: Method::from_request_line(request_line),
        status: StatusCode::parse(status)?,
        bytes: Number::bytes(bytes),
        duration: Number::Absent,
        line: request_line,
    };
    Some((request, rest))
}

/// Returns the text after `[time] "`. Any text may precede it: a virtual host, several addresses, a user name with
/// spaces, or Apache's `""` for an empty one. A client cannot forge the delimiter, because servers escape quotation
/// marks.
#[inline]
pub(crate) fn after_time(line: &[u8]) -> Option<&[u8]> {
    let mut from = 0;
    loop {
        let quote = from + memchr(b'"', &line[from..])?;
        if line[..quote].ends_with(b"] ") {
            memrchr(b'[', &line[..quote])?;
            return Some(&line[quote + 1..]);
        }
        from = quote + 1;
    }
}

/// Splits text after an opening quotation mark into the string and the text after the closing mark. A backslash
/// escapes the next byte: Apache writes `\"`, nginx `\x22`.
#[inline]
pub(crate) fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        from = at + 2;
    }
}

/// Returns the text after the quoted referer and user agent.
#[inline]
fn referer_and_user_agent(rest: &[u8]) -> Option<&[u8]> {
    let (_, rest) = quoted(rest.strip_prefix(b" \"")?)?;
    let (_, rest) = quoted(rest.strip_prefix(b" \"")?)?;
    Some(rest)
}

/// Splits text before the next space; `None` if the first part is empty. Tokens are short, so a plain loop is fastest.
#[inline]
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Whether a field ends here. Additional fields are ignored.
#[inline]
pub(crate) fn is_field_end(rest: &[u8]) -> bool {
    matches!(rest, [] | [b' ', ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::clf_regex::ClfRegexes;
    use crate::format::field::RequestBuilder;

    /// Method, status and bytes of a line.
    fn read(parse: fn(&[u8]) -> Option<Request<'_>>, line: impl AsRef<[u8]>) -> Option<(&'static str, String, Number)> {
        let request = parse(line.as_ref())?;
        Some((Method::NAMES[request.method.index()], StatusCode::label(request.status.index()), request.bytes))
    }

    #[test]
    fn lines_of_nginx_and_apache_are_parsed() {
        for line in include_str!("../../tests/lines/combined.txt").lines() {
            let (expected, line) = line.split_once('\t').unwrap();
            let request = read(combined, line).unwrap_or_else(|| panic!("no match: {line}"));
            let bytes = match request.2 {
                Number::Value(bytes) => bytes.to_string(),
                other => format!("{other:?}"),
            };
            assert_eq!(format!("{} {} {bytes}", request.0, request.1), expected, "{line}");
            assert_eq!(read(common, line), Some(request), "{line}");
        }
    }

    #[test]
    fn other_lines_do_not_match() {
        for line in include_str!("../../tests/lines/unmatched.txt").lines() {
            assert_eq!(read(combined, line), None, "{line}");
        }
    }

    #[test]
    fn a_duration_follows_the_user_agent() {
        const LINE: &str = r#"192.0.2.1 - - [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "a \" 9.9""#;
        let duration = |tail: &str| combined_time(format!("{LINE}{tail}").as_bytes()).map(|request| request.duration);
        assert_eq!(duration(" 0.005"), Some(Number::Value(5_000_000)));
        assert_eq!(duration(" 1.250 0.7 -"), Some(Number::Value(1_250_000_000)));
        assert_eq!(duration(" -"), Some(Number::Absent));
        assert_eq!(duration(" abc"), Some(Number::Wrong));
        assert_eq!(duration(""), None, "a line without its duration does not match");
        assert_eq!(duration(" "), None);
        assert_eq!(duration("0.005"), None);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_accepted() {
        let line = b"\xff\xfe - \xc3\x28 [\xff] \"GET /\xff HTTP/1.1\" 200 5 \"\xff\" \"\x80\"";
        assert_eq!(read(combined, line), Some(("GET", "200".to_owned(), Number::Value(5))));
    }

    #[test]
    fn randomly_changed_lines_are_parsed_as_by_regular_expressions() {
        let expected = ClfRegexes::new();
        let mut microseconds: crate::format::Format = "combined_us".parse().unwrap();
        let lines = include_bytes!("../../tests/lines/combined.txt");
        let lines: Vec<_> = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        let mut matched = 0;
        for _ in 0..50_000 {
            let mut line = lines[random(lines.len())].to_vec();
            if random(2) == 0 {
                line.extend_from_slice(b" 0.123");
            }
            for _ in 0..random(4) {
                let (at, to) = (random(line.len()), random(line.len()));
                match random(5) {
                    0 => line[at] = b"\"\\ []-0\xff"[random(8)],
                    1 => line.insert(at, b"\"\\ []-0\n"[random(8)]),
                    2 if line.len() > 1 => drop(line.remove(at)),
                    3 => line.swap(at, to),
                    _ => line.truncate(at.max(1)),
                }
            }
            let shown = || String::from_utf8_lossy(&line).into_owned();
            assert_eq!(combined(&line), expected.combined(&line), "{}", shown());
            assert_eq!(common(&line), expected.common(&line), "{}", shown());
            let mut builder = RequestBuilder::NEW;
            let read = microseconds.read(&line, &mut builder).map(|(request, _)| *request);
            assert_eq!(read, expected.combined_us(&line), "{}", shown());
            let wanted = expected.combined_time(&line);
            matched += usize::from(wanted.is_some());
            assert_eq!(combined_time(&line), wanted, "{}", shown());
        }
        assert!(matched > 10_000, "only {matched} lines matched");
    }
}

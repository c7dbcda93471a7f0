//! The common log format of NCSA, and what Apache and nginx made of it: common, combined, combined
//! with the request's time.
//!
//! `client ident user [time] "request" status bytes "referer" "user agent" …`

use memchr::{memchr, memchr2, memrchr};

use crate::request::{Method, Number, Request, Status};

/// Common: what follows the bytes does not matter.
pub(crate) fn common(line: &[u8]) -> Option<Request> {
    let (request, rest) = head(line)?;
    ends(rest).then_some(request)
}

/// Combined, or common: after the bytes come referer and user agent, or nothing.
pub(crate) fn combined(line: &[u8]) -> Option<Request> {
    let (request, rest) = head(line)?;
    (rest.is_empty() || ends(referer_and_user_agent(rest)?)).then_some(request)
}

/// Combined and, as a further field, how long the request took in seconds.
pub(crate) fn combined_time(line: &[u8]) -> Option<Request> {
    let (mut request, rest) = head(line)?;
    let (seconds, _) = token(referer_and_user_agent(rest)?.strip_prefix(b" ")?)?;
    request.duration = Number::seconds(seconds);
    Some(request)
}

/// Reads as far as the bytes, and gives what follows them.
#[inline]
fn head(line: &[u8]) -> Option<(Request, &[u8])> {
    let (request_line, rest) = quoted(after_time(line)?)?;
    let (status, rest) = token(rest.strip_prefix(b" ")?)?;
    let (bytes, rest) = token(rest.strip_prefix(b" ")?)?;
    let request = Request {
        method: Method::of(request_line),
        status: Status::parse(status)?,
        bytes: Number::bytes(bytes),
        duration: Number::Absent,
    };
    Some((request, rest))
}

/// What follows `[time] "`. The text before may be anything: a virtual host, several addresses, a
/// user with blanks, or Apache's `""` for an empty one. A client cannot forge this place, since
/// servers escape its quotation marks.
#[inline]
fn after_time(line: &[u8]) -> Option<&[u8]> {
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

/// A quoted string whose first quotation mark is behind us, and what follows its last one. A
/// backslash takes the byte after it along: Apache writes `\"`, nginx `\x22`.
#[inline]
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        from = at + 2;
    }
}

/// What follows the two quoted strings.
#[inline]
fn referer_and_user_agent(rest: &[u8]) -> Option<&[u8]> {
    let (_, rest) = quoted(rest.strip_prefix(b" \"")?)?;
    let (_, rest) = quoted(rest.strip_prefix(b" \"")?)?;
    Some(rest)
}

/// What stands before the next blank, at least one byte, and what follows from the blank on. It is
/// short.
#[inline]
fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Whether a field ends here; further fields, which a server was told to add, are skipped over.
#[inline]
fn ends(rest: &[u8]) -> bool {
    matches!(rest, [] | [b' ', ..])
}

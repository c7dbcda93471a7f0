//! Parser of syslog messages: strips the header from the log line.

/// The log line in a message of RFC 3164 or RFC 5424. Any other message is the line itself.
pub(crate) fn line(message: &[u8]) -> &[u8] {
    let message = message.strip_suffix(b"\0").unwrap_or(message).trim_ascii_end();
    let Some(rest) = after_priority(message) else { return message };
    match rest {
        [b'1'..=b'9', b' ', rest @ ..] => rfc5424(rest).unwrap_or(rest),
        _ => rfc3164(rest),
    }
}

/// The program that sent a message: the tag of RFC 3164 without its process ID, or the application of RFC 5424. Empty if
/// the message has none.
pub(crate) fn tag(message: &[u8]) -> &[u8] {
    let Some(rest) = after_priority(message) else { return b"" };
    match rest {
        [b'1'..=b'9', b' ', rest @ ..] => {
            let tag = rest.split(|&byte| byte == b' ').nth(2).unwrap_or_default();
            if tag == b"-" { b"" } else { tag }
        }
        _ => {
            let (tag, _) = after_time(rest).map(tag_and_line).unwrap_or_default();
            tag.split(|&byte| byte == b'[').next().unwrap_or_default()
        }
    }
}

/// The text after the priority `<190>`.
fn after_priority(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"<")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest[digits..].strip_prefix(b">").filter(|_| (1..=3).contains(&digits))
}

/// Parses `Nov 20 09:26:10 host tag: line`, in which nginx may omit the host, or the line alone.
fn rfc3164(rest: &[u8]) -> &[u8] {
    after_time(rest).map_or(rest, |rest| tag_and_line(rest).1)
}

/// Splits `host tag: line`, `tag: line` or `host line`, in which the tag is empty.
fn tag_and_line(rest: &[u8]) -> (&[u8], &[u8]) {
    let word = |text: &'_ [u8]| text.iter().position(|&byte| byte == b' ');
    let Some(end) = word(rest) else { return (b"", rest) };
    let (first, after_first) = (&rest[..end], &rest[end + 1..]);
    if let Some(tag) = first.strip_suffix(b":") {
        return (tag, after_first);
    }
    let second = word(after_first).map(|end| (&after_first[..end], &after_first[end + 1..]));
    match second.and_then(|(second, line)| Some((second.strip_suffix(b":")?, line))) {
        Some(tag_and_line) => tag_and_line,
        None => (b"", after_first),
    }
}

/// The text after `Nov 20 09:26:10 ` or an ISO 8601 timestamp.
fn after_time(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [month, _, _, b' ', _, _, b' ', _, _, b':', _, _, b':', _, _, b' ', rest @ ..]
            if month.is_ascii_uppercase() =>
        {
            Some(rest)
        }
        [b'0'..=b'9', _, _, _, b'-', ..] => Some(&rest[rest.iter().position(|&byte| byte == b' ')? + 1..]),
        _ => None,
    }
}

/// Parses the text after the version: `time host app process id [data]… line`.
fn rfc5424(rest: &[u8]) -> Option<&[u8]> {
    let mut rest = rest;
    for _ in 0..5 {
        rest = &rest[rest.iter().position(|&byte| byte == b' ')? + 1..];
    }
    let line = match rest {
        [b'-', line @ ..] => line,
        _ => after_data(rest)?,
    };
    let line = line.strip_prefix(b" ").unwrap_or(line);
    Some(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line))
}

/// The text after the structured data: `[id key="value with \] in it"][…]`.
fn after_data(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some(element) = rest.strip_prefix(b"[") {
        let mut quoted = false;
        let mut bytes = element.iter().enumerate();
        let end = loop {
            match bytes.next()? {
                (_, b'\\') if quoted => drop(bytes.next()),
                (_, b'"') => quoted = !quoted,
                (end, b']') if !quoted => break end,
                _ => {}
            }
        };
        rest = &element[end + 1..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_follows_the_header() {
        let expected = r#"::1 - - [20/Nov/2026:09:26:10 +0000] "GET /: HTTP/1.1" 200 5 "-" "a: b""#;
        for header in [
            "",
            "<190>",
            "<190>Nov 20 09:26:10 web1 nginx: ",
            "<190>Nov  2 09:26:10 nginx: ",
            "<190>Nov  2 09:26:10 web1 : ",
            "<190>Nov  2 09:26:10 web1 ",
            "<13>2026-11-20T09:26:10.123456+00:00 web1 httpd[42]: ",
            "<134>1 2026-11-20T09:26:10Z web1 nginx 42 - - ",
            "<134>1 2026-11-20T09:26:10Z web1 nginx 42 id [a@1 k=\"v]\\\"\"][b@1] \u{feff}",
        ] {
            let message = format!("{header}{expected}\n");
            assert_eq!(String::from_utf8_lossy(line(message.as_bytes())), expected, "{header}");
        }
    }

    #[test]
    fn the_tag_is_the_program_that_sent_the_message() {
        for (message, expected) in [
            ("<190>Nov 20 09:26:10 web1 nginx: x: y", "nginx"),
            ("<190>Nov  2 09:26:10 nginx: x", "nginx"),
            ("<13>2026-11-20T09:26:10.123456+00:00 web1 httpd[42]: x", "httpd"),
            ("<134>1 2026-11-20T09:26:10Z web1 nginx 42 - - x", "nginx"),
            ("<134>1 2026-11-20T09:26:10Z web1 - 42 - - x", ""),
            ("<190>Nov 20 09:26:10 web1 x", ""),
            ("<134>1", ""),
            ("<190>", ""),
            ("x", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(tag(message.as_bytes())), expected, "{message}");
        }
    }

    #[test]
    fn text_without_a_header_is_a_line() {
        for text in ["", "<", "<>", "<1234>x", "<13>1", "<13>1 a b c", "<13>1 a b c d e [x", "<13>Nov 20 09:26:10 "] {
            line(text.as_bytes());
            tag(text.as_bytes());
        }
        assert_eq!(line(b"<abc> x"), b"<abc> x");
    }
}

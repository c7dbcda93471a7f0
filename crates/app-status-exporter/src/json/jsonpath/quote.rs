//! String literals of templates, with Go's escapes.

use std::borrow::Cow;

/// The string literal with its quotes at the start of a text.
pub(super) fn quoted(text: &str, quote: char) -> Option<&str> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = !escaped && *character == quote;
        escaped = !escaped && *character == '\\';
        ends
    });
    end.map(|(end, _)| &text[..=end])
}

/// The text without its surrounding quotes, if it has any.
pub(super) fn unquoted(text: Cow<'_, str>) -> Cow<'_, str> {
    let quoted = matches!(text.as_bytes(), [first @ (b'"' | b'\''), .., last] if first == last);
    match quoted.then(|| unquote(&text)).flatten() {
        Some(unquoted) => Cow::Owned(unquoted),
        None => text,
    }
}

/// The content of a string literal with the escapes of Go, or else of RFC 9535; `None` if it is not a literal.
pub(super) fn string(text: &str) -> Option<String> {
    unquote(text).or_else(|| unquote(&without_json_escapes(text)?))
}

/// The literal with characters instead of the escapes that only JSON has: `\/` and pairs of surrogates.
fn without_json_escapes(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        out.push_str(before);
        let unit = |text: &str| u16::from_str_radix(text.strip_prefix('u')?.get(..4)?, 16).ok();
        let pair = unit(escape).and_then(|high| Some([high, unit(escape.get(5..)?.strip_prefix('\\')?)?]));
        let pair = pair.and_then(|pair| char::decode_utf16(pair).next()?.ok().filter(|other| other.len_utf16() == 2));
        if let Some(character) = pair {
            out.push(character);
            rest = &escape[11..];
        } else if let Some(after) = escape.strip_prefix('/') {
            out.push('/');
            rest = after;
        } else {
            let end = escape.chars().next()?.len_utf8();
            out.push('\\');
            out.push_str(&escape[..end]);
            rest = &escape[end..];
        }
    }
    Some(out + rest)
}

/// The content of a string literal with Go's escapes; `None` if it is not a literal.
pub(super) fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let mut rest = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = Vec::new();
    while let Some(character) = rest.chars().next() {
        if character == quote {
            return None;
        }
        if character != '\\' {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[character.len_utf8()..];
            continue;
        }
        let escape = rest[1..].chars().next()?;
        rest = &rest[1 + escape.len_utf8()..];
        let mut number = |digits: usize, radix| {
            let number = u32::from_str_radix(rest.get(..digits)?, radix).ok();
            rest = &rest[digits..];
            number
        };
        let plain = match escape {
            'a' => b'\x07',
            'b' => b'\x08',
            'f' => b'\x0c',
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => b'\x0b',
            '\\' => b'\\',
            '\'' | '"' if escape == quote => escape as u8,
            'x' => u8::try_from(number(2, 16)?).ok()?,
            'u' | 'U' => {
                let character = char::from_u32(number(if escape == 'u' { 4 } else { 8 }, 16)?)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            '0'..='7' => {
                let first = escape.to_digit(8)?;
                u8::try_from(first * 64 + number(2, 8)?).ok()?
            }
            _ => return None,
        };
        out.push(plain);
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

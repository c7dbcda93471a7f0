//! Parser of nginx's `log_format` and Apache's `LogFormat`, from text to tokens.

use crate::format::field::{Field, named};
use crate::format::request::Unit;

/// A parsed log format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) tokens: Vec<Token>,
    /// Whether the server escapes quotation marks in values: false with `escape=none`.
    pub(crate) escaped: bool,
}

/// A literal or a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(Vec<u8>),
    Variable(Variable),
}

impl Template {
    /// Reads a skipped variable as the trace of a request. The `$` of nginx's variables may be omitted.
    pub(crate) fn read_trace(&mut self, name: &str) {
        for variable in self.variables_mut().filter(|variable| variable.field == Field::Skip && variable.is(name)) {
            (variable.field, variable.rank) = (Field::Trace, 0);
        }
    }

    /// Captures a variable, whatever it means; false if the format does not have it.
    pub(crate) fn capture(&mut self, name: &str, index: usize) -> bool {
        let found = self.variables_mut().find(|variable| variable.is(name));
        found.map(|variable| variable.capture = Some(index)).is_some()
    }

    /// The names of all variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Variable(variable) => Some(variable.name.as_str()),
            Token::Literal(_) => None,
        })
    }

    fn variables_mut(&mut self) -> impl Iterator<Item = &mut Variable> {
        self.tokens.iter_mut().filter_map(|token| match token {
            Token::Variable(variable) => Some(variable),
            Token::Literal(_) => None,
        })
    }
}

impl Token {
    /// The text of a literal.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Variable(_) => None,
        }
    }
}

/// A variable or directive, which the server replaces by a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its spelling in the format.
    pub(crate) name: String,
    pub(crate) field: Field,
    /// Of several variables with the same meaning, the one with the lowest rank is read.
    pub(crate) rank: usize,
    pub(crate) shape: ValueShape,
    /// Its index among the captured fields.
    pub(crate) capture: Option<usize>,
}

impl Variable {
    /// Whether this is its name, with or without the `$` of nginx.
    fn is(&self, name: &str) -> bool {
        self.name == name || self.name.strip_prefix('$') == Some(name)
    }
}

/// The shape of a value, which determines where the value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueShape {
    /// Three digits or a hyphen.
    Status,
    /// Text without spaces, such as a number.
    Word,
    /// Digits or a hyphen.
    Digits,
    /// nginx's list with one value per upstream server: `a, b : c`.
    List,
    /// Any text.
    Text,
}

/// Parses nginx's (`$status`) or Apache's (`%>s`) format, with or without the directive's name.
pub(crate) fn parse(text: &str) -> Result<Template, String> {
    let (text, escaped) = directive(text.trim())?;
    let tokens = if has_nginx_variables(&text) { nginx(&text)? } else { apache(&text)? };
    if !tokens.iter().any(|token| matches!(token, Token::Variable(_))) {
        return Err(
            "it is not a preset, and it contains neither an nginx $variable nor an Apache %directive".to_owned()
        );
    }
    Ok(Template { tokens: merged(tokens), escaped })
}

/// Splits a directive such as `log_format main escape=json '…' '…';` or `LogFormat "…" combined` into the text of
/// the format and whether its values are escaped.
fn directive(text: &str) -> Result<(String, bool), String> {
    let Some(rest) = ["log_format", "LogFormat"]
        .iter()
        .find_map(|name| text.strip_prefix(name).filter(|rest| rest.starts_with(char::is_whitespace)))
    else {
        return Ok((unescaped(text), true));
    };
    let mut whole = String::new();
    let mut escaped = true;
    let mut rest = rest.trim_start();
    while let Some(first) = rest.chars().next().filter(|&c| c != ';') {
        let length = match first {
            '"' | '\'' => {
                let end = closing(&rest[1..], first).ok_or("unclosed quotation mark")?;
                whole.push_str(&unescaped(&rest[1..=end]));
                end + 2
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(rest.len());
                escaped &= &rest[..end] != "escape=none";
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    if whole.is_empty() {
        return Err("the directive has no quoted text".to_owned());
    }
    Ok((whole, escaped))
}

/// The byte offset of the closing quotation mark.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(at);
        }
    }
    None
}

/// Resolves the escapes of the server's configuration syntax.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            plain.push(c);
            continue;
        };
        match c {
            't' => plain.push('\t'),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            '"' | '\'' | '\\' => plain.push(c),
            _ => plain.extend(['\\', c]),
        }
    }
    plain
}

fn has_nginx_variables(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '{') {
            return true;
        }
    }
    false
}

fn nginx(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        tokens.push(literal(&rest[..at]));
        let after = &rest[at + 1..];
        let name = match after.strip_prefix('{') {
            Some(braced) => &braced[..braced.find('}').ok_or("unclosed ${")?],
            None => &after[..after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())],
        };
        if name.is_empty() {
            return Err("no variable name after $".to_owned());
        }
        let length = name.len() + if after.starts_with('{') { 2 } else { 0 };
        tokens.push(Token::Variable(nginx_variable(name)));
        rest = &after[length..];
    }
    tokens.push(literal(rest));
    Ok(tokens)
}

fn nginx_variable(name: &str) -> Variable {
    let (field, rank) = named(name);
    let shape = match field {
        Field::Status => ValueShape::Status,
        Field::Bytes | Field::Received | Field::Duration(_) | Field::Method | Field::Protocol => ValueShape::Word,
        Field::Upstream(..) => ValueShape::List,
        Field::Skip if name.starts_with("upstream_") && !name.starts_with("upstream_http_") => ValueShape::List,
        Field::Skip if name.ends_with("_port") => ValueShape::Digits,
        _ => ValueShape::Text,
    };
    Variable { name: format!("${name}"), field, rank, shape, capture: None }
}

fn apache(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        tokens.push(literal(&rest[..at]));
        let (from, after) = (&rest[at..], &rest[at + 1..]);
        if let Some(following) = after.strip_prefix('%') {
            tokens.push(literal("%"));
            rest = following;
            continue;
        }
        // %>s, %!200,304{Referer}i, %{us}T, %^FB
        let modifiers = after.find(|c: char| !"<>!,".contains(c) && !c.is_ascii_digit()).unwrap_or(after.len());
        let (modifier, mut directive) = after.split_at(modifiers);
        let mut parameter = "";
        if let Some(braced) = directive.strip_prefix('{') {
            let end = braced.find('}').ok_or("unclosed %{")?;
            parameter = &braced[..end];
            directive = &braced[end + 1..];
        }
        let length = if directive.starts_with('^') { 3 } else { 1 };
        let name =
            directive.get(..length).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '^'));
        let name = name.ok_or("no directive after %")?;
        rest = &directive[length..];
        let whole = &from[..from.len() - rest.len()];
        let (field, rank, shape) = apache_directive(name, parameter, modifier);
        let variable = Token::Variable(Variable { name: whole.to_owned(), field, rank, shape, capture: None });
        if name == "t" && parameter.is_empty() {
            tokens.extend([literal("["), variable, literal("]")]); // Apache adds the brackets
        } else {
            tokens.push(variable);
        }
    }
    tokens.push(literal(rest));
    Ok(tokens)
}

fn apache_directive(name: &str, parameter: &str, modifier: &str) -> (Field, usize, ValueShape) {
    match (name, parameter) {
        ("r", _) => (Field::Request, 0, ValueShape::Text),
        ("m", _) => (Field::Method, 0, ValueShape::Word),
        ("U", _) => (Field::Path, 0, ValueShape::Text),
        ("H", _) => (Field::Protocol, 0, ValueShape::Word),
        ("s", _) => (Field::Status, usize::from(!modifier.contains('>')), ValueShape::Status),
        ("b" | "B", _) => (Field::Bytes, 0, ValueShape::Word),
        ("O", _) => (Field::Bytes, 1, ValueShape::Word),
        ("I", _) => (Field::Received, 0, ValueShape::Word),
        ("D", _) | ("T", "us") => (Field::Duration(Unit::Microseconds), 0, ValueShape::Word),
        ("T", "ms") => (Field::Duration(Unit::Milliseconds), 1, ValueShape::Word),
        ("T", _) => (Field::Duration(Unit::Seconds), 2, ValueShape::Word),
        ("v", _) => (Field::Vhost, 0, ValueShape::Text),
        ("V", _) => (Field::Vhost, 1, ValueShape::Text),
        ("i", host) if host.eq_ignore_ascii_case("host") => (Field::Vhost, 2, ValueShape::Text),
        ("t", "" | "sec") => (Field::Time, 0, ValueShape::Text),
        ("p" | "P" | "k" | "X", _) => (Field::Skip, 0, if name == "X" { ValueShape::Word } else { ValueShape::Digits }),
        _ => (Field::Skip, 0, ValueShape::Text),
    }
}

fn literal(text: &str) -> Token {
    Token::Literal(text.as_bytes().to_vec())
}

/// Merges adjacent literals and drops empty ones.
fn merged(tokens: Vec<Token>) -> Vec<Token> {
    let mut merged: Vec<Token> = Vec::new();
    for token in tokens {
        match (merged.last_mut(), token) {
            (_, Token::Literal(text)) if text.is_empty() => {}
            (Some(Token::Literal(before)), Token::Literal(text)) => before.extend(text),
            (_, token) => merged.push(token),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens of a format as text, variables with their name and meaning.
    fn shown(text: &str) -> String {
        let template = parse(text).unwrap();
        let shown = template.tokens.iter().map(|token| match token {
            Token::Literal(text) => String::from_utf8(text.clone()).unwrap(),
            Token::Variable(Variable { name, field: Field::Skip, .. }) => format!("<{name}>"),
            Token::Variable(Variable { name, field, .. }) => format!("<{name}={}>", field.description()),
        });
        shown.collect()
    }

    #[test]
    fn nginx_formats_are_parsed() {
        assert_eq!(
            shown("$remote_addr [$time_local] \"$request\" ${status}x $body_bytes_sent"),
            "<$remote_addr> [<$time_local=time>] \"<$request=request>\" <$status=status>x <$body_bytes_sent=bytes sent>"
        );
        let directive = "log_format  main escape=none '$request_method '\n      \"\\t$status\";";
        assert_eq!(shown(directive), "<$request_method=method> \t<$status=status>");
        assert!(!parse(directive).unwrap().escaped);
    }

    #[test]
    fn apache_formats_are_parsed() {
        for text in [
            r#"%v:%p %h %t "%r" %>s %O %{Referer}i %!200,304{User-agent}i %D 100%%"#,
            r#"LogFormat "%v:%p %h %t \"%r\" %>s %O %{Referer}i %!200,304{User-agent}i %D 100%%" vhost_combined"#,
        ] {
            assert_eq!(
                shown(text),
                "<%v=vhost>:<%p> <%h> [<%t=time>] \"<%r=request>\" <%>s=status> <%O=bytes sent> <%{Referer}i> \
                 <%!200,304{User-agent}i> <%D=duration> 100%"
            );
        }
        assert_eq!(shown("%^FB %s %{%d/%b/%Y %T}t"), "<%^FB> <%s=status> <%{%d/%b/%Y %T}t>");
    }

    #[test]
    fn durations_have_the_unit_of_the_directive() {
        for (text, unit) in [
            ("%D", Unit::Microseconds),
            ("%{us}T", Unit::Microseconds),
            ("%{ms}T", Unit::Milliseconds),
            ("%{s}T", Unit::Seconds),
            ("%T", Unit::Seconds),
            ("$request_time", Unit::Seconds),
        ] {
            let Token::Variable(variable) = &parse(text).unwrap().tokens[0] else { panic!("{text}") };
            assert_eq!(variable.field, Field::Duration(unit), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_a_format_is_rejected() {
        for text in ["", "nonsense", "a $ b $", "${status", "%{Referer", "%", "log_format main;", "LogFormat \"%s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

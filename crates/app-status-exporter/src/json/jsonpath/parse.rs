//! The parser of templates.

use super::quote::{quoted, string};
use super::syntax::{Literal, SliceBounds, Step, TemplatePart};

/// Parses a whole template. The error has the column of the problem.
pub(super) fn template(text: &str) -> Result<Vec<TemplatePart>, String> {
    let mut parser = Parser::new(text);
    parser.template().map_err(|message| {
        let column = text[..text.len() - parser.rest.len()].chars().count() + 1;
        format!("column {column}: {message}")
    })
}

/// Parses the text inside braces, brackets and parentheses.
pub(super) struct Parser<'t> {
    pub(super) rest: &'t str,
    /// Whether the text is in a filter.
    pub(super) in_filter: bool,
    /// The number of brackets, parentheses and negations around the text.
    pub(super) depth: usize,
}

/// The maximum nesting of filters, functions and ranges: parsing and evaluating them uses the stack.
const MAX_DEPTH: usize = 64;

/// Characters between other tokens.
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

impl<'t> Parser<'t> {
    pub(super) fn new(rest: &'t str) -> Self {
        Self { rest, in_filter: false, depth: 0 }
    }

    /// Parses something that contains expressions, unless it is nested too deeply.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn template(&mut self) -> Result<Vec<TemplatePart>, String> {
        let mut outer: Vec<(Vec<TemplatePart>, Vec<Step>)> = Vec::new(); // the parts around each open range
        let mut parts = Vec::new();
        while !self.rest.is_empty() {
            let (plain, action) = self.rest.split_at(self.rest.find('{').unwrap_or(self.rest.len()));
            if !plain.is_empty() {
                parts.push(TemplatePart::Text(plain.to_owned()));
            }
            self.rest = action;
            let Some(action) = action.strip_prefix('{') else { break };
            let mut keyword = Parser::new(action.trim_start_matches(' '));
            match keyword.word() {
                Some("range") if outer.len() == MAX_DEPTH => return Err(too_deep()),
                Some("range") => {
                    self.rest = keyword.rest;
                    outer.push((std::mem::take(&mut parts), self.steps(Some('}'))?));
                }
                Some("end") => {
                    let (before, steps) = outer.pop().ok_or("{end} without {range}")?;
                    self.rest = keyword.rest;
                    if !self.steps(Some('}'))?.is_empty() {
                        return Err("{end} takes no path".to_owned());
                    }
                    let body = std::mem::replace(&mut parts, before);
                    parts.push(TemplatePart::Range(steps, body));
                }
                _ => {
                    self.rest = action;
                    parts.push(TemplatePart::Action(self.steps(Some('}'))?));
                }
            }
        }
        if outer.is_empty() { Ok(parts) } else { Err("{range} without {end}".to_owned()) }
    }

    /// Parses steps up to the closing character, or to the end of the text.
    pub(super) fn steps(&mut self, close: Option<char>) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            let start = self.rest;
            let Some(next) = start.chars().next() else {
                return close.map_or(Ok(steps), |close| Err(format!("missing {close}")));
            };
            if Some(next) == close {
                self.rest = &start[next.len_utf8()..];
                return Ok(steps);
            }
            if next == '[' {
                let lenient = matches!(steps.last(), Some(Step::Recursive));
                steps.push(self.brackets(lenient)?);
                continue;
            }
            if let Some(call) = self.call()? {
                steps.push(call);
                continue;
            }
            self.step(next, &mut steps).inspect_err(|_| self.rest = start)?;
        }
    }

    fn step(&mut self, next: char, steps: &mut Vec<Step>) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix("..") {
            if let Some(Step::Recursive) = steps.last() {
                return Err(".. must not follow ..".to_owned());
            }
            self.rest = rest;
            steps.push(Step::Recursive);
            if rest.starts_with(|next| next == '*' || is_alphanumeric(next)) {
                steps.push(self.field());
            }
            return Ok(());
        }
        match next {
            ' ' | '\t' | '\r' | '\n' | '@' | '$' => self.rest = &self.rest[1..],
            '.' => {
                self.rest = &self.rest[1..];
                steps.push(self.field());
            }
            '"' | '\'' => steps.push(self.quote(next)?),
            '+' | '-' => steps.push(self.number()?),
            _ if next.is_numeric() => steps.push(self.number()?),
            _ if is_alphanumeric(next) => {
                let word = self.word().unwrap_or_default();
                steps.push(match word {
                    "true" | "false" => Step::Literal(Literal::Bool(word == "true")),
                    "null" if self.in_filter => Step::Literal(Literal::Null),
                    "key" => Step::Key,
                    "index" => Step::Index,
                    "parent" => Step::Parent,
                    "root" => Step::Root,
                    "range" | "end" => return Err(format!("{word} must come first in its braces")),
                    _ => {
                        return Err(format!(
                            "unknown word {word}: write a key as .{word}, a key with blanks as ['a {word}'], a string as \"{word}\""
                        ));
                    }
                });
            }
            _ => return Err(format!("unexpected {next:?}")),
        }
        Ok(())
    }

    /// Parses a word.
    fn word(&mut self) -> Option<&'t str> {
        if !self.rest.starts_with(is_alphanumeric) {
            return None;
        }
        let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word)
    }

    /// Parses the key after a dot; `\` escapes the next character.
    fn field(&mut self) -> Step {
        let mut escaped = false;
        let ends = |character| {
            let ends = !escaped && is_terminator(character);
            escaped = !escaped && character == '\\';
            ends
        };
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        if field == "*" { Step::Wildcard } else { Step::Field(field.replace('\\', "")) }
    }

    fn number(&mut self) -> Result<Step, String> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|digit: char| digit != '.' && !digit.is_numeric());
        let mut end = digits.map_or(self.rest.len(), |end| sign + end);
        if let Some(exponent) = self.rest[end..].strip_prefix(['e', 'E']) {
            let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            let digits = signed.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(signed.len());
            if digits > 0 {
                end = self.rest.len() - signed.len() + digits;
            }
        }
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let literal = match (text.parse(), text.parse()) {
            (Ok(int), _) => Literal::Int(int),
            (_, Ok(float)) => Literal::Float(float),
            _ => return Err(format!("{text} is not a number")),
        };
        Ok(Step::Literal(literal))
    }

    fn quote(&mut self, quote: char) -> Result<Step, String> {
        let text = quoted(self.rest, quote).ok_or("unterminated string")?;
        self.rest = &self.rest[text.len()..];
        let text = string(text).ok_or_else(|| format!("{text} is not a string"))?;
        Ok(Step::Literal(Literal::Text(text)))
    }

    /// Parses `[0]`, `[1:3]`, `[*]`, `['key']`, `[?(@.a)]`, or several of these with commas.
    fn brackets(&mut self, lenient: bool) -> Result<Step, String> {
        let start = self.rest;
        self.rest = &start[1..];
        let mut selectors = Vec::new();
        loop {
            if self.eat("?") {
                selectors.push(Step::Filter(self.nested(Self::filter)?));
            } else {
                selectors.push(self.selector(lenient).inspect_err(|_| self.rest = start)?);
            }
            if !self.eat(",") {
                break;
            }
        }
        self.expect("]", "a filter")?;
        Ok(match selectors.len() {
            1 => selectors.remove(0),
            _ => Step::Union(selectors.into_iter().map(|selector| vec![selector]).collect()),
        })
    }

    /// Parses `0`, `1:3`, `*` or `'key'` up to a comma or bracket.
    fn selector(&mut self, lenient: bool) -> Result<Step, String> {
        let start = self.rest.trim_start_matches(BLANKS);
        let ends = |after: &str| after.trim_start_matches(BLANKS).starts_with([',', ']']);
        let quote = start.chars().next().filter(|quote| matches!(quote, '"' | '\''));
        let key = quote.and_then(|quote| quoted(start, quote)).filter(|key| ends(&start[key.len()..]));
        let end = key.map(str::len).or_else(|| start.find([',', ']'])).ok_or("missing ]")?;
        let (text, rest) = start.split_at(end);
        self.rest = rest;
        let text = text.trim_end_matches(BLANKS);
        let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
        if let Some(key) = quoted('\'').or_else(|| quoted('"')) {
            let path = Parser { rest: &format!(".{key}"), in_filter: false, depth: self.depth }
                .steps(None)
                .unwrap_or_default();
            return Ok(match (&path[..], string(text)) {
                // a key of blanks or backslashes only
                ([Step::Field(name)], Some(literal)) if name.is_empty() => Step::Field(literal),
                ([], literal) => Step::Field(literal.unwrap_or_else(|| key.to_owned())),
                ([Step::Field(name)], None) => Step::Field(name.clone()),
                ([Step::Field(name)], Some(literal)) if *name == literal => Step::Field(literal),
                (_, literal) => Step::Quoted(path, literal.unwrap_or_else(|| key.to_owned())),
            });
        }
        slice(if text == "*" { ":" } else { text }, lenient).map(Step::Slice)
    }

    /// Consumes a token, after blanks, if it is next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start_matches(BLANKS).strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(super) fn expect(&mut self, token: &str, end_of: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("missing {token} after {end_of}")) }
    }
}

fn too_deep() -> String {
    format!("nested more than {MAX_DEPTH} times: simplify the expression")
}

fn slice(text: &str, lenient: bool) -> Result<SliceBounds, String> {
    let fault = || format!("[{text}] is not an index: write [0], [-1], [1:3], [*] or ['key']");
    let parts: Vec<_> = text.split(':').map(|part| part.trim_matches(BLANKS)).collect();
    let part = |at: usize| match parts.get(at) {
        None | Some(&"") => Ok(None),
        Some(number) if number.starts_with('+') => Err(fault()),
        Some(number) => number.parse().map(Some).map_err(|_| fault()),
    };
    if parts.len() > 3 {
        return Err(fault());
    }
    let bounds = SliceBounds { from: part(0)?, to: part(1)?, step: part(2)?, single: parts.len() == 1, lenient };
    if bounds.step == Some(0) { Err("the step of a slice must not be 0".to_owned()) } else { Ok(bounds) }
}

fn is_terminator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

pub(super) fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

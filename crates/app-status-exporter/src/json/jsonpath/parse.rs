//! The parser of templates.

use super::quote::{quoted, unquote};
use super::syntax::{Filter, Literal, Operator, SliceBounds, Step, TemplatePart};

/// Parses a whole template.
pub(super) fn template(text: &str) -> Result<Vec<TemplatePart>, String> {
    let mut rest = text;
    let mut outer: Vec<(Vec<TemplatePart>, Vec<Step>)> = Vec::new(); // the parts around each open range
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (plain, action) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !plain.is_empty() {
            parts.push(TemplatePart::Text(plain.to_owned()));
        }
        let Some(action) = action.strip_prefix('{') else { break };
        let action_start = action.trim_start_matches(' ');
        let mut parser = Parser { rest: action_start };
        match parser.word() {
            Some("range") => {
                outer.push((std::mem::take(&mut parts), parser.steps(Some('}'))?));
            }
            Some("end") => {
                if !parser.steps(Some('}'))?.is_empty() {
                    return Err("{end} takes no path".to_owned());
                }
                let (before, steps) = outer.pop().ok_or("{end} without {range}")?;
                let body = std::mem::replace(&mut parts, before);
                parts.push(TemplatePart::Range(steps, body));
            }
            _ => {
                parser = Parser { rest: action };
                parts.push(TemplatePart::Action(parser.steps(Some('}'))?));
            }
        }
        rest = parser.rest;
    }
    if !outer.is_empty() {
        return Err("{range} without {end}".to_owned());
    }
    Ok(parts)
}

/// Parses the text inside braces, brackets and parentheses.
struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    /// Parses steps up to the closing character, or to the end of the text.
    fn steps(&mut self, close: Option<char>) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            let Some(next) = self.rest.chars().next() else {
                return match close {
                    None => Ok(steps),
                    Some(close) => Err(format!("missing {close}")),
                };
            };
            if let Some(filter) = self.rest.strip_prefix("[?(") {
                self.rest = filter;
                steps.push(Step::Filter(self.filter()?));
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix("..") {
                if let Some(Step::Recursive) = steps.last() {
                    return Err(".. must not follow ..".to_owned());
                }
                self.rest = rest;
                steps.push(Step::Recursive);
                if rest.starts_with(is_alphanumeric) {
                    steps.push(self.field());
                }
                continue;
            }
            match next {
                _ if Some(next) == close => {
                    self.rest = &self.rest[next.len_utf8()..];
                    return Ok(steps);
                }
                ' ' | '@' | '$' => self.rest = &self.rest[1..],
                '.' => {
                    self.rest = &self.rest[1..];
                    steps.push(self.field());
                }
                '[' => self.brackets(&mut steps)?,
                '"' | '\'' => steps.push(self.quote(next)?),
                '+' | '-' => steps.push(self.number()?),
                _ if next.is_numeric() => steps.push(self.number()?),
                _ if is_alphanumeric(next) => {
                    let word = self.word().unwrap_or_default();
                    steps.push(match word {
                        "true" | "false" => Step::Literal(Literal::Bool(word == "true")),
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
        }
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
        let (text, rest) = self.rest.split_at(digits.map_or(self.rest.len(), |end| sign + end));
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
        let text = unquote(text).ok_or_else(|| format!("{text} is not a string"))?;
        Ok(Step::Literal(Literal::Text(text)))
    }

    /// Parses `[0]`, `[1:3]`, `[*]`, `['key']` or `[0,2]`.
    fn brackets(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        let end = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']'));
        let end = end.ok_or("missing ]")?;
        let text = &self.rest[1..end];
        self.rest = &self.rest[end + 1..];
        if text.contains(',') {
            let path = |part: &str| Parser { rest: &format!("[{}]", part.trim_matches(' ')) }.steps(None);
            steps.push(Step::Union(text.split(',').map(path).collect::<Result<_, _>>()?));
            return Ok(());
        }
        let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
        if let Some(key) = quoted('\'').or_else(|| quoted('"')) {
            let path = Parser { rest: &format!(".{key}") }.steps(None).unwrap_or_default();
            steps.push(match path[..] {
                [] => Step::Field(key.to_owned()),
                [Step::Field(ref name)] => Step::Field(name.clone()),
                _ => Step::Quoted(path, key.to_owned()),
            });
            return Ok(());
        }
        let text = if text == "*" { ":" } else { text };
        let fault = || format!("[{text}] is not an index: write [0], [-1], [1:3], [*] or ['key']");
        let parts: Vec<_> = text.split(':').collect();
        let part = |at: usize| match parts.get(at) {
            None | Some(&"") => Ok(None),
            Some(number) => number.parse().map(Some).map_err(|_| fault()),
        };
        if parts.len() > 3 {
            return Err(fault());
        }
        let bounds = SliceBounds { from: part(0)?, to: part(1)?, step: part(2)?, single: parts.len() == 1 };
        if bounds.step.is_some_and(|step| step <= 0) {
            return Err("the step of a slice must be at least 1".to_owned());
        }
        steps.push(Step::Slice(bounds));
        Ok(())
    }

    /// Parses a filter, after its `[?(`.
    fn filter(&mut self) -> Result<Filter, String> {
        let mut end = 0;
        loop {
            let next = self.rest[end..].chars().next().ok_or("missing )] after a filter")?;
            match next {
                ')' => break,
                '"' | '\'' => end += quoted(&self.rest[end..], next).ok_or("unterminated string in a filter")?.len(),
                _ => end += next.len_utf8(),
            }
        }
        let text = &self.rest[..end];
        self.rest = self.rest[end..].strip_prefix(")]").ok_or("missing )] after a filter")?;
        let operator = |character: char| matches!(character, '!' | '<' | '>' | '=');
        let Some(start) = text.find(operator).filter(|start| *start > 0) else {
            return Ok(Filter { left: Parser { rest: text }.steps(None)?, right: None });
        };
        let len = text[start..].find(|character| !operator(character)).unwrap_or(text.len() - start);
        let (left, right) = (&text[..start], &text[start + len..]);
        let operator = match &text[start..start + len] {
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterEqual,
            other => return Err(format!("unknown operator {other}: use ==, !=, <, <=, > or >=")),
        };
        let right = Parser { rest: right }.steps(None)?;
        if right.is_empty() {
            return Err(format!("{text}: missing value after the operator"));
        }
        Ok(Filter { left: Parser { rest: left }.steps(None)?, right: Some((operator, right)) })
    }
}

fn is_terminator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

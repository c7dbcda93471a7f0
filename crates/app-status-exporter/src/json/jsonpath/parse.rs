//! The text of a template into steps.

use super::print::unquote;
use super::{Filter, Literal, Operator, SliceBounds, Step};

/// Reads what stands between braces, brackets and parentheses.
pub(super) struct Parser<'t> {
    pub(super) rest: &'t str,
}

impl<'t> Parser<'t> {
    /// The steps up to the closing character, or to the end.
    pub(super) fn steps(&mut self, close: Option<char>) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            let Some(next) = self.rest.chars().next() else {
                return match close {
                    None => Ok(steps),
                    Some(close) => Err(format!("{close} is missing at its end")),
                };
            };
            if let Some(filter) = self.rest.strip_prefix("[?(") {
                self.rest = filter;
                steps.push(Step::Filter(self.filter()?));
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix("..") {
                if let Some(Step::Recursive) = steps.last() {
                    return Err("two .. follow each other".to_owned());
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
                        "range" | "end" => return Err(format!("{word} stands at the beginning of its braces")),
                        _ => {
                            return Err(format!(
                                "{word} is no word of JSONPath: a key is written .{word}, one with blanks ['a {word}'], a string \"{word}\""
                            ));
                        }
                    });
                }
                _ => return Err(format!("{next:?} is not expected")),
            }
        }
    }

    /// A word, up to what ends a name.
    pub(super) fn word(&mut self) -> Option<&'t str> {
        if !self.rest.starts_with(is_alphanumeric) {
            return None;
        }
        let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word)
    }

    /// A key after a dot, in which `\` takes the meaning from what follows.
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
            _ => return Err(format!("{text} is no number")),
        };
        Ok(Step::Literal(literal))
    }

    fn quote(&mut self, quote: char) -> Result<Step, String> {
        let text = quoted(self.rest, quote).ok_or("a string does not end")?;
        self.rest = &self.rest[text.len()..];
        let text = unquote(text).ok_or_else(|| format!("{text} is no string"))?;
        Ok(Step::Literal(Literal::Text(text)))
    }

    /// `[0]`, `[1:3]`, `[*]`, `['key']`, `[0,2]`.
    fn brackets(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        let end = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']'));
        let end = end.ok_or("] is missing")?;
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
        let fault = || format!("[{text}] is no index: write [0], [-1], [1:3], [*] or ['key']");
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
            return Err("the step of a slice is at least 1".to_owned());
        }
        steps.push(Step::Slice(bounds));
        Ok(())
    }

    /// What stands between `[?(` and `)]`.
    fn filter(&mut self) -> Result<Filter, String> {
        let mut end = 0;
        loop {
            let next = self.rest[end..].chars().next().ok_or("a filter does not end: )] is missing")?;
            match next {
                ')' => break,
                '"' | '\'' => end += quoted(&self.rest[end..], next).ok_or("a string in a filter does not end")?.len(),
                _ => end += next.len_utf8(),
            }
        }
        let text = &self.rest[..end];
        self.rest = self.rest[end..].strip_prefix(")]").ok_or("a filter ends with )]")?;
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
            other => return Err(format!("{other} is no operator: == != < <= > >= are")),
        };
        let right = Parser { rest: right }.steps(None)?;
        if right.is_empty() {
            return Err(format!("{text} compares with nothing"));
        }
        Ok(Filter { left: Parser { rest: left }.steps(None)?, right: Some((operator, right)) })
    }
}

/// A string with its quotes, at the beginning of a text.
fn quoted(text: &str, quote: char) -> Option<&str> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = !escaped && *character == quote;
        escaped = !escaped && *character == '\\';
        ends
    });
    end.map(|(end, _)| &text[..=end])
}

fn is_terminator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

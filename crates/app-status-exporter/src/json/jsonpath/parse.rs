//! The parser of templates.

use regex::Regex;

use super::quote::{quoted, unquote};
use super::syntax::{Filter, Literal, Operator, SliceBounds, Step, TemplatePart};

/// Parses a whole template. The error has the column of the problem.
pub(super) fn template(text: &str) -> Result<Vec<TemplatePart>, String> {
    let mut parser = Parser { rest: text };
    parser.template().map_err(|message| {
        let column = text[..text.len() - parser.rest.len()].chars().count() + 1;
        format!("column {column}: {message}")
    })
}

/// Parses the text inside braces, brackets and parentheses.
struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
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
            let mut keyword = Parser { rest: action.trim_start_matches(' ') };
            match keyword.word() {
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
    fn steps(&mut self, close: Option<char>) -> Result<Vec<Step>, String> {
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
            if let Some(filter) = start.strip_prefix("[?") {
                self.rest = filter;
                steps.push(Step::Filter(self.filter()?));
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
            if rest.starts_with(is_alphanumeric) {
                steps.push(self.field());
            }
            return Ok(());
        }
        match next {
            ' ' | '@' | '$' => self.rest = &self.rest[1..],
            '.' => {
                self.rest = &self.rest[1..];
                steps.push(self.field());
            }
            '[' => self.brackets(steps)?,
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

    /// Parses a filter, after its `[?`: `(@.a == 1)]`, `@.a && !@.b]`.
    fn filter(&mut self) -> Result<Filter, String> {
        let filter = self.alternatives()?;
        self.expect("]", "a filter")?;
        Ok(filter)
    }

    fn alternatives(&mut self) -> Result<Filter, String> {
        let mut filters = vec![self.conditions()?];
        while self.eat("||") {
            filters.push(self.conditions()?);
        }
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::Any(filters) })
    }

    fn conditions(&mut self) -> Result<Filter, String> {
        let mut filters = vec![self.condition()?];
        while self.eat("&&") {
            filters.push(self.condition()?);
        }
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::All(filters) })
    }

    fn condition(&mut self) -> Result<Filter, String> {
        self.rest = self.rest.trim_start_matches(' ');
        if !self.rest.starts_with("!=") && self.eat("!") {
            return Ok(Filter::Not(Box::new(self.condition()?)));
        }
        if self.eat("(") {
            let filter = self.alternatives()?;
            self.expect(")", "a filter")?;
            return Ok(filter);
        }
        let left = self.operand()?;
        let start = self.rest;
        let end = start.find(|character| !is_operator(character)).unwrap_or(start.len());
        let operator = match &start[..end] {
            "" => return left.map(Filter::Exists).ok_or_else(|| "missing condition".to_owned()),
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterEqual,
            "=~" => {
                self.rest = &start[end..];
                let left = left.ok_or("missing value before =~")?;
                return self.pattern().map(|pattern| Filter::Matches(left, pattern));
            }
            other => return Err(format!("unknown operator {other}: use ==, !=, <, <=, >, >= or =~")),
        };
        let left = left.ok_or_else(|| format!("missing value before {}", &start[..end]))?;
        self.rest = &start[end..];
        let right = self.operand()?.ok_or_else(|| format!("missing value after {}", &start[..end]))?;
        Ok(Filter::Compare(left, operator, right))
    }

    /// Parses a path or literal up to an operator or the end of the condition; `None` if there is none.
    fn operand(&mut self) -> Result<Option<Vec<Step>>, String> {
        let start = self.rest;
        let end = self.operand_end()?;
        let mut operand = Parser { rest: &start[..end] };
        let steps = operand.steps(None);
        self.rest = &start[end - operand.rest.len()..];
        Ok(Some(steps?).filter(|_| !start[..end].trim_matches(' ').is_empty()))
    }

    /// The length of the operand at the start. Operators in quotes and brackets belong to it.
    fn operand_end(&mut self) -> Result<usize, String> {
        let text = self.rest;
        let (mut at, mut depth) = (0, 0_usize);
        while let Some(next) = text[at..].chars().next() {
            let outside = depth == 0;
            match next {
                '"' | '\'' => {
                    let Some(string) = quoted(&text[at..], next) else {
                        self.rest = &text[at..];
                        return Err("unterminated string in a filter".to_owned());
                    };
                    at += string.len();
                    continue;
                }
                '\\' => at += text[at + 1..].chars().next().map_or(0, char::len_utf8),
                '[' => depth += 1,
                ']' if depth > 0 => depth -= 1,
                ']' | ')' if outside => break,
                _ if outside && (is_operator(next) || text[at..].starts_with("&&") || text[at..].starts_with("||")) => {
                    break;
                }
                '*' if outside && text[..at].ends_with('.') => {}
                '+' if outside && text[..at].trim_start_matches(' ').is_empty() => {}
                '(' | '&' | '|' | '*' | '+' | '%' | '^' | ';' | '?' if outside => {
                    self.rest = &text[at..];
                    return Err(format!(
                        "unexpected {next:?} in a filter: write a key with special characters in brackets, ['a+b']"
                    ));
                }
                _ => {}
            }
            at += next.len_utf8();
        }
        Ok(at)
    }

    /// Parses the regular expression after `=~`: a string, or between slashes.
    fn pattern(&mut self) -> Result<Regex, String> {
        let start = self.rest.trim_start_matches(' ');
        self.rest = start;
        let quote = start.chars().next().filter(|quote| matches!(quote, '"' | '\'' | '/'));
        let text = quote.and_then(|quote| quoted(start, quote)).ok_or("=~ requires a regular expression in quotes")?;
        let pattern = match quote {
            Some('/') => text[1..text.len() - 1].replace("\\/", "/"),
            _ => unquote(text).ok_or_else(|| format!("{text} is not a string: write a backslash as \\\\"))?,
        };
        let pattern = Regex::new(&pattern).map_err(|_| format!("{text} is not a regular expression"))?;
        self.rest = &start[text.len()..];
        Ok(pattern)
    }

    /// Consumes a token, after blanks, if it is next.
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start_matches(' ').strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str, end_of: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("missing {token} after {end_of}")) }
    }
}

fn is_operator(character: char) -> bool {
    matches!(character, '!' | '<' | '>' | '=' | '~')
}

fn is_terminator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_alphanumeric(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

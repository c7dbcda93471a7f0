//! The parser of filters and functions: `[?(@.a == 1 && length(@.b) > 2)]`, `sum(.list[*])`.

use regex::{Regex, RegexBuilder};

use super::functions::Function;
use super::parse::{BLANKS, Parser, is_alphanumeric};
use super::quote::{quoted, unquote};
use super::syntax::{Call, Filter, Operator, Step};

impl<'t> Parser<'t> {
    /// Parses a filter, after its `?`: `(@.a == 1)`, `@.a && !@.b`.
    pub(super) fn filter(&mut self) -> Result<Filter, String> {
        let outside = std::mem::replace(&mut self.in_filter, true);
        let filter = self.alternatives()?;
        self.in_filter = outside;
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
        self.rest = self.rest.trim_start_matches(BLANKS);
        if !self.rest.starts_with("!=") && self.eat("!") {
            return Ok(Filter::Not(Box::new(self.nested(Self::condition)?)));
        }
        if self.eat("(") {
            let filter = self.nested(Self::alternatives)?;
            self.expect(")", "a filter")?;
            return Ok(filter);
        }
        if let Some(filter) = self.matches()? {
            return Ok(filter);
        }
        let whole = self.rest;
        let left = self.operand()?;
        let start = self.rest;
        let end = start.find(|character| !is_operator(character)).unwrap_or(start.len());
        let operator = match &start[..end] {
            "" => {
                let left = left.ok_or("missing condition")?;
                if let [Step::Call(call)] = &left[..] {
                    self.rest = whole;
                    return Err(format!(
                        "missing comparison of {name}(): write {name}(...) > 0",
                        name = call.function.name()
                    ));
                }
                return Ok(Filter::Exists(left));
            }
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterEqual,
            "=~" => {
                self.rest = &start[end..];
                let left = left.ok_or("missing value before =~")?;
                return self.pattern("=~").map(|(pattern, _)| Filter::Matches(left, pattern));
            }
            other => return Err(format!("unknown operator {other}: use ==, !=, <, <=, >, >= or =~")),
        };
        let left = left.ok_or_else(|| format!("missing value before {}", &start[..end]))?;
        self.rest = &start[end..];
        let right = self.operand()?.ok_or_else(|| format!("missing value after {}", &start[..end]))?;
        Ok(Filter::Compare(left, operator, right))
    }

    /// Parses a path, literal or function up to an operator or the end of the condition; `None` if there is none.
    fn operand(&mut self) -> Result<Option<Vec<Step>>, String> {
        self.rest = self.rest.trim_start_matches(BLANKS);
        if let Some(call) = self.call()? {
            self.rest = self.rest.trim_start_matches(BLANKS);
            return Ok(Some(vec![call]));
        }
        let start = self.rest;
        let end = self.operand_end()?;
        let mut operand = Parser { rest: &start[..end], ..*self };
        let path = operand.steps(None);
        self.rest = &start[end - operand.rest.len()..];
        Ok(Some(path?).filter(|_| !start[..end].is_empty()))
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
                ']' | ')' | ',' if outside => break,
                _ if outside && (is_operator(next) || text[at..].starts_with("&&") || text[at..].starts_with("||")) => {
                    break;
                }
                '*' if outside && text[..at].ends_with('.') => {}
                '+' if outside && (at == 0 || text[..at].ends_with(['e', 'E'])) => {}
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

    /// The name of the function at the start.
    fn function(&self) -> Option<&'t str> {
        let end = self.rest.find(|character| !is_alphanumeric(character))?;
        let (name, rest) = self.rest.split_at(end);
        Some(name).filter(|name| !name.is_empty() && rest.starts_with('('))
    }

    /// Parses the function at the start, if there is one.
    pub(super) fn call(&mut self) -> Result<Option<Step>, String> {
        let start = self.rest;
        let Some(name) = self.function() else { return Ok(None) };
        let names = Function::NAMES.iter();
        let Some((_, function)) = names.clone().find(|(known, _)| *known == name) else {
            let all = names.map(|(name, _)| format!("{name}()")).collect::<Vec<_>>().join(", ");
            return Err(match name {
                "match" | "search" => format!("{name}() is a condition of a filter, not a value"),
                _ => format!("unknown function {name}(): the functions are {all}, and in filters match(), search()"),
            });
        };
        self.rest = &start[name.len() + 1..];
        let Some(path) = self.nested(Self::operand)? else {
            self.rest = start;
            return Err(format!("missing path in {name}()"));
        };
        if self.rest.starts_with(',') {
            return Err(format!("{name}() takes one path"));
        }
        self.expect(")", &format!("the path of {name}()"))?;
        let literal = matches!(path[..], [Step::Literal(_)]);
        match function {
            Function::Length if !is_single(&path) => {
                self.rest = start;
                Err("length() takes one value: use count() for the number of matches".to_owned())
            }
            Function::Count | Function::Sum | Function::Value | Function::Keys if literal => {
                self.rest = start;
                Err(format!("{name}() takes a path, not a literal"))
            }
            function => Ok(Some(Step::Call(Call { function: *function, path, in_filter: self.in_filter }))),
        }
    }

    /// Parses `match(@.a, 'x.*')` or `search(@.a, 'x')`, if it is next.
    fn matches(&mut self) -> Result<Option<Filter>, String> {
        let Some(name) = self.function().filter(|name| matches!(*name, "match" | "search")) else { return Ok(None) };
        self.rest = &self.rest[name.len() + 1..];
        let path = self.operand()?.ok_or_else(|| format!("missing value in {name}()"))?;
        self.expect(",", &format!("the value in {name}()"))?;
        let start = self.rest;
        let (_, text) = self.pattern(&format!("{name}()"))?;
        let text = if name == "match" { format!("^(?:{text})$") } else { text };
        // a dot matches neither \r nor \n, as in RFC 9485
        let pattern = RegexBuilder::new(&text).crlf(true).build();
        let pattern = pattern.map_err(|_| {
            self.rest = start;
            format!("{text} is not a regular expression")
        })?;
        self.expect(")", &format!("the regular expression of {name}()"))?;
        self.rest = self.rest.trim_start_matches(BLANKS);
        if self.rest.starts_with(is_operator) {
            return Err(format!("{name}() is a condition: it cannot be compared"));
        }
        Ok(Some(Filter::Matches(path, pattern)))
    }

    /// Parses a regular expression: a string, or between slashes. Returns its text, too.
    fn pattern(&mut self, of: &str) -> Result<(Regex, String), String> {
        let start = self.rest.trim_start_matches(BLANKS);
        self.rest = start;
        let quote = start.chars().next().filter(|quote| matches!(quote, '"' | '\'' | '/'));
        let text = quote.and_then(|quote| quoted(start, quote));
        let text = text.ok_or_else(|| format!("{of} requires a regular expression in quotes"))?;
        let pattern = match quote {
            Some('/') => text[1..text.len() - 1].replace("\\/", "/"),
            _ => unquote(text).ok_or_else(|| format!("{text} is not a string: write a backslash as \\\\"))?,
        };
        let regex = Regex::new(&pattern).map_err(|_| format!("{text} is not a regular expression"))?;
        self.rest = &start[text.len()..];
        Ok((regex, pattern))
    }
}

/// Whether a path has at most one match.
fn is_single(path: &[Step]) -> bool {
    path.iter().all(|step| match step {
        Step::Slice(bounds) => bounds.single,
        Step::Quoted(path, _) => is_single(path),
        Step::Wildcard | Step::Recursive | Step::Union(_) | Step::Filter(_) => false,
        Step::Call(call) => call.function != Function::Keys,
        _ => true,
    })
}

fn is_operator(character: char) -> bool {
    matches!(character, '!' | '<' | '>' | '=' | '~')
}

//! Compiles a template into the steps of a matcher.

use memchr::memmem::Finder;

use crate::format::field::Field;
use crate::format::template::{Template, Token, ValueShape, Variable};

/// One step of matching a line.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Matches fixed text.
    Literal(Box<[u8]>),
    /// Skips everything up to `[time] "`, which may contain text from the client.
    ToRequest,
    /// Reads or skips a value. `capture` is its index among the captured fields.
    Value { field: Field, name: String, capture: Option<usize>, end: End },
}

/// Where a value ends, and the literal after it.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// At the first unescaped quotation mark, the first byte of the literal.
    Quote(Box<[u8]>),
    /// After three digits or a hyphen.
    Status(Box<[u8]>),
    /// After digits, or a hyphen.
    Digits(Box<[u8]>),
    /// Before a space or the literal's first byte.
    Word(Box<[u8]>),
    /// As [`End::Word`], but spaces may follow commas or surround colons.
    List(Box<[u8]>),
    /// At the first occurrence of the literal; at a later one if the rest of the line does not match.
    Search(Box<Finder<'static>>),
    /// Before the path, which is the next value.
    BeforePath,
    /// At the end of the line.
    Line,
}

/// Compiles a template.
pub(super) fn compile(template: &Template) -> Result<Vec<Step>, String> {
    let tokens = &merge_queries(skip_duplicates(&template.tokens));
    let mut steps = Vec::new();
    let mut from = 0;
    if let Some(request) = skippable_request(tokens).filter(|_| template.escaped) {
        let mut begin = tokens[..request].iter().rposition(is_counted).map_or(0, |at| at + 2);
        // the virtual host ends before the port
        if begin > 0 && matches!(&tokens[begin], Token::Variable(variable) if variable.shape == ValueShape::Digits) {
            begin += 2;
        }
        let before = tokens.get(begin..request).unwrap_or_default();
        // a quoted value before the time could contain the delimiter "] "
        let fixed: Vec<u8> = before.iter().filter_map(Token::literal).flatten().copied().collect();
        if fixed.contains(&b'[') && fixed.iter().filter(|&&byte| byte == b'"').count() == 1 {
            compile_range(tokens, 0, begin, template.escaped, &mut steps)?;
            steps.push(Step::ToRequest);
            from = request;
        }
    }
    compile_range(tokens, from, tokens.len(), template.escaped, &mut steps)?;
    Ok(steps)
}

/// Keeps one variable for each meaning, the one with the lowest rank, and skips the others.
fn skip_duplicates(tokens: &[Token]) -> Vec<Token> {
    let mut wanted = tokens.to_vec();
    for token in &mut wanted {
        if let Token::Variable(variable) = token
            && variables(tokens).any(|other| other.field.same(variable.field) && other.rank < variable.rank)
        {
            variable.field = Field::Skip;
        }
    }
    wanted
}

/// Merges a path and the skipped variables directly after it (`%U%q`, `$uri$is_args$args`).
fn merge_queries(mut tokens: Vec<Token>) -> Vec<Token> {
    let is_path = |token: &Token| matches!(token, Token::Variable(variable) if variable.field == Field::Path);
    let is_skipped = |token: &Token| matches!(token, Token::Variable(variable) if variable.field == Field::Skip && variable.capture.is_none());
    let mut at = 1;
    while at < tokens.len() {
        if is_path(&tokens[at - 1]) && is_skipped(&tokens[at]) {
            tokens.remove(at);
        } else {
            at += 1;
        }
    }
    tokens
}

fn variables(tokens: &[Token]) -> impl Iterator<Item = &Variable> {
    tokens.iter().filter_map(|token| match token {
        Token::Variable(variable) => Some(variable),
        Token::Literal(_) => None,
    })
}

fn is_counted(token: &Token) -> bool {
    matches!(token, Token::Variable(variable)
        if !matches!(variable.field, Field::Skip | Field::Time) || variable.capture.is_some())
}

/// The index of the request line, if it follows the time as in the common log format: `[time] "request"`.
fn skippable_request(tokens: &[Token]) -> Option<usize> {
    tokens
        .windows(3)
        .position(|window| match window {
            [Token::Literal(before), Token::Variable(variable), Token::Literal(after)] => {
                variable.field == Field::Request && before.ends_with(b"] \"") && after.starts_with(b"\"")
            }
            _ => false,
        })
        .map(|at| at + 1)
}

fn compile_range(tokens: &[Token], from: usize, to: usize, escaped: bool, steps: &mut Vec<Step>) -> Result<(), String> {
    let mut at = from;
    while at < to {
        let Token::Variable(variable) = &tokens[at] else {
            if let Token::Literal(text) = &tokens[at] {
                steps.push(Step::Literal(text.clone().into()));
            }
            at += 1;
            continue;
        };
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let end = match tokens.get(at + 1) {
            None => end_of_last(variable),
            Some(Token::Literal(then)) => {
                at += 1; // part of the value's step
                let in_quotes = matches!(before, Some(Token::Literal(text)) if text.ends_with(b"\""));
                end_before(variable, then, in_quotes && escaped && then.starts_with(b"\""))
            }
            Some(Token::Variable(next)) => match variable.shape {
                ValueShape::Status => End::Status([].into()),
                ValueShape::Digits => End::Digits([].into()),
                _ if next.field == Field::Path => End::BeforePath,
                _ if matches!(variable.field, Field::Status | Field::Request | Field::Method)
                    || variable.capture.or(next.capture).is_some() =>
                {
                    return Err(format!("no literal text between {} and {}", variable.name, next.name));
                }
                _ => {
                    at += 1; // two skipped values become one
                    continue;
                }
            },
        };
        let Variable { field, capture, ref name, .. } = *variable;
        steps.push(Step::Value { field, name: name.clone(), capture, end });
        at += 1;
    }
    Ok(())
}

fn end_of_last(variable: &Variable) -> End {
    match variable.shape {
        ValueShape::Status => End::Status([].into()),
        ValueShape::Digits => End::Digits([].into()),
        ValueShape::Word => End::Word([].into()),
        ValueShape::List => End::List([].into()),
        ValueShape::Text => End::Line,
    }
}

fn end_before(variable: &Variable, then: &[u8], in_quotes: bool) -> End {
    match variable.shape {
        _ if in_quotes => End::Quote(then.into()),
        ValueShape::Status => End::Status(then.into()),
        ValueShape::Digits => End::Digits(then.into()),
        ValueShape::Word => End::Word(then.into()),
        ValueShape::List => End::List(then.into()),
        ValueShape::Text => End::Search(Box::new(Finder::new(then).into_owned())),
    }
}

//! Parser of lines by a template compiled into steps: match a literal, or find the end of a value.

mod compile;
#[cfg(test)]
mod tests;

use memchr::{memchr, memmem::Finder};

use self::compile::{End, Step};
use crate::format::clf::{after_time, is_field_end, quoted};
use crate::format::field::{Field, RequestBuilder, missing};
use crate::format::template::Template;

/// A compiled template.
#[derive(Clone, Debug)]
pub(crate) struct TemplateMatcher {
    steps: Vec<Step>,
    /// Whether the end of some value is searched for, so that a line can match in several ways.
    searches: bool,
}

/// The byte offset at which a line stopped to match, and the step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateMismatch {
    pub(crate) at: usize,
    step: usize,
}

/// The state of matching one line.
#[derive(Clone, Copy, Debug)]
struct Matching {
    /// How many times a value may still be extended to a later end.
    retries: u32,
    /// Whether numeric fields must be numbers, and hosts, methods and paths must look like them.
    plausible: bool,
    /// Whether the line must end after the last step.
    exact: bool,
}

/// How many times the values of one line may be extended to a later end, so that no line takes long.
const RETRIES: u32 = 32;

impl TemplateMatcher {
    /// Compiles a template. It must have the fields that the counters need.
    pub(crate) fn compile(template: &Template) -> Result<Self, String> {
        let matcher = Self::of_captured(template)?;
        missing(&matcher.fields()).map_or(Ok(matcher), |why| Err(why.to_owned()))
    }

    /// Compiles a template that may lack fields that the counters need, since only captured fields are read.
    pub(crate) fn of_captured(template: &Template) -> Result<Self, String> {
        let steps = compile::compile(template)?;
        let searches = steps.iter().any(|step| matches!(step, Step::Value { end: End::Search(_), .. }));
        Ok(Self { steps, searches })
    }

    /// The fields to read.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let field = |step: &Step| match step {
            Step::Value { field, .. } => Some(*field),
            _ => None,
        };
        self.steps.iter().filter_map(field).collect()
    }

    /// Reads the fields of a line; false if it does not match.
    #[inline]
    pub(crate) fn read<'a>(&self, line: &'a [u8], request: &mut RequestBuilder<'a>) -> bool {
        self.walk(line, &mut |_, field, text| request.set(field, text)).is_ok()
    }

    /// Calls `each` for every value, with its step and meaning. If a line can match in several ways, the first one in
    /// which all values are plausible is used. Returns the offset of the additional fields, which are ignored.
    pub(crate) fn walk<'a>(
        &self,
        line: &'a [u8],
        each: &mut impl FnMut(usize, Field, &'a [u8]),
    ) -> Result<usize, TemplateMismatch> {
        let mut attempt =
            |plausible, exact| self.walk_from(0, line, 0, &mut Matching { retries: RETRIES, plausible, exact }, each);
        if self.searches
            && let Ok(end) = attempt(true, true).or_else(|_| attempt(true, false))
        {
            return Ok(end);
        }
        attempt(false, false)
    }

    /// The name of the variable that a step matches.
    pub(crate) fn name(&self, step: usize) -> &str {
        match &self.steps[step] {
            Step::Value { name, .. } => name,
            Step::Literal(_) | Step::ToRequest => "(before the request)",
        }
    }

    /// The index of the variable that a step matches among the captured fields.
    pub(crate) fn capture(&self, step: usize) -> Option<usize> {
        match &self.steps[step] {
            Step::Value { capture, .. } => *capture,
            Step::Literal(_) | Step::ToRequest => None,
        }
    }

    /// The text expected where matching stopped.
    pub(crate) fn expected(&self, mismatch: &TemplateMismatch) -> String {
        let shown = |text: &[u8]| format!("'{}'", String::from_utf8_lossy(text));
        match self.steps.get(mismatch.step) {
            None => "a space or the end of the line".to_owned(),
            Some(Step::Literal(text)) => shown(text),
            Some(Step::ToRequest) => "[time] and then the quoted request".to_owned(),
            Some(Step::Value { name, end, .. }) => match end {
                End::Status(then) | End::Digits(then) | End::Word(then) | End::List(then) | End::Quote(then)
                    if !then.is_empty() =>
                {
                    format!("{name} and then {}", shown(then))
                }
                End::Search(finder) => format!("{name} and then {}", shown(finder.needle())),
                _ => name.clone(),
            },
        }
    }

    /// Whether a value shows that the line was split at the wrong place. A method is always checked: otherwise a list of
    /// addresses before it would choose its labels.
    fn is_refused(&self, field: Field, value: &[u8], plausible: bool) -> bool {
        self.searches && (plausible || field == Field::Method) && !is_plausible(field, value)
    }

    fn walk_from<'a>(
        &self,
        first: usize,
        line: &'a [u8],
        mut at: usize,
        matching: &mut Matching,
        each: &mut impl FnMut(usize, Field, &'a [u8]),
    ) -> Result<usize, TemplateMismatch> {
        for (index, step) in self.steps.iter().enumerate().skip(first) {
            let mismatch = |at| Err(TemplateMismatch { at, step: index });
            let text = &line[at..];
            let (field, end) = match step {
                Step::Literal(literal) if starts_with(text, literal) => {
                    at += literal.len();
                    continue;
                }
                Step::Literal(_) => return mismatch(at),
                Step::ToRequest => {
                    let Some(rest) = after_time(text) else { return mismatch(at) };
                    let before = &text[..text.len() - rest.len() - b"] \"".len()];
                    each(index, Field::Time, before);
                    at = line.len() - rest.len();
                    continue;
                }
                Step::Value { field, end, .. } => (*field, end),
            };
            let (length, then) = match end {
                End::Quote(then) => match quoted(text) {
                    Some((value, _)) => (value.len(), then),
                    None => return mismatch(line.len()),
                },
                End::Status(then) => (status(text), then),
                End::Digits(then) => match text {
                    [b'-', ..] => (1, then),
                    _ => (text.iter().take_while(|byte| byte.is_ascii_digit()).count(), then),
                },
                End::Word(then) => {
                    let stop = then.first().copied().unwrap_or(b' ');
                    (text.iter().position(|&byte| byte == stop || byte == b' ').unwrap_or(text.len()), then)
                }
                End::List(then) => (list(text, then.first().copied().unwrap_or(b' ')), then),
                End::BeforePath => {
                    let length = before_path(text);
                    each(index, field, &text[..length]);
                    at += length;
                    continue;
                }
                End::Line => {
                    each(index, field, text);
                    return Ok(line.len());
                }
                End::Search(finder) => return self.search(index, field, finder, line, at, matching, each),
            };
            // a value between two literals may be empty
            let needed =
                matches!(end, End::Status(_) | End::Digits(_)) || matches!(end, End::Word(_)) && then.is_empty();
            if length == 0 && needed {
                return mismatch(at);
            }
            if self.is_refused(field, &text[..length], matching.plausible) {
                return mismatch(at);
            }
            if !starts_with(&text[length..], then) {
                return mismatch(at + length);
            }
            each(index, field, &text[..length]);
            at += length + then.len();
        }
        if line.len() == at || !matching.exact && is_field_end(&line[at..]) {
            Ok(at)
        } else {
            Err(TemplateMismatch { at, step: self.steps.len() })
        }
    }

    /// Ends a value at the first occurrence of the literal after it for which the rest of the line matches.
    #[expect(clippy::too_many_arguments, reason = "the state of the recursion, which stays on the stack")]
    fn search<'a>(
        &self,
        step: usize,
        field: Field,
        finder: &Finder<'static>,
        line: &'a [u8],
        at: usize,
        matching: &mut Matching,
        each: &mut impl FnMut(usize, Field, &'a [u8]),
    ) -> Result<usize, TemplateMismatch> {
        let mut from = at;
        let mut farthest = TemplateMismatch { at, step };
        loop {
            let Some(found) = find(finder, &line[from..]) else {
                // HAProxy truncates a line that is too long for syslog; the request is its last field
                if field == Field::Request && step + 1 == self.steps.len() {
                    each(step, field, &line[at..]);
                    return Ok(line.len());
                }
                return Err(farthest);
            };
            let end = from + found;
            if self.is_refused(field, &line[at..end], matching.plausible) {
                return Err(farthest);
            }
            each(step, field, &line[at..end]);
            match self.walk_from(step + 1, line, end + finder.needle().len(), matching, each) {
                Ok(end) => return Ok(end),
                Err(mismatch) if mismatch.at > farthest.at || from == at => farthest = mismatch,
                Err(_) => {}
            }
            if matching.retries == 0 || matching.exact && step + 1 == self.steps.len() {
                return Err(farthest);
            }
            matching.retries -= 1;
            from = end + 1;
        }
    }
}

#[inline]
fn find(finder: &Finder<'static>, text: &[u8]) -> Option<usize> {
    match finder.needle() {
        [byte] => memchr(*byte, text),
        _ => finder.find(text),
    }
}

/// The same as [`slice::starts_with`], without a call of `memcmp` for the usual short literals.
#[inline]
fn starts_with(text: &[u8], literal: &[u8]) -> bool {
    match (literal, text) {
        ([], _) => true,
        ([a], [x, ..]) => a == x,
        ([a, b], [x, y, ..]) => (a, b) == (x, y),
        ([a, b, c], [x, y, z, ..]) => (a, b, c) == (x, y, z),
        _ => text.starts_with(literal),
    }
}

#[inline]
fn status(text: &[u8]) -> usize {
    match text {
        [b'-', b'1', ..] => 2,
        [a, b, c, ..] if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() => 3,
        [b'-' | b'0', ..] => 1,
        _ => 0,
    }
}

/// Whether a value is possible for a field.
fn is_plausible(field: Field, value: &[u8]) -> bool {
    match field {
        Field::Vhost => !value.iter().any(|byte| b" \",".contains(byte)),
        Field::Method => {
            !value.first().is_some_and(u8::is_ascii_digit) && !value.iter().any(|byte| b".,:/[]".contains(byte))
        }
        _ if field.is_number() => value.iter().all(|byte| b"0123456789.-+,: ".contains(byte)),
        _ => true,
    }
}

/// The length of the text before a path. A path starts with a slash, or is `*`, or `-` if there is none.
fn before_path(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| b"/* ".contains(byte)).unwrap_or(text.len());
    match &text[..end] {
        [before @ .., b'-'] if text.get(end).is_none_or(|&byte| byte == b' ') => before.len(),
        _ => end,
    }
}

/// The length of nginx's list (`a, b : c`), whose items may be empty.
fn list(text: &[u8], stop: u8) -> usize {
    let mut at = 0;
    loop {
        let item = text[at..].iter().position(|&byte| byte == stop || matches!(byte, b' ' | b','));
        let Some(item) = item else { return text.len() };
        at += item;
        match &text[at..] {
            [b',', b' ', ..] => at += 2,
            [b' ', b':', b' ', ..] => at += 3,
            [b',', ..] if stop != b',' => at += 1,
            _ => return at,
        }
    }
}

//! Compiled templates and their values.

use std::borrow::Cow;

use super::eval::{evaluate, match_limit, too_many};
use super::matches::{Match, PathError};
use super::parse;
use super::print::{join, print};
use super::quote::unquoted;
use super::syntax::TemplatePart;
use crate::json::document::{Document, Value};

/// A compiled template.
#[derive(Clone, Debug)]
pub(crate) struct Template(Vec<TemplatePart>);

impl From<Vec<TemplatePart>> for Template {
    fn from(parts: Vec<TemplatePart>) -> Self {
        Self(parts)
    }
}

/// The value of a template.
#[derive(Debug, PartialEq)]
pub(crate) enum TemplateValue<'d> {
    /// The text of a JSON number.
    Number(Cow<'d, str>),
    /// The text of another value, without quotes.
    Text(Cow<'d, str>),
    /// JSON's null.
    Null,
    /// A list, an object or a malformed string.
    Other(&'static str),
    /// No match, but no missing key either: the list is empty, or no element matches the filter.
    Nothing,
    /// Several matches.
    Several(usize),
}

impl Template {
    /// Parses a template.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        parse::template(text).map(Self)
    }

    pub(super) fn parts(&self) -> &[TemplatePart] {
        &self.0
    }

    /// Whether the template is a single path in braces.
    pub(crate) fn is_path(&self) -> bool {
        matches!(&self.0[..], [TemplatePart::Action(_)])
    }

    /// The text of a template without braces.
    pub(crate) fn literal_text(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// All matches of a path.
    pub(crate) fn matches<'d>(
        &'d self,
        document: &'d Document<'_>,
        at: Match<'d>,
    ) -> Result<Vec<Match<'d>>, PathError> {
        match &self.0[..] {
            [TemplatePart::Action(steps)] => evaluate(document, steps, at),
            _ => Err(PathError::Unfit("not a single path in braces".to_owned())),
        }
    }

    /// The single value of the template.
    pub(crate) fn value<'d>(
        &'d self,
        document: &'d Document<'_>,
        at: Match<'d>,
    ) -> Result<TemplateValue<'d>, PathError> {
        if let [TemplatePart::Action(steps)] = &self.0[..] {
            let matches = evaluate(document, steps, at)?;
            return Ok(match matches[..] {
                [] => TemplateValue::Nothing,
                [Match::Node(id)] => match document.value(id) {
                    Value::Null => TemplateValue::Null,
                    Value::Malformed => TemplateValue::Other("a malformed string"),
                    Value::List(_) => TemplateValue::Other("a list"),
                    Value::Object(_) => TemplateValue::Other("an object"),
                    Value::Number(_) => TemplateValue::Number(print(document, matches[0])),
                    _ => TemplateValue::Text(unquoted(print(document, matches[0]))),
                },
                [Match::Null] => TemplateValue::Null,
                [item] => TemplateValue::Text(unquoted(print(document, item))),
                _ => TemplateValue::Several(matches.len()),
            });
        }
        self.text(document, at).map(TemplateValue::Text)
    }

    /// The text of the template: all matches, joined by blanks.
    pub(crate) fn text<'d>(&'d self, document: &'d Document<'_>, at: Match<'d>) -> Result<Cow<'d, str>, PathError> {
        let text = match &self.0[..] {
            [TemplatePart::Text(text)] => Cow::Borrowed(text.as_str()),
            [TemplatePart::Action(steps)] if let [item] = evaluate(document, steps, at)?[..] => print(document, item),
            parts => {
                let mut out = String::new();
                write(document, parts, at, &mut out, &mut match_limit(document))?;
                Cow::Owned(out)
            }
        };
        Ok(unquoted(text))
    }
}

/// Appends the text of the parts. `iterations` limits the iterations of all nested ranges together.
fn write<'d>(
    document: &'d Document<'_>,
    parts: &'d [TemplatePart],
    at: Match<'d>,
    out: &mut String,
    iterations: &mut usize,
) -> Result<(), PathError> {
    for part in parts {
        match part {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Action(steps) => join(document, &evaluate(document, steps, at)?, out)?,
            TemplatePart::Range(steps, body) => {
                for item in evaluate(document, steps, at)? {
                    *iterations = iterations.checked_sub(1).ok_or_else(|| too_many(document))?;
                    write(document, body, item, out, iterations)?;
                }
            }
        }
    }
    Ok(())
}

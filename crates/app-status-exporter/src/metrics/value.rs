//! Reads one value of an element: a number, a state or a timestamp.

use std::borrow::Cow;

use super::conversion::{self, Conversion};
use super::failures::LossReason;
use super::metric::TimestampFormat;
use crate::json::document::Document;
use crate::json::jsonpath::{Match, PathError, Template, TemplateValue};

/// Why a value cannot be read.
pub(super) struct ValueError {
    pub(super) reason: LossReason,
    pub(super) message: String,
}

impl ValueError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { reason: LossReason::Invalid, message: message.into() }
    }
}

impl From<PathError> for ValueError {
    fn from(error: PathError) -> Self {
        let reason = match error {
            PathError::Missing(_) => LossReason::Missing,
            PathError::Unfit(_) => LossReason::Invalid,
        };
        Self { reason, message: error.to_string() }
    }
}

pub(super) fn number(
    template: &Template,
    conversion: &Conversion,
    document: &Document<'_>,
    element: Match<'_>,
) -> Result<f64, ValueError> {
    let number = match template.value(document, element)? {
        TemplateValue::Number(text) => conversion.json_number(&text),
        value => conversion.number(&text_of(value)?),
    };
    number.map_err(ValueError::invalid)
}

/// The index of the current state; the case of letters is ignored unless a state matches exactly.
pub(super) fn state(
    template: &Template,
    states: &[String],
    document: &Document<'_>,
    element: Match<'_>,
) -> Result<usize, ValueError> {
    let text = text(template, document, element)?;
    let exact = states.iter().position(|state| *state == text);
    exact.or_else(|| states.iter().position(|state| state.to_lowercase() == text.to_lowercase())).ok_or_else(|| {
        ValueError::invalid(format!("{} is not one of the states {}", conversion::shortened(&text), states.join(", ")))
    })
}

/// A timestamp in milliseconds.
pub(super) fn timestamp(
    template: &Template,
    format: TimestampFormat,
    document: &Document<'_>,
    element: Match<'_>,
) -> Result<i64, ValueError> {
    let text = text(template, document, element)?;
    let milliseconds = match format {
        TimestampFormat::Milliseconds => text.parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^63")]
        TimestampFormat::Any => conversion::timestamp(&text)
            .map(|seconds| (seconds * 1000.0).round())
            .filter(|milliseconds| milliseconds.abs() < 1e17)
            .map(|milliseconds| milliseconds as i64),
    };
    milliseconds.ok_or_else(|| ValueError::invalid(format!("{} is not a timestamp", conversion::shortened(&text))))
}

fn text<'d>(
    template: &'d Template,
    document: &'d Document<'_>,
    element: Match<'d>,
) -> Result<Cow<'d, str>, ValueError> {
    text_of(template.value(document, element)?)
}

fn text_of(value: TemplateValue<'_>) -> Result<Cow<'_, str>, ValueError> {
    match value {
        TemplateValue::Number(text) | TemplateValue::Text(text) => Ok(text),
        TemplateValue::Null => Err(ValueError { reason: LossReason::Null, message: "the value is null".to_owned() }),
        TemplateValue::Other(what) => Err(ValueError::invalid(format!("the value is {what}"))),
        TemplateValue::Nothing => {
            Err(ValueError { reason: LossReason::Missing, message: "nothing matches".to_owned() })
        }
        TemplateValue::Several(count) => {
            Err(ValueError::invalid(format!("{count} values match, but a series has one value")))
        }
    }
}

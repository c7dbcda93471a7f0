//! Parses scalars of a configuration: templates and numbers.

use exporter_common::config::fields::{self, Fields};
use exporter_common::yaml::{Result, YamlError};

use crate::json::jsonpath::Template;

pub(super) fn optional_template(fields: &mut Fields, key: &'static str) -> Result<Option<Template>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    template(line, &text).map(Some)
}

pub(super) fn template(line: usize, text: &str) -> Result<Template> {
    Template::parse(text)
        .map_err(|message| YamlError::new(line, format!("{text:?} is not a JSONPath template: {message}")))
}

pub(super) fn optional_number(fields: &mut Fields, key: &'static str) -> Result<Option<f64>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    number(line, key, &text).map(Some)
}

/// Parses a number in YAML's format, with its `.nan` and `.inf`.
pub(super) fn number(line: usize, key: &str, text: &str) -> Result<f64> {
    let plain = text.replacen(".nan", "nan", 1).replacen(".NaN", "nan", 1).replacen(".inf", "inf", 1);
    plain.parse().map_err(|_| YamlError::new(line, format!("{key}: {text:?} is not a number")))
}

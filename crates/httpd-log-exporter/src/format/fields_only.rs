//! Formats that only capture fields.

use super::json::JsonFormat;
use super::template;
use super::template_matcher::TemplateMatcher;
use super::{Format, LineParser};

impl Format {
    /// A format that only captures some fields, whatever they mean: nginx's variables without their `$` in a template,
    /// or keys of a JSON object without a template. Also returns which of them the format has.
    pub(crate) fn of_fields(template: Option<&str>, names: &[&str]) -> Result<(Self, Vec<bool>), String> {
        let (name, parser, known) = match template {
            Some(text) => {
                let mut template = template::parse(text)?;
                let known = names.iter().enumerate().map(|(index, name)| template.capture(name, index)).collect();
                let parser = LineParser::Template(TemplateMatcher::of_captured(&template)?);
                (text, parser, known)
            }
            None => ("json", LineParser::Json(JsonFormat::of_keys(names)), vec![true; names.len()]),
        };
        let format = Self { name: name.to_owned(), parser, fields: Vec::new(), has_optional_fields: true, trace: None };
        Ok((format, known))
    }
}

//! Reads the definition of a metric.

use std::collections::BTreeMap;

use exporter_common::Kind;
use exporter_common::config::fields::{self, Fields};
use exporter_common::yaml::{Node, NodeValue, Result, YamlError};
use regex::Regex;

use super::parse::{number, optional_number, optional_template, template};
use crate::json::jsonpath::Template;
use crate::metrics::conversion::{Conversion, Format, Separators};
use crate::metrics::metric::{
    BucketBounds, Fallback, Fallbacks, HistogramSource, Metric, TimestampFormat, ValueSource,
};

/// Reads one metric. Adds its page to `pages`, unless another metric has the same page.
pub(super) fn metric(mut fields: Fields, pages: &mut Vec<String>, warnings: &mut Vec<String>) -> Result<Metric> {
    let line = fields.line;
    let (name_line, name) = fields.required("name")?;
    if name.is_empty() {
        return Err(YamlError::new(name_line, "name must not be empty"));
    }
    let error = |message: &str| YamlError::new(line, format!("{name}: {message}"));
    let is_object = fields.choice("type", &[("value", false), ("object", true)])?.unwrap_or(false);
    let kind = kind(&mut fields, &name)?;
    if let Some(engine) = fields.text("engine")?.filter(|engine| engine != "jsonpath") {
        return Err(error(&format!("engine {engine} is not supported: write the paths as JSONPath")));
    }
    let help = fields.text("help")?.unwrap_or_else(|| name.clone());
    let path = optional_template(&mut fields, "path")?;
    let labels = labels(&mut fields, &name, kind, warnings)?;
    let mut suffixed = Vec::new();
    for (suffix, node) in fields.entries("values")? {
        let (line, text) = fields::text(node, &suffix)?;
        suffixed.push((format!("{name}_{suffix}"), template(line, &text)?));
    }
    let value = optional_template(&mut fields, "value")?;
    if value.is_some() && !suffixed.is_empty() {
        return Err(error("value and values are mutually exclusive"));
    }
    let timestamp = timestamp(&mut fields, &name, warnings)?;
    let fallbacks = fallbacks(&mut fields)?;
    let page = fields.text("url")?.map_or(0, |url| page_index(pages, url));
    let states = fields.texts("states")?;
    let histogram = fields.take("histogram");
    let conversion = conversion(&mut fields)?;
    fields.end()?;

    check_kind(kind, &states, histogram.is_some(), fallbacks, conversion.is_some()).map_err(&error)?;
    if kind == Kind::StateSet && labels.iter().any(|(label, _)| *label == name) {
        return Err(error("the label with the metric's name is reserved for the state"));
    }
    let (elements, values) = if matches!(kind, Kind::Info | Kind::Histogram) {
        if !suffixed.is_empty() || value.is_some() {
            return Err(error("value and values are not allowed with this valuetype"));
        }
        let source = match histogram {
            Some(node) => ValueSource::Histogram(histogram_source(Fields::of(node, "histogram")?)?),
            None => ValueSource::Info,
        };
        (path, vec![(name.clone(), source)])
    } else {
        let path = path.ok_or_else(|| error("missing key path"))?;
        let (elements, templates) = match (value, is_object, suffixed.is_empty()) {
            (Some(value), ..) => (Some(path), vec![(name.clone(), value)]),
            (None, true, false) => (Some(path), suffixed),
            (None, false, true) => (None, vec![(name.clone(), path)]),
            (None, true, true) => return Err(error("type object requires values, each a suffix and a path, or value")),
            (None, false, false) => return Err(error("values requires type: object")),
        };
        let conversion = conversion.unwrap_or_default();
        let mut literals = templates.iter().filter_map(|(_, template)| template.literal_text());
        if let Some(text) = literals.find(|text| conversion.number(text).is_err()) {
            return Err(error(&format!("{text:?} is literal text: write a path in braces, '{}'", in_braces(text))));
        }
        let source = |template| match kind {
            Kind::StateSet => ValueSource::State(template, states.clone()),
            _ => ValueSource::Number(template, conversion.clone()),
        };
        (elements, templates.into_iter().map(|(name, template)| (name, source(template))).collect())
    };
    if elements.as_ref().is_some_and(|path| !path.is_path()) {
        return Err(error("the path of the elements must be a single path in braces, such as '{.items[*]}'"));
    }
    Ok(Metric { name, help, page, kind, elements, values, labels, timestamp, fallbacks })
}

fn kind(fields: &mut Fields, name: &str) -> Result<Kind> {
    Ok(match fields.text("valuetype")?.as_deref() {
        None | Some("untyped" | "unknown") => Kind::Unknown,
        Some("gauge") => Kind::Gauge,
        Some("counter") => Kind::Counter,
        Some("stateset") => Kind::StateSet,
        Some("info") => Kind::Info,
        Some("histogram") => Kind::Histogram,
        Some(other) => {
            let kinds = "gauge, counter, untyped, stateset, info, histogram";
            return Err(YamlError::new(fields.line, format!("{name}: valuetype {other:?} is not one of {kinds}")));
        }
    })
}

/// Checks which other keys a valuetype requires and allows.
fn check_kind(
    kind: Kind,
    states: &[String],
    has_histogram: bool,
    fallbacks: Fallbacks,
    has_conversion: bool,
) -> std::result::Result<(), &'static str> {
    if (kind == Kind::StateSet) == states.is_empty() {
        return Err("valuetype stateset requires states, and states requires valuetype stateset");
    }
    if (kind == Kind::Histogram) != has_histogram {
        return Err("valuetype histogram requires histogram, and histogram requires valuetype histogram");
    }
    let fallbacks = [fallbacks.missing, fallbacks.null, fallbacks.invalid];
    let number = fallbacks.iter().any(|fallback| matches!(fallback, Fallback::Number(_)));
    if matches!(kind, Kind::StateSet | Kind::Histogram) && number {
        return Err("if_missing, if_null and if_invalid must be error or skip with this valuetype");
    }
    if has_conversion && matches!(kind, Kind::StateSet | Kind::Histogram | Kind::Info) {
        return Err("regex, map, format, scale and separators are not allowed with this valuetype");
    }
    Ok(())
}

fn labels(fields: &mut Fields, name: &str, kind: Kind, warnings: &mut Vec<String>) -> Result<Vec<(String, Template)>> {
    let mut labels = Vec::new();
    for (label, node) in fields.entries("labels")? {
        let (line, text) = fields::text(node, &label)?;
        if label.is_empty() || label.starts_with("__") || (kind == Kind::Histogram && label == "le") {
            return Err(YamlError::new(line, format!("{label:?} is not a valid label name")));
        }
        if text.starts_with("$.") || text.strip_prefix('.').is_some_and(|key| key.starts_with(char::is_alphabetic)) {
            warnings.push(format!(
                "{name}: the label {label} is the literal text {text:?}; write a path in braces: '{}'",
                in_braces(&text)
            ));
        }
        labels.push((label, template(line, &text)?));
    }
    Ok(labels)
}

fn timestamp(
    fields: &mut Fields,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<(Template, TimestampFormat)>> {
    if fields.take("epochTimestamp").is_some() {
        warnings.push(format!(
            "{name}: epochTimestamp is ignored, as in json_exporter; write epochtimestamp for milliseconds, or timestamp"
        ));
    }
    match (optional_template(fields, "epochtimestamp")?, optional_template(fields, "timestamp")?) {
        (Some(_), Some(_)) => {
            let message = format!("{name}: epochtimestamp and timestamp are mutually exclusive");
            Err(YamlError::new(fields.line, message))
        }
        (Some(path), None) => Ok(Some((path, TimestampFormat::Milliseconds))),
        (None, path) => Ok(path.map(|path| (path, TimestampFormat::Any))),
    }
}

fn fallbacks(fields: &mut Fields) -> Result<Fallbacks> {
    let allow_missing = fields.bool("allow_missing_key")?.unwrap_or(false);
    let missing = if allow_missing { Fallback::Skip } else { Fallback::Fail };
    Ok(Fallbacks {
        missing: fallback(fields, "if_missing")?.unwrap_or(missing),
        null: fallback(fields, "if_null")?.unwrap_or_default(),
        invalid: fallback(fields, "if_invalid")?.unwrap_or_default(),
        skip_duplicates: fields.choice("if_duplicate", &[("error", false), ("skip", true)])?.unwrap_or(false),
    })
}

fn fallback(fields: &mut Fields, key: &'static str) -> Result<Option<Fallback>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    match text.as_str() {
        "error" => Ok(Some(Fallback::Fail)),
        "skip" => Ok(Some(Fallback::Skip)),
        _ => number(line, key, &text)
            .map(|number| Some(Fallback::Number(number)))
            .map_err(|_| YamlError::new(line, format!("{key}: {text:?} is not error, skip or a number"))),
    }
}

fn page_index(pages: &mut Vec<String>, url: String) -> usize {
    pages.iter().position(|page| *page == url).unwrap_or_else(|| {
        pages.push(url);
        pages.len() - 1
    })
}

/// The path that was probably meant by a text without braces.
fn in_braces(text: &str) -> String {
    let dot = if text.starts_with(['.', '$', '@', '[']) { "" } else { "." };
    format!("{{{dot}{text}}}")
}

/// The conversion from text to number, if any of its keys is set.
fn conversion(fields: &mut Fields) -> Result<Option<Conversion>> {
    let mut regex = None;
    if let Some(node) = fields.take("regex") {
        let (line, text) = fields::text(node, "regex")?;
        regex = Some(Regex::new(&text).map_err(|error| {
            let error = error.to_string();
            let message = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            YamlError::new(line, format!("{text:?} is not a regular expression: {message}"))
        })?);
    }
    let mut map = BTreeMap::new();
    for (name, node) in fields.entries("map")? {
        let (line, text) = fields::text(node, &name)?;
        map.insert(name.to_lowercase(), number(line, "map", &text)?);
    }
    let format = fields.choice("format", Format::NAMES)?;
    let separators = separators(fields, format.unwrap_or_default())?;
    let scale = optional_number(fields, "scale")?;
    let any = regex.is_some()
        || !map.is_empty()
        || format.is_some()
        || separators != Separators::default()
        || scale.is_some();
    Ok(any.then(|| Conversion { regex, map, format: format.unwrap_or_default(), separators, scale }))
}

fn separators(fields: &mut Fields, format: Format) -> Result<Separators> {
    let line = fields.line;
    let mut character = |key: &'static str| {
        let Some(node) = fields.take(key) else { return Ok(None) };
        let (line, text) = fields::text(node, key)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) if !character.is_alphanumeric() && !matches!(character, '+' | '-') => {
                Ok(Some(character))
            }
            _ => Err(YamlError::new(line, format!("{key}: {text:?} is not a separator: use a character such as ','"))),
        }
    };
    let (decimal, thousands) = (character("decimal_separator")?, character("thousands_separator")?);
    let separators = Separators { decimal: decimal.unwrap_or('.'), thousands };
    if separators.thousands == Some(separators.decimal) {
        return Err(YamlError::new(line, "thousands_separator and decimal_separator must differ"));
    }
    if separators != Separators::default() && !matches!(format, Format::Number | Format::Quantity) {
        let message = "decimal_separator and thousands_separator require the format number or quantity";
        return Err(YamlError::new(line, message));
    }
    Ok(separators)
}

fn histogram_source(mut fields: Fields) -> Result<HistogramSource> {
    let line = fields.line;
    let buckets = optional_template(&mut fields, "buckets")?.filter(Template::is_path).ok_or_else(|| {
        YamlError::new(line, "histogram: buckets must be a single path in braces, with one match per bucket")
    })?;
    let bounds = match (fields.take("bounds"), optional_template(&mut fields, "bound")?) {
        (Some(_), Some(_)) => {
            return Err(YamlError::new(line, "histogram: bound and bounds are mutually exclusive"));
        }
        (Some(Node { value: NodeValue::List(list), .. }), None) => {
            let bound = |node| fields::text(node, "bounds").and_then(|(line, text)| number(line, "bounds", &text));
            BucketBounds::Fixed(list.into_iter().map(bound).collect::<Result<_>>()?)
        }
        (Some(node), None) => {
            let (line, text) = fields::text(node, "bounds")?;
            BucketBounds::List(template(line, &text)?)
        }
        (None, Some(template)) => BucketBounds::Bucket(template),
        (None, None) => BucketBounds::Bucket(template(line, "{key}")?),
    };
    let value = match optional_template(&mut fields, "value")? {
        Some(template) => template,
        None => template(line, "{@}")?,
    };
    let cumulative = fields.bool("cumulative")?.unwrap_or(true);
    let (sum, count) = (optional_template(&mut fields, "sum")?, optional_template(&mut fields, "count")?);
    let scale = optional_number(&mut fields, "scale")?.unwrap_or(1.0);
    fields.end()?;
    Ok(HistogramSource { buckets, bounds, value, cumulative, sum, count, scale })
}

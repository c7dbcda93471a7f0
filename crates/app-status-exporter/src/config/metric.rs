//! What is taken from a page: a metric of the configuration.

use std::collections::BTreeMap;

use exporter_common::Kind;
use exporter_common::yaml::{Node, Value};
use regex::Regex;

use super::ModuleReader;
use crate::config::fields::{self, ConfigError, Fields, Result};
use crate::json::jsonpath::Template;
use crate::metrics::conversion::{Conversion, Format};
use crate::metrics::mapping::{
    BucketBounds, Fallback, FallbackPolicy, HistogramSource, Metric, TimestampFormat, ValueSource,
};

impl ModuleReader<'_> {
    pub(super) fn metric(&mut self, mut fields: Fields, pages: &mut Vec<String>) -> Result<Metric> {
        let line = fields.line;
        let (name_line, name) = fields.required("name")?;
        if name.is_empty() {
            return Err(ConfigError::new(name_line, "a metric's name is not empty"));
        }
        let fault = |what: String| ConfigError::new(line, format!("{name}: {what}"));
        let objects = fields.choice("type", &[("value", false), ("object", true)])?.unwrap_or(false);
        let kind = match fields.text("valuetype")?.as_deref() {
            None | Some("untyped" | "unknown") => Kind::Unknown,
            Some("gauge") => Kind::Gauge,
            Some("counter") => Kind::Counter,
            Some("stateset") => Kind::StateSet,
            Some("info") => Kind::Info,
            Some("histogram") => Kind::Histogram,
            Some(other) => {
                let kinds = "gauge, counter, untyped, stateset, info, histogram";
                return Err(fault(format!("valuetype {other:?} is none of {kinds}")));
            }
        };
        match fields.text("engine")?.as_deref() {
            None | Some("jsonpath") => {}
            Some(other) => return Err(fault(format!("engine {other} is not supported: write the paths as JSONPath"))),
        }
        let help = fields.text("help")?.unwrap_or_else(|| name.clone());
        let path = template(&mut fields, "path")?;
        let mut labels = Vec::new();
        for (label, node) in fields.entries("labels")? {
            let (line, text) = fields::text(node, &label)?;
            if label.is_empty() || label.starts_with("__") || (kind == Kind::Histogram && label == "le") {
                return Err(ConfigError::new(line, format!("{label:?} cannot be the name of a label")));
            }
            if text.starts_with("$.") || text.strip_prefix('.').is_some_and(|key| key.starts_with(char::is_alphabetic))
            {
                self.warnings.push(format!(
                    "{name}: the label {label} is the text {text:?}; a path stands in braces: '{}'",
                    braced(&text)
                ));
            }
            labels.push((label, compile(line, &text)?));
        }
        let mut suffixes = Vec::new();
        for (suffix, node) in fields.entries("values")? {
            let (line, text) = fields::text(node, &suffix)?;
            suffixes.push((format!("{name}_{suffix}"), compile(line, &text)?));
        }
        let one = template(&mut fields, "value")?; // the series of elements have the metric's own name
        if one.is_some() && !suffixes.is_empty() {
            return Err(fault("value and values exclude each other".to_owned()));
        }
        let timestamp = match (template(&mut fields, "epochtimestamp")?, template(&mut fields, "timestamp")?) {
            (Some(_), Some(_)) => return Err(fault("epochtimestamp and timestamp exclude each other".to_owned())),
            (Some(path), None) => Some((path, TimestampFormat::Milliseconds)),
            (None, path) => path.map(|path| (path, TimestampFormat::Any)),
        };
        if fields.take("epochTimestamp").is_some() {
            self.warnings.push(format!(
                "{name}: epochTimestamp is ignored, as json_exporter does; write epochtimestamp for milliseconds, or timestamp"
            ));
        }
        let allow_missing = fields.bool("allow_missing_key")?.unwrap_or(false);
        let skip = if allow_missing { Fallback::Skip } else { Fallback::Fail };
        let policy = FallbackPolicy {
            missing: otherwise(&mut fields, "if_missing")?.unwrap_or(skip),
            null: otherwise(&mut fields, "if_null")?.unwrap_or_default(),
            invalid: otherwise(&mut fields, "if_invalid")?.unwrap_or_default(),
        };
        let page = match fields.text("url")? {
            None => 0,
            Some(url) => pages.iter().position(|page| *page == url).unwrap_or_else(|| {
                pages.push(url);
                pages.len() - 1
            }),
        };
        let states = fields.texts("states")?;
        let histogram = fields.take("histogram");
        let conversion = conversion(&mut fields)?;
        fields.end()?;

        if (kind == Kind::StateSet) == states.is_empty() {
            return Err(fault("states go with valuetype stateset, and it with states".to_owned()));
        }
        if (kind == Kind::Histogram) != histogram.is_some() {
            return Err(fault("histogram goes with valuetype histogram, and it with histogram".to_owned()));
        }
        let numbers = [policy.missing, policy.null, policy.invalid]
            .iter()
            .any(|otherwise| matches!(otherwise, Fallback::Number(_)));
        if matches!(kind, Kind::StateSet | Kind::Histogram) && numbers {
            return Err(fault(
                "with this valuetype a series is left out (skip) or a failure (error), no number".to_owned(),
            ));
        }
        if conversion.is_some() && matches!(kind, Kind::StateSet | Kind::Histogram | Kind::Info) {
            return Err(fault("regex, map, format and scale make a number, which this valuetype has not".to_owned()));
        }
        if kind == Kind::StateSet && labels.iter().any(|(label, _)| *label == name) {
            return Err(fault("the label of this name shows the state".to_owned()));
        }
        let (elements, values) = if matches!(kind, Kind::Info | Kind::Histogram) {
            if !suffixes.is_empty() || one.is_some() {
                return Err(fault("with this valuetype there are no values".to_owned()));
            }
            let reading = match histogram {
                Some(histogram) => ValueSource::Histogram(buckets(Fields::of(histogram, "histogram")?)?),
                None => ValueSource::Info,
            };
            (path, vec![(name.clone(), reading)])
        } else {
            let path = path.ok_or_else(|| fault("it has no path".to_owned()))?;
            let (elements, templates) = match (objects, suffixes.is_empty()) {
                (_, true) if let Some(value) = one => (Some(path), vec![(name.clone(), value)]),
                (true, true) => {
                    return Err(fault("type object needs values, a suffix and a path each, or one value".to_owned()));
                }
                (true, false) => (Some(path), suffixes),
                (false, true) => (None, vec![(name.clone(), path)]),
                (false, false) => return Err(fault("values go with type: object".to_owned())),
            };
            let conversion = conversion.unwrap_or_default();
            let plain = templates.iter().filter_map(|(_, template)| template.plain());
            if let Some(text) = plain.into_iter().find(|text| conversion.number(text).is_err()) {
                return Err(fault(format!("{text:?} is plain text; a path stands in braces: '{}'", braced(text))));
            }
            let reading = |template| match kind {
                Kind::StateSet => ValueSource::State(template, states.clone()),
                _ => ValueSource::Number(template, conversion.clone()),
            };
            (elements, templates.into_iter().map(|(name, template)| (name, reading(template))).collect())
        };
        if elements.as_ref().is_some_and(|path| !path.is_path()) {
            return Err(fault("the path of objects is one path in braces, such as '{.items[*]}'".to_owned()));
        }
        Ok(Metric { name, help, page, kind, elements, values, labels, timestamp, policy })
    }
}

fn template(fields: &mut Fields, key: &'static str) -> Result<Option<Template>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    compile(line, &text).map(Some)
}

fn compile(line: usize, text: &str) -> Result<Template> {
    Template::parse(text).map_err(|what| ConfigError::new(line, format!("{text:?} is no JSONPath: {what}")))
}

/// What was probably meant by a path without its braces.
fn braced(text: &str) -> String {
    let dot = if text.starts_with(['.', '$', '@', '[']) { "" } else { "." };
    format!("{{{dot}{text}}}")
}

/// The keys that say how text becomes a number, if there is any of them.
fn conversion(fields: &mut Fields) -> Result<Option<Conversion>> {
    let regex = match fields.take("regex") {
        None => None,
        Some(node) => {
            let (line, text) = fields::text(node, "regex")?;
            let regex = Regex::new(&text);
            Some(regex.map_err(|error| {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                ConfigError::new(line, format!("{text:?} is no regular expression: {why}"))
            })?)
        }
    };
    let mut map = BTreeMap::new();
    for (name, node) in fields.entries("map")? {
        let (line, text) = fields::text(node, &name)?;
        map.insert(name.to_lowercase(), float(line, "map", &text)?);
    }
    let format = fields.choice("format", Format::NAMES)?;
    let scale = match fields.take("scale") {
        None => None,
        Some(node) => {
            let (line, text) = fields::text(node, "scale")?;
            Some(float(line, "scale", &text)?)
        }
    };
    let any = regex.is_some() || !map.is_empty() || format.is_some() || scale.is_some();
    Ok(any.then(|| Conversion { regex, map, format: format.unwrap_or_default(), scale }))
}

/// A number as YAML writes it, with its `.nan` and `.inf`.
fn float(line: usize, key: &str, text: &str) -> Result<f64> {
    let plain = text.replacen(".nan", "nan", 1).replacen(".NaN", "nan", 1).replacen(".inf", "inf", 1);
    plain.parse().map_err(|_| ConfigError::new(line, format!("{key}: {text:?} is no number")))
}

fn otherwise(fields: &mut Fields, key: &'static str) -> Result<Option<Fallback>> {
    let Some(node) = fields.take(key) else { return Ok(None) };
    let (line, text) = fields::text(node, key)?;
    match text.as_str() {
        "error" => Ok(Some(Fallback::Fail)),
        "skip" => Ok(Some(Fallback::Skip)),
        number => float(line, key, number)
            .map(|number| Some(Fallback::Number(number)))
            .map_err(|_| ConfigError::new(line, format!("{key}: {text:?} is neither error nor skip nor a number"))),
    }
}

fn buckets(mut fields: Fields) -> Result<HistogramSource> {
    let line = fields.line;
    let path = |fields: &mut Fields, key, default: &str| match template(fields, key)? {
        Some(template) => Ok(template),
        None => compile(line, default),
    };
    let buckets = template(&mut fields, "buckets")?.filter(Template::is_path).ok_or_else(|| {
        ConfigError::new(line, "histogram: buckets is one path in braces, with a match for each bucket")
    })?;
    let bounds = match (fields.take("bounds"), template(&mut fields, "bound")?) {
        (Some(_), Some(_)) => return Err(ConfigError::new(line, "histogram: bound and bounds exclude each other")),
        (Some(Node { value: Value::List(list), .. }), None) => {
            let bound = |node| fields::text(node, "bounds").and_then(|(line, text)| float(line, "bounds", &text));
            BucketBounds::Fixed(list.into_iter().map(bound).collect::<Result<_>>()?)
        }
        (Some(node), None) => {
            let (line, text) = fields::text(node, "bounds")?;
            BucketBounds::Beside(compile(line, &text)?)
        }
        (None, Some(template)) => BucketBounds::Inside(template),
        (None, None) => BucketBounds::Inside(compile(line, "{key}")?),
    };
    let value = path(&mut fields, "value", "{@}")?;
    let cumulative = fields.bool("cumulative")?.unwrap_or(true);
    let (sum, count) = (template(&mut fields, "sum")?, template(&mut fields, "count")?);
    let scale = fields.take("scale").map(|node| fields::text(node, "scale")).transpose()?;
    let scale = scale.map_or(Ok(1.0), |(line, text)| float(line, "scale", &text))?;
    fields.end()?;
    Ok(HistogramSource { buckets, bounds, value, cumulative, sum, count, scale })
}

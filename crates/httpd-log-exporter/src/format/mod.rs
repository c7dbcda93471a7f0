//! The format of the logs, as the flags say it, and how a line of it is read.

pub(crate) mod clf;
#[cfg(any(test, fuzzing))]
pub(crate) mod clf_regex;
pub(crate) mod field;
mod json;
pub(crate) mod presets;
mod regex_format;
pub(crate) mod request;
mod template;
mod template_matcher;
pub(crate) mod timestamp;

use std::str::FromStr;

use crate::format::field::{Field, NAMES};
use crate::format::json::JsonFormat;
use crate::format::presets::{PRESETS, PresetDefinition, preset};
use crate::format::regex_format::RegexFormat;
use crate::format::request::{Details, Request, Upstream};
use crate::format::template_matcher::TemplateMatcher;

/// A format, ready to read lines.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    /// The preset's name, or what else the flag says.
    pub(crate) name: String,
    pub(crate) reader: LineParser,
    /// What a line says.
    fields: Vec<Field>,
}

/// The ways to read a line.
#[derive(Clone, Debug)]
pub(crate) enum LineParser {
    /// The common log format and its like, by a function written for it; for people by steps.
    Clf(fn(&[u8]) -> Option<Request<'_>>, TemplateMatcher),
    TemplateMatcher(TemplateMatcher),
    Json(JsonFormat),
    RegexFormat(Box<RegexFormat>),
}

impl Format {
    /// A format by a regular expression.
    pub(crate) fn of_regex(text: &str) -> Result<Self, String> {
        let pattern = RegexFormat::compile(text)?;
        Ok(Self { name: text.to_owned(), fields: pattern.fields(), reader: LineParser::RegexFormat(Box::new(pattern)) })
    }

    /// A format by its definition.
    pub(crate) fn of_preset(name: &str, definition: PresetDefinition) -> Result<Self, String> {
        let (reader, fields) = match definition {
            PresetDefinition::Clf(parse, text) => {
                let steps = TemplateMatcher::compile(&template::parse(text)?)?;
                let fields = steps.fields();
                (LineParser::Clf(parse, steps), fields)
            }
            PresetDefinition::Template(text) => of_template(text)?,
            PresetDefinition::Json(paths) => of_json(JsonFormat::new(paths.iter().copied())?),
            PresetDefinition::JsonNames => of_json(JsonFormat::new(NAMES.iter().copied())?),
        };
        Ok(Self { name: name.to_owned(), reader, fields })
    }

    /// Whether a line has a field, in any unit.
    fn has(&self, wanted: impl Fn(&Field) -> bool) -> bool {
        self.fields.iter().any(wanted)
    }

    /// Whether a line says how long something took.
    pub(crate) fn has_time(&self) -> bool {
        self.has(|field| matches!(field, Field::Duration(_) | Field::Upstream(..)))
    }

    /// Whether a line says how long the request took.
    pub(crate) fn has_duration(&self) -> bool {
        self.has(|field| matches!(field, Field::Duration(_)))
    }

    /// Whether a line says how long a server behind took.
    pub(crate) fn has_upstream(&self, what: Upstream) -> bool {
        self.has(|field| matches!(field, Field::Upstream(of, _) if *of == what))
    }

    /// Whether a line has a virtual host.
    pub(crate) fn has_vhost(&self) -> bool {
        self.has(|field| *field == Field::Vhost)
    }

    /// Whether a line says how many bytes were sent.
    pub(crate) fn has_sent(&self) -> bool {
        self.has(|field| *field == Field::Bytes)
    }

    /// Whether a line says how many bytes were received.
    pub(crate) fn has_received(&self) -> bool {
        self.has(|field| *field == Field::Received)
    }

    /// Whether a line says what a cache did.
    pub(crate) fn has_cache(&self) -> bool {
        self.has(|field| *field == Field::CacheStatus)
    }

    /// Whether a line has the protocol, in its request line or apart.
    pub(crate) fn has_protocol(&self) -> bool {
        self.has(|field| matches!(field, Field::Protocol | Field::Request))
    }

    /// Whether a line has the path, in its request line or apart.
    pub(crate) fn has_path(&self) -> bool {
        self.has(|field| matches!(field, Field::Path | Field::Request))
    }

    /// Reads a line; `None` for one that does not have this format.
    pub(crate) fn read<'a>(&mut self, line: &'a [u8]) -> Option<(Request<'a>, Details<'a>)> {
        match &mut self.reader {
            LineParser::Clf(parse, _) => parse(line).map(|request| (request, Details::NONE)),
            LineParser::TemplateMatcher(steps) => steps.read(line),
            LineParser::Json(json) => json.read(line),
            LineParser::RegexFormat(pattern) => pattern.read(line),
        }
    }

    /// The text in a line that says when it was written.
    pub(crate) fn time<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let mut time = None;
        match &mut self.reader {
            LineParser::Clf(_, steps) | LineParser::TemplateMatcher(steps) => {
                let _ = steps.walk(line, &mut |_, field, text| {
                    if field == Field::Time {
                        time = Some(text);
                    }
                });
            }
            LineParser::Json(json) => {
                let _ = json.walk(line, &mut |key, text| {
                    if key.field() == Field::Time {
                        time = Some(text);
                    }
                });
            }
            LineParser::RegexFormat(pattern) => {
                pattern.walk(line, |_, field, text| {
                    if field == Field::Time {
                        time = Some(text);
                    }
                });
            }
        }
        time
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(preset) = preset(text) {
            return Self::of_preset(preset.name, preset.definition);
        }
        if text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
            return Err(format!(
                "no such preset; {}; `httpd-log-exporter explain FILE` says which one fits a log; or give nginx's \
                 log_format or Apache's LogFormat as it stands in the server's configuration",
                similar(text)
            ));
        }
        let (reader, fields) = of_template(text)?;
        Ok(Self { name: text.to_owned(), reader, fields })
    }
}

/// The presets whose names are like a name, or all names where none is.
fn similar(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let names = || PRESETS.iter().map(|preset| preset.name);
    let words = |text: &str| text.split('_').map(str::to_owned).collect::<Vec<_>>();
    let alike =
        |other: &&str| distance(&name, other) <= 2 || words(other).iter().any(|word| words(&name).contains(word));
    let near: Vec<_> = names().filter(alike).collect();
    match near.as_slice() {
        [] => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        near => format!("did you mean {}?", near.join(" or ")),
    }
}

/// How many letters are to be changed, added or left out to make one name of another.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, byte) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != byte);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

fn of_template(text: &str) -> Result<(LineParser, Vec<Field>), String> {
    let template = template::parse(text)?;
    match JsonFormat::of_template(&template) {
        Some(json) => Ok(of_json(json)),
        None => {
            let steps = TemplateMatcher::compile(&template)?;
            let fields = steps.fields();
            Ok((LineParser::TemplateMatcher(steps), fields))
        }
    }
}

fn of_json(json: JsonFormat) -> (LineParser, Vec<Field>) {
    let fields = json.fields();
    (LineParser::Json(json), fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::request::{Method, Number, StatusCode};

    #[test]
    fn every_preset_is_found_by_each_of_its_names() {
        for preset in PRESETS {
            for name in preset.aliases.iter().chain([&preset.name]) {
                assert_eq!(name.parse::<Format>().unwrap().name, preset.name);
                assert_eq!(name.to_uppercase().replace('_', "-").parse::<Format>().unwrap().name, preset.name);
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_are_like_it_or_else_all() {
        let error = "nonsense".parse::<Format>().unwrap_err();
        assert!(PRESETS.iter().all(|preset| error.contains(preset.name)), "{error}");
        for (name, expected) in [
            ("combind", "did you mean combined?"),
            ("apache_combined", "did you mean combined or combined_time or combined_us or vhost_combined?"),
            ("Traefik-JSON2", "did you mean traefik or traefik_json?"),
        ] {
            let error = name.parse::<Format>().unwrap_err();
            assert!(error.contains(expected) && error.len() < 300, "{error}");
        }
    }

    /// Lines of servers with what is to be read of them, by preset: a line of tests/lines/presets.txt
    /// is preset, then `method status bytes duration received upstream vhost`, then the line, with tabs
    /// between.
    #[test]
    fn lines_of_servers_are_read_by_their_presets() {
        let mut seen = Vec::new();
        for case in include_str!("../../tests/lines/presets.txt").lines() {
            let mut parts = case.splitn(3, '\t');
            let (name, expected, line) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let mut format: Format = name.parse().unwrap();
            let (request, details) = format.read(line.as_bytes()).unwrap_or_else(|| panic!("not read: {line}"));
            let number = |number: Number| match number {
                Number::Value(value) => value.to_string(),
                other => format!("{other:?}"),
            };
            let read = format!(
                "{} {} {} {} {} {} {}",
                Method::NAMES[request.method.index()],
                StatusCode::label(request.status.index()),
                number(request.bytes),
                number(request.duration),
                number(details.received),
                number(details.upstream[Upstream::Response as usize]),
                String::from_utf8_lossy(details.vhost.unwrap_or(b"-")),
            );
            assert_eq!(read, expected, "{line}");
            assert!(format.time(line.as_bytes()).is_some(), "{line}");
            seen.push(preset(name).unwrap().name);
        }
        for preset in PRESETS {
            assert!(seen.contains(&preset.name), "no line of {}", preset.name);
        }
    }
}

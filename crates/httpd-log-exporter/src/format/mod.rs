//! Log formats: one parser for each kind of format, from a line to a request. Pure functions without I/O.

pub(crate) mod clf;
#[cfg(any(test, fuzzing))]
pub(crate) mod clf_regex;
pub(crate) mod field;
mod fields_only;
mod json;
pub(crate) mod presets;
mod regex_format;
pub(crate) mod request;
mod template;
mod template_matcher;
pub(crate) mod timestamp;
pub(crate) mod w3c;

use std::ops::Range;
use std::str::FromStr;

use crate::format::field::{Field, RequestBuilder};
use crate::format::json::JsonFormat;
use crate::format::presets::{PRESETS, PresetDefinition, preset};
use crate::format::regex_format::RegexFormat;
use crate::format::request::{Details, Request, Upstream};
use crate::format::template_matcher::TemplateMatcher;
use crate::format::timestamp::epoch_seconds;
use crate::format::w3c::{Header, W3cDialect, W3cFormat};

/// A log format, ready to parse lines.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    /// The preset's name, or the flag's value.
    pub(crate) name: String,
    pub(crate) parser: LineParser,
    /// The fields that a line has.
    fields: Vec<Field>,
    /// Whether a line may lack any of the fields, because the format only knows common names.
    pub(crate) has_optional_fields: bool,
    /// The field with the trace of a request.
    trace: Option<String>,
}

/// A captured field of a line: its meaning in the format, and its position.
#[derive(Clone, Debug)]
pub(crate) struct CapturedField {
    pub(crate) meaning: Field,
    pub(crate) range: Range<usize>,
}

/// The kinds of parsers.
#[derive(Clone, Debug)]
pub(crate) enum LineParser {
    /// A common log format: a hand-written parser, and a matcher that explains mismatches.
    Clf(fn(&[u8]) -> Option<Request<'_>>, TemplateMatcher),
    Template(TemplateMatcher),
    Json(JsonFormat),
    Regex(Box<RegexFormat>),
    W3c(Box<W3cFormat>),
}

impl Format {
    /// Creates a format from a regular expression.
    pub(crate) fn from_regex(text: &str) -> Result<Self, String> {
        let (parser, fields) = regex_parser(text, Additional::default())?;
        Ok(Self { name: text.to_owned(), parser, fields, has_optional_fields: false, trace: None })
    }

    /// Creates a format from its definition.
    pub(crate) fn from_preset(name: &str, definition: PresetDefinition) -> Result<Self, String> {
        let (parser, fields) = preset_parser(definition, Additional::default())?;
        let has_optional_fields = matches!(definition, PresetDefinition::JsonNames(_) | PresetDefinition::W3c(_));
        Ok(Self { name: name.to_owned(), parser, fields, has_optional_fields, trace: None })
    }

    /// The same format, which also reads the trace of a request from a field that it skips.
    pub(crate) fn with_trace(self, field: &str) -> Result<Self, String> {
        let (parser, fields) = self.parser_with(Additional { trace: Some(field), captured: &[] })?;
        let counted = |fields: &[Field]| {
            fields.iter().filter(|field| !matches!(field, Field::Skip | Field::Time | Field::Trace)).count()
        };
        match () {
            () if counted(&fields) != counted(&self.fields) => Err(format!("{field} has another meaning")),
            () if !fields.contains(&Field::Trace) => Err(format!("the format has no other field {field}")),
            () => Ok(Self { parser, fields, trace: Some(field.to_owned()), ..self }),
        }
    }

    /// The same format, which also captures fields, whatever they mean. An nginx variable is named without its `$`.
    pub(crate) fn with_captured(self, captured: &[&str]) -> Result<Self, String> {
        if captured.is_empty() {
            return Ok(self);
        }
        let (parser, fields) = self.parser_with(Additional { trace: self.trace.as_deref(), captured })?;
        Ok(Self { parser, fields, ..self })
    }

    fn parser_with(&self, additional: Additional<'_>) -> Parser {
        match (&self.parser, preset(&self.name)) {
            (LineParser::Regex(_), _) => regex_parser(&self.name, additional),
            (_, Some(preset)) => preset_parser(preset.definition, additional),
            (_, None) => template_parser(&self.name, additional),
        }
    }

    /// Whether the format has a field that fulfills a condition.
    fn has(&self, wanted: impl Fn(&Field) -> bool) -> bool {
        self.fields.iter().any(wanted)
    }

    /// Whether the format has any duration.
    pub(crate) fn has_time(&self) -> bool {
        self.has(|field| matches!(field, Field::Duration(_) | Field::Upstream(..)))
    }

    /// Whether the format has the duration of the request.
    pub(crate) fn has_duration(&self) -> bool {
        self.has(|field| matches!(field, Field::Duration(_)))
    }

    /// Whether the format has this duration of the upstream server.
    pub(crate) fn has_upstream(&self, what: Upstream) -> bool {
        self.has(|field| matches!(field, Field::Upstream(of, _) if *of == what))
    }

    /// Whether the format has the virtual host.
    pub(crate) fn has_vhost(&self) -> bool {
        self.has(|field| *field == Field::Vhost)
    }

    /// Whether the format has the number of bytes sent.
    pub(crate) fn has_sent(&self) -> bool {
        self.has(|field| *field == Field::Bytes)
    }

    /// Whether the format has the number of bytes received.
    pub(crate) fn has_received(&self) -> bool {
        self.has(|field| *field == Field::Received)
    }

    /// Whether the format has the cache status.
    pub(crate) fn has_cache(&self) -> bool {
        self.has(|field| *field == Field::Cache)
    }

    /// Whether the format has the protocol, in the request line or as a field.
    pub(crate) fn has_protocol(&self) -> bool {
        self.has(|field| matches!(field, Field::Protocol | Field::Request))
    }

    /// Whether the format has the path, in the request line or as a field.
    pub(crate) fn has_path(&self) -> bool {
        self.has(|field| matches!(field, Field::Path | Field::Request))
    }

    /// Parses a line into a new builder; `None` if it does not match the format or has no valid status.
    pub(crate) fn read<'r, 'a>(
        &mut self,
        line: &'a [u8],
        request: &'r mut RequestBuilder<'a>,
    ) -> Option<(&'r Request<'a>, &'r Details<'a>)> {
        let matches = match &mut self.parser {
            LineParser::Clf(parse, _) => parse(line).map(|parsed| request.set_request(parsed)).is_some(),
            LineParser::Template(matcher) => matcher.read(line, request),
            LineParser::Json(json) => json.read(line, request),
            LineParser::Regex(pattern) => pattern.read(line, request),
            LineParser::W3c(w3c) => w3c.read(line, request),
        };
        if matches { request.finish() } else { None }
    }

    /// Whether a line matches the format and has a valid status.
    pub(crate) fn matches(&mut self, line: &[u8]) -> bool {
        let mut builder = RequestBuilder::NEW;
        self.read(line, &mut builder).is_some()
    }

    /// Whether lines that start with `#` describe the lines after them.
    pub(crate) fn has_directives(&self) -> bool {
        matches!(self.parser, LineParser::W3c(_))
    }

    /// Reads a line that describes the lines after it; false for all other lines.
    pub(crate) fn directive(&mut self, line: &[u8]) -> bool {
        match &mut self.parser {
            LineParser::W3c(w3c) => w3c.directive(line),
            _ => false,
        }
    }

    /// The description of the lines that follow, if the format has directives.
    pub(crate) fn header(&self) -> Option<Header> {
        match &self.parser {
            LineParser::W3c(w3c) => Some(w3c.header()),
            _ => None,
        }
    }

    /// Sets the description of the lines that follow.
    pub(crate) fn set_header(&mut self, header: Option<&Header>) {
        if let LineParser::W3c(w3c) = &mut self.parser {
            w3c.set_header(header);
        }
    }

    /// The time of a line in seconds since the epoch.
    pub(crate) fn seconds(&mut self, line: &[u8]) -> Option<f64> {
        if let LineParser::W3c(w3c) = &self.parser {
            return w3c.seconds(line);
        }
        let mut time = None;
        self.walk(line, |field, _, text| {
            if field == Field::Time {
                time = Some(text);
            }
        });
        time.and_then(epoch_seconds)
    }

    /// The positions of the captured fields in a line that matches; `None` for each field that the line lacks. Returns
    /// whether the line matches; its status may be invalid.
    pub(crate) fn capture(&mut self, line: &[u8], found: &mut [Option<CapturedField>]) -> bool {
        found.fill(None);
        self.walk(line, |meaning, index, text| {
            if let Some(found) = index.and_then(|index| found.get_mut(index)) {
                let begin = text.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
                let range = begin..begin.wrapping_add(text.len());
                *found = Some(CapturedField { meaning, range });
            }
        })
    }

    /// Calls `each` for every value of a line, with its meaning and its index among the captured fields. A value that was
    /// extended to a later end is reported several times; the last one is valid. Returns whether the line matches.
    fn walk<'a>(&mut self, line: &'a [u8], mut each: impl FnMut(Field, Option<usize>, &'a [u8])) -> bool {
        match &mut self.parser {
            LineParser::Clf(_, matcher) | LineParser::Template(matcher) => {
                matcher.walk(line, &mut |step, field, text| each(field, matcher.capture(step), text)).is_ok()
            }
            LineParser::W3c(w3c) => {
                w3c.walk(line, &mut |column, text| each(column.field, column.capture, text)).is_ok()
            }
            LineParser::Json(json) => json.walk(line, &mut |key, text| each(key.field(), key.capture(), text)).is_ok(),
            LineParser::Regex(pattern) => pattern.walk(line, |group, text| each(group.field, group.capture, text)),
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(preset) = preset(text) {
            return Self::from_preset(preset.name, preset.definition);
        }
        if text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
            return Err(format!(
                "unknown preset; {}; run `httpd-log-exporter explain FILE` to find the preset of a log, or copy nginx's \
                 log_format or Apache's LogFormat from the server's configuration",
                similar(text)
            ));
        }
        let (parser, fields) = template_parser(text, Additional::default())?;
        let has_optional_fields = matches!(parser, LineParser::W3c(_));
        Ok(Self { name: text.to_owned(), parser, fields, has_optional_fields, trace: None })
    }
}

/// The presets with similar names, or all names if none is similar.
fn similar(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let names = || PRESETS.iter().map(|preset| preset.name);
    let words = |text: &str| text.split('_').map(str::to_owned).collect::<Vec<_>>();
    let alike = |other: &&str| {
        strsim::levenshtein(&name, other) <= 2 || words(other).iter().any(|word| words(&name).contains(word))
    };
    let near: Vec<_> = names().filter(alike).collect();
    match near.as_slice() {
        [] => format!("known presets: {}", names().collect::<Vec<_>>().join(", ")),
        near => format!("did you mean {}?", near.join(" or ")),
    }
}

/// A parser and its fields.
type Parser = Result<(LineParser, Vec<Field>), String>;

/// Fields that a parser reads because flags name them.
#[derive(Clone, Copy, Debug, Default)]
struct Additional<'a> {
    /// The field with the trace of a request.
    trace: Option<&'a str>,
    captured: &'a [&'a str],
}

impl Additional<'_> {
    fn is_empty(self) -> bool {
        self.trace.is_none() && self.captured.is_empty()
    }
}

fn regex_parser(text: &str, additional: Additional<'_>) -> Parser {
    let mut pattern = RegexFormat::compile(text, additional.trace)?;
    let unknown = additional.captured.iter().enumerate().find(|(index, name)| !pattern.capture(name, *index));
    if let Some((_, unknown)) = unknown {
        return Err(unknown_field(unknown, pattern.names()));
    }
    let fields = pattern.fields();
    Ok((LineParser::Regex(Box::new(pattern)), fields))
}

fn unknown_field<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("the format has no field {unknown}; its fields are {}", known.collect::<Vec<_>>().join(", "))
}

fn preset_parser(definition: PresetDefinition, additional: Additional<'_>) -> Parser {
    let paths = match definition {
        PresetDefinition::Clf(parse, text) if additional.is_empty() => {
            let matcher = TemplateMatcher::compile(&template::parse(text)?)?;
            let fields = matcher.fields();
            return Ok((LineParser::Clf(parse, matcher), fields));
        }
        PresetDefinition::Clf(_, text) | PresetDefinition::Template(text) => return template_parser(text, additional),
        PresetDefinition::W3c(dialect) => return w3c_parser(dialect, "", additional),
        PresetDefinition::Json(paths) | PresetDefinition::JsonNames(paths) => paths,
    };
    let trace = additional.trace.map(|path| (path, Field::Trace));
    let mut json = JsonFormat::new(paths.iter().copied().chain(trace))?;
    additional.captured.iter().enumerate().for_each(|(index, path)| json.capture(path, index));
    let may_be_dotted = matches!(definition, PresetDefinition::JsonNames(_));
    json.has_dotted_keys |= may_be_dotted && paths.iter().any(|(path, _)| path.contains('.'));
    Ok(json_parser(json))
}

fn template_parser(text: &str, additional: Additional<'_>) -> Parser {
    if w3c::is_header(text.as_bytes()) {
        return w3c_parser(W3cDialect::Iis, text, additional);
    }
    let mut template = template::parse(text)?;
    if let Some(name) = additional.trace {
        template.read_trace(name);
    }
    let unknown = additional.captured.iter().enumerate().find(|(index, name)| !template.capture(name, *index));
    if let Some((_, unknown)) = unknown {
        return Err(unknown_field(unknown, template.names()));
    }
    match JsonFormat::from_template(&template) {
        Some(json) => Ok(json_parser(json)),
        None => {
            let matcher = TemplateMatcher::compile(&template)?;
            let fields = matcher.fields();
            Ok((LineParser::Template(matcher), fields))
        }
    }
}

/// The parser of a log with directives; `header` describes the lines before the first one.
fn w3c_parser(dialect: W3cDialect, header: &str, additional: Additional<'_>) -> Parser {
    let w3c = W3cFormat::new(dialect, header, additional.trace, additional.captured);
    if !header.is_empty() && w3c.problem().is_some() {
        return Err("it has no sc-status or no cs-method".to_owned());
    }
    let fields = w3c.fields();
    Ok((LineParser::W3c(Box::new(w3c)), fields))
}

fn json_parser(json: JsonFormat) -> (LineParser, Vec<Field>) {
    let fields = json.fields();
    (LineParser::Json(json), fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::request::{Method, Number, StatusCode};

    #[test]
    fn every_preset_is_found_by_all_its_names() {
        for preset in PRESETS {
            for name in preset.aliases.iter().chain([&preset.name]) {
                assert_eq!(name.parse::<Format>().unwrap().name, preset.name);
                assert_eq!(name.to_uppercase().replace('_', "-").parse::<Format>().unwrap().name, preset.name);
            }
        }
    }

    #[test]
    fn a_trace_is_read_from_a_skipped_field_of_any_kind_of_format() {
        let regex = Format::from_regex(r#""(?P<request>[^"]*)" (?P<status>\d{3}) (?P<span>\S+)"#).unwrap();
        let json = r#"log_format j escape=json '{"r":"$request","s":$status,"id":"$http_traceparent"}'"#;
        for (format, field, line) in [
            ("$request_method $status $otel_trace_id".parse().unwrap(), "$otel_trace_id", "GET 200 ab12"),
            ("$request_method $status $otel_trace_id".parse().unwrap(), "otel_trace_id", "GET 200 ab12"),
            (r#"%m %>s "%{X-Trace}i""#.parse().unwrap(), "%{X-Trace}i", r#"GET 200 "ab12""#),
            (json.parse().unwrap(), "http_traceparent", r#"{"r":"GET /","s":200,"id":"ab12"}"#),
            ("json".parse().unwrap(), "trace.id", r#"{"method":"GET","status":200,"trace":{"id":"ab12"}}"#),
            ("common".parse().unwrap(), "%u", r#"::1 - ab12 [20/Nov/2026:09:26:10 +0000] "GET / HTTP/1.1" 200 5"#),
            (regex, "span", r#""GET / HTTP/1.1" 200 ab12"#),
        ] {
            let mut traced = Format::with_trace(format, field).unwrap();
            let mut builder = RequestBuilder::NEW;
            let (request, details) = traced.read(line.as_bytes(), &mut builder).unwrap();
            assert_eq!((request.status.index(), details.trace), (200, Some("ab12")), "{line}");
        }
        for (format, field, error) in [
            ("json", "status", "status has another meaning"),
            ("combined", "$status", "the format has no other field $status"),
        ] {
            assert_eq!(format.parse::<Format>().unwrap().with_trace(field).unwrap_err(), error);
        }
    }

    #[test]
    fn fields_of_any_kind_of_format_are_captured_whatever_they_mean() {
        let regex = Format::from_regex(r#""(?P<request>[^"]*)" (?P<status>\d{3})(?: (?P<zone>\S+))?"#).unwrap();
        let json = r#"log_format j escape=json '{"r":"$request","s":$status,"u":{"a":"$http_user_agent"}}'"#;
        let common = r#"::1 - jane [20/Nov/2026:09:26:10 +0000] "GET / HTTP/1.1" 200 5"#;
        for (format, fields, line, expected) in [
            ("common".parse(), &["%u", "%>s", "%h"][..], common, &[Some("jane"), Some("200"), Some("::1")][..]),
            (
                r#"$scheme$is_args "$request" $status $uri$args"#.parse(),
                &["status"],
                r#"http? "GET /" 200 /a?b"#,
                &[Some("200")],
            ),
            (json.parse(), &["http_user_agent"], r#"{"r":"GET /","s":200,"u":{"a":"curl"}}"#, &[Some("curl")]),
            (
                "json".parse(),
                &["a.b", "c"],
                r#"{"method":"GET","status":200,"a":{"b":1},"c":null}"#,
                &[Some("1"), None],
            ),
            (Ok(regex.clone()), &["zone", "status"], r#""GET /" 200"#, &[None, Some("200")]),
            (Ok(regex), &["zone"], r#""GET /" 200 eu"#, &[Some("eu")]),
        ] {
            let mut format = format.unwrap().with_captured(fields).unwrap();
            assert!(format.matches(line.as_bytes()), "{line}");
            let mut found = vec![None; fields.len()];
            format.capture(line.as_bytes(), &mut found);
            let found: Vec<_> = found.into_iter().map(|field| Some(&line[field?.range])).collect();
            assert_eq!(found, expected, "{line}");
        }
        for (format, field, error) in [
            ("common", "scheme", "the format has no field scheme; its fields are %h, %l, %u, %t, %r, %>s, %b"),
            ("$status $request_method $host$args", "args", "no literal text between $host and $args"),
        ] {
            assert_eq!(format.parse::<Format>().unwrap().with_captured(&[field]).unwrap_err(), error);
        }
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_similar_names_or_all() {
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

    /// Reads tests/lines/presets.txt. Each line has three columns separated by tabs: the preset, the expected values
    /// `method status bytes duration received upstream vhost`, and the log line.
    #[test]
    fn lines_of_real_servers_match_their_presets() {
        let mut seen = Vec::new();
        for case in include_str!("../../tests/lines/presets.txt").lines() {
            let mut parts = case.splitn(3, '\t');
            let (name, expected, line) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let mut format: Format = name.parse().unwrap();
            let mut builder = RequestBuilder::NEW;
            let read = format.read(line.as_bytes(), &mut builder);
            let (request, details) = read.unwrap_or_else(|| panic!("no match: {line}"));
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
            let has_zone = !name.starts_with("haproxy");
            assert_eq!(format.seconds(line.as_bytes()).is_some(), has_zone, "{line}");
            seen.push(preset(name).unwrap().name);
        }
        // a line of W3C needs another one that names its columns
        for preset in PRESETS.iter().filter(|preset| !matches!(preset.definition, PresetDefinition::W3c(_))) {
            assert!(seen.contains(&preset.name), "no line of {}", preset.name);
        }
    }
}

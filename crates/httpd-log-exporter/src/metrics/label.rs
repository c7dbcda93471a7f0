//! Labels whose values are fields of the log: the flag `--metrics.label`.

use std::str::FromStr;

use regex::bytes::{CaptureLocations, Regex};
use regex_automata::util::interpolate;

use crate::metrics::pattern;

/// A label of requests, bytes and durations.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) name: String,
    /// The field, without the `$` of nginx.
    pub(crate) field: String,
    pattern: Option<ValuePattern>,
}

/// Makes values from the text of a field.
#[derive(Clone, Debug)]
struct ValuePattern {
    regex: Regex,
    /// Text in which `$1` and `${name}` are groups of the expression.
    replacement: String,
    /// The locations of the groups in the current text; allocated once.
    found: CaptureLocations,
}

/// The value of everything that has no separate value.
pub(crate) const OTHER: &str = "other";

/// The maximum length of a value; a longer one is [`OTHER`].
pub(crate) const MAX_VALUE: usize = 256;

/// Separates the values of a label set. Lines end with it, so no value contains it.
pub(crate) const SEPARATOR: char = '\n';

/// Names that the metrics or Prometheus use. Prometheus also reserves names that start with two underscores.
const RESERVED: &[&str] =
    &["method", "status_code", "vhost", "route", "le", "quantile", "protocol", "cache_status", "source", "result"];

impl Label {
    /// Appends the value for the text of the field. It is empty for a field that is missing, empty or `-`.
    pub(crate) fn append(&mut self, text: Option<&[u8]>, values: &mut Vec<u8>) {
        let begin = values.len();
        let Some(text) = text.filter(|text| !matches!(*text, b"" | b"-")) else { return };
        let is_valid = match &mut self.pattern {
            None => {
                values.extend_from_slice(text);
                true
            }
            Some(pattern) => pattern.append(text, values),
        };
        let value = &values[begin..];
        let is_valid = is_valid && value.len() <= MAX_VALUE && !value.contains(&(SEPARATOR as u8));
        if !is_valid || std::str::from_utf8(value).is_err() {
            values.truncate(begin);
            values.extend_from_slice(OTHER.as_bytes());
        }
    }
}

impl ValuePattern {
    /// Appends the value for a text; false if the expression does not match.
    fn append(&mut self, text: &[u8], values: &mut Vec<u8>) -> bool {
        let Self { regex, replacement, found } = self;
        let matched = regex.captures_read(found, text).is_some();
        if matched {
            let group = |index: usize, values: &mut Vec<u8>| {
                let text = found.get(index).and_then(|(begin, end)| text.get(begin..end));
                values.extend_from_slice(text.unwrap_or_default());
            };
            let named = |name: &str| regex.capture_names().position(|known| known == Some(name));
            interpolate::bytes(replacement.as_bytes(), group, named, values);
        }
        matched
    }
}

impl Label {
    /// Creates a label from the names of the label and of the field, and a regular expression with an optional value.
    pub(crate) fn new(name: &str, field: &str, pattern: Option<(&str, Option<&str>)>) -> Result<Self, String> {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(format!("'{name}' is not a label name: use letters, digits and _"));
        }
        if RESERVED.contains(&name) || name.starts_with("__") {
            return Err(format!("the name '{name}' is reserved: choose another one"));
        }
        Ok(Self {
            name: name.to_owned(),
            field: field_name(field)?.to_owned(),
            pattern: pattern.map(|(regex, value)| ValuePattern::new(regex, value)).transpose()?,
        })
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, field) = text.split_once('=').ok_or("expected NAME=FIELD or NAME=FIELD~REGEX=>VALUE")?;
        let (field, pattern) = field.split_once('~').map_or((field, None), |(field, pattern)| (field, Some(pattern)));
        let parts = |text| str::rsplit_once(text, "=>").map_or((text, None), |(regex, value)| (regex, Some(value)));
        Self::new(name, field, pattern.map(parts))
    }
}

impl ValuePattern {
    fn new(regex: &str, replacement: Option<&str>) -> Result<Self, String> {
        let regex = pattern::compile(regex)?;
        let has_groups = regex.captures_len() > 1;
        let replacement = replacement.unwrap_or(if has_groups { "$1" } else { "$0" });
        let (mut unknown, mut last) = (None, 0);
        let named = |name: &str| {
            let found = regex.capture_names().position(|known| known == Some(name));
            if found.is_none() {
                unknown = Some(name.to_owned());
            }
            found
        };
        interpolate::bytes(replacement.as_bytes(), |group, _| last = last.max(group), named, &mut Vec::new());
        if let Some(unknown) = unknown.or((last >= regex.captures_len()).then(|| last.to_string())) {
            return Err(format!("'{replacement}': the regular expression has no group {unknown}; write $$ for a $"));
        }
        Ok(Self { replacement: replacement.to_owned(), found: regex.capture_locations(), regex })
    }
}

/// The name of a field, without the `$` of nginx.
pub(crate) fn field_name(text: &str) -> Result<&str, String> {
    match text.strip_prefix('$').unwrap_or(text) {
        "" => Err("no field: expected an nginx variable, an Apache directive, a JSON key or a group".to_owned()),
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(flag: &str, text: &[u8]) -> String {
        let mut values = Vec::new();
        flag.parse::<Label>().unwrap().append(Some(text), &mut values);
        String::from_utf8(values).unwrap()
    }

    #[test]
    fn a_value_is_the_text_of_the_field_or_made_by_a_pattern() {
        for (flag, text, expected) in [
            ("scheme=$scheme", "https", "https"),
            ("scheme=$scheme", "-", ""),
            ("scheme=$scheme", "", ""),
            ("browser=%{User-Agent}i~Firefox|Chrome", "Mozilla/5.0 Firefox/140.0", "Firefox"),
            ("version=ua~Firefox/([0-9]+)", "Mozilla/5.0 Firefox/140.0", "140"),
            ("version=ua~Firefox/([0-9]+)=>ff-${1}", "Mozilla/5.0 Firefox/140.0", "ff-140"),
            ("version=ua~Firefox/([0-9]+)=>ff-${1}", "curl/8.14.1", "other"),
            ("version=ua~Firefox/([0-9]+)=>ff-${1}", "-", ""),
            ("bot=ua~(?i)bot|spider=>yes", "GoogleBot", "yes"),
            ("arrow=x~^a=>b=>$0", "a=>b", "a=>b"),
            ("price=x~^(?P<n>.)=>$n$$", "5", "5$"),
            ("empty=x~a(b)?", "a", ""),
        ] {
            assert_eq!(value(flag, text.as_bytes()), expected, "{flag} {text}");
        }
        let mut values = b"a".to_vec();
        "x=y".parse::<Label>().unwrap().append(None, &mut values);
        assert_eq!(values, b"a");
    }

    #[test]
    fn a_value_that_cannot_be_a_label_is_other() {
        assert_eq!(value("x=y", b"\xff"), OTHER);
        assert_eq!(value("x=y", b"a\nb"), OTHER);
        assert_eq!(value("x=y", &[b'x'; MAX_VALUE + 1]), OTHER);
        assert_eq!(value("x=y", &[b'x'; MAX_VALUE]).len(), MAX_VALUE);
        assert_eq!(value("x=y~(?-u:.)", "ä".as_bytes()), OTHER);
    }

    #[test]
    fn a_mistake_in_the_flag_is_an_error_of_one_line() {
        for (flag, expected) in [
            ("scheme", "expected NAME=FIELD"),
            ("=x", "'' is not a label name"),
            ("1a=x", "'1a' is not a label name"),
            ("a-b=x", "'a-b' is not a label name"),
            ("status_code=x", "the name 'status_code' is reserved"),
            ("__name__=x", "the name '__name__' is reserved"),
            ("a=", "no field"),
            ("a=$~x", "no field"),
            ("a=x~(", "'(' is not a regular expression: unclosed group"),
            ("a=x~(b)=>$2", "'$2': the regular expression has no group 2"),
            ("a=x~(b)=>$1x", "'$1x': the regular expression has no group 1x"),
        ] {
            let error = flag.parse::<Label>().unwrap_err();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{flag}: {error}");
        }
    }
}

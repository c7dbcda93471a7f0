//! Parser of lines by a regular expression whose named groups are the fields.

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use crate::format::field::{Field, RequestBuilder, missing, named};

/// A regular expression and its groups.
#[derive(Clone, Debug)]
pub(crate) struct RegexFormat {
    regex: Regex,
    /// The groups to read.
    groups: Vec<Group>,
    /// The locations of the groups in the current line; allocated once.
    found: CaptureLocations,
}

/// A group to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) number: usize,
    pub(crate) field: Field,
    /// Its index among the captured fields.
    pub(crate) capture: Option<usize>,
}

impl RegexFormat {
    /// Compiles a regular expression. It must have the groups that the counters need. `trace` is the group with the trace
    /// of a request.
    pub(crate) fn compile(text: &str, trace: Option<&str>) -> Result<Self, String> {
        // matching bytes is faster; only some expressions need Unicode
        let regex = build(text, false).or_else(|_| build(text, true)).map_err(|error| error.to_string())?;
        let meaning = |name| if Some(name) == trace { (Field::Trace, 0) } else { named(name) };
        let named = regex.capture_names().enumerate().filter_map(|(number, name)| Some((number, meaning(name?))));
        let mut groups: Vec<_> = named.filter(|(_, (field, _))| *field != Field::Skip).collect();
        groups.sort_by_key(|(_, (_, rank))| *rank);
        groups.dedup_by(|(_, (a, _)), (_, (b, _))| a.same(*b));
        let group = |(number, (field, _))| Group { number, field, capture: None };
        let groups: Vec<_> = groups.into_iter().map(group).collect();
        if let Some(why) = missing(&groups.iter().map(|group| group.field).collect::<Vec<_>>()) {
            return Err(format!(
                "{why}; name groups after nginx variables: (?P<request>…), (?P<request_method>…), \
                 (?P<status>…), (?P<body_bytes_sent>…), (?P<request_time>…), (?P<host>…), …"
            ));
        }
        Ok(Self { found: regex.capture_locations(), regex, groups })
    }

    /// Captures a group, whatever it means; false if the expression does not have it.
    pub(crate) fn capture(&mut self, name: &str, index: usize) -> bool {
        let Some(number) = self.regex.capture_names().position(|known| known == Some(name)) else { return false };
        match self.groups.iter_mut().find(|group| group.number == number) {
            Some(group) => group.capture = Some(index),
            None => self.groups.push(Group { number, field: Field::Skip, capture: Some(index) }),
        }
        true
    }

    /// The names of all groups.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }

    /// The fields to read.
    pub(crate) fn fields(&self) -> Vec<Field> {
        self.groups.iter().map(|group| group.field).collect()
    }

    /// Reads the fields of a line; false if it does not match.
    pub(crate) fn read<'a>(&mut self, line: &'a [u8], request: &mut RequestBuilder<'a>) -> bool {
        self.walk(line, |group, text| request.set(group.field, text))
    }

    /// Calls `each` for every group that matched; false if the line does not match.
    pub(crate) fn walk<'a>(&mut self, line: &'a [u8], mut each: impl FnMut(Group, &'a [u8])) -> bool {
        if self.regex.captures_read(&mut self.found, line).is_none() {
            return false;
        }
        for &group in &self.groups {
            if let Some((begin, end)) = self.found.get(group.number) {
                each(group, &line[begin..end]);
            }
        }
        true
    }

    /// The texts of the named groups without a meaning.
    pub(crate) fn other_values<'a>(&mut self, line: &'a [u8]) -> Vec<(String, &'a [u8])> {
        if self.regex.captures_read(&mut self.found, line).is_none() {
            return Vec::new();
        }
        let has_meaning =
            |number: usize| self.groups.iter().any(|group| group.number == number && group.field != Field::Skip);
        let named = self.regex.capture_names().enumerate().filter_map(|(number, name)| Some((number, name?)));
        let others = named.filter(|(number, _)| !has_meaning(*number));
        others
            .filter_map(|(number, name)| {
                let (begin, end) = self.found.get(number)?;
                Some((name.to_owned(), &line[begin..end]))
            })
            .collect()
    }

    /// The name of a group.
    pub(crate) fn name(&self, group: usize) -> &str {
        self.regex.capture_names().nth(group).flatten().unwrap_or_default()
    }
}

fn build(text: &str, unicode: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(unicode).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::request::{Method, Number};

    #[test]
    fn named_groups_are_fields() {
        let mut pattern = RegexFormat::compile(
            r#"^(?P<addr>\S+) .*"(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\S+)(?: (?P<duration_ms>\d+)ms)?$"#,
            None,
        )
        .unwrap();
        let mut builder = RequestBuilder::NEW;
        assert!(pattern.read(b"::1 x \"PUT / HTTP/1.1\" 204 7 250ms", &mut builder));
        let (request, _) = builder.finish().unwrap();
        assert_eq!((request.method, request.status.index()), (Method::from_request_line(b"PUT"), 204));
        assert_eq!((request.bytes, request.duration), (Number::Value(7), Number::Value(250_000_000)));
        let mut builder = RequestBuilder::NEW;
        assert!(pattern.read(b"\xff \"GET /\xff\" 200 7", &mut builder));
        assert_eq!(builder.finish().unwrap().0.duration, Number::Absent);
        assert!(!pattern.read(b"garbage", &mut builder));
    }

    #[test]
    fn an_expression_without_the_needed_groups_is_rejected() {
        for (text, reason) in [
            ("(?P<status>[0-9]", "unclosed"),
            (r"(\d+) (?P<method>\w+)", "no status"),
            (r"(?P<status>\d+)", "no request"),
        ] {
            assert!(RegexFormat::compile(text, None).unwrap_err().contains(reason), "{text}");
        }
        assert!(RegexFormat::compile(r"(?P<status>\d+) (?P<method>\w+) ä", None).is_ok());
    }
}

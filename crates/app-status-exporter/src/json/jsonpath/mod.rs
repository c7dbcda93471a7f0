//! The JSONPath templates of Kubernetes' client-go, as json_exporter uses them: `planet-{.location}`,
//! `{.values[?(@.state == "ACTIVE")]}`, `{range .items[*]}{.name},{end}`.
//!
//! Compiled once and walked over a parsed [`Document`]. Where client-go gives a result this gives the same. Where it
//! fails there are four words more, for what an element of a list cannot say of itself: `{key}`, `{index}`,
//! `{parent.name}`, `{root.version}`; numbers compare whether they are written `5` or `5.0`; values that cannot
//! be compared are not equal; `[*]` takes objects too; `{.}` is the value itself; keys with dots stand in
//! brackets, `['jvm.memory']`; whole numbers are printed with all their digits.

mod parse;
mod print;
mod walk;

use std::borrow::Cow;
use std::fmt;

use crate::json::document::{Document, NodeId, Value};
use parse::Parser;
use print::{join, print, unquoted};
use walk::{most, too_many, walk};

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template(Vec<TemplatePart>);

#[derive(Debug)]
enum TemplatePart {
    Text(String),
    Action(Vec<Step>),
    /// For each match of the steps the pieces up to `{end}`.
    Range(Vec<Step>, Vec<TemplatePart>),
}

#[derive(Debug)]
enum Step {
    /// The member under a key. Under no key: the value itself.
    Field(String),
    /// `['a.b']`: the path that client-go takes it for, or else the member under the key as it is written.
    Quoted(Vec<Step>, String),
    /// Every member of a list or object.
    Wildcard,
    /// The value and all lists and objects in it.
    Recursive,
    Slice(SliceBounds),
    Union(Vec<Vec<Step>>),
    Filter(Filter),
    Key,
    Index,
    Parent,
    Root,
    Literal(Literal),
}

/// `[from:to:step]`.
#[derive(Debug)]
struct SliceBounds {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
    /// Only `[from]` is written, for one member.
    single: bool,
}

#[derive(Debug)]
struct Filter {
    left: Vec<Step>,
    /// `None`: whether the left side finds anything.
    right: Option<(Operator, Vec<Step>)>,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Debug)]
enum Literal {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// What a path finds: a place in the document, or what stands in the path itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Match<'d> {
    Node(NodeId),
    Text(&'d str),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Match<'_> {
    /// It as text.
    pub(crate) fn text(self, document: &Document<'_>) -> String {
        print(document, self).into_owned()
    }
}

/// What a template gives for one value.
#[derive(Debug, PartialEq)]
pub(crate) enum TemplateValue<'d> {
    /// Its text, unquoted.
    Text(Cow<'d, str>),
    /// JSON's null.
    Null,
    /// A list, an object, or a string that is none.
    Other(&'static str),
    /// No match, but no missing key either: of an empty list, or nothing that passes a filter.
    Nothing,
    /// Several matches.
    Several(usize),
}

/// FailureReason a path gives nothing.
#[derive(Debug, PartialEq)]
pub(crate) enum PathError {
    /// The document does not have it.
    Missing(String),
    /// What it has is of another shape.
    Unfit(String),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) | Self::Unfit(why) => f.write_str(why),
        }
    }
}

impl Template {
    /// Compiles a template.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut outer: Vec<(Vec<TemplatePart>, Vec<Step>)> = Vec::new(); // what surrounds the ranges that are open
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (plain, action) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if !plain.is_empty() {
                pieces.push(TemplatePart::Text(plain.to_owned()));
            }
            let Some(action) = action.strip_prefix('{') else { break };
            let action_start = action.trim_start_matches(' ');
            let mut parser = Parser { rest: action_start };
            match parser.word() {
                Some("range") => {
                    outer.push((std::mem::take(&mut pieces), parser.steps(Some('}'))?));
                }
                Some("end") => {
                    if !parser.steps(Some('}'))?.is_empty() {
                        return Err("{end} stands alone".to_owned());
                    }
                    let (before, steps) = outer.pop().ok_or("{end} without {range}")?;
                    let body = std::mem::replace(&mut pieces, before);
                    pieces.push(TemplatePart::Range(steps, body));
                }
                _ => {
                    parser = Parser { rest: action };
                    pieces.push(TemplatePart::Action(parser.steps(Some('}'))?));
                }
            }
            rest = parser.rest;
        }
        if !outer.is_empty() {
            return Err("{range} without {end}".to_owned());
        }
        Ok(Self(pieces))
    }

    /// Whether it is one path and nothing else, whose matches can be taken one by one.
    pub(crate) fn is_path(&self) -> bool {
        matches!(&self.0[..], [TemplatePart::Action(_)])
    }

    /// Its text, if there are no braces in it.
    pub(crate) fn plain(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// All matches of a path.
    pub(crate) fn items<'d>(&'d self, document: &'d Document<'_>, at: Match<'d>) -> Result<Vec<Match<'d>>, PathError> {
        match &self.0[..] {
            [TemplatePart::Action(steps)] => walk(document, steps, at),
            _ => Err(PathError::Unfit("it is not one path in braces".to_owned())),
        }
    }

    /// The one value that the template gives.
    pub(crate) fn value<'d>(
        &'d self,
        document: &'d Document<'_>,
        at: Match<'d>,
    ) -> Result<TemplateValue<'d>, PathError> {
        if let [TemplatePart::Action(steps)] = &self.0[..] {
            let items = walk(document, steps, at)?;
            return Ok(match items[..] {
                [] => TemplateValue::Nothing,
                [Match::Node(id)] => match document.value(id) {
                    Value::Null => TemplateValue::Null,
                    Value::Malformed => TemplateValue::Other("a malformed string"),
                    Value::List(_) => TemplateValue::Other("a list"),
                    Value::Object(_) => TemplateValue::Other("an object"),
                    _ => TemplateValue::Text(unquoted(print(document, items[0]))),
                },
                [item] => TemplateValue::Text(unquoted(print(document, item))),
                _ => TemplateValue::Several(items.len()),
            });
        }
        self.text(document, at).map(TemplateValue::Text)
    }

    /// The text that the template gives: all matches, joined by blanks.
    pub(crate) fn text<'d>(&'d self, document: &'d Document<'_>, at: Match<'d>) -> Result<Cow<'d, str>, PathError> {
        let text = match &self.0[..] {
            [TemplatePart::Text(text)] => Cow::Borrowed(text.as_str()),
            [TemplatePart::Action(steps)] if let [item] = walk(document, steps, at)?[..] => print(document, item),
            pieces => {
                let mut out = String::new();
                write(document, pieces, at, &mut out, &mut most(document))?;
                Cow::Owned(out)
            }
        };
        Ok(unquoted(text))
    }
}

/// Writes what the pieces give. Ranges in ranges may be gone through so many times in all.
fn write<'d>(
    document: &'d Document<'_>,
    pieces: &'d [TemplatePart],
    at: Match<'d>,
    out: &mut String,
    left: &mut usize,
) -> Result<(), PathError> {
    for piece in pieces {
        match piece {
            TemplatePart::Text(text) => out.push_str(text),
            TemplatePart::Action(steps) => join(document, &walk(document, steps, at)?, out)?,
            TemplatePart::Range(steps, body) => {
                for item in walk(document, steps, at)? {
                    *left = left.checked_sub(1).ok_or_else(|| too_many(document))?;
                    write(document, body, item, out, left)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::print::json;
    use super::*;

    const DOCUMENT: &str = include_str!("../../../tests/jsonpath/document.json");

    /// Templates where client-go gives nothing and this gives something.
    const BETTER: &[(&str, &str)] = &[
        ("{.values[?(@.count == 1)].id}", "id-A"),
        ("{.values[?(@.count > \"a\")].id}", ""),
        ("{range .none[*]}{.id}{end}", ""),
    ];

    fn text(template: &str, document: &str) -> Result<String, String> {
        let template = Template::parse(template)?;
        let document = Document::parse(document).unwrap();
        let text = template.text(&document, Match::Node(document.root()));
        text.map(Cow::into_owned).map_err(|error| error.to_string())
    }

    fn elements(template: &str) -> Result<String, String> {
        let template = Template::parse(template)?;
        let document = Document::parse(DOCUMENT).unwrap();
        let items = template.items(&document, Match::Node(document.root())).map_err(|error| error.to_string())?;
        let texts = items.iter().map(|item| match item {
            Match::Node(id) => {
                let mut out = String::new();
                json(&document, *id, &mut out);
                out
            }
            item => item.text(&document),
        });
        Ok(format!("[{}]", texts.collect::<Vec<_>>().join(",")))
    }

    #[test]
    fn templates_give_what_client_go_gives() {
        let results = include_str!("../../../tests/jsonpath/results.txt");
        let lines: Vec<_> = results.lines().filter(|line| !line.starts_with('#')).collect();
        for pair in lines.chunks(2) {
            let (template, expected) = (pair[0], pair[1].trim_start());
            if let Some(template) = template.strip_prefix("[] ") {
                assert_eq!(elements(template).as_deref(), Ok(expected), "{template}");
            } else if let Some((_, better)) = BETTER.iter().find(|(known, _)| *known == template) {
                assert!(expected.starts_with('!'), "{template}");
                assert_eq!(text(template, DOCUMENT).as_deref(), Ok(*better), "{template}");
            } else if expected.starts_with('!') {
                assert!(text(template, DOCUMENT).is_err(), "{template}: {:?}", text(template, DOCUMENT));
            } else {
                let expected: String = serde_json::from_str(expected).unwrap();
                let expected = expected.replace("1.655371e+06", "1655371"); // see the next test
                assert_eq!(text(template, DOCUMENT), Ok(expected), "{template}");
            }
        }
    }

    #[test]
    fn whole_numbers_keep_all_their_digits() {
        let document = r#"{"id": 1655371, "beyond": 9007199254740993, "u64": 18446744073709551574, "half": 1234567.5}"#;
        for (template, expected) in [
            ("{.id}", "1655371"),
            ("{.beyond}", "9007199254740993"),
            ("{.u64}", "18446744073709551574"),
            ("{.half}", "1.2345675e+06"),
        ] {
            assert_eq!(text(template, document).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_value_can_be_told_by_its_key_and_by_what_contains_it() {
        let document = r#"{"site": "x", "apps": {"wp": {"n": [{"v": 1}, {"v": 2}]}, "mw": {"n": []}}}"#;
        for (template, expected) in [
            ("{range .apps.*}{key} {end}", "mw wp "),
            ("{range .apps[*]}{key} {end}", "mw wp "),
            (
                "{range .apps.*.n[*]}{key}/{parent key}/{index}={.v} at {root.site};{end}",
                "n/wp/0=1 at x;n/wp/1=2 at x;",
            ),
            ("{range .apps.wp.n[*]}{parent parent key}{end}", "appsapps"),
            ("{range .apps[?(@.n)]}{key}{end}", "mwwp"),
        ] {
            assert_eq!(text(template, document).as_deref(), Ok(expected), "{template}");
        }
        for template in ["{key}", "{parent}", "{.apps.wp.key}", "{.apps.wp index}"] {
            assert!(text(template, document).is_err(), "{template}");
        }
    }

    #[test]
    fn a_path_that_multiplies_its_matches_without_end_is_given_up() {
        let document = format!("{}1{}", "{\"a\": [2, 3, ".repeat(20), "]}".repeat(20));
        for template in ["{.. parent.. parent.. parent.. parent.. parent.. parent}".to_owned(), {
            let (ranges, ends) = ("{range root..}".repeat(6), "{end}".repeat(6));
            format!("{ranges}{ends}")
        }] {
            let error = text(&template, &document).unwrap_err();
            assert_eq!(error, "more than 1048576 values match", "{template}");
        }
        let long = format!("[{}0]", format!("\"{}\",", "x".repeat(100_000)).repeat(12));
        assert_eq!(text("{[*]}", &long), Err("its text is longer than a MiB".to_owned()));
        assert!(text("{[9223372036854775807]}", "[1]").is_err());
    }

    #[test]
    fn a_key_with_dots_stands_in_brackets() {
        let document = r#"{"a.b": 1, "a": {"b": 2}, "c.d": {"e.f": 3}, "g": {"h": 4}, "5xx {x}": 5}"#;
        for (template, expected) in [
            ("{['a.b']}", "2"), // as in client-go
            (r"{['a\.b']}", "1"),
            ("{['c.d']['e.f']}", "3"),
            ("{$['c.d'][\"e.f\"]}", "3"),
            ("{[\"g\"].h}", "4"),
            ("{['5xx {x}']}", "5"),
            ("{['c.d', 'g.h']}", "{\"e.f\":3} 4"),
        ] {
            assert_eq!(text(template, document).as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(text("{['c.x']}", document), Err("c.x is missing".to_owned()));
    }

    #[test]
    fn what_has_no_members_is_a_fault_unless_others_have() {
        let document = r#"{"a": "gone", "n": null, "e": {}, "some": {"x": 1, "y": {"z": 2}}}"#;
        assert_eq!(text("{.a.*}", document), Err("the string \"gone\" has no members".to_owned()));
        assert!(text("{.some.y.*.*}", document).is_err());
        for (template, expected) in [("{.n.*}", ""), ("{.e.*}", ""), ("{.e.*.*}", ""), ("{.some.*.*}", "2")] {
            assert_eq!(text(template, document).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn a_number_that_no_double_holds_is_no_infinity() {
        assert_eq!(text("{.a}", r#"{"a": 1e309}"#).as_deref(), Ok("1e309"));
    }

    #[test]
    fn a_dot_alone_is_the_value_itself() {
        let document = r#"{"a": [1, 2]}"#;
        for (template, expected) in [("{.}", r#"{"a":[1,2]}"#), ("{.a.}", "[1,2]"), ("{$.a.[1]}", "2")] {
            assert_eq!(text(template, document).as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(text("{.}", r#"{"": 3}"#).as_deref(), Ok("3"), "as in client-go");
    }

    #[test]
    fn what_is_missing_in_a_list_says_how_to_get_its_elements() {
        let error = text("{.a.b}", r#"{"a": [{"b": 1}]}"#).unwrap_err();
        assert_eq!(error, "b is missing, in a list: [*] takes its elements");
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (template, fault) in [
            ("{.a", "} is missing at its end"),
            ("{.a[0}", "] is missing"),
            ("{.a[x]}", "[x] is no index: write [0], [-1], [1:3], [*] or ['key']"),
            ("{.a[0:1:0]}", "the step of a slice is at least 1"),
            ("{.a[?(@.b == 'x')}", "a filter ends with )]"),
            ("{.a[?(@.b =~ 'x')]}", "= is no operator: == != < <= > >= are"),
            ("{.a[?(@.b === 'x')]}", "=== is no operator: == != < <= > >= are"),
            ("{.a[?(@.b == )]}", "@.b ==  compares with nothing"),
            ("{.a[?(@.b == 'x]}", "a string in a filter does not end"),
            ("{'x}", "a string does not end"),
            (
                "{.accepted conn}",
                "conn is no word of JSONPath: a key is written .conn, one with blanks ['a conn'], a string \"conn\"",
            ),
            ("{....a}", "two .. follow each other"),
            ("{end}", "{end} without {range}"),
            ("{range .a}", "{range} without {end}"),
            ("{1.2.3}", "1.2.3 is no number"),
            ("{.a#}", ""),
        ] {
            match Template::parse(template) {
                Err(error) => assert_eq!(error, fault, "{template}"),
                Ok(_) => assert_eq!(fault, "", "{template}"),
            }
        }
    }
}

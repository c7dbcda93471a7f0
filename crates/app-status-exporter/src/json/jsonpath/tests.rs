//! Tests of templates, most of them against the results of client-go.

use std::borrow::Cow;

use super::print::{json, print};
use super::{Match, Template};
use crate::json::document::Document;

const DOCUMENT: &str = include_str!("../../../tests/jsonpath/document.json");

/// Templates that fail in client-go and have a result here.
const IMPROVED: &[(&str, &str)] = &[
    ("{.values[?(@.count == 1)].id}", "id-A"),
    ("{.values[?(@.count > \"a\")].id}", ""),
    ("{range .none[*]}{.id}{end}", ""),
    ("{.list[0:9]}", "1 2 3 4 5"),
    ("{.list[4:1]}", ""),
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
    let matches = template.matches(&document, Match::Node(document.root())).map_err(|error| error.to_string())?;
    let texts = matches.iter().map(|item| match item {
        Match::Node(id) => {
            let mut out = String::new();
            json(&document, *id, &mut out);
            out
        }
        literal => print(&document, *literal).into_owned(),
    });
    Ok(format!("[{}]", texts.collect::<Vec<_>>().join(",")))
}

#[test]
fn templates_have_the_results_of_client_go() {
    let results = include_str!("../../../tests/jsonpath/results.txt");
    let lines: Vec<_> = results.lines().filter(|line| !line.starts_with('#')).collect();
    for pair in lines.chunks(2) {
        let (template, expected) = (pair[0], pair[1].trim_start());
        if let Some(template) = template.strip_prefix("[] ") {
            assert_eq!(elements(template).as_deref(), Ok(expected), "{template}");
        } else if let Some((_, better)) = IMPROVED.iter().find(|(known, _)| *known == template) {
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
fn integers_keep_all_digits() {
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
fn key_index_parent_and_root_select_the_context_of_a_value() {
    let document = r#"{"site": "x", "apps": {"wp": {"n": [{"v": 1}, {"v": 2}]}, "mw": {"n": []}}}"#;
    for (template, expected) in [
        ("{range .apps.*}{key} {end}", "mw wp "),
        ("{range .apps[*]}{key} {end}", "mw wp "),
        ("{range .apps.*.n[*]}{key}/{parent key}/{index}={.v} at {root.site};{end}", "n/wp/0=1 at x;n/wp/1=2 at x;"),
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
fn a_path_that_multiplies_its_matches_is_stopped_at_the_limit() {
    let document = format!("{}1{}", "{\"a\": [2, 3, ".repeat(20), "]}".repeat(20));
    for template in ["{.. parent.. parent.. parent.. parent.. parent.. parent}".to_owned(), {
        let (ranges, ends) = ("{range root..}".repeat(6), "{end}".repeat(6));
        format!("{ranges}{ends}")
    }] {
        let error = text(&template, &document).unwrap_err();
        assert_eq!(error, "more than 1048576 values match", "{template}");
    }
    let long = format!("[{}0]", format!("\"{}\",", "x".repeat(100_000)).repeat(12));
    assert_eq!(text("{[*]}", &long), Err("the text is longer than 1 MiB".to_owned()));
    assert!(text("{[9223372036854775807]}", "[1]").is_err());
}

#[test]
fn a_key_with_dots_is_written_in_brackets() {
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
fn a_wildcard_on_scalars_only_is_an_error() {
    let document = r#"{"a": "gone", "n": null, "e": {}, "some": {"x": 1, "y": {"z": 2}}}"#;
    assert_eq!(text("{.a.*}", document), Err("the string \"gone\" has no members".to_owned()));
    assert!(text("{.some.y.*.*}", document).is_err());
    for (template, expected) in [("{.n.*}", ""), ("{.e.*}", ""), ("{.e.*.*}", ""), ("{.some.*.*}", "2")] {
        assert_eq!(text(template, document).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn a_number_too_large_for_a_double_keeps_its_text() {
    assert_eq!(text("{.a}", r#"{"a": 1e309}"#).as_deref(), Ok("1e309"));
}

#[test]
fn a_single_dot_is_the_value_itself() {
    let document = r#"{"a": [1, 2]}"#;
    for (template, expected) in [("{.}", r#"{"a":[1,2]}"#), ("{.a.}", "[1,2]"), ("{$.a.[1]}", "2")] {
        assert_eq!(text(template, document).as_deref(), Ok(expected), "{template}");
    }
    assert_eq!(text("{.}", r#"{"": 3}"#).as_deref(), Ok("3"), "as in client-go");
}

#[test]
fn a_key_that_is_missing_in_a_list_is_reported_with_a_hint() {
    let error = text("{.a.b}", r#"{"a": [{"b": 1}]}"#).unwrap_err();
    assert_eq!(error, "b is missing: the value is a list, select its elements with [*]");
}

#[test]
fn the_error_says_why_a_template_is_invalid() {
    for (template, message) in [
        ("{.a", "column 4: missing }"),
        ("{.a[0}", "column 4: missing ]"),
        ("{.a[+1]}", "column 4: [+1] is not an index: write [0], [-1], [1:3], [*] or ['key']"),
        ("{.a[x]}", "column 4: [x] is not an index: write [0], [-1], [1:3], [*] or ['key']"),
        ("{.a[0:1:0]}", "column 4: the step of a slice must not be 0"),
        ("{.a[?(@.b == 1), x]}", "column 4: [x] is not an index: write [0], [-1], [1:3], [*] or ['key']"),
        ("{.a[?(@.b == 'x')}", "column 18: missing ] after a filter"),
        ("{.a[?(@.b =~ x)]}", "column 14: =~ requires a regular expression in quotes"),
        ("{.a[?(@.b =~ '(')]}", "column 14: '(' is not a regular expression"),
        ("{.a[?(@.b = 1)]}", "column 11: unknown operator =: use ==, !=, <, <=, >, >= or =~"),
        (
            "{.a[?(@.b & @.c)]}",
            "column 11: unexpected '&' in a filter: write a key with special characters in brackets, ['a+b']",
        ),
        (
            "{.a[?(size(@.b) > 1)]}",
            "column 7: unknown function size(): the functions are length(), count(), value(), sum(), keys(), and in filters match(), search()",
        ),
        (
            "{.a[?(@.b.size() > 1)]}",
            "column 15: unexpected '(' in a filter: write a key with special characters in brackets, ['a+b']",
        ),
        ("{.a[?length(@.b)]}", "column 6: missing comparison of length(): write length(...) > 0"),
        ("{.a[?length() > 1]}", "column 6: missing path in length()"),
        ("{.a[?length(@.b, @.c) > 1]}", "column 16: length() takes one path"),
        ("{.a[?length(@.*) > 1]}", "column 6: length() takes one value: use count() for the number of matches"),
        ("{.a[?count(1) > 1]}", "column 6: count() takes a path, not a literal"),
        ("{.a[?match(@.b)]}", "column 15: missing , after the value in match()"),
        ("{.a[?match(@.b, 1)]}", "column 17: match() requires a regular expression in quotes"),
        ("{.a[?match(@.b, $.c)]}", "column 17: match() requires a regular expression in quotes"),
        ("{.a[?match(@.b, 'x') == true]}", "column 22: match() is a condition: it cannot be compared"),
        ("{.a[?count(match(@.b, 'x')) > 1]}", "column 12: match() is a condition of a filter, not a value"),
        ("{sum(.a[*].b}", "column 13: unexpected '}'"),
        ("{sum(.a[?(@.b = 1)].c)}", "column 15: unknown operator =: use ==, !=, <, <=, >, >= or =~"),
        (
            "{null}",
            "column 2: unknown word null: write a key as .null, a key with blanks as ['a null'], a string as \"null\"",
        ),
        (
            "{.a[?(@.b*2 > 1)]}",
            "column 10: unexpected '*' in a filter: write a key with special characters in brackets, ['a+b']",
        ),
        ("{.a[?( == 1)]}", "column 8: missing value before =="),
        ("{.a[?()]}", "column 7: missing condition"),
        ("{.a[?(@.b && )]}", "column 14: missing condition"),
        (
            "{.a[?(@.b in @.c)]}",
            "column 11: unknown word in: write a key as .in, a key with blanks as ['a in'], a string as \"in\"",
        ),
        ("{.a[?(@.b === 'x')]}", "column 11: unknown operator ===: use ==, !=, <, <=, >, >= or =~"),
        ("{.a[?(@.b == )]}", "column 14: missing value after =="),
        ("{.a[?(@.b == 'x]}", "column 14: unterminated string in a filter"),
        ("{'x}", "column 2: unterminated string"),
        (
            "{.accepted conn}",
            "column 12: unknown word conn: write a key as .conn, a key with blanks as ['a conn'], a string as \"conn\"",
        ),
        ("{....a}", "column 4: .. must not follow .."),
        ("{end}", "column 1: {end} without {range}"),
        ("{range .a}", "column 11: {range} without {end}"),
        ("{1.2.3}", "column 2: 1.2.3 is not a number"),
        ("{.a#}", ""),
    ] {
        match Template::parse(template) {
            Err(error) => assert_eq!(error, message, "{template}"),
            Ok(_) => assert_eq!(message, "", "{template}"),
        }
    }
}

#[test]
fn conditions_of_a_filter_combine() {
    let document = r#"{"jobs": [
        {"n": 1, "up": true, "name": "web-1", "tags": ["a"]},
        {"n": 2, "up": false, "name": "web-2", "a&&b": 1},
        {"n": 3, "up": true, "name": "db"}
    ]}"#;
    for (filter, expected) in [
        ("(@.n>1&&@.up==true)", "3"),
        ("(@.n > 1 && @.up == true)", "3"),
        ("(@.tags&&@.up)", "1"),
        ("(@.n==1||@.name=='db')", "1 3"),
        ("(@.n == 1 || @.n == 2 && @.up == true)", "1"),
        ("((@.n == 1 || @.n == 2) && @.up == false)", "2"),
        ("(!(@.n == 1))", "2 3"),
        ("(!@.tags)", "2 3"),
        ("(@.name =~ '^web-')", "1 2"),
        ("(@.name =~ /\\d$/)", "1 2"),
        ("(@['a&&b'] == 1)", "2"),
        ("(@.name == 'a && b' || @.n == 3)", "3"),
        ("@.n == 3", "3"),
        ("(@.n == 3 && @)", "3"),
        ("(1 < @.n && @ == @)", "2 3"),
        ("(@.n > 1) && (@.n < 3)", "2"),
        ("(@.n > 1)][?(@.n < 3)", "2"),
        ("(@.tags[?(@ == 'a')])", "1"),
        ("(@.n > 5)][?(@.n < 3)", ""),
    ] {
        let template = format!("{{.jobs[?{filter}].n}}");
        assert_eq!(text(&template, document).as_deref(), Ok(expected), "{template}");
    }
    let numbers = r#"{"a": [1, 2, 3, 4]}"#;
    assert_eq!(text("{.a[?(@ > 1)][?(@ < 4)]}", numbers).as_deref(), Ok("2 3"));
    let nested = r#"{"pools": [{"on": true, "x": {"n": 1}, "y": {"n": 2}}]}"#;
    assert_eq!(text("{.pools[?(@.on)][?(@.n == 2)].n}", nested).as_deref(), Ok("2"), "as in client-go");
}

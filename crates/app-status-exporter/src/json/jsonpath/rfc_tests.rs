//! Tests of paths in the syntax of RFC 9535.

use std::borrow::Cow;

use super::print::{json, print};
use super::{Match, Template};
use crate::json::document::Document;

/// The matches of a path as JSON.
fn select(path: &str, document: &str) -> Result<String, String> {
    let template = Template::parse(&format!("{{{path}}}"))?;
    let document = Document::parse(document).unwrap();
    let root = Match::Node(document.root());
    let texts = |template: &Template| {
        let matches = template.matches(&document, root).map_err(|error| error.to_string())?;
        let texts = matches.iter().map(|found| match found {
            Match::Node(id) => {
                let mut out = String::new();
                json(&document, *id, &mut out);
                out
            }
            literal => print(&document, *literal).into_owned(),
        });
        Ok(texts.collect::<Vec<_>>().join(" "))
    };
    let found = texts(&template);
    if let Cow::Owned(resolved) = template.resolved(&document) {
        assert_eq!(texts(&resolved), found, "{path}");
    }
    found
}

fn check(document: &str, cases: &[(&str, &str)]) {
    for (path, expected) in cases {
        assert_eq!(select(path, document).as_deref(), Ok(*expected), "{path}");
    }
}

#[test]
fn slices_have_steps_of_both_signs_and_bounds_outside_of_the_list() {
    let document = "[0,1,2,3,4,5]";
    check(
        document,
        &[
            ("$[1:3]", "1 2"),
            ("$[ 1 : 5 : 2 ]", "1 3"),
            ("$[-2:]", "4 5"),
            ("$[:-2]", "0 1 2 3"),
            ("$[4:99]", "4 5"),
            ("$[-99:2]", "0 1"),
            ("$[7:9]", ""),
            ("$[3:1]", ""),
            ("$[::-1]", "5 4 3 2 1 0"),
            ("$[4:1:-2]", "4 2"),
            ("$[-1:-4:-1]", "5 4 3"),
            ("$[99::-3]", "5 2"),
            ("$[:2:-1]", "5 4 3"),
            ("$[0:2:-1]", ""),
            ("$[::9223372036854775807]", "0"),
            ("$[9223372036854775807:-9223372036854775808:-9223372036854775808]", "5"),
            ("$[-1]", "5"),
            ("$[1, 4:, -6]", "1 4 5 0"),
        ],
    );
    check("[]", &[("$[::-1]", ""), ("$[0:3]", "")]);
    assert_eq!(select("$[6]", document), Err("index 6 is out of range: the list has 6 elements".to_owned()));
    assert_eq!(select("$[-7]", document), Err("index -7 is out of range: the list has 6 elements".to_owned()));
}

#[test]
fn quoted_names_have_escapes_and_any_character() {
    let document = r#"{"a,b": 1, "c]d": 2, "e\"f": 3, "g'h": 4, "i/j": 5, "☺": 6, "𝄞": 7, "k\nl": 8, "m\\n": 9, " o ": 10, " ": 11, "\\": 12}"#;
    check(
        document,
        &[
            ("$['a,b']", "1"),
            ("$[ 'a,b' , \"c]d\" ]", "1 2"),
            (r#"$["e\"f"]"#, "3"),
            (r"$['g\'h']", "4"),
            (r"$['i\/j']", "5"),
            (r#"$["i/j"]"#, "5"),
            (r"$['\u263a']", "6"),
            (r"$['\u263A']", "6"),
            (r"$['\uD834\uDD1E']", "7"),
            (r"$['k\nl']", "8"),
            (r"$['m\\n']", "9"),
            ("$[' o ']", "10"),
            ("$[' ']", "11"),
            (r"$['\\']", "12"),
            ("$.☺", "6"),
        ],
    );
    check(r#"{"u263A": 1, "☺": 2}"#, &[(r"$['\u263A']", "1")]); // as in client-go
    for path in [r"$['\uD834']", r"$['\uD834\u0041']", "$['x']"] {
        assert!(select(path, document).is_err(), "{path}");
    }
}

#[test]
fn values_compare_with_null_lists_and_objects() {
    let document = r#"[{"n":1,"a":null},{"n":2,"a":[1,{"x":"y"}],"b":[1.0,{"x":"y"}]},{"n":3,"a":{"p":1,"q":2},"b":{"q":2,"p":1}},
        {"n":4,"a":[1],"b":[2]},{"n":5,"a":1,"b":"1"},{"n":6},{"n":7,"a":"null"}]"#;
    check(
        document,
        &[
            ("$[?@.a == null].n", "1"),
            ("$[?@.a != null].n", "2 3 4 5 7"),
            ("$[?@.a <= null].n", "1"),
            ("$[?@.a == @.b].n", "2 3"),
            ("$[?@.a != @.b].n", "4 5"),
            ("$[?@.a < @.b].n", ""),
            ("$[?@.n == 1e0 || @.n == 20e-1].n", "1 2"),
            ("$[?\t@.n\n>\r\n5 &&\n@.n < 7].n", "6"),
            ("$[?@.n == 1, ?@.n == 3].n", "1 3"),
            ("$[1, ?@.n == 1, -1:].n", "2 1 7"),
            ("$[?@[?@ == 'y' || @.x == 'y']].n", ""),
            ("$[?@.a[?@.x == 'y']].n", "2"),
        ],
    );
}

#[test]
fn functions_are_values_of_filters() {
    let document = r#"[{"n":1,"a":"☺☺","tags":["x","y"]},{"n":2,"a":["b"],"tags":[]},{"n":3,"a":{"p":1,"q":2}},{"n":4,"a":7,"c":"2"}]"#;
    check(
        document,
        &[
            ("$[?length(@.a) == 2].n", "1 3"),
            ("$[?length( @.a ) < 2].n", "2"),
            ("$[?length(@.missing) == 0].n", ""),
            ("$[?length('ab') == @.n].n", "2"),
            ("$[?length(@) == 2].n", "3"),
            ("$[?count(@.tags[*]) == 0].n", "2 3 4"),
            ("$[?count(@.tags.*)>1].n", "1"),
            ("$[?count(@..*) > 3].n", "1 2 3"),
            ("$[?value(@..p) == 1].n", "3"),
            ("$[?value(@.tags[*]) == 'x'].n", ""),
            ("$[?length(value(@.tags[:1])) == 1].n", "1"),
            ("$[?sum(@.a.*) == 3].n", "3"),
            ("$[?@.n == length(@.a)].n", ""),
            ("$[?(count(@.tags[?@ == 'y']) == 1 && @.n)].n", "1"),
        ],
    );
}

#[test]
fn functions_are_values_of_templates() {
    let document = r#"{"jobs":[{"s":"open","n":1},{"s":"open","n":2},{"s":"done","n":9007199254740993}],"text":"äb","half":[0.5,1],
        "none":[],"mods":{"b":{},"a":{}}}"#;
    check(
        document,
        &[
            ("length(.jobs)", "3"),
            ("length(.none)", "0"),
            ("length(.text)", "2"),
            ("length(.mods)", "2"),
            ("count(.jobs[?(@.s == 'open')])", "2"),
            ("count(.none[*])", "0"),
            ("sum(.jobs[*].n)", "9007199254740996"),
            ("sum(.half[*])", "1.5"),
            ("sum(.none[*])", "0"),
            ("keys(.mods)", "a b"),
            ("value(..text)", "\"äb\""),
            (".jobs[*] length(.s)", "4 4 4"),
            ("sum(root.jobs[?(@.s == 'open')].n)", "3"),
            (".jobs[?(@.n < count(root.jobs[*]))].n", "1 2"),
        ],
    );
    for (path, error) in [
        ("length(.missing)", "missing is missing"),
        ("count(.missing[*])", "missing is missing"),
        ("sum(.jobs[*].s)", "sum() does not apply to the string \"open\""),
        ("length(.jobs[0].n)", "length() does not apply to the number 1"),
        ("keys(.jobs)", "keys() does not apply to a list"),
    ] {
        assert_eq!(select(path, document), Err(error.to_owned()), "{path}");
    }
}

#[test]
fn match_is_for_the_whole_text_and_search_for_a_part() {
    let document = "[\"abc\", \"xabcx\", \"a\\rc\", \"a.c\", 7, null, \"ab\\nc\"]";
    check(
        document,
        &[
            ("$[?match(@, 'a.c')]", "\"abc\" \"a.c\""),
            ("$[?match(@, 'a|abc')]", "\"abc\""),
            ("$[?search(@, \"a.c\")]", "\"abc\" \"xabcx\" \"a.c\""),
            (r"$[?match(@, 'a\\.c')]", "\"a.c\""),
            ("$[?!match(@, 'a.*') && !search(@, 'b')]", "\"a\\rc\" 7 null"),
            ("$[?(search( @ , '^x' ) || @ == 7)]", "\"xabcx\" 7"),
            ("$[?match(7, '7')]", ""),
        ],
    );
}

#[test]
fn a_dollar_in_a_filter_is_the_element_as_in_client_go() {
    let document = r#"{"limit": 2, "items": [{"n": 1, "low": 0}, {"n": 2, "low": 5}, {"n": 3}], "low": 9}"#;
    check(
        document,
        &[
            ("$.items[?@.n >= $.limit].n", ""),
            ("$.items[?@.n > $.low].n", "1"),
            ("$.items[?($.n == 3)].n", "3"),
            ("$.items[?($.low == 9)].n", ""),
            ("$.items[?@.n == length($.items)].n", ""),
            ("$.items[?@.n == length(root.items)].n", "3"),
            ("$.items[?@.n > root.limit].n", "3"),
            ("$.items[?@.n < count(root.items[*])].n", "1 2"),
            ("$.items[?count(@.n[*]) == 0].n", "1 2 3"),
            ("$.items[?($.limit)].n", ""),
        ],
    );
}

#[test]
fn a_sum_is_never_infinite() {
    let document = r#"{"large": [1e308, 1e308], "more": [1e999]}"#;
    for path in ["sum(.large[*])", "sum(.more[*])"] {
        assert_eq!(select(path, document), Err("the sum is too large".to_owned()), "{path}");
    }
    check(document, &[("$[?sum(@[*]) > 1]", "")]);
}

#[test]
fn the_nesting_of_expressions_is_limited() {
    for (start, end, column) in [("(", ")", 69), ("!", "", 69), ("length(", ")", 453), ("@[?", "]", 197)] {
        let path = |times: usize| format!("$[?{}@.a{}]", start.repeat(times), end.repeat(times));
        let deepest = select(&path(63), "[{\"a\": 1}]");
        assert!(deepest.is_ok() || start == "length(", "{deepest:?}"); // length() requires a comparison
        for times in [70, 100_000] {
            let error = Template::parse(&format!("{{{}}}", path(times))).unwrap_err();
            let expected = format!("column {column}: nested more than 64 times: simplify the expression");
            assert_eq!(error, expected, "{start}");
        }
    }
    let ranges = "{range .}".repeat(100_000) + &"{end}".repeat(100_000);
    assert!(Template::parse(&ranges).unwrap_err().ends_with("nested more than 64 times: simplify the expression"));
}

#[test]
fn descendants_are_selected_by_wildcards_indexes_and_filters() {
    let document = r#"{"o": [{"a": 1}, [2, 3]], "p": {"a": 4, "l": []}}"#;
    check(
        document,
        &[
            ("$..*", "[{\"a\":1},[2,3]] {\"a\":4,\"l\":[]} {\"a\":1} [2,3] 1 2 3 4 []"),
            ("$..a", "1 4"),
            ("$..[1]", "[2,3] 3"),
            ("$..[0,1]", "{\"a\":1} 2 [2,3] 3"),
            ("$..[-1:]", "[2,3] 3"),
            ("$..[?@.a > 1].a", "4"),
            ("$..['a']", "1 4"),
        ],
    );
    check("[0, 1]", &[("$..*", "0 1"), ("$..[*]", "0 1"), ("$..[5]", "")]);
}

//! Tests of the document parser, most of them against serde_json.

use super::table::{MAX_DEPTH, MAX_VALUES, NodeKind};
use super::{Document, DocumentError, Key, NodeId, Value};

/// The document as a serde_json value.
fn value(document: &Document<'_>, id: NodeId) -> serde_json::Value {
    match document.value(id) {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => value.into(),
        Value::Number(text) => match serde_json::from_str(text) {
            Ok(number) => serde_json::Value::Number(number),
            Err(_) => text.into(), // too large for a double
        },
        Value::Text(text) => text.into(),
        Value::Malformed => panic!("serde_json rejects it"),
        Value::List(members) => members.iter().map(|member| value(document, *member)).collect(),
        Value::Object(members) => {
            let pair = |member: &NodeId| match document.key(*member) {
                Some(Key::Name(name)) => (name.to_owned(), value(document, *member)),
                other => panic!("{other:?}"),
            };
            members.iter().map(pair).collect()
        }
    }
}

/// Whether any string is malformed, also one that a later member with the same key hides.
fn has_malformed_string(document: &Document<'_>) -> bool {
    document.nodes.iter().any(|node| node.kind == NodeKind::Malformed)
}

/// Checks that a page that serde_json accepts is parsed to the same values, and that a page that it rejects is
/// rejected, or has a malformed string.
fn assert_same_as_serde_json(page: &[u8]) {
    let page = String::from_utf8_lossy(page);
    let expected = serde_json::from_str::<serde_json::Value>(&page);
    match (Document::parse(&page), expected) {
        (Ok(document), Ok(expected)) => assert_eq!(value(&document, document.root()), expected, "{page}"),
        (Ok(document), Err(error)) => {
            let text = error.to_string();
            let string = ["control character", "invalid escape", "surrogate", "hex escape", "out of range"];
            assert!(has_malformed_string(&document) || string.iter().any(|word| text.contains(word)), "{page}: {text}");
        }
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => panic!("{page}: {error}"),
    }
}

const SAMPLE: &str = r#" {"b": [1, -0.5e+3, "ä\n\ud83d\ude00\"", true, false, null, [], {}], "a": {"c": 0, "c": 1, "": 2},
    "\u0062b": [[[]], {"x": {}}], "long": 18446744073709551615 } "#;

#[test]
fn lines_of_json_are_the_members_of_a_list() {
    let lines = |page: &str| {
        let document = Document::parse_lines(page).map_err(|error| error.to_string());
        document.map(|document| value(&document, document.root()).to_string())
    };
    assert_eq!(lines("{\"a\": 1}\n\n [2] \r\n\"x\""), Ok("[{\"a\":1},[2],\"x\"]".to_owned()));
    for (page, message) in [
        ("", "the page is empty"),
        ("1 2\n", "the page is not JSON: expected a new line at line 1 column 3"),
        ("1\n{\n}\n", "the page is not JSON: expected a whole value on one line at line 2 column 1"),
        ("1\nx\n", "the page is not JSON: expected a value at line 2 column 1"),
        ("1\n{\"a\": ", "the page is not JSON, or is truncated: expected a value at its end"),
    ] {
        assert_eq!(lines(page), Err(message.to_owned()), "{page}");
    }
    assert_eq!(lines(&format!("1\n{}", "[".repeat(MAX_DEPTH))), Err(DocumentError::TooDeep.to_string()));
}

#[test]
fn documents_are_parsed_as_serde_json_parses_them() {
    assert_same_as_serde_json(SAMPLE.as_bytes());
    for page in ["1", "\"x\"", "null", "[]", "{}", "-0", "1e5", " [ 1 , 2 ] ", "{\"a\":{}}"] {
        assert_same_as_serde_json(page.as_bytes());
    }
}

#[test]
fn truncated_and_altered_pages_are_parsed_or_rejected_as_by_serde_json() {
    for end in 0..SAMPLE.len() {
        assert_same_as_serde_json(&SAMPLE.as_bytes()[..end]);
    }
    for at in 0..SAMPLE.len() {
        for byte in *b"\"\\{}[],:0-.eE+tu \n\x01a\xff" {
            let mut page = SAMPLE.as_bytes().to_vec();
            page[at] = byte;
            assert_same_as_serde_json(&page);
        }
    }
}

#[test]
fn a_malformed_string_or_an_infinite_number_does_not_affect_other_values() {
    let page = "{\"a\": \"\\x41\", \"b\": \"two\nlines\", \"c\": 1e999, \"d\": \"\\u12\", \"e\": \"ok\"}";
    let document = Document::parse(page).unwrap();
    let value = |key| document.value(document.get(document.root(), key).unwrap());
    for key in ["a", "b", "d"] {
        assert_eq!(value(key), Value::Malformed, "{key}");
    }
    assert_eq!((value("c"), value("e")), (Value::Number("1e999"), Value::Text("ok")));
}

#[test]
fn an_unpaired_surrogate_is_replaced() {
    for (page, text) in [
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00x""#, "\u{fffd}x"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\ude00""#, "😀"),
    ] {
        let document = Document::parse(page).unwrap();
        assert_eq!(document.value(document.root()), Value::Text(text));
    }
}

#[test]
fn numbers_keep_their_text() {
    let document = Document::parse(r#"[18446744073709551574, 123456789012345678901234567890, 1.50]"#).unwrap();
    let texts: Vec<_> = document.members_of(document.root()).iter().map(|id| document.value(*id)).collect();
    let expected = ["18446744073709551574", "123456789012345678901234567890", "1.50"].map(Value::Number);
    assert_eq!(texts, expected);
}

#[test]
fn a_value_has_a_key_and_a_parent() {
    let document = Document::parse(SAMPLE).unwrap();
    let list = document.get(document.root(), "bb").unwrap();
    let second = document.members_of(list)[1];
    let inner = document.get(second, "x").unwrap();
    assert_eq!(document.key(inner), Some(Key::Name("x")));
    assert_eq!((document.parent(inner), document.key(second)), (Some(second), Some(Key::Index(1))));
    assert_eq!((document.parent(list), document.key(list)), (Some(document.root()), Some(Key::Name("bb"))));
    assert_eq!((document.parent(document.root()), document.key(document.root())), (None, None));
}

#[test]
fn depth_and_size_are_limited() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Document::parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(Document::parse(&nested(MAX_DEPTH + 1)).unwrap_err(), DocumentError::TooDeep);
    assert_eq!(Document::parse(&"{\"x\":".repeat(1 << 20)).unwrap_err(), DocumentError::TooDeep);
    let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
    assert_eq!(Document::parse(&many).unwrap_err(), DocumentError::TooManyValues(MAX_VALUES));
    let larger = format!("[{}0]", "\"more than 16 bytes\",".repeat(MAX_VALUES));
    assert!(Document::parse(&larger).is_ok());
}

#[test]
fn the_error_says_why_a_page_is_not_json() {
    for (page, message) in [
        ("", "the page is empty"),
        (" \n", "the page is empty"),
        ("<!DOCTYPE html><html>", "the page is not JSON: it looks like HTML or XML"),
        ("It works!", "the page is not JSON: expected a value at line 1 column 1"),
        ("{\"a\": \"heal", "the page is not JSON, or is truncated: expected the end of a string at its end"),
        ("{\"a\": 1", "the page is not JSON, or is truncated: expected a comma or } at its end"),
        ("{\"a\": 1} {", "the page is not JSON: expected the end of the page at line 1 column 10"),
        ("{\n \"x\": NaN}", "the page is not JSON: expected a value at line 2 column 7"),
        ("[1 2]", "the page is not JSON: expected a comma or ] at line 1 column 4"),
        ("[nul]", "the page is not JSON: expected null at line 1 column 5"),
    ] {
        assert_eq!(Document::parse(page).unwrap_err().to_string(), message, "{page}");
    }
    let utf16: String = "{}".chars().flat_map(|character| [character, '\0']).collect();
    assert!(Document::parse(&utf16).is_err());
}

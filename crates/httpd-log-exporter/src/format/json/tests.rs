//! Tests of the parser of JSON lines.

use super::*;
use crate::format::field::NAMES;
use crate::format::request::{Details, Method, Request, Unit};
use crate::format::template;

fn names() -> JsonFormat {
    JsonFormat::new(NAMES.iter().copied()).unwrap()
}

fn parse<'a>(json: &JsonFormat, line: &'a str) -> Option<(Request<'a>, Details<'a>)> {
    let mut builder = RequestBuilder::NEW;
    json.read(line.as_bytes(), &mut builder).then_some(())?;
    builder.finish().map(|(request, details)| (*request, *details))
}

/// Method, status, bytes and duration.
fn read(json: &JsonFormat, line: &str) -> Option<(&'static str, usize, Number, Number)> {
    let (request, _) = parse(json, line)?;
    Some((Method::NAMES[request.method.index()], request.status.index(), request.bytes, request.duration))
}

#[test]
fn fields_are_found_by_key_in_any_order() {
    for line in [
        r#"{"status":200,"request":"GET /\"x\" HTTP/1.1","body_bytes_sent":5,"request_time":0.25}"#,
        r#" { "request_time" : "0.250", "x":{"status":500,"y":[1,{"status":"}"}]}, "body_bytes_sent":"5","status" : "200" ,"method":"GET"} "#,
        r#"{"bytes_sent":999,"body_bytes_sent":5,"bytes":7,"request_method":"GET","status":200,"duration":0.25}"#,
    ] {
        assert_eq!(read(&names(), line), Some(("GET", 200, Number::Value(5), Number::Value(250_000_000))), "{line}");
    }
}

#[test]
fn missing_null_and_hyphen_values_are_absent_and_other_text_is_wrong() {
    for (time, expected) in [
        (r#","request_time":null"#, Number::Absent),
        (r#","request_time":"-""#, Number::Absent),
        (r#","request_time":"""#, Number::Absent),
        ("", Number::Absent),
        (r#","request_time":"abc""#, Number::Wrong),
        (r#","request_time":1.5e-3"#, Number::Value(1_500_000)),
        (r#","request_time":5"#, Number::Value(5_000_000_000)),
    ] {
        let line = format!(r#"{{"status":200,"request":"GET / HTTP/1.1"{time}}}"#);
        assert_eq!(read(&names(), &line).unwrap().3, expected, "{line}");
    }
}

#[test]
fn lists_of_upstream_times_without_quotation_marks_and_empty_values_are_read() {
    for (times, upstream) in [
        ("0.1", Number::Value(100_000_000)),
        ("0.1, 0.2", Number::Value(300_000_000)),
        ("0.1,0.2 : 0.3 , 0.4", Number::Value(1_000_000_000)),
        ("-, 0.25", Number::Value(250_000_000)),
        ("- : 0.25", Number::Value(250_000_000)),
        ("-", Number::Absent),
        ("", Number::Absent),
    ] {
        for line in [
            format!(r#"{{"upstream_response_time":{times},"status":200,"request":"GET / HTTP/1.1"}}"#),
            format!(r#"{{"x": {times} ,"status":200,"request":"GET / HTTP/1.1","upstream_response_time":{times}}}"#),
        ] {
            let (_, details) = parse(&names(), &line).unwrap_or_else(|| panic!("no match: {line}"));
            assert_eq!(details.upstream[2], upstream, "{line}");
        }
    }
    for line in [r#"{"status":200,5}"#, r#"{"status":200 5}"#, r#"{"x":[1,],"y":[,1],"status":200}"#] {
        assert!(parse(&names(), line).is_none(), "{line}");
    }
}

#[test]
fn a_line_that_is_not_an_object_or_has_no_status_does_not_match() {
    for line in [
        "",
        "{",
        "{}",
        r#"{"status":200"#,
        r#"{"status":200}}"#,
        r#"{"status":200} x"#,
        r#"{"status":200,}"#,
        r#"{"status":}"#,
        r#"{"status":"200}"#,
        r#"{"status":"200\"#,
        r#"{"status" 200}"#,
        r#"{"status":null}"#,
        r#"{"status":[200]}"#,
        r#"{"level":"info","msg":"started"}"#,
        "200",
        r#"["status",200]"#,
        "GET / 200",
    ] {
        assert_eq!(read(&names(), line), None, "{line}");
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let line = [r#"{"status":200,"x":"#, &"[".repeat(1_000_000)].concat();
    assert_eq!(read(&names(), &line), None);
    let line = [r#"{"status":200,"x":"#, &r#"{"a":"#.repeat(1_000_000)].concat();
    assert_eq!(read(&names(), &line), None);
}

#[test]
fn a_template_that_is_an_object_maps_keys_to_variables() {
    let template = template::parse(
        r#"log_format j escape=json '{"t":"$time_iso8601","st":$status,"in":{"rq":"$request"},' '"d":"$request_time", "b": $body_bytes_sent}';"#,
    );
    let json = JsonFormat::from_template(&template.unwrap()).unwrap();
    let line = r#"{"b":5,"d":"0.25","new":1,"in":{"rq":"GET / HTTP/1.1"},"st":200}"#;
    assert_eq!(read(&json, line), Some(("GET", 200, Number::Value(5), Number::Value(250_000_000))));
    let mixed = template::parse(r#"{"rq":"$request_method $uri","st":$status}"#).unwrap();
    assert!(JsonFormat::from_template(&mixed).is_none());
}

#[test]
fn nested_keys_are_found_by_path() {
    let json = JsonFormat::new([
        ("status", Field::Status),
        ("request.method", Field::Method),
        ("duration", Field::Duration(Unit::Seconds)),
    ])
    .unwrap();
    let line = r#"{"request":{"remote_ip":"::1","method":"PUT","headers":{"User-Agent":["x"]}},"duration":0.000027,"status":204}"#;
    assert_eq!(read(&json, line), Some(("PUT", 204, Number::Absent, Number::Value(27_000))));
}

//! Tests of the template matcher.

use super::TemplateMatcher;
use crate::format::field::RequestBuilder;
use crate::format::request::{Details, Method, Number, Request, StatusCode, Upstream};
use crate::format::template;

fn compile(text: &str) -> TemplateMatcher {
    TemplateMatcher::compile(&template::parse(text).unwrap()).unwrap()
}

fn parse<'a>(matcher: &TemplateMatcher, line: &'a [u8]) -> Option<(Request<'a>, Details<'a>)> {
    let mut builder = RequestBuilder::NEW;
    matcher.read(line, &mut builder).then_some(())?;
    builder.finish().map(|(request, details)| (*request, *details))
}

/// Method, status and bytes of a line.
fn read(matcher: &TemplateMatcher, line: &str) -> Option<(&'static str, String, Number)> {
    let (request, _) = parse(matcher, line.as_bytes())?;
    Some((Method::NAMES[request.method.index()], StatusCode::label(request.status.index()), request.bytes))
}

const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

#[test]
fn combined_in_the_syntax_of_nginx_and_apache_matches_like_the_preset() {
    let apache = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;
    for matcher in [compile(COMBINED), compile(apache)] {
        let lines =
            include_str!("../../../tests/lines/combined.txt").lines().map(|line| line.split_once('\t').unwrap().1);
        for line in lines.chain(include_str!("../../../tests/lines/unmatched.txt").lines()) {
            let expected = crate::format::clf::combined(line.as_bytes()).filter(|_| line.ends_with('"'));
            let (request, _) = parse(&matcher, line.as_bytes()).unzip();
            assert_eq!(request, expected, "{line}");
        }
    }
}

#[test]
fn a_virtual_host_precedes_the_client_and_has_no_port() {
    let matcher = compile(r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#);
    let line = br#"www.example.com:443 ::1 - x [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
    assert_eq!(parse(&matcher, line).unwrap().1.vhost, Some(&b"www.example.com"[..]));
    let line = br#"2001:db8::1:443 ::1 - x [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#;
    assert_eq!(parse(&matcher, line).unwrap().1.vhost, Some(&b"2001:db8::1"[..]));
}

#[test]
fn a_list_of_upstream_servers_is_one_field() {
    let matcher = compile(
        "$remote_addr [$upstream_addr] $upstream_response_length $upstream_response_time $upstream_status $request_method $status",
    );
    let line = b"::1 [10.0.0.1:80, 10.0.0.2:80 : unix:/x] -, 5 : 7 0.001, 0.002 : - 502, 200 : 200 PUT 204";
    let (request, details) = parse(&matcher, line).unwrap();
    assert_eq!(request.status.index(), 204);
    assert_eq!(details.upstream[Upstream::Response as usize], Number::Value(3_000_000));
    let line = b"::1 []   200 PUT 204";
    assert_eq!(parse(&matcher, line).unwrap().1.upstream[Upstream::Response as usize], Number::Absent);
}

#[test]
fn values_with_spaces_end_where_the_rest_of_the_line_matches() {
    let matcher = compile("$remote_addr $request $status $body_bytes_sent $sent_http_content_type $request_time");
    for (line, status) in [
        ("::1 GET / HTTP/1.1 200 5 text/html 0.1", "200"),
        ("::1 GET /a 4 b HTTP/1.1 200 5 text/html 0.1", "200"),
        ("::1 - 408 - - 0.1", "408"),
    ] {
        assert_eq!(read(&matcher, line).unwrap().1, status, "{line}");
    }
    let (request, _) = parse(&matcher, b"::1 GET /x y HTTP/1.1 200 5 text/html; charset=utf-8 0.250").unwrap();
    assert_eq!(request.line, b"GET /x y HTTP/1.1");
}

#[test]
fn of_several_matches_the_one_with_numbers_in_numeric_fields_is_used() {
    let matcher = compile("$status ($body_bytes_sent) $sent_http_content_type $request_time $request_method");
    let duration = |line: &str| parse(&matcher, line.as_bytes()).unwrap().0.duration;
    assert_eq!(duration("200 (5) text/html; charset=utf-8 0.250 GET"), Number::Value(250_000_000));
    assert_eq!(duration("200 (5) text/html abc GET"), Number::Wrong, "there is no other match");
    let raw =
        compile(r#"log_format x escape=none '"$http_user_agent" "$host" $request_time $status $request_method';"#);
    let (request, details) = parse(&raw, br#""x" 500 "7" " "www.example.com" 0.5 200 GET"#).unwrap();
    assert_eq!((request.status.index(), details.vhost), (200, Some(&b"www.example.com"[..])));
}

#[test]
fn quoted_values_before_the_request_may_contain_the_delimiter_of_the_time() {
    let matcher = compile(r#""$http_x_forwarded_for" - "$remote_user" [$time_local] "$request" $status"#);
    let line = r#""-" - "u] " [20/Nov/2026:09:26:10 +0000] "GET / HTTP/1.1" 200"#;
    assert_eq!(read(&matcher, line), Some(("GET", "200".to_owned(), Number::Absent)));
}

#[test]
fn a_path_ends_before_the_query_and_starts_after_the_virtual_host() {
    let path = |format: &str, line: &str| {
        let (_, details) = parse(&compile(format), line.as_bytes()).unwrap();
        let text = |part: Option<&[u8]>| part.map(|part| String::from_utf8_lossy(part).into_owned());
        (text(details.vhost), text(details.path).unwrap())
    };
    assert_eq!(path(r#"%m "%U%q" %s"#, r#"GET "/a?b" 200"#), (None, "/a".to_owned()));
    assert_eq!(path("$uri$is_args$args $request_method $status", "/a?b=c GET 200"), (None, "/a".to_owned()));
    const WHOLE: &str = "$request_method https://$host$request_uri $status";
    for (line, vhost, expected) in [
        ("GET https://a.example/b?c 200", "a.example", "/b"),
        ("OPTIONS https://a.example* 204", "a.example", "*"),
        ("- https://a.example- 400", "a.example", "-"),
    ] {
        assert_eq!(path(WHOLE, line), (Some(vhost.to_owned()), expected.to_owned()), "{line}");
    }
}

#[test]
fn a_value_between_two_literals_may_be_empty() {
    let matcher = compile("$request_method $status rt=$request_time; uct=$upstream_connect_time;");
    assert_eq!(parse(&matcher, b"GET 200 rt=; uct=;").unwrap().0.duration, Number::Absent);
}

#[test]
fn json_keys_tabs_and_separators_are_literals() {
    for (format, line) in [
        ("st=$status rq=\"$request\" b=$body_bytes_sent", r#"st=200 rq="GET /\" x HTTP/1.1" b=7"#),
        ("$status\t$request\t$body_bytes_sent\tx", "200\tGET / HTTP/1.1\t7\tx"),
        ("$status|$request|$body_bytes_sent", "200|GET / HTTP/1.1|7"),
        (r#"{"s":$status,"r":"$request","b":"$body_bytes_sent"}"#, r#"{"s":200,"r":"GET \"/","b":"7"}"#),
        ("$scheme://$host$request_uri $request_method $status $bytes_sent", "https://x/y?z GET 200 7 more"),
    ] {
        assert_eq!(read(&compile(format), line), Some(("GET", "200".to_owned(), Number::Value(7))), "{format}");
    }
}

#[test]
fn unescaped_values_may_contain_quotation_marks() {
    let matcher = compile(r#"log_format x escape=none '"$request" $status "$http_user_agent" $bytes_sent';"#);
    assert!(parse(&matcher, br#""GET /"a" HTTP/1.1" 200 "C:\" 5"#).is_some());
}

#[test]
fn a_client_cannot_forge_fields_from_within_quotation_marks() {
    let matcher = compile(COMBINED);
    let line = r#"::1 - - [t] "GET /x\" 500 9 \"-\" \"-" 200 11 "-" "x\" 500 77777 \"""#;
    assert_eq!(read(&matcher, line), Some(("GET", "200".to_owned(), Number::Value(11))));
}

#[test]
fn a_mismatch_names_the_offset_and_the_expected_text() {
    let matcher = compile("$status $request_method $body_bytes_sent");
    let mismatch = matcher.walk(b"200 GET", &mut |_, _, _| {}).unwrap_err();
    assert_eq!((mismatch.at, matcher.expected(&mismatch)), (7, "$request_method and then ' '".to_owned()));
    let mismatch = matcher.walk(b"2x0 GET 5", &mut |_, _, _| {}).unwrap_err();
    assert_eq!((mismatch.at, matcher.expected(&mismatch)), (0, "$status and then ' '".to_owned()));
}

#[test]
fn a_format_without_the_needed_fields_is_rejected() {
    for (text, reason) in [
        ("$request_method $bytes_sent", "no status"),
        ("$status $bytes_sent", "no request"),
        ("$status $request$http_referer", "no literal text between"),
    ] {
        let error = TemplateMatcher::compile(&template::parse(text).unwrap()).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn many_possible_ends_of_a_value_do_not_take_exponential_time() {
    let matcher = compile("$remote_addr $http_a $http_b $request $status");
    let line = "a ".repeat(100_000);
    assert!(parse(&matcher, line.as_bytes()).is_none());
}

#[test]
fn a_list_of_addresses_before_other_fields_does_not_shift_them() {
    let formats = [
        ("$http_x_forwarded_for $request_method $host $status", "{} PUT www.example.com 204"),
        ("$http_x_forwarded_for $request_method $host $request_uri $status", "{} PUT www.example.com /x 204"),
        (
            "$remote_addr $http_x_forwarded_for $host $request_method $status $body_bytes_sent",
            "::1 {} www.example.com PUT 204 5",
        ),
        ("%{X-Forwarded-For}i %m %v %>s", "{} PUT www.example.com 204"),
    ];
    for (format, line) in formats {
        let matcher = compile(format);
        for list in [
            "192.0.2.1",
            "-",
            "192.0.2.1, 192.0.2.2",
            "192.0.2.1,192.0.2.2",
            "2001:db8::1, 2001:db8::2, 192.0.2.3",
            "unknown, 192.0.2.1",
            "GET 500, 192.0.2.1",
        ] {
            for end in ["", " additional"] {
                let line = line.replace("{}", list) + end;
                let (request, details) = parse(&matcher, line.as_bytes()).unwrap_or_else(|| panic!("no match: {line}"));
                let read = (request.method.name(), request.status.index(), details.vhost);
                assert_eq!(read, ("PUT", 204, Some(&b"www.example.com"[..])), "{format}: {line}");
            }
        }
        let long = line.replace("{}", &"192.0.2.1, ".repeat(100));
        if let Some((request, _)) = parse(&matcher, long.as_bytes()) {
            assert_eq!(request.method.name(), "PUT", "{long}");
        }
    }
}

//! Formats, query filters, methods and request headers.

use std::io::{Read, Write};

use exporter_common::testing::{Running, assert_lint, assert_openmetrics};

use super::client::tcp;
use super::program;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

fn start() -> Running {
    let (path, arguments) = program();
    Running::start(&path, arguments)
}

/// The complete response to a raw request.
fn response_to(exporter: &Running, request: &str) -> String {
    let mut stream = tcp(exporter);
    let _ = stream.write_all(request.as_bytes()); // it may be refused before it was sent
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response); // a reset is an end too
    String::from_utf8_lossy(&response).into_owned()
}

#[test]
fn formats_are_negotiated_as_in_client_golang() {
    let exporter = start();
    let openmetrics = |version: &str| format!("application/openmetrics-text; version={version}; charset=utf-8");
    let (old, new) = (openmetrics("0.0.1"), openmetrics("1.0.0"));
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    // Prometheus 3.5 by default, and with native histograms
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let native = format!("{protobuf};escaping=allow-utf-8;q=0.7,{prometheus}");
    // Prometheus 2.42
    let earlier = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                   text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, format, escaping) in [
        (protobuf, PROTOBUF, "underscores"),
        (&format!("{protobuf}; escaping=allow-utf-8;"), PROTOBUF, "allow-utf-8"),
        (&protobuf.replace("delimited", "text"), &PROTOBUF.replace("delimited", "text"), "underscores"),
        (&protobuf.replace("delimited", "compact-text"), &PROTOBUF.replace("delimited", "compact-text"), "underscores"),
        (&protobuf.replace("delimited", "other"), TEXT, "underscores"),
        ("text/plain;version=0.0.4", TEXT, "underscores"),
        ("text/plain;version=0.0.4; escaping=values;", TEXT, "values"),
        ("application/openmetrics-text", &old, "underscores"),
        ("application/openmetrics-text;version=0.0.1; escaping=underscores", &old, "underscores"),
        ("application/openmetrics-text;version=1.0.0", &new, "underscores"),
        ("application/openmetrics-text;version=1.0.0; escaping=values;", &new, "values"),
        ("application/openmetrics-text;version=2.0.0", TEXT, "underscores"),
        ("application/openmetrics-text;version=0.0.4", TEXT, "underscores"),
        ("text/plain;version=0.0.4; escaping=allow-utf-8", TEXT, "allow-utf-8"),
        ("text/plain", TEXT, "underscores"),
        ("*/*", TEXT, "underscores"),
        ("", TEXT, "underscores"),
        (prometheus, &new, "allow-utf-8"),
        (&native, PROTOBUF, "allow-utf-8"),
        (earlier, &new, "underscores"),
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
        let response = response_to(&exporter, &request);
        let expected = format!("\r\ncontent-type: {format}; escaping={escaping}\r\n");
        assert!(response.starts_with("HTTP/1.1 200 ") && response.contains(&expected), "{accept}: {response}");
        assert_eq!(response.ends_with("# EOF\n"), format.contains("openmetrics"), "{accept}");
    }
    let absent = response_to(&exporter, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(absent.contains(&format!("\r\ncontent-type: {TEXT}; escaping=underscores\r\n")), "{absent}");
}

#[test]
fn the_reference_parsers_accept_the_formats() {
    let exporter = start();
    assert_lint(&exporter.scrape());
    let accept = "application/openmetrics-text;version=1.0.0";
    assert_openmetrics(&exporter.get("/metrics", &[("Accept", accept)]).body);
}

#[test]
fn a_response_is_compressed_if_the_client_prefers_it() {
    let exporter = start();
    for (header, compressed) in [
        ("gzip", true),
        ("zstd, gzip", true),
        ("deflate, GZIP;q=0.5", true),
        ("gzip;q=0", false),
        ("gzip;q=0.5, identity", false),
        ("br", false),
        ("*", false),
    ] {
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {header}\r\nConnection: close\r\n\r\n");
        let response = response_to(&exporter, &request);
        let vary = response.contains("\r\nvary: Accept, Accept-Encoding\r\n");
        assert!(response.starts_with("HTTP/1.1 200 ") && vary, "{header}: {response}");
        assert_eq!(response.contains("\r\ncontent-encoding: gzip\r\n"), compressed, "{header}");
    }
}

#[test]
fn a_query_selects_collectors_and_invalid_queries_are_rejected() {
    let exporter = start();
    let metrics = exporter.scrape();
    let names = |metrics: &str| {
        let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let build = names(&metrics).into_iter().find(|name| name.ends_with("_exporter_build_info")).unwrap();
    assert_eq!(names(&exporter.get(&format!("/metrics?name[]={build}"), &[]).body), [build.as_str()]);
    let nothing = exporter.get("/metrics?name[]=no_such_family", &[]);
    assert_eq!((nothing.status, nothing.body.as_str()), (200, ""));
    let collectors: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("exporter_scrape_success{collector=\"")?.split('"').next())
        .collect();
    // excluding all collectors differs from excluding none
    let all: Vec<_> = collectors.iter().map(|name| format!("exclude[]={name}")).collect();
    let none = exporter.get(&format!("/metrics?{}", all.join("&")), &[]);
    assert!(none.status == 200 && !none.body.contains("exporter_scrape_success{"), "{}", none.body);
    let one = exporter.get(&format!("/metrics?collect[]={}", collectors[0]), &[]).body;
    assert_eq!(one.matches("\nexporter_scrape_success{").count(), 1, "{one}");
    for query in ["collect[]=nope", "exclude[]=nope", "collect[]=a&exclude[]=b", "collect[]=", "collect[]=%ff"] {
        assert_eq!(exporter.get(&format!("/metrics?{query}"), &[]).status, 400, "{query}");
    }
}

#[test]
fn unknown_paths_and_other_methods_are_refused() {
    let exporter = start();
    for (path, status) in
        [("/", 200), ("/metrics", 200), ("/-/healthy", 200), ("/metrics/", 404), ("/debug/pprof/", 404)]
    {
        assert_eq!(exporter.get(path, &[]).status, status, "{path}");
    }
    let head = response_to(&exporter, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"] {
        let path = if method == "CONNECT" { "a:80" } else { "/metrics" };
        let response =
            response_to(&exporter, &format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(response.starts_with("HTTP/1.1 405 ") && response.contains("allow: GET, HEAD"), "{method}: {response}");
    }
    let response = response_to(&exporter, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
    assert!(!exporter.log().contains("panicked"), "{}", exporter.log());
}

#[test]
fn request_headers_are_limited_and_bodies_are_ignored() {
    let exporter = start();
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000));
    assert!(response_to(&exporter, &long).starts_with("HTTP/1.1 431 "));
    let many = "X-Many: x\r\n".repeat(200);
    assert!(response_to(&exporter, &format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).starts_with("HTTP/1.1 431 "));
    let head = "GET /-/healthy HTTP/1.1\r\nHost: x\r\n";
    let response =
        response_to(&exporter, &format!("{head}Content-Length: 1000\r\nConnection: close\r\n\r\n{}", "x".repeat(1000)));
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let response = response_to(&exporter, &format!("{head}Content-Length: 1000000000000\r\n\r\n"));
    assert!(response.starts_with("HTTP/1.1 200 "), "the exporter does not wait for the rest of the body: {response}");
}

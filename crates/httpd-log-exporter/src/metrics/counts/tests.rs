//! Tests of the counters.

use super::*;
fn counts(format: &str, routes: &[(&str, &str)], max_series: usize) -> RequestCounts {
    let routes = routes.iter().map(|(name, pattern)| format!("{name}={pattern}").parse().unwrap()).collect();
    RequestCounts::new(&format.parse().unwrap(), &[1.0], routes, max_series)
}

fn request(bytes: Number, duration: Number) -> Request<'static> {
    let status = StatusCode::parse(b"200").unwrap();
    Request { method: Method::from_request_line(b"GET /"), status, bytes, duration, line: b"GET / HTTP/1.1" }
}

/// The series with requests: virtual host, route, number of requests.
fn seen(counts: &RequestCounts) -> Vec<(String, String, u64)> {
    let seen = counts.series().filter(|series| series.cell.requests > 0);
    let label = |label: Option<&str>| label.unwrap_or_default().to_owned();
    seen.map(|series| (label(series.labels.vhost), label(series.labels.route), series.cell.requests)).collect()
}

#[test]
fn sums_beyond_64_bits_neither_wrap_nor_panic() {
    let mut counts = counts("combined", &[], 10);
    for _ in 0..3 {
        assert!(counts.add(&request(Number::Value(u64::MAX), Number::Absent)));
    }
    let series = counts.series().find(|series| series.cell.requests > 0).unwrap();
    assert_eq!(*series.cell, RequestTotals { requests: 3, sent: 3 * u128::from(u64::MAX), received: 0 });
}

#[test]
fn a_wrong_number_is_reported_and_its_request_is_counted() {
    let mut counts = counts("combined_time", &[], 10);
    assert!(!counts.add(&request(Number::Value(7), Number::Wrong)));
    assert!(!counts.add(&request(Number::Wrong, Number::Value(1))));
    assert!(counts.add(&request(Number::Value(7), Number::Absent)));
    let details = Details { received: Number::Wrong, ..Details::NONE };
    assert!(!counts.add_detailed(&request(Number::Value(1), Number::Absent), &details));
    let series = counts.series().find(|series| series.cell.requests > 0).unwrap();
    assert_eq!((series.method, series.status.index()), (Method::from_request_line(b"GET"), 200));
    assert_eq!(*series.cell, RequestTotals { requests: 4, sent: 15, received: 0 });
}

#[test]
fn common_series_exist_from_the_start() {
    assert_eq!(counts("combined", &[], 10).series().count(), 36);
    assert_eq!(counts("combined", &[("api", "^/api/")], 10).series().count(), 72);
    assert_eq!(counts("vhost_combined", &[], 10).series().count(), 0);
}

#[test]
fn a_request_has_the_first_route_that_its_path_matches() {
    let mut counts = counts("combined", &[("api", "^/api/"), ("static", r"\.(css|js)$")], 10);
    for line in ["GET /api/a.js HTTP/1.1", "GET /x.css?v=1 HTTP/1.1", "GET /?p=/api/ HTTP/1.1", "-"] {
        counts.add(&Request { line: line.as_bytes(), ..request(Number::Absent, Number::Absent) });
    }
    let expected = [("", "api", 1), ("", "static", 1), ("", "other", 2)];
    assert_eq!(seen(&counts), expected.map(|(vhost, route, n)| (vhost.to_owned(), route.to_owned(), n)));
}

#[test]
fn virtual_hosts_beyond_the_limit_are_other() {
    let mut counts = counts("vhost_combined", &[], (3 + OTHER_PAIRS) * 2);
    for round in 0..2 {
        for vhost in ["a", "b", "c", "d", "e"] {
            let details = Details { vhost: Some(vhost.as_bytes()), ..Details::NONE };
            assert!(counts.add_detailed(&request(Number::Absent, Number::Absent), &details), "{round}");
        }
    }
    let expected = [("other", 4), ("a", 2), ("b", 2), ("c", 2)];
    assert_eq!(seen(&counts), expected.map(|(vhost, n)| (vhost.to_owned(), String::new(), n)));
    assert_eq!(counts.overflowed, 4);
    // the limit also applies to a new status of a known virtual host
    let status = StatusCode::parse(b"404").unwrap();
    let new = Request { status, ..request(Number::Absent, Number::Absent) };
    counts.add_detailed(&new, &Details { vhost: Some(b"a"), ..Details::NONE });
    assert_eq!((seen(&counts).len(), counts.overflowed), (5, 5));
}

#[test]
fn restored_series_count_once_towards_the_limit() {
    let mut counts = counts("vhost_combined", &[], (3 + OTHER_PAIRS) * 2);
    let cell = RequestTotals { requests: 1, sent: 0, received: 0 };
    for vhost in ["a", "b"] {
        let labels = SavedLabels { vhost: Some(vhost), ..SavedLabels::default() };
        counts.restore(&labels, Method::from_request_line(b"GET"), StatusCode::NONE, cell);
        counts.restored_group(&labels);
    }
    for vhost in ["c", "d"] {
        let details = Details { vhost: Some(vhost.as_bytes()), ..Details::NONE };
        counts.add_detailed(&request(Number::Absent, Number::Absent), &details);
    }
    let expected = [("other", 1), ("a", 1), ("b", 1), ("c", 1)];
    assert_eq!(seen(&counts), expected.map(|(vhost, n)| (vhost.to_owned(), String::new(), n)));
    assert_eq!(counts.overflowed, 1);
}

#[test]
fn an_invalid_virtual_host_is_other_and_a_missing_one_a_hyphen() {
    let mut counts = counts("vhost_combined", &[], 100);
    for vhost in [Some(&b"\xff"[..]), Some(b""), None, Some(b"-"), Some(b"other"), Some(&[b'x'; 300])] {
        counts.add_detailed(&request(Number::Absent, Number::Absent), &Details { vhost, ..Details::NONE });
    }
    let expected = [("other", 3), ("-", 3)];
    assert_eq!(seen(&counts), expected.map(|(vhost, n)| (vhost.to_owned(), String::new(), n)));
    assert_eq!(counts.overflowed, 0);
}

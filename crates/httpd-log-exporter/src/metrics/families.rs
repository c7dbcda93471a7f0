//! The metrics: all their names, and the one step from counters to families.

use exporter_common::{Family, Histogram};

use crate::format::request::{CacheStatus, Protocol, StatusCode, Upstream};
use crate::metrics::counts::{RequestCounts, Series};
use crate::metrics::health::{LineResult, LogHealth};
use crate::metrics::histogram::DurationHistogram;
use crate::metrics::registry::Registry;

/// What was counted of requests, and the health of each log at a time in seconds since the epoch.
pub(crate) fn families(registry: &Registry, now: f64) -> Vec<Family> {
    let counts = &registry.counts;
    let mut families = requests(counts);
    families.extend(durations(counts));
    families.extend(protocols(counts));
    families.extend(caches(counts));
    families.extend(overflowed(counts));
    families.extend(health(&registry.logs, now));
    families.extend(state(registry));
    families
}

/// The labels of requests: those of the format and the flags, then method and status.
fn labels<'a>(counts: &RequestCounts, vhost: Option<&'a str>, route: Option<&'a str>) -> Vec<&'a str> {
    let mut labels = Vec::with_capacity(4);
    labels.extend(vhost.filter(|_| counts.has_vhosts()));
    labels.extend(route.filter(|_| counts.has_routes()));
    labels
}

/// The names of the labels that not every format has.
fn label_names(counts: &RequestCounts, further: &[&'static str]) -> Vec<&'static str> {
    let mut names = labels(counts, Some("vhost"), Some("route"));
    names.extend(further);
    names
}

fn requests(counts: &RequestCounts) -> Vec<Family> {
    let names = label_names(counts, &["method", "status_code"]);
    let mut requests = Family::counter(
        "httpd_requests_total",
        "Requests in the access log, by method and status of the answer.",
        &names,
    );
    let mut sent = Family::counter(
        "httpd_bytes_sent_total",
        "Bytes sent as the access log has them, by method and status of the answer.",
        &names,
    );
    let mut received = Family::counter(
        "httpd_bytes_received_total",
        "Bytes received as the access log has them, by method and status of the answer.",
        &names,
    );
    for Series { vhost, route, method, status, cell } in counts.series() {
        let status = StatusCode::label(status.index());
        let mut labels = labels(counts, vhost, route);
        labels.extend([method.name(), &status]);
        requests.push(&labels, cell.requests);
        #[expect(clippy::cast_precision_loss, reason = "the formats know only doubles; exact below 2^53")]
        {
            if counts.has.sent {
                sent.push(&labels, cell.sent as f64);
            }
            if counts.has.received {
                received.push(&labels, cell.received as f64);
            }
        }
    }
    vec![requests, sent, received]
}

fn durations(counts: &RequestCounts) -> [Family; 4] {
    let names = label_names(counts, &[]);
    let family = |name: &'static str, help: &'static str| Family::histogram(name, help, &names);
    let mut families = [
        family("httpd_request_duration_seconds", "How long requests took as the access log has it."),
        family(
            "httpd_upstream_connect_duration_seconds",
            "How long it took to connect to the servers behind, summed for each request, as the access log has it.",
        ),
        family(
            "httpd_upstream_header_duration_seconds",
            "How long the servers behind took to send the head of the answer, summed for each request, as the access log has it.",
        ),
        family(
            "httpd_upstream_response_duration_seconds",
            "How long the servers behind took to answer, summed for each request, as the access log has it.",
        ),
    ];
    const { assert!(Upstream::Response as usize + 1 == 3) };
    for (vhost, route, group) in counts.groups() {
        for (family, durations) in families.iter_mut().zip(&group.durations) {
            if let Some(durations) = durations {
                family.push(&labels(counts, vhost, route), histogram(durations));
            }
        }
    }
    families
}

fn histogram(durations: &DurationHistogram) -> Histogram {
    let mut count = 0;
    let mut cumulative = durations.counts.iter().map(|bucket| {
        count += bucket;
        count
    });
    let buckets = durations.bounds.iter().copied().zip(cumulative.by_ref()).collect();
    let count = cumulative.last().unwrap_or_default();
    Histogram { buckets, sum: Some(durations.sum()), count }
}

fn protocols(counts: &RequestCounts) -> Option<Family> {
    let mut family = Family::counter(
        "httpd_requests_by_protocol_total",
        "Requests in the access log, by the protocol that the client used.",
        &["protocol"],
    );
    for (name, count) in Protocol::NAMES.into_iter().zip(counts.protocols) {
        family.push(&[name], count);
    }
    counts.has.protocol.then_some(family)
}

fn caches(counts: &RequestCounts) -> Option<Family> {
    let mut family = Family::counter(
        "httpd_requests_by_cache_status_total",
        "Requests in the access log, by what the server's cache did for them; - where none was asked.",
        &["cache_status"],
    );
    for (name, count) in CacheStatus::NAMES.into_iter().zip(counts.caches) {
        family.push(&[name], count);
    }
    counts.has.cache.then_some(family)
}

fn overflowed(counts: &RequestCounts) -> Option<Family> {
    let family = Family::counter(
        "httpd_requests_overflowed_total",
        "Requests that were counted with vhost other because --metrics.max-series was reached.",
        &[],
    );
    counts.has_vhosts().then(|| family.value(counts.overflowed))
}

fn state(registry: &Registry) -> Option<Family> {
    let family = Family::counter("httpd_log_state_errors_total", "Failed attempts to write the state file.", &[]);
    registry.state_errors.map(|errors| family.value(errors))
}

fn health(logs: &[LogHealth], now: f64) -> [Family; 11] {
    const SOURCE: &[&str] = &["source"];
    let mut up = Family::gauge(
        "httpd_log_source_up",
        "Whether the log is there and open; 0 while it is missing or may not be read.",
        SOURCE,
    );
    let mut lag = Family::gauge("httpd_log_lag_bytes", "Bytes in the log's open files that were not yet read.", SOURCE);
    let mut lag_seconds = Family::gauge(
        "httpd_log_lag_seconds",
        "How long ago the last line was written that was read, while more is there to read; otherwise 0.",
        SOURCE,
    );
    let mut last_line = Family::gauge(
        "httpd_log_last_line_timestamp_seconds",
        "When the last line was written that was read, in seconds since the epoch, as the line says.",
        SOURCE,
    );
    let mut lines = Family::counter(
        "httpd_log_lines_total",
        "Lines read from the log, by how reading them ended; a line with a wrong value counts as a request too.",
        &["source", "result"],
    );
    let mut read = Family::counter("httpd_log_read_bytes_total", "Bytes read from the log.", SOURCE);
    let mut rotations = Family::counter(
        "httpd_log_rotations_total",
        "How often another file was found at the log's path, which was then read from its beginning.",
        SOURCE,
    );
    let mut truncations = Family::counter(
        "httpd_log_truncations_total",
        "How often the log's file was found cut or written anew in place, and was read again from its beginning.",
        SOURCE,
    );
    let mut open_errors =
        Family::counter("httpd_log_open_errors_total", "Failed attempts to open the log where there was one.", SOURCE);
    let mut read_errors = Family::counter("httpd_log_read_errors_total", "Failed attempts to read the log.", SOURCE);
    let mut dropped = Family::counter(
        "httpd_log_dropped_messages_total",
        "Messages over UDP that the kernel dropped because they could not be read in time, from /proc/net/udp.",
        SOURCE,
    );
    for log in logs {
        let source = [log.source.as_str()];
        up.push(&source, f64::from(u8::from(log.fault.is_none())));
        // of a log that is not there, or may not be read, nobody knows how much is unread
        let measured = log.is_file && (log.fault.is_none() || log.lag > 0);
        if measured {
            lag.push(&source, log.lag);
        }
        if let Some(time) = log.last_time {
            last_line.push(&source, time);
            if measured {
                lag_seconds.push(&source, if log.lag == 0 { 0.0 } else { (now - time).max(0.0) });
            }
        }
        for (outcome, count) in LineResult::ALL.into_iter().zip(log.lines) {
            lines.push(&[&log.source, outcome.label()], count);
        }
        read.push(&source, log.read_bytes);
        let incidents = log.incidents();
        rotations.push(&source, incidents.rotations);
        truncations.push(&source, incidents.truncations);
        open_errors.push(&source, incidents.open_errors);
        read_errors.push(&source, incidents.read_errors);
        if let Some(count) = log.dropped {
            dropped.push(&source, count);
        }
    }
    [up, lag, lag_seconds, last_line, lines, read, rotations, truncations, open_errors, read_errors, dropped]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Line;

    /// The metrics of lines in a format, as text.
    fn metrics(format: &str, lines: &[&str]) -> String {
        let format: crate::format::Format = format.parse().unwrap();
        let counts = RequestCounts::new(&format, &[0.01, 0.1], Vec::new(), 100);
        let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
        for line in lines {
            registry.count_line(0, Line::Whole(line.as_bytes()));
        }
        registry.count_line(0, Line::TooLong);
        registry.record_time(0, lines[0].as_bytes());
        (registry.logs[0].lag, registry.logs[0].is_file) = (7, true);
        exporter_common::to_text(families(&registry, 1_795_166_780.0))
    }

    #[track_caller]
    fn assert_has(text: &str, expected: &[&str]) {
        for expected in expected {
            assert!(text.lines().any(|line| line == *expected), "{expected} is not in\n{text}");
        }
    }

    #[test]
    fn counters_become_families_with_what_is_common_at_0() {
        let text = metrics(
            "combined_time",
            &[
                r#"::1 - - [20/Nov/2026:09:26:10 +0000] "GET / HTTP/2.0" 200 11 "-" "curl" 0.010"#,
                r#"::1 - - [20/Nov/2026:09:26:10 +0000] "GET / HTTP/2.0" 200 5 "-" "curl" 0.250"#,
                r#"::1 - - [20/Nov/2026:09:26:10 +0000] "PROPFIND / HTTP/1.1" 405 - "-" "curl" x"#,
                r#"::1 - - [20/Nov/2026:09:26:10 +0000] "-" - - "-" "-" -"#,
                "garbage",
            ],
        );
        assert_has(
            &text,
            &[
                r#"httpd_requests_total{method="GET",status_code="200"} 2"#,
                r#"httpd_bytes_sent_total{method="GET",status_code="200"} 16"#,
                r#"httpd_requests_total{method="other",status_code="405"} 1"#,
                r#"httpd_requests_total{method="other",status_code="-"} 1"#,
                r#"httpd_requests_total{method="POST",status_code="500"} 0"#,
                r#"httpd_request_duration_seconds_bucket{le="0.01"} 1"#,
                r#"httpd_request_duration_seconds_bucket{le="0.1"} 1"#,
                r#"httpd_request_duration_seconds_bucket{le="+Inf"} 2"#,
                "httpd_request_duration_seconds_sum 0.26",
                "httpd_request_duration_seconds_count 2",
                r#"httpd_requests_by_protocol_total{protocol="HTTP/2.0"} 2"#,
                r#"httpd_requests_by_protocol_total{protocol="other"} 1"#,
                r#"httpd_log_lines_total{result="matched",source="access.log"} 3"#,
                r#"httpd_log_lines_total{result="value_error",source="access.log"} 1"#,
                r#"httpd_log_lines_total{result="unmatched",source="access.log"} 1"#,
                r#"httpd_log_lines_total{result="too_long",source="access.log"} 1"#,
                r#"httpd_log_lag_seconds{source="access.log"} 10"#,
            ],
        );
        for absent in [r#"status_code="418""#, "upstream", "cache", "received", "overflowed"] {
            assert!(!text.contains(absent), "{absent} is in\n{text}");
        }
    }

    #[test]
    fn how_far_behind_is_not_known_of_a_log_that_is_not_there() {
        let format: crate::format::Format = "combined".parse().unwrap();
        let counts = RequestCounts::new(&format, &[], Vec::new(), 100);
        let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
        (registry.logs[0].is_file, registry.logs[0].fault) = (true, Some("it is missing".to_owned()));
        let text = exporter_common::to_text(families(&registry, 0.0));
        assert!(!text.contains("lag_bytes{") && text.contains("source_up{source=\"access.log\"} 0"), "{text}");
        registry.logs[0].lag = 7; // of a file that was rotated away
        assert_has(
            &exporter_common::to_text(families(&registry, 0.0)),
            &[r#"httpd_log_lag_bytes{source="access.log"} 7"#],
        );
    }

    #[test]
    fn what_only_some_formats_have_is_counted_where_they_have_it() {
        let text = metrics(
            r#"$host $request_length $upstream_cache_status $upstream_connect_time $upstream_header_time $upstream_response_time "$request" $status $bytes_sent"#,
            &[
                r#"a.example 300 HIT - - - "GET / HTTP/1.1" 200 5"#,
                r#"a.example 100 MISS 0.001, 0.002 0.010, 0.020 0.050, 0.060 "GET / HTTP/1.1" 200 5"#,
                r#"b.example 7 - - - - "PUT / HTTP/3.0" 204 0"#,
            ],
        );
        assert_has(
            &text,
            &[
                r#"httpd_requests_total{method="GET",status_code="200",vhost="a.example"} 2"#,
                r#"httpd_requests_total{method="PUT",status_code="204",vhost="b.example"} 1"#,
                r#"httpd_bytes_received_total{method="GET",status_code="200",vhost="a.example"} 400"#,
                r#"httpd_requests_by_cache_status_total{cache_status="HIT"} 1"#,
                r#"httpd_requests_by_cache_status_total{cache_status="-"} 1"#,
                r#"httpd_upstream_connect_duration_seconds_sum{vhost="a.example"} 0.003"#,
                r#"httpd_upstream_header_duration_seconds_bucket{vhost="a.example",le="0.1"} 1"#,
                r#"httpd_upstream_response_duration_seconds_count{vhost="a.example"} 1"#,
                r#"httpd_upstream_response_duration_seconds_sum{vhost="a.example"} 0.11"#,
                r#"httpd_upstream_response_duration_seconds_count{vhost="b.example"} 0"#,
                "httpd_requests_overflowed_total 0",
            ],
        );
        assert!(!text.contains("httpd_request_duration_seconds"), "{text}");
    }
}

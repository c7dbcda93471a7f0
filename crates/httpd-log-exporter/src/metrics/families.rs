//! All metric names, and the conversion of counters to metric families.

use std::time::{SystemTime, UNIX_EPOCH};

use exporter_common::{Family, Histogram, Kind};

use crate::format::request::{CacheStatus, Protocol, StatusCode, Upstream};
use crate::metrics::counts::{OptionalLabels, RequestCounts, Series};
use crate::metrics::field_total::{FieldTotal, NamedMetric};
use crate::metrics::health_families;
use crate::metrics::histogram::ValueHistogram;
use crate::metrics::registry::Registry;
use crate::nginxlog;

/// The families of all counters, and the health of each log.
pub(crate) fn families(registry: &Registry) -> Vec<Family> {
    families_at(registry, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
}

/// The same at a time in seconds since the epoch.
fn families_at(registry: &Registry, now: f64) -> Vec<Family> {
    let counts = &registry.counts;
    let mut families = match &registry.namespaces {
        Some(namespaces) => nginxlog::families(namespaces),
        None => {
            let mut families = requests(counts);
            families.extend(protocols(counts));
            families.extend(caches(counts));
            families.extend(overflowed(counts));
            families
        }
    };
    families.extend(health_families::families(&registry.logs, registry.can_drop(), now));
    let mut families = created(families, registry.since);
    families.push(health_families::dropped(&registry.logs)); // counted by the kernel, for the current socket
    families.extend(created(durations(counts, registry.native_histograms), registry.durations_since));
    // without created timestamps, since a metric may have been added later
    families.extend(fields(counts, registry.native_histograms));
    families.extend(state(registry));
    families
}

/// Adds the created timestamp to counters and histograms.
fn created(families: impl IntoIterator<Item = Family>, since: Option<SystemTime>) -> Vec<Family> {
    let counts = |family: &Family| matches!(family.kind(), Kind::Counter | Kind::Histogram);
    let family = |family: Family| match since.filter(|_| counts(&family)) {
        Some(since) => family.created_at(since),
        None => family,
    };
    families.into_iter().map(family).collect()
}

/// The values of the optional labels of requests, which depend on the format and the flags.
fn labels<'a>(labels: &OptionalLabels<'a>) -> Vec<&'a str> {
    labels.vhost.into_iter().chain(labels.route).chain(labels.fields()).collect()
}

/// The names of the optional labels, then `additional` names.
fn label_names(counts: &RequestCounts, additional: &[&'static str]) -> Vec<&'static str> {
    let vhost = counts.has_vhosts().then_some("vhost");
    let route = counts.has_routes().then_some("route");
    vhost.into_iter().chain(route).chain(counts.labels().iter().chain(additional).copied()).collect()
}

fn requests(counts: &RequestCounts) -> Vec<Family> {
    let names = label_names(counts, &["method", "status_code"]);
    let mut requests = Family::counter(
        "httpd_requests_total",
        "Total number of requests in the access log, by method and status code.",
        &names,
    );
    let mut sent = Family::counter(
        "httpd_bytes_sent_total",
        "Total number of bytes sent according to the access log, by method and status code.",
        &names,
    );
    let mut received = Family::counter(
        "httpd_bytes_received_total",
        "Total number of bytes received according to the access log, by method and status code.",
        &names,
    );
    for Series { labels: optional, method, status, cell } in counts.series() {
        let status = StatusCode::label(status.index());
        let mut labels = labels(&optional);
        labels.extend([method.name(), &status]);
        requests.push(&labels, cell.requests);
        #[expect(clippy::cast_precision_loss, reason = "the exposition formats have only doubles; exact below 2^53")]
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

fn durations(counts: &RequestCounts, with_native: bool) -> [Family; 4] {
    let names = label_names(counts, &[]);
    let family = |name: &'static str, help: &'static str| Family::histogram(name, help, &names);
    let mut families = [
        family("httpd_request_duration_seconds", "Duration of requests in seconds according to the access log."),
        family(
            "httpd_upstream_connect_duration_seconds",
            "Time spent connecting to upstream servers in seconds, summed per request, according to the access log.",
        ),
        family(
            "httpd_upstream_header_duration_seconds",
            "Time until upstream servers sent the response headers in seconds, summed per request, according to the access log.",
        ),
        family(
            "httpd_upstream_response_duration_seconds",
            "Time until upstream servers sent the whole response in seconds, summed per request, according to the access log.",
        ),
    ];
    const { assert!(Upstream::Response as usize + 1 == 3) };
    for (optional, group) in counts.groups() {
        let exported = group
            .durations
            .iter()
            .zip(counts.has.durations)
            .map(|(durations, exported)| durations.as_ref().filter(|_| exported));
        for (family, durations) in families.iter_mut().zip(exported) {
            if let Some(durations) = durations {
                let (labels, histogram) = (labels(&optional), histogram(durations));
                match with_native {
                    true => family.push(&labels, histogram.with_native(durations.native.clone())),
                    false => family.push(&labels, histogram),
                }
            }
        }
    }
    families
}

/// The metrics of numeric fields, for the label sets that have values.
fn fields(counts: &RequestCounts, with_native: bool) -> Vec<Family> {
    let names = label_names(counts, &[]);
    let family = |metric: &NamedMetric| match metric.is_counter {
        true => Family::counter(metric.name, metric.help, &names),
        false => Family::histogram(metric.name, metric.help, &names),
    };
    let mut families: Vec<_> = counts.metrics().iter().map(family).collect();
    for (optional, group) in counts.groups() {
        let totals = group.fields.iter().zip(counts.metrics()).zip(&mut families);
        for ((total, metric), family) in totals.filter(|((total, _), _)| total.has_values()) {
            let labels = labels(&optional);
            match total {
                FieldTotal::Sum(sum) => family.push(&labels, metric.in_base_units(sum.unwrap_or_default())),
                FieldTotal::Histogram(values) if with_native => {
                    family.push(&labels, histogram(values).with_native(values.native.clone()));
                }
                FieldTotal::Histogram(values) => family.push(&labels, histogram(values)),
            }
        }
    }
    families
}

fn histogram(durations: &ValueHistogram) -> Histogram {
    let mut count = 0;
    let mut cumulative = durations.counts.iter().map(|bucket| {
        count += bucket;
        count
    });
    let buckets: Vec<_> = durations.bounds.iter().copied().zip(cumulative.by_ref()).collect();
    let count = cumulative.last().unwrap_or_default();
    Histogram::new(buckets, Some(durations.sum()), count).with_exemplars(durations.exemplars())
}

fn protocols(counts: &RequestCounts) -> Option<Family> {
    let mut family = Family::counter(
        "httpd_requests_by_protocol_total",
        "Total number of requests in the access log, by HTTP version.",
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
        "Total number of requests in the access log, by cache status (- = no cache lookup).",
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
        "Total number of requests counted with vhost and log labels \"other\" because --metrics.max-series was reached.",
        &[],
    );
    counts.has_label_sets().then(|| family.value(counts.overflowed))
}

fn state(registry: &Registry) -> Option<Family> {
    let family =
        Family::counter("httpd_log_state_errors_total", "Total number of failed writes of the state file.", &[]);
    registry.state_errors.map(|errors| family.value(errors))
}

#[cfg(test)]
mod tests {
    use exporter_common::testing::assert_has;

    use super::*;
    use crate::lines::Line;
    use crate::metrics::names::OWN_NAMES;

    /// The text exposition after lines in a format were counted.
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
        exporter_common::to_text(families_at(&registry, 1_795_166_780.0))
    }

    #[test]
    fn counters_are_exported_and_common_series_start_at_0() {
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
    fn all_names_are_reserved() {
        let format: crate::format::Format = "$host $request_length $upstream_cache_status $upstream_connect_time $upstream_header_time $upstream_response_time $request_time $request $status $bytes_sent".parse().unwrap();
        let counts = RequestCounts::new(&format, &[], Vec::new(), 100);
        let registry = Registry::new(format, counts, ["access.log".to_owned()]);
        let names: Vec<_> = families(&registry).iter().map(|family| family.name().to_owned()).collect();
        let is_reserved = |name: &String| name.starts_with("httpd_log_") || OWN_NAMES.contains(&name.as_str());
        assert!(names.iter().all(is_reserved), "{names:?}");
        assert!(OWN_NAMES.iter().all(|name| names.iter().any(|known| known == name)), "{names:?}");
    }

    #[test]
    fn the_lag_of_a_missing_log_is_not_exported() {
        let format: crate::format::Format = "combined".parse().unwrap();
        let counts = RequestCounts::new(&format, &[], Vec::new(), 100);
        let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
        (registry.logs[0].is_file, registry.logs[0].fault) = (true, Some("it is missing".to_owned()));
        let text = exporter_common::to_text(families_at(&registry, 0.0));
        assert!(!text.contains("lag_bytes{") && text.contains("source_up{source=\"access.log\"} 0"), "{text}");
        registry.logs[0].lag = 7; // of a file that was rotated away
        assert_has(
            &exporter_common::to_text(families_at(&registry, 0.0)),
            &[r#"httpd_log_lag_bytes{source="access.log"} 7"#],
        );
    }

    #[test]
    fn optional_fields_are_exported_if_the_format_has_them() {
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

    #[test]
    fn the_limit_of_series_applies_to_all_families_together() {
        let format = "$host $request_length $upstream_response_time $request_time \"$request\" $status $bytes_sent";
        let mut registry = Registry::new(
            format.parse().unwrap(),
            RequestCounts::new(&format.parse().unwrap(), &[1.0], vec!["api=^/api/".parse().unwrap()], 1000),
            ["access.log".to_owned()],
        );
        for host in 0..20_000 {
            let path = ["/api/", "/"][host % 2];
            let line = format!("host{host} 1 0.1 0.1 \"GET {path} HTTP/1.1\" 200 5");
            registry.count_line(0, Line::Whole(line.as_bytes()));
        }
        let text = exporter_common::to_text(families_at(&registry, 0.0));
        let series = text.lines().filter(|line| line.contains("vhost=")).count();
        assert!((900..=1000).contains(&series), "{series} series");
        assert!(registry.counts.overflowed > 19_000);
        let requests: u64 = registry.counts.series().map(|series| series.cell.requests).sum();
        assert_eq!(requests, 20_000);
    }

    #[test]
    fn labels_and_families_of_json_logs_exist_once_a_line_has_the_field() {
        let format: crate::format::Format = "json".parse().unwrap();
        let counts = RequestCounts::new(&format, &[1.0], Vec::new(), 1000);
        let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
        let mut text = |line: &str| {
            registry.count_line(0, Line::Whole(line.as_bytes()));
            exporter_common::to_text(families_at(&registry, 0.0))
        };
        let first = text(r#"{"method":"GET","status":200}"#);
        assert!(first.contains("httpd_requests_total{method=\"GET\",status_code=\"200\"} 1\n"), "{first}");
        for absent in ["vhost", "duration", "bytes_sent", "bytes_received", "protocol", "cache", "overflowed"] {
            assert!(!first.contains(absent), "{absent} is in\n{first}");
        }
        let second = text(r#"{"method":"GET","status":200,"request_time":0.5,"bytes":7}"#);
        assert!(second.contains("httpd_request_duration_seconds_count 1\n"), "{second}");
        assert!(second.contains("httpd_bytes_sent_total{method=\"GET\",status_code=\"200\"} 7\n"), "{second}");
        assert!(!second.contains("vhost") && !second.contains("upstream"), "{second}");
        let third = text(r#"{"method":"GET","status":200,"host":"A.example:443","upstream_response_time":0.1}"#);
        for expected in [
            r#"httpd_requests_total{method="GET",status_code="200",vhost="-"} 2"#,
            r#"httpd_requests_total{method="GET",status_code="200",vhost="a.example"} 1"#,
            r#"httpd_upstream_response_duration_seconds_count{vhost="a.example"} 1"#,
            "httpd_requests_overflowed_total 0",
        ] {
            assert!(third.lines().any(|line| line == expected), "{expected} is missing in\n{third}");
        }
    }
}

//! The metrics: all their names, and the one step from counters to families.

use exporter_common::{Family, Histogram};

use crate::counts::{Counts, Durations};
use crate::health::{Health, Outcome};
use crate::request::Status;

/// Series that are there from the start, so that `rate()` sees the first request of each: what
/// nearly every server answers sooner or later.
const COMMON_METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
const COMMON_STATUSES: [usize; 12] = [200, 204, 301, 302, 304, 400, 403, 404, 500, 502, 503, 504];

/// What was counted of requests, and the health of each log.
pub(crate) fn families(counts: &Counts, logs: &[Health]) -> Vec<Family> {
    let mut families: Vec<_> = requests(counts).into();
    families.extend(counts.durations.as_ref().map(duration));
    families.extend(health(logs));
    families
}

fn requests(counts: &Counts) -> [Family; 2] {
    const LABELS: &[&str] = &["method", "status_code"];
    let mut requests = Family::counter(
        "httpd_requests_total",
        "Requests in the access log since the exporter started, by method and status of the answer.",
        LABELS,
    );
    let mut bytes = Family::counter(
        "httpd_bytes_sent_total",
        "Bytes sent as the access log has them, by method and status of the answer.",
        LABELS,
    );
    for (method, status, cell) in counts.cells() {
        let common = || COMMON_METHODS.contains(&method) && COMMON_STATUSES.contains(&status);
        if cell.requests > 0 || common() {
            let labels = [method, &Status::label(status)];
            requests.push(&labels, cell.requests);
            #[expect(clippy::cast_precision_loss, reason = "the formats know only doubles; exact below 2^53")]
            bytes.push(&labels, cell.bytes as f64);
        }
    }
    [requests, bytes]
}

fn duration(durations: &Durations) -> Family {
    let mut count = 0;
    let mut cumulative = durations.counts.iter().map(|bucket| {
        count += bucket;
        count
    });
    let buckets = durations.bounds.iter().copied().zip(cumulative.by_ref()).collect();
    let count = cumulative.last().unwrap_or_default();
    Family::histogram(
        "httpd_request_duration_seconds",
        "How long requests took, from the time at the end of a line of the access log.",
        &[],
    )
    .value(Histogram { buckets, sum: Some(durations.sum()), count })
}

fn health(logs: &[Health]) -> [Family; 8] {
    const SOURCE: &[&str] = &["source"];
    let mut up = Family::gauge(
        "httpd_log_source_up",
        "Whether the log is there and open; 0 while it is missing or may not be read.",
        SOURCE,
    );
    let mut lag = Family::gauge("httpd_log_lag_bytes", "Bytes in the log's open files that were not yet read.", SOURCE);
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
    for log in logs {
        let source = [log.source.as_str()];
        up.push(&source, f64::from(u8::from(log.fault.is_none())));
        lag.push(&source, log.lag);
        for (outcome, count) in Outcome::ALL.into_iter().zip(log.lines) {
            lines.push(&[&log.source, outcome.label()], count);
        }
        read.push(&source, log.read_bytes);
        rotations.push(&source, log.rotations);
        truncations.push(&source, log.truncations);
        open_errors.push(&source, log.open_errors);
        read_errors.push(&source, log.read_errors);
    }
    [up, lag, lines, read, rotations, truncations, open_errors, read_errors]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Book;
    use crate::format::Named;
    use crate::lines::Line;

    #[test]
    fn counters_become_families_with_what_is_common_at_0() {
        let format = "combined_time".parse::<Named>().unwrap().0;
        let mut book = Book::new(format, &[0.01, 0.1], ["access.log".to_owned()]);
        for line in [
            r#"::1 - - [20/Nov/2026:09:00:00 +0000] "GET / HTTP/2.0" 200 11 "-" "curl" 0.010"#,
            r#"::1 - - [20/Nov/2026:09:00:00 +0000] "GET / HTTP/2.0" 200 5 "-" "curl" 0.250"#,
            r#"::1 - - [20/Nov/2026:09:00:00 +0000] "PROPFIND / HTTP/1.1" 405 - "-" "curl" x"#,
            r#"::1 - - [20/Nov/2026:09:00:00 +0000] "-" - - "-" "-" -"#,
            "garbage",
        ] {
            book.line(0, Line::Whole(line.as_bytes()));
        }
        book.line(0, Line::TooLong);
        let text = exporter_common::to_text(families(&book.counts, &book.logs));
        for expected in [
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
            r#"httpd_log_lines_total{result="matched",source="access.log"} 3"#,
            r#"httpd_log_lines_total{result="value_error",source="access.log"} 1"#,
            r#"httpd_log_lines_total{result="unmatched",source="access.log"} 1"#,
            r#"httpd_log_lines_total{result="too_long",source="access.log"} 1"#,
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains(r#"status_code="418""#), "{text}");
    }
}

//! Exemplars with the trace ID of a log field, over OpenMetrics and protobuf, and in a real Prometheus.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use exporter_common::testing::{Running, assert_openmetrics, eventually, real, run};

#[expect(dead_code, reason = "other tests start it without flags")]
#[path = "../../demo/tests/common/prometheus.rs"]
mod server;

use server::Prometheus;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const FORMAT: &str =
    r#"$remote_addr [$time_iso8601] "$request" $status $request_time $upstream_response_time "$http_traceparent""#;

/// Starts the exporter with a log of three requests: the second one has a trace, the third one has an ID that is longer
/// than OpenMetrics permits.
fn start(folder: &std::path::Path, more: &[&str]) -> Running {
    let access_log = folder.join("access.log");
    let line = |time: &str, duration: &str, trace: &str| {
        format!("::1 [2026-11-20T09:26:{time}+00:00] \"GET / HTTP/1.1\" 200 {duration} 0.020 \"{trace}\"\n")
    };
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let lines = [line("10", "0.030", "-"), line("11.5", "0.031", &traceparent), line("12", "0.032", &"x".repeat(121))];
    std::fs::write(&access_log, lines.concat()).unwrap();
    let source = format!("--access-log={}", access_log.display());
    let format = format!("--access-log.format={FORMAT}");
    let flags = [&source, &format, "--access-log.start=beginning"];
    Running::start(env!("CARGO_BIN_EXE_httpd-log-exporter"), [&flags, more].concat())
}

/// The metrics as OpenMetrics, when all lines are read.
fn openmetrics(exporter: &Running) -> String {
    exporter.scrape_until("all lines are read", |text| text.contains("httpd_request_duration_seconds_count 3\n"));
    exporter.get("/metrics", &[("Accept", "application/openmetrics-text; version=1.0.0")]).body
}

#[test]
fn the_buckets_of_durations_have_the_trace_of_the_last_request_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = start(folder.path(), &["--metrics.exemplar=$http_traceparent"]);
    let text = openmetrics(&exporter);
    assert_openmetrics(&text);
    let exemplars: Vec<_> = text.lines().filter(|line| line.contains(" # ")).collect();
    assert_eq!(
        exemplars,
        [
            format!(
                "httpd_request_duration_seconds_bucket{{le=\"0.05\"}} 3 # {{trace_id=\"{TRACE}\"}} 0.031 1.7951667715e+09"
            ),
            format!(
                "httpd_upstream_response_duration_seconds_bucket{{le=\"0.025\"}} 3 # {{trace_id=\"{TRACE}\"}} 0.02 1.7951667715e+09"
            ),
        ]
    );
    assert!(!exporter.scrape().contains(TRACE), "the text format has no exemplars");
}

#[test]
fn without_the_flag_there_are_no_exemplars() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = start(folder.path(), &[]);
    let text = openmetrics(&exporter);
    assert!(!text.contains(" # {"), "{text}");
}

#[test]
fn prometheus_stores_the_exemplars_of_both_formats() {
    let Some(program) = real("prometheus-3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let exporter = start(folder.path(), &["--metrics.exemplar=http_traceparent"]);
    let target = exporter.url.strip_prefix("http://").unwrap();
    let job = |job: &str, protocol: &str| {
        format!(
            "  - job_name: {job}\n    scrape_protocols: [{protocol}]\n    always_scrape_classic_histograms: true\n    \
             static_configs:\n      - targets: ['{target}']\n"
        )
    };
    let jobs = [job("protobuf", "PrometheusProto"), job("openmetrics", "OpenMetricsText1.0.0")].concat();
    let config = format!("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n{jobs}");
    let flags = ["--enable-feature=exemplar-storage,native-histograms"];
    let prometheus = Prometheus::start_with(&program, &flags, &config, folder.path());
    for (job, series) in [
        ("protobuf", "httpd_request_duration_seconds_bucket"),
        ("openmetrics", "httpd_request_duration_seconds_bucket"),
        ("protobuf", "httpd_request_duration_seconds"), // the native histogram
        ("protobuf", "httpd_upstream_response_duration_seconds_bucket"),
    ] {
        let found = eventually(&format!("exemplar of {series} by {job}"), || {
            let query = format!("query_exemplars?query={series}%7Bjob=%22{job}%22%7D");
            let data = prometheus.data(&query)?;
            let [series] = &data.as_array()?[..] else { return None };
            Some(series["exemplars"].clone())
        });
        let value = if series.contains("upstream") { "0.02" } else { "0.031" };
        let expected = serde_json::json!([
            {"labels": {"trace_id": TRACE}, "value": value, "timestamp": 1_795_166_771.5}
        ]);
        assert_eq!(found, expected, "{series} by {job}");
    }
}

#[test]
fn a_field_or_duration_that_the_format_lacks_is_an_error() {
    for (format, field, error) in [
        ("combined", "$http_traceparent", "--metrics.exemplar requires a format with a duration"),
        ("combined_time", "$http_traceparent", "the format has no other field $http_traceparent"),
    ] {
        let (format, field) = (format!("--access-log.format={format}"), format!("--metrics.exemplar={field}"));
        let flags = ["--access-log=access.log", "--once", &format, &field];
        let output = run(env!("CARGO_BIN_EXE_httpd-log-exporter"), flags);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(error), "{stderr}");
    }
}

//! Native histograms in a real Prometheus: they give the same quantiles as the classic ones, only more precise.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;

use exporter_common::testing::{Running, eventually, real};

#[expect(dead_code, reason = "other tests start it without flags")]
#[path = "../../demo/tests/common/prometheus.rs"]
mod server;

use server::Prometheus;

/// The upper bounds of the classic buckets in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The number of requests, whose durations are between 1 ms and 8 s, with the same number in each power of ten.
const REQUESTS: u32 = 4000;

/// The duration of a request in milliseconds; later requests take longer.
fn milliseconds(request: u32) -> u32 {
    (f64::from(request) / f64::from(REQUESTS) * 8000_f64.ln()).exp().round() as u32
}

fn log() -> String {
    let mut log = String::new();
    for request in 0..REQUESTS {
        let time = milliseconds(request);
        let (seconds, rest) = (time / 1000, time % 1000);
        let start = r#"::1 - - [20/Nov/2026:09:26:10 +0000] "GET / HTTP/2.0" 200 11 "-" "curl""#;
        writeln!(log, "{start} {seconds}.{rest:03}").unwrap();
    }
    log
}

/// The value of an instant query with one result.
fn value(prometheus: &Prometheus, query: &str) -> Option<f64> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let data = prometheus.data(&format!("query?query={query}"))?;
    data["result"].as_array()?.first()?["value"][1].as_str()?.parse().ok()
}

#[test]
fn prometheus_computes_the_same_quantiles_from_native_and_classic_buckets() {
    let Some(program) = real("prometheus-3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let access_log = folder.path().join("access.log");
    std::fs::write(&access_log, log()).unwrap();
    let start = |more: &[&str]| {
        let source = format!("--access-log={}", access_log.display());
        let flags = [&source, "--access-log.format=combined_time", "--access-log.start=beginning"];
        Running::start(env!("CARGO_BIN_EXE_httpd-log-exporter"), [&flags, more].concat())
    };
    let (both, classic) = (start(&[]), start(&["--metrics.native-histograms=false"]));
    let mut config = "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n".to_owned();
    for (job, exporter, protocol) in [
        ("both", &both, "PrometheusProto"),
        ("text", &both, "OpenMetricsText1.0.0"),
        ("off", &classic, "PrometheusProto"),
    ] {
        let target = exporter.url.strip_prefix("http://").unwrap();
        writeln!(
            config,
            "  - job_name: {job}\n    scrape_protocols: [{protocol}]\n    always_scrape_classic_histograms: true\n    \
             static_configs:\n      - targets: ['{target}']"
        )
        .unwrap();
    }
    let flags = ["--enable-feature=native-histograms"];
    let prometheus = Prometheus::start_with(&program, &flags, &config, folder.path());
    let all = Some(f64::from(REQUESTS));
    eventually("all requests are scraped", || {
        let jobs = ["both", "text", "off"].map(|job| format!("httpd_request_duration_seconds_count{{job=\"{job}\"}}"));
        jobs.iter().all(|count| value(&prometheus, count) == all).then_some(())
    });
    let native_count =
        |job| value(&prometheus, &format!("histogram_count(httpd_request_duration_seconds{{job=\"{job}\"}})"));
    assert_eq!(["both", "text", "off"].map(native_count), [all, None, None]);
    for quantile in [0.1, 0.5, 0.9, 0.99] {
        let estimate = |series: &str| {
            let query =
                format!("histogram_quantile({quantile}, httpd_request_duration_seconds{series}{{job=\"both\"}})");
            value(&prometheus, &query).unwrap()
        };
        let (native, classic) = (estimate(""), estimate("_bucket"));
        let exact = f64::from(milliseconds((quantile * f64::from(REQUESTS)) as u32)) / 1000.0;
        // schema 3: a bucket is 9 % wide
        assert!((native / exact - 1.0).abs() <= 0.091, "{quantile}: {native} is not {exact}");
        let bucket = BUCKETS.partition_point(|bound| *bound < exact);
        let width = BUCKETS[bucket] - if bucket == 0 { 0.0 } else { BUCKETS[bucket - 1] };
        assert!((classic - native).abs() <= width + 0.091 * exact, "{quantile}: {native} and {classic}");
    }
}

//! Scrapes every exporter with real Prometheus 2 and 3, in every exposition format.

use exporter_common::testing::{eventually, real};
use serde_json::Value;

use crate::server::Prometheus;
use crate::stack::Demo;

/// Scrape protocols of Prometheus 3. Prometheus 2 has no such setting.
const PROTOCOLS: [&str; 4] = ["PrometheusText0.0.4", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0", "PrometheusProto"];

/// The ports of the exporters.
const EXPORTERS: [u16; 4] = [8000, 8001, 9877, 9100];

/// Labels and values of the results of an instant query.
fn query(prometheus: &Prometheus, query: &str) -> Option<Vec<(Value, String)>> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let data = prometheus.data(&format!("query?query={query}"))?;
    let results = data["result"].as_array()?.iter();
    Some(results.map(|result| (result["metric"].clone(), result["value"][1].as_str().unwrap().to_owned())).collect())
}

fn job(name: &str, extra: &str, demo: &Demo) -> String {
    let targets: Vec<_> = EXPORTERS.iter().map(|port| format!("'127.0.0.1:{}'", port + demo.offset)).collect();
    format!(
        "  - job_name: {name}\n    scrape_interval: 1s\n    scrape_timeout: 1s\n{extra}    static_configs:\n      - targets: [{}]\n",
        targets.join(", ")
    )
}

#[test]
fn prometheus_2_scrapes_every_exporter() {
    let Some(program) = real("prometheus") else { return };
    let (demo, folder) = (Demo::start(), tempfile::tempdir().unwrap());
    let config = format!("scrape_configs:\n{}", job("plain", "", &demo));
    let prometheus = Prometheus::start(&program, &config, folder.path());
    eventually("all targets are up", || {
        let up = query(&prometheus, "up")?;
        (up.len() == EXPORTERS.len() && up.iter().all(|(_, value)| value == "1")).then_some(())
    });
}

#[test]
fn prometheus_3_reads_the_same_series_with_every_protocol() {
    let Some(program) = real("prometheus-3") else { return };
    let (demo, folder) = (Demo::start(), tempfile::tempdir().unwrap());
    let jobs = PROTOCOLS.map(|protocol| job(protocol, &format!("    scrape_protocols: [{protocol}]\n"), &demo));
    let config = format!("scrape_configs:\n{}{}", job("chosen", "", &demo), jobs.concat());
    let prometheus = Prometheus::start(&program, &config, folder.path());
    eventually("all targets are up", || {
        let up = query(&prometheus, "up")?;
        (up.len() == EXPORTERS.len() * (1 + PROTOCOLS.len()) && up.iter().all(|(_, value)| value == "1")).then_some(())
    });
    // Every protocol must give the same series.
    eventually("all protocols give the same series", || {
        const SERIES: &str = r#"{__name__=~".+", __name__!~"up|scrape_.*"}"#;
        let named = format!(r#"label_replace({SERIES}, "name", "$1", "__name__", "(.+)")"#);
        let differing = query(&prometheus, &format!("count without(job) ({named}) != {}", 1 + PROTOCOLS.len()))?;
        let all = query(&prometheus, &format!("count({SERIES})"))?;
        (differing.is_empty() && all.first()?.1.parse::<u32>().unwrap() > 500).then_some(())
    });
}

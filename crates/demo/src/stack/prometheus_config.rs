//! Configures Prometheus with the repository's configuration and rules, and the demo's targets.

use std::path::Path;

use anyhow::{Context, Result};

/// The repository's configuration, unchanged. It reads its targets from files next to it.
const CONFIG: &str = include_str!("../../../../prometheus/prometheus.yml");

/// The rule files of the configuration.
const RULES: &[(&str, &str)] = &[
    ("app-status.yml", include_str!("../../../../prometheus/rules/app-status.yml")),
    ("cpu.yml", include_str!("../../../../prometheus/rules/cpu.yml")),
    ("exporters.yml", include_str!("../../../../prometheus/rules/exporters.yml")),
    ("httpd-log.yml", include_str!("../../../../prometheus/rules/httpd-log.yml")),
    ("monitoring.yml", include_str!("../../../../prometheus/rules/monitoring.yml")),
    ("queue.yml", include_str!("../../../../prometheus/rules/queue.yml")),
];

/// The target files of the configuration, and the part in each.
const TARGETS: &[(&str, &str)] = &[
    ("cpu.yml", "cpu-exporter"),
    ("httpd-log.yml", "httpd-log-exporter"),
    ("app-status.yml", "app-status-exporter"),
    ("queue.yml", "queue-exporter"),
    ("demo-app.yml", "demo-app"),
    ("prometheus.yml", "prometheus"),
];

/// Writes the configuration, rules and targets. `metrics` returns the URL of a part's metrics.
pub(crate) fn write<'a>(folder: &Path, metrics: impl Fn(&str) -> Option<&'a str>) -> Result<()> {
    let folder = folder.join("prometheus");
    let cannot = || format!("cannot write the configuration of Prometheus to {}", folder.display());
    for inside in ["targets", "rules"] {
        std::fs::create_dir_all(folder.join(inside)).with_context(cannot)?;
    }
    std::fs::write(folder.join("prometheus.yml"), CONFIG).with_context(cannot)?;
    for (file, text) in RULES {
        std::fs::write(folder.join("rules").join(file), text).with_context(cannot)?;
    }
    for (file, part) in TARGETS {
        let address = metrics(part).and_then(|url| url.strip_prefix("http://")?.strip_suffix("/metrics"));
        let address = address.with_context(|| format!("{part} has no metrics"))?;
        std::fs::write(folder.join("targets").join(file), format!("- targets: [\"{address}\"]\n"))
            .with_context(cannot)?;
    }
    Ok(())
}

/// The command line of Prometheus, which stores its data in `folder`.
pub(crate) fn arguments(folder: &Path, address: &str) -> Vec<String> {
    let folder = folder.join("prometheus");
    vec![
        format!("--config.file={}", folder.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        "--storage.tsdb.retention.size=256MB".to_owned(),
        format!("--web.listen-address={address}"),
    ]
}

//! Prometheus with the repository's own configuration and rules, and targets of the demo's own.

use std::path::Path;

use anyhow::{Context, Result};

/// The repository's configuration, as it is. It names its targets by files beside it.
const CONFIG: &str = include_str!("../../../prometheus/prometheus.yml");

/// The rules that it names.
const RULES: &[(&str, &str)] = &[
    ("app-status.yml", include_str!("../../../prometheus/rules/app-status.yml")),
    ("cpu.yml", include_str!("../../../prometheus/rules/cpu.yml")),
    ("exporters.yml", include_str!("../../../prometheus/rules/exporters.yml")),
    ("httpd-log.yml", include_str!("../../../prometheus/rules/httpd-log.yml")),
    ("monitoring.yml", include_str!("../../../prometheus/rules/monitoring.yml")),
    ("queue.yml", include_str!("../../../prometheus/rules/queue.yml")),
];

/// The files of targets that `prometheus.yml` names, and the part and the path of ports that each has.
const TARGETS: &[(&str, &str)] = &[
    ("cpu.yml", "cpu-exporter"),
    ("httpd-log.yml", "httpd-log-exporter"),
    ("app-status.yml", "app-status-exporter"),
    ("queue.yml", "queue-exporter"),
    ("demo-app.yml", "demo-app"),
    ("prometheus.yml", "prometheus"),
];

/// Writes the configuration and beside it rules and targets; `metrics` tells where a part's metrics are.
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

/// Prometheus's command line, with what it stores in `folder`.
pub(crate) fn arguments(folder: &Path, address: &str) -> Vec<String> {
    let folder = folder.join("prometheus");
    vec![
        format!("--config.file={}", folder.join("prometheus.yml").display()),
        format!("--storage.tsdb.path={}", folder.join("data").display()),
        "--storage.tsdb.retention.size=256MB".to_owned(),
        format!("--web.listen-address={address}"),
    ]
}

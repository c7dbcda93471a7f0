//! Refuses metrics whose names or labels collide in the exposition.

use std::collections::BTreeMap;

use exporter_common::Kind;

use crate::metrics::metric::{Metric, ValueSource};

/// The prefixes of the exporter's own metrics that any exporter has.
const RESERVED_PREFIXES: &[&str] = &["exporter_", "promhttp_metric_handler_"];

/// The other metrics of this exporter.
const RESERVED: &[&str] = &[
    "app_status_exporter_build_info",
    "app_status_failures_total",
    "app_status_page_success",
    "app_status_series_lost_total",
];

/// The metrics of the exporter's process, which `--web.disable-exporter-metrics` turns off.
const PROCESS: &[&str] = &[
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
    "process_virtual_memory_max_bytes",
];

/// The names that the samples of all metrics so far have, each with its metric, family and type.
#[derive(Default)]
pub(super) struct SampleNames(BTreeMap<String, (String, String, Kind)>);

impl SampleNames {
    /// Adds the names of a metric.
    ///
    /// # Errors
    /// A name or label collides with another one.
    pub(super) fn add(&mut self, metric: &Metric, process_metrics: bool) -> Result<(), String> {
        check_labels(metric)?;
        for (name, source) in &metric.values {
            let escaped = escaped(name);
            if RESERVED.contains(&escaped.as_str())
                || RESERVED_PREFIXES.iter().any(|prefix| escaped.starts_with(prefix))
            {
                return Err(format!("{name} is a metric of the exporter itself: choose another name"));
            }
            if process_metrics && PROCESS.contains(&escaped.as_str()) {
                return Err(format!(
                    "{name} is a metric of the exporter's own process: choose another name, or set \
                     --web.disable-exporter-metrics"
                ));
            }
            let suffixes: &[&str] = match source {
                ValueSource::Histogram(_) => &["", "_bucket", "_count", "_sum"],
                _ => &[""],
            };
            for suffix in suffixes {
                let sample = format!("{escaped}{suffix}");
                let entry = (metric.name.clone(), escaped.clone(), metric.kind);
                match self.0.get(&sample) {
                    Some((other, family, kind)) if *family == escaped && *kind != metric.kind => {
                        return Err(format!("{name}: the valuetype differs from its first definition in {other}"));
                    }
                    Some((other, family, _)) if *family != escaped => {
                        return Err(format!("{name}: the series {sample} is also one of {other}"));
                    }
                    _ => self.0.insert(sample, entry),
                };
            }
        }
        Ok(())
    }
}

/// Two labels collide if they differ only in characters that Prometheus replaces with an underscore.
fn check_labels(metric: &Metric) -> Result<(), String> {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    if let Some((state, _)) = metric.values.first().filter(|_| metric.kind == Kind::StateSet) {
        names.insert(escaped(state), state);
    }
    for (label, _) in &metric.labels {
        if let Some(other) = names.insert(escaped(label), label) {
            let escaped = escaped(label);
            return Err(format!("{}: the labels {other:?} and {label:?} are both exposed as {escaped}", metric.name));
        }
    }
    Ok(())
}

/// A name as a client without UTF-8 names gets it.
fn escaped(name: &str) -> String {
    let character = |(at, character): (usize, char)| {
        let valid =
            character.is_ascii_alphabetic() || matches!(character, '_' | ':') || (character.is_ascii_digit() && at > 0);
        if valid { character } else { '_' }
    };
    name.chars().enumerate().map(character).collect()
}

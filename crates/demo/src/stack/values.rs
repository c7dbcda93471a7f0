//! Reads the current values of the parts: their metrics, and CPU and memory of their processes.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use reqwest::Client;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::parts::Part;
use super::processes::PartProcess;
use crate::http_client::client;

/// Timeout of a request for metrics.
const TIMEOUT: Duration = Duration::from_millis(800);

/// The current values of one part.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    /// Whether the part's process exited.
    pub(crate) exited: bool,
    /// Percent of one CPU since the previous read, and resident memory in bytes.
    pub(crate) usage: Option<(f32, u64)>,
    /// The value of each of the part's metrics; `None` if the part does not respond.
    pub(crate) metrics: Option<Vec<Option<f64>>>,
}

/// Reads the values of all parts.
pub(crate) struct ValuesReader {
    client: Client,
    system: System,
}

impl ValuesReader {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { client: client(TIMEOUT)?, system: System::new().context("cannot read process information")? })
    }

    /// Reads the values of each part.
    pub(crate) async fn read(&mut self, parts: &[Part], processes: &[PartProcess]) -> Vec<Values> {
        let metrics = join_all(parts.iter().map(|part| self.metrics(part))).await;
        let pids: Vec<_> = processes.iter().map(|process| Pid::from_u32(process.pid)).collect();
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, kind);
        let infos = pids.iter().map(|pid| self.system.process(*pid));
        let all = processes.iter().zip(infos).zip(metrics);
        all.map(|((process, info), metrics)| Values {
            exited: process.exit_status.is_some(),
            usage: info.map(|info| (info.cpu_usage(), info.memory())),
            metrics,
        })
        .collect()
    }

    async fn metrics(&self, part: &Part) -> Option<Vec<Option<f64>>> {
        let Some(url) = &part.metrics else { return Some(Vec::new()) };
        let response = self.client.get(url).send().await.ok()?.error_for_status().ok()?;
        let text = response.text().await.ok()?;
        Some(part.values.iter().map(|(metric, _)| sum(&text, metric)).collect())
    }
}

/// The sum of all series of a metric; `None` if there are none.
fn sum(text: &str, metric: &str) -> Option<f64> {
    let series = text.lines().filter_map(|line| line.strip_prefix(metric).filter(|rest| rest.starts_with(['{', ' '])));
    series.filter_map(|rest| rest.rsplit(' ').next()?.parse().ok()).reduce(|sum: f64, value: f64| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_of_a_metric_are_summed() {
        let text = "# TYPE a_total counter\na_total{l=\"x y\"} 1\na_total{l=\"z\"} 2.5\na_total_other 9\nb 0\n";
        assert_eq!(sum(text, "a_total"), Some(3.5));
        assert_eq!(sum(text, "b"), Some(0.0));
        assert_eq!(sum(text, "c"), None);
    }
}

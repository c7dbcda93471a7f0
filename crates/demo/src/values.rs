//! Live values: what parts say in their metrics, and what their processes cost.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use reqwest::Client;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::children::Running;
use crate::load;
use crate::parts::Part;

/// How long a part may take to answer before the table goes on without it.
const TIMEOUT: Duration = Duration::from_millis(800);

/// What one part is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    /// The part's process, and whether it still runs.
    pub(crate) pid: u32,
    pub(crate) ended: bool,
    /// CPU in percent of one CPU, since the last look, and resident memory in bytes.
    pub(crate) cost: Option<(f32, u64)>,
    /// The value of each of the part's metrics; `None` where the part has metrics and does not answer.
    pub(crate) metrics: Option<Vec<Option<f64>>>,
}

/// Looks at all parts, again and again.
pub(crate) struct Watch {
    client: Client,
    system: System,
}

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { client: load::client(TIMEOUT)?, system: System::new().context("cannot look at processes")? })
    }

    /// What each part is doing now.
    pub(crate) async fn look(&mut self, parts: &[Part], children: &[Running]) -> Vec<Values> {
        let metrics = join_all(parts.iter().map(|part| self.metrics(part))).await;
        let pids: Vec<_> = children.iter().map(|child| Pid::from_u32(child.pid)).collect();
        let cost = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, cost);
        let processes = pids.iter().map(|pid| self.system.process(*pid));
        let seen = children.iter().zip(processes).zip(metrics);
        seen.map(|((child, process), metrics)| Values {
            pid: child.pid,
            ended: child.ended.is_some(),
            cost: process.map(|process| (process.cpu_usage(), process.memory())),
            metrics,
        })
        .collect()
    }

    async fn metrics(&self, part: &Part) -> Option<Vec<Option<f64>>> {
        let Some(url) = &part.metrics else { return Some(Vec::new()) };
        let answer = self.client.get(url).send().await.ok()?.error_for_status().ok()?;
        let text = answer.text().await.ok()?;
        Some(part.values.iter().map(|(metric, _)| sum(&text, metric)).collect())
    }
}

/// The sum of all series of a metric; `None` where there is none.
fn sum(text: &str, metric: &str) -> Option<f64> {
    let series = text.lines().filter_map(|line| line.strip_prefix(metric).filter(|rest| rest.starts_with(['{', ' '])));
    series.filter_map(|rest| rest.rsplit(' ').next()?.parse().ok()).reduce(|sum: f64, value: f64| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_one_metric_are_added_up() {
        let text = "# TYPE a_total counter\na_total{l=\"x y\"} 1\na_total{l=\"z\"} 2.5\na_total_other 9\nb 0\n";
        assert_eq!(sum(text, "a_total"), Some(3.5));
        assert_eq!(sum(text, "b"), Some(0.0));
        assert_eq!(sum(text, "c"), None);
    }
}

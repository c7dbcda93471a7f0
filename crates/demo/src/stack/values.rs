//! Reads the current values of the parts: their metrics, and CPU and memory of their processes.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use reqwest::Client;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::parts::Part;
use super::processes::PartProcess;
use super::series::samples;
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
    /// The collectors whose last read failed, of an exporter; `None` if the part does not respond.
    pub(crate) failed_collectors: Option<Vec<String>>,
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
        let pages = join_all(parts.iter().map(|part| self.page(part))).await;
        let pids: Vec<_> = processes.iter().map(|process| Pid::from_u32(process.pid)).collect();
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, kind);
        let infos = pids.iter().map(|pid| self.system.process(*pid));
        let all = parts.iter().zip(processes).zip(infos).zip(pages);
        all.map(|(((part, process), info), page)| Values {
            exited: process.exit_status.is_some(),
            usage: info.map(|info| (info.cpu_usage(), info.memory())),
            metrics: page.as_ref().map(|page| part.values.iter().map(|series| series.read(page)).collect()),
            failed_collectors: page.as_ref().map(|page| failed_collectors(page)),
        })
        .collect()
    }

    /// The metrics of a part as text; empty if it has none, `None` if it does not respond.
    async fn page(&self, part: &Part) -> Option<String> {
        let Some(url) = &part.metrics else { return Some(String::new()) };
        let response = self.client.get(url).send().await.ok()?.error_for_status().ok()?;
        response.text().await.ok()
    }
}

fn failed_collectors(text: &str) -> Vec<String> {
    let failed = samples(text, "exporter_scrape_success").filter(|(_, value)| *value == 0.0);
    failed.filter_map(|(labels, _)| Some(labels.split('"').nth(1)?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_collectors_are_named() {
        let text = "exporter_scrape_success{collector=\"cpu\"} 1\nexporter_scrape_success{collector=\"stat\"} 0\n";
        assert_eq!(failed_collectors(text), ["stat"]);
    }
}

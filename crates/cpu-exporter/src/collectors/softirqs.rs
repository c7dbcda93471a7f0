//! Collector `softirqs`: software interrupts by type and CPU, from /proc/softirqs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::cpu_counters::CpuCounters;
use crate::procfs::{CpuTable, read_lines};
use crate::settings::Settings;

/// Software interrupts of each CPU.
pub(super) struct SoftirqsCollector {
    settings: Settings,
    counters: Mutex<BTreeMap<String, CpuCounters<1>>>,
}

impl SoftirqsCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

/// Size limit: 11 bytes for each type and CPU.
const LIMIT: u64 = 4 << 20;

#[async_trait]
impl Collector for SoftirqsCollector {
    fn name(&self) -> &'static str {
        "softirqs"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let path = self.settings.roots.procfs.join("softirqs");
        let Some(text) = scrape.blocking(move || read_lines(LIMIT, &path)).await? else { return Ok(()) };
        let table = CpuTable::parse(&text, &[]).context("softirqs")?;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family =
            Family::counter("cpu_exporter_softirqs_functions_total", "Softirq counts per CPU.", &["cpu", "type"]);
        for row in &table.rows {
            let counts = table.cpus.iter().copied().zip(row.counts.iter().map(|&count| [count]));
            let counters = counters.entry(row.name.to_owned()).or_default();
            counters.add(counts, true);
            for (cpu, [count]) in counters.cpus() {
                family.push(&[&cpu.to_string(), row.name], count);
            }
        }
        scrape.add(self.settings.names.apply(family));
        table.faults.result().context("softirqs")
    }
}

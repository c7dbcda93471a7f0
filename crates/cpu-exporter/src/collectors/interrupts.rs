//! Collector `interrupts`: interrupts by type and device, from /proc/interrupts.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::cpu_counters::CpuCounters;
use crate::procfs::{CpuTable, Row, read_lines};
use crate::settings::Settings;

/// Interrupts of each type.
pub(super) struct InterruptsCollector {
    settings: Settings,
    /// By type, which is a number or a name, and by device.
    counters: Mutex<BTreeMap<[String; 3], CpuCounters<1>>>,
}

impl InterruptsCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

/// Size limit: 11 bytes for each of a few thousand interrupts and a few thousand CPUs.
const LIMIT: u64 = 64 << 20;

#[async_trait]
impl Collector for InterruptsCollector {
    fn name(&self) -> &'static str {
        "interrupts"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let path = self.settings.roots.procfs.join("interrupts");
        let Some(text) = scrape.blocking(move || read_lines(LIMIT, &path)).await? else { return Ok(()) };
        let table = CpuTable::parse(&text, &NOT_OF_CPUS).context("interrupts")?;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = ["type", "info", "devices", "cpu"];
        let labels = if self.settings.per_cpu { &labels[..] } else { &labels[..3] };
        let mut family = Family::counter("cpu_exporter_interrupts_total", "Interrupt details.", labels);
        let rows: BTreeMap<_, _> = table.rows.iter().map(|row| (labels_of(row), &row.counts)).collect();
        // The counts of an invalid row continue when it is valid again.
        counters.retain(|labels, _| rows.contains_key(labels) || !table.faults.is_empty());
        for (labels, counts) in rows {
            let counters = counters.entry(labels.clone()).or_default();
            counters.add(table.cpus.iter().copied().zip(counts.iter().map(|&count| [count])), true);
            let [kind, info, devices] = &labels;
            if self.settings.per_cpu {
                for (cpu, [count]) in counters.cpus() {
                    family.push(&[kind, info, devices, &cpu.to_string()], count);
                }
            } else {
                counters.sums().into_iter().for_each(|[sum]| family.push(&[kind, info, devices], sum));
            }
        }
        scrape.add(self.settings.names.apply(family));
        table.faults.result().context("interrupts")
    }
}

/// The rows that are not of CPUs: the first three have one count, the last one, of ARM, has none.
const NOT_OF_CPUS: [&str; 4] = ["ERR", "Err", "MIS", "FIQ"];

/// Type, controller and devices of a numbered interrupt; type and description of an architecture's own one.
fn labels_of(row: &Row<'_>) -> [String; 3] {
    let name = row.name.to_owned();
    match row.rest.split_first() {
        Some((controller, devices)) if row.name.parse::<u32>().is_ok() => {
            [name, (*controller).to_owned(), devices.join(" ")]
        }
        _ => [name, row.rest.join(" "), String::new()],
    }
}

#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    if let Ok(table) = CpuTable::parse(text, &NOT_OF_CPUS) {
        table.rows.iter().for_each(|row| drop(labels_of(row)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbered_interrupts_have_devices() {
        let labels = |name, rest: &[&'static str]| labels_of(&Row { name, counts: vec![], rest: rest.to_vec() });
        assert_eq!(labels("0", &["IO-APIC", "2-edge", "timer"]), ["0", "IO-APIC", "2-edge timer"]);
        assert_eq!(labels("NMI", &["Non-maskable", "interrupts"]), ["NMI", "Non-maskable interrupts", ""]);
        assert_eq!(labels("9", &[]), ["9", "", ""]);
    }
}

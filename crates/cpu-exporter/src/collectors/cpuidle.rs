//! Collector `cpuidle`: time in idle states, from cpu*/cpuidle in sysfs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::cpu_counters::CpuCounters;
use crate::procfs::{Roots, number, read};
use crate::settings::Settings;

/// Time and entries of idle states.
pub(super) struct CpuidleCollector {
    settings: Settings,
    /// By name of the state: µs and entries.
    counters: Mutex<BTreeMap<String, CpuCounters<2>>>,
}

impl CpuidleCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for CpuidleCollector {
    fn name(&self) -> &'static str {
        "cpuidle"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.settings.roots.clone();
        let (states, faults) = scrape.blocking(move || states(&roots)).await;
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let read: BTreeSet<_> = states.keys().cloned().collect();
        for (state, cpus) in states {
            counters.entry(state).or_default().add(cpus, faults.is_empty());
        }
        let counters = counters.iter().filter(|(state, _)| read.contains(*state));
        for family in families(counters, self.settings.per_cpu) {
            scrape.add(self.settings.names.apply(family));
        }
        faults.result()
    }
}

/// Time in µs and entries by state and CPU.
type States = BTreeMap<String, Vec<(u32, [u64; 2])>>;

fn states(roots: &Roots) -> (States, Faults) {
    let mut faults = Faults::default();
    let mut states = States::new();
    for (cpu, path) in faults.keep(roots.sys_cpus()).unwrap_or_default() {
        for state in (0..MAX_STATES).map(|state| path.join(format!("cpuidle/state{state}"))) {
            match faults.keep(read_state(&state)) {
                Some(Some((name, counts))) => states.entry(name).or_default().push((cpu, counts)),
                Some(None) => break,
                None => {}
            }
        }
    }
    (states, faults)
}

/// The kernel's limit of states of a CPU.
const MAX_STATES: u32 = 10;

fn read_state(directory: &Path) -> Result<Option<(String, [u64; 2])>> {
    let Some(name) = read(&directory.join("name"))? else { return Ok(None) };
    let time = number(&directory.join("time"))?;
    let entries = number(&directory.join("usage"))?;
    Ok(time.zip(entries).map(|(time, entries)| (name.trim().to_owned(), [time, entries])))
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 µs")]
fn families<'a>(counters: impl IntoIterator<Item = (&'a String, &'a CpuCounters<2>)>, per_cpu: bool) -> [Family; 2] {
    let labels: &[&'static str] = if per_cpu { &["state", "cpu"] } else { &["state"] };
    let mut families = [
        Family::counter("cpu_exporter_cpuidle_seconds_total", "Seconds the CPUs spent in each idle state.", labels),
        Family::counter("cpu_exporter_cpuidle_entries_total", "Number of times CPUs entered each idle state.", labels),
    ];
    let mut push = |labels: &[&str], [time, entries]: [u64; 2]| {
        families[0].push(labels, time as f64 / 1e6);
        families[1].push(labels, entries);
    };
    for (state, counters) in counters {
        if per_cpu {
            counters.cpus().for_each(|(cpu, counts)| push(&[state, &cpu.to_string()], counts));
        } else {
            counters.sums().into_iter().for_each(|sums| push(&[state], sums));
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    #[test]
    fn states_are_summed_over_cpus_by_name() {
        let root = tempfile::tempdir().unwrap();
        for (cpu, state, name, time) in
            [(0, 0, "POLL", 5), (0, 1, "C1", 1_000_000), (1, 0, "POLL", 7), (1, 1, "C1", 500_000)]
        {
            let directory = root.path().join(format!("devices/system/cpu/cpu{cpu}/cpuidle/state{state}"));
            std::fs::create_dir_all(&directory).unwrap();
            for (file, value) in [("name", name), ("time", &time.to_string()), ("usage", "3")] {
                std::fs::write(directory.join(file), format!("{value}\n")).unwrap();
            }
        }
        let (states, faults) = states(&Roots::new("/nowhere", root.path(), None));
        assert!(faults.result().is_ok());
        let mut counters = BTreeMap::<String, CpuCounters<2>>::new();
        for (state, cpus) in states {
            counters.entry(state).or_default().add(cpus, true);
        }
        let text = |per_cpu| to_text(families(&counters, per_cpu));
        assert!(text(false).contains("\ncpu_exporter_cpuidle_seconds_total{state=\"C1\"} 1.5\n"), "{}", text(false));
        assert!(text(false).contains("\ncpu_exporter_cpuidle_entries_total{state=\"POLL\"} 6\n"));
        assert!(text(true).contains("\ncpu_exporter_cpuidle_seconds_total{cpu=\"1\",state=\"C1\"} 0.5\n"));
    }
}

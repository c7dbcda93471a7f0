//! Collector `pressure`: the pressure stall information (PSI) in /proc/pressure.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::monotonic_counter::MonotonicCounter;
use crate::procfs::stalls::{Stalls, seconds};
use crate::settings::Settings;

/// Time that the host's processes waited for CPU, I/O, memory and interrupts.
pub(super) struct PressureCollector {
    settings: Settings,
    /// In the order of [`RESOURCES`].
    counters: Mutex<[StallCounters; RESOURCES.len()]>,
}

impl PressureCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for PressureCollector {
    fn name(&self) -> &'static str {
        "pressure"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let roots = self.settings.roots.clone();
        let texts = scrape.blocking(move || RESOURCES.each_ref().map(|resource| roots.proc(resource.file))).await;
        let mut faults = Faults::default();
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        for ((resource, text), counters) in RESOURCES.iter().zip(texts).zip(&mut *counters) {
            // Kernels without PSI, or without PSI for this resource, lack the file; with psi=0 it returns ENOTSUP.
            let Some(text) = faults.keep(text).flatten() else { continue };
            let totals = Stalls::parse(&text).and_then(|stalls| counters.add(stalls, !text.ends_with('\n')));
            let totals = faults.keep(totals.with_context(|| resource.file));
            for family in totals.into_iter().flat_map(|totals| families(resource, totals)) {
                scrape.add(self.settings.names.apply(family));
            }
        }
        faults.result()
    }
}

/// A file, and name and HELP of the metrics of its two lines.
struct Resource {
    file: &'static str,
    some: Option<(&'static str, &'static str)>,
    full: Option<(&'static str, &'static str)>,
}

/// The same metrics as node_exporter: no `full` for the CPU, which is undefined for a whole host. The kernel has no
/// `some` for interrupts.
const RESOURCES: [Resource; 4] = [
    Resource {
        file: "pressure/cpu",
        some: Some((
            "cpu_exporter_pressure_cpu_waiting_seconds_total",
            "Total time in seconds that processes have waited for CPU time",
        )),
        full: None,
    },
    Resource {
        file: "pressure/io",
        some: Some((
            "cpu_exporter_pressure_io_waiting_seconds_total",
            "Total time in seconds that processes have waited due to IO congestion",
        )),
        full: Some((
            "cpu_exporter_pressure_io_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IO congestion",
        )),
    },
    Resource {
        file: "pressure/memory",
        some: Some((
            "cpu_exporter_pressure_memory_waiting_seconds_total",
            "Total time in seconds that processes have waited for memory",
        )),
        full: Some((
            "cpu_exporter_pressure_memory_stalled_seconds_total",
            "Total time in seconds no process could make progress due to memory congestion",
        )),
    },
    Resource {
        file: "pressure/irq",
        some: None,
        full: Some((
            "cpu_exporter_pressure_irq_stalled_seconds_total",
            "Total time in seconds no process could make progress due to IRQ congestion",
        )),
    },
];

/// Keeps the totals of one file monotonic.
#[derive(Clone, Copy, Debug, Default)]
struct StallCounters {
    some: MonotonicCounter,
    full: MonotonicCounter,
}

impl StallCounters {
    /// Adds one read and returns the totals. A file without a final newline may be truncated within its last number,
    /// which is then lower.
    fn add(&mut self, Stalls { some, full }: Stalls, unterminated: bool) -> Result<Stalls> {
        let decreases = |counter: &MonotonicCounter, now: Option<u64>| now.is_some_and(|now| counter.decreases(now));
        if unterminated && (decreases(&self.some, some) || decreases(&self.full, full)) {
            bail!("truncated: no final newline, and a total is lower than before");
        }
        Ok(Stalls { some: some.map(|now| self.some.add(now)), full: full.map(|now| self.full.add(now)) })
    }
}

fn families(resource: &Resource, stalls: Stalls) -> impl Iterator<Item = Family> {
    let family = |metric: Option<(&'static str, &'static str)>, microseconds: Option<u64>| {
        let ((name, help), microseconds) = metric.zip(microseconds)?;
        Some(Family::counter(name, help, &[]).value(seconds(microseconds)))
    };
    [family(resource.some, stalls.some), family(resource.full, stalls.full)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    const CPU: &str = include_str!("../../tests/fixtures/vm/proc/pressure/cpu");

    #[test]
    fn a_missing_final_newline_is_accepted_unless_the_total_decreases() {
        let mut counters = StallCounters::default();
        let mut add = |text: &str| counters.add(Stalls::parse(text)?, !text.ends_with('\n'));
        let whole = CPU.trim_end();
        let expected = Stalls { some: Some(15_050_131), full: Some(0) };
        assert_eq!(add(whole).unwrap(), expected);
        let some = "some avg10=0.00 avg60=0.00 avg300=0.00 total=15050131";
        assert!(add(&some[..some.len() - 1]).unwrap_err().to_string().starts_with("truncated"));
        assert_eq!(add(CPU).unwrap(), expected);
    }

    #[test]
    fn a_lower_total_is_a_new_baseline() {
        let mut counters = StallCounters::default();
        let reads = [(Some(100), Some(7)), (Some(50), Some(8)), (Some(60), None), (Some(60), Some(9))];
        let totals = reads.map(|(some, full)| counters.add(Stalls { some, full }, false).unwrap());
        let expected = [(Some(100), Some(7)), (Some(100), Some(8)), (Some(110), None), (Some(110), Some(9))];
        assert_eq!(totals, expected.map(|(some, full)| Stalls { some, full }));
    }

    #[test]
    fn microseconds_are_divided_like_in_node_exporter() {
        let text = to_text(families(&RESOURCES[0], Stalls { some: Some(14_036_781), full: Some(1) }));
        assert!(text.ends_with("\ncpu_exporter_pressure_cpu_waiting_seconds_total 14.036781000000001\n"), "{text}");
    }
}

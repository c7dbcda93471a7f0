//! /proc/pressure: how long processes had to wait for CPU, I/O, memory and interrupts.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use super::rising::Rising;
use super::roots::{Roots, excerpt};

/// The pressure stall information (PSI) of the host.
pub(crate) struct Pressure {
    roots: Roots,
    /// Of each resource, what keeps its totals from going down.
    kept: Mutex<[Kept; RESOURCES.len()]>,
}

impl Pressure {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), kept: Mutex::default() }
    }
}

#[async_trait]
impl Collector for Pressure {
    fn name(&self) -> &'static str {
        "pressure"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let mut faults = Faults::default();
        // only assignments happen under the lock: what is kept is whole at any time
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (resource, kept) in RESOURCES.iter().zip(&mut *kept) {
            // missing on kernels without PSI, or too old for this resource; ENOTSUP with psi=0
            let Some(text) = faults.keep(self.roots.proc(resource.file)).flatten() else { continue };
            let stalls = faults.keep(Stalls::parse(&text).with_context(|| resource.file));
            for family in stalls.into_iter().flat_map(|stalls| families(resource, kept.add(stalls))) {
                scrape.add(family);
            }
        }
        faults.result()
    }
}

/// A file, and the name and help of what is exported of its two lines.
struct Resource {
    file: &'static str,
    some: Option<(&'static str, &'static str)>,
    full: Option<(&'static str, &'static str)>,
}

/// As node_exporter has them: of the CPU no `full`, which means nothing for a whole host; interrupts
/// have no `some`.
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

/// The totals of one file in microseconds, those of the lines that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stalls {
    some: Option<u64>,
    full: Option<u64>,
}

impl Stalls {
    /// Lines like `some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781`.
    fn parse(text: &str) -> Result<Self> {
        let mut stalls = Self::default();
        for line in text.split_inclusive('\n') {
            let mut words = line.split_ascii_whitespace();
            let field = match words.next() {
                Some("some") => &mut stalls.some,
                Some("full") => &mut stalls.full,
                _ => continue,
            };
            // the end of a cut file lacks its newline, and a cut number is a lower one
            if !line.ends_with('\n') {
                bail!("cut short in {:?}", excerpt(line));
            }
            let total = words.find_map(|word| word.strip_prefix("total=")).and_then(|total| total.parse().ok());
            *field = Some(total.with_context(|| format!("no total in {:?}", excerpt(line)))?);
        }
        if stalls == Self::default() {
            bail!("neither some nor full in {:?}", excerpt(text));
        }
        Ok(stalls)
    }
}

/// The counters of one file, which never go down.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    some: Rising,
    full: Rising,
}

impl Kept {
    /// The totals after one more read.
    fn add(&mut self, Stalls { some, full }: Stalls) -> Stalls {
        Stalls { some: some.map(|now| self.some.add(now)), full: full.map(|now| self.full.add(now)) }
    }
}

fn families(resource: &Resource, stalls: Stalls) -> impl Iterator<Item = Family> {
    let family = |metric: Option<(&'static str, &'static str)>, microseconds: Option<u64>| {
        let ((name, help), microseconds) = metric.zip(microseconds)?;
        Some(Family::counter(name, help, &[]).value(seconds(microseconds)))
    };
    [family(resource.some, stalls.some), family(resource.full, stalls.full)].into_iter().flatten()
}

/// In two divisions, as node_exporter does it: one by a million rounds some values differently.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds, which is 285 years")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0 / 1000.0
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    const CPU: &str = include_str!("../../tests/fixtures/vm/proc/pressure/cpu");
    const IRQ: &str = include_str!("../../tests/fixtures/laptop/proc/pressure/irq");

    #[test]
    fn the_totals_of_both_lines_are_read() {
        assert_eq!(Stalls::parse(CPU).unwrap(), Stalls { some: Some(15_050_131), full: Some(0) });
        assert_eq!(Stalls::parse(IRQ).unwrap(), Stalls { some: None, full: Some(8494) });
    }

    #[test]
    fn what_is_empty_or_cut_is_refused() {
        for text in ["", "\n", "some avg10=0.00 avg60=0.00\n", "some total=x\n", "some\n", "rubbish\n"] {
            assert!(Stalls::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_cut_within_its_last_number_is_refused() {
        let whole = CPU.trim_end();
        for at in whole.len() - 3..=whole.len() {
            assert!(Stalls::parse(&whole[..at]).unwrap_err().to_string().contains("cut short in"), "{at}");
        }
    }

    #[test]
    fn a_total_that_falls_is_a_new_baseline() {
        let mut kept = Kept::default();
        let reads = [(Some(100), Some(7)), (Some(50), Some(8)), (Some(60), None), (Some(60), Some(9))];
        let totals = reads.map(|(some, full)| kept.add(Stalls { some, full }));
        let expected = [(Some(100), Some(7)), (Some(100), Some(8)), (Some(110), None), (Some(110), Some(9))];
        assert_eq!(totals, expected.map(|(some, full)| Stalls { some, full }));
    }

    #[test]
    fn microseconds_are_divided_as_node_exporter_divides_them() {
        let text = to_text(families(&RESOURCES[0], Stalls { some: Some(14_036_781), full: Some(1) }));
        assert!(text.ends_with("\ncpu_exporter_pressure_cpu_waiting_seconds_total 14.036781000000001\n"), "{text}");
    }
}

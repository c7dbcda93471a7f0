//! Collector `stat`: interrupts, softirqs, context switches, forks and processes in /proc/stat.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::monotonic_counter::MonotonicCounter;
use crate::procfs::excerpt;
use crate::settings::Settings;

/// The host's counters in /proc/stat other than CPU time.
pub(super) struct StatCollector {
    settings: Settings,
    counters: Mutex<StatCounters>,
}

impl StatCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

#[async_trait]
impl Collector for StatCollector {
    fn name(&self) -> &'static str {
        "stat"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let bytes = self.settings.roots.stat.require().await?;
        let path = || format!("{}", self.settings.roots.stat.path().display());
        let text = String::from_utf8_lossy(&bytes); // an invalid character affects only its line
        let (mut values, faults) = StatValues::parse(&text);
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).add(&mut values);
        for family in families(&values, self.settings.softirqs) {
            scrape.add(self.settings.names.apply(family));
        }
        faults.result().with_context(path)
    }
}

/// The single numbers of /proc/stat, see proc_stat(5); `None` for a line that this kernel lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct StatValues {
    interrupts: Option<u64>,
    context_switches: Option<u64>,
    boot_time: Option<u64>,
    forks: Option<u64>,
    running: Option<u64>,
    blocked: Option<u64>,
    /// In the order of [`VECTORS`].
    softirqs: Option<[u64; VECTORS.len()]>,
}

/// The softirq vectors in the order of the kernel, under the names of node_exporter.
const VECTORS: [&str; 10] =
    ["hi", "timer", "net_tx", "net_rx", "block", "block_iopoll", "tasklet", "sched", "hrtimer", "rcu"];

impl StatValues {
    fn parse(text: &str) -> (Self, Faults) {
        let mut values = Self::default();
        let mut faults = Faults::default();
        for line in text.split_inclusive('\n') {
            let (key, rest) = line.split_once(' ').unwrap_or((line.trim_end(), ""));
            let field = match key {
                "intr" => &mut values.interrupts, // the sum, followed by thousands of counts
                "ctxt" => &mut values.context_switches,
                "btime" => &mut values.boot_time,
                "processes" => &mut values.forks,
                "procs_running" => &mut values.running,
                "procs_blocked" => &mut values.blocked,
                "softirq" => {
                    values.softirqs = faults.keep(softirqs(rest).with_context(|| format!("in {:?}", excerpt(line))));
                    continue;
                }
                _ => continue,
            };
            // The last line of a truncated file lacks its newline, and a truncated number is a lower one. In a complete
            // file the last line is procs_blocked or softirq.
            if !line.ends_with('\n') && key != "procs_blocked" {
                faults.note(anyhow::anyhow!("truncated line {:?}", excerpt(line)));
                continue;
            }
            let number = rest.split_ascii_whitespace().next().unwrap_or_default().parse();
            *field = faults.keep(number.with_context(|| format!("not a number in {:?}", excerpt(line))));
        }
        if values == Self::default() {
            faults.note(anyhow::anyhow!("no known line in {:?}", excerpt(text)));
        }
        (values, faults)
    }
}

/// Parses the sum of all softirqs, and the number of each vector.
fn softirqs(rest: &str) -> Result<[u64; VECTORS.len()]> {
    let mut words = rest.split_ascii_whitespace().skip(1);
    let mut counts = [0; VECTORS.len()];
    for count in &mut counts {
        let number = words.next().and_then(|word| word.parse().ok());
        *count = number.with_context(|| format!("not {} numbers after the sum", VECTORS.len()))?;
    }
    // The last line of a truncated file lacks its newline, and a truncated number is a lower one.
    anyhow::ensure!(rest.ends_with('\n'), "truncated line");
    Ok(counts)
}

/// Keeps the counters monotonic.
#[derive(Debug, Default)]
struct StatCounters {
    boot_time: Option<u64>,
    interrupts: MonotonicCounter,
    context_switches: MonotonicCounter,
    forks: MonotonicCounter,
    softirqs: [MonotonicCounter; VECTORS.len()],
}

impl StatCounters {
    /// Adds one read and replaces its values by the totals.
    fn add(&mut self, values: &mut StatValues) {
        let StatValues { boot_time, interrupts, context_switches, forks, softirqs, .. } = values;
        let mut counts = [
            (&mut self.interrupts, interrupts),
            (&mut self.context_switches, context_switches),
            (&mut self.forks, forks),
        ];
        // The boot time also changes when the clock is set, but then no counter decreases.
        let moved = boot_time.is_some() && *boot_time != self.boot_time;
        if moved && counts.iter().any(|(counter, now)| now.is_some_and(|now| counter.decreases(now))) {
            counts.iter_mut().for_each(|(counter, _)| counter.restart());
            self.softirqs.iter_mut().for_each(MonotonicCounter::restart);
        }
        self.boot_time = boot_time.or(self.boot_time);
        for (counter, count) in counts {
            *count = count.map(|now| counter.add(now));
        }
        for (counter, count) in self.softirqs.iter_mut().zip(softirqs.iter_mut().flatten()) {
            *count = counter.add(*count);
        }
    }
}

fn families(values: &StatValues, with_softirqs: bool) -> impl Iterator<Item = Family> {
    let StatValues { interrupts, context_switches, boot_time, forks, running, blocked, softirqs } = *values;
    let mut vectors = Family::counter("cpu_exporter_softirqs_total", "Number of softirq calls.", &["vector"]);
    for (vector, count) in VECTORS.iter().zip(softirqs.into_iter().flatten()).filter(|_| with_softirqs) {
        vectors.push(&[vector], count);
    }
    let counter = |name, help, value: Option<u64>| Some(Family::counter(name, help, &[]).value(value?));
    let gauge = |name, help, value: Option<u64>| Some(Family::gauge(name, help, &[]).value(value?));
    [
        counter("cpu_exporter_intr_total", "Total number of interrupts serviced.", interrupts),
        counter("cpu_exporter_context_switches_total", "Total number of context switches.", context_switches),
        counter("cpu_exporter_forks_total", "Total number of forks.", forks),
        gauge("cpu_exporter_boot_time_seconds", "Node boot time, in unixtime.", boot_time),
        gauge("cpu_exporter_procs_running", "Number of processes in runnable state.", running),
        gauge("cpu_exporter_procs_blocked", "Number of processes blocked waiting for I/O to complete.", blocked),
        Some(vectors),
    ]
    .into_iter()
    .flatten()
}

/// Parses a file, for the fuzz targets.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let _ = StatValues::parse(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAPTOP: &str = include_str!("../../tests/fixtures/laptop/proc/stat");

    fn parse(text: &str) -> (StatValues, bool) {
        let (values, faults) = StatValues::parse(text);
        (values, faults.result().is_ok())
    }

    #[test]
    fn the_first_number_of_each_line_is_the_value() {
        let expected = StatValues {
            interrupts: Some(8_885_917),
            context_switches: Some(38_014_093),
            boot_time: Some(1_418_183_276),
            forks: Some(26_442),
            running: Some(2),
            blocked: Some(1),
            softirqs: None,
        };
        assert_eq!(parse(LAPTOP.split("softirq").next().unwrap().trim_end()), (expected, true));
        let (values, ok) = parse(LAPTOP);
        assert!(ok && values.softirqs.is_some_and(|softirqs| softirqs[1] > 1000), "{values:?}");
        assert_eq!(values, StatValues { softirqs: values.softirqs, ..expected });
        assert_eq!(parse(LAPTOP.trim_end()), (expected, false), "truncated");
    }

    #[test]
    fn a_truncated_number_is_an_error_instead_of_a_lower_count() {
        let cut = &LAPTOP[..LAPTOP.find("ctxt").unwrap() + "ctxt 380".len()];
        let (values, ok) = parse(cut);
        assert_eq!((values.interrupts, values.context_switches, ok), (Some(8_885_917), None, false));
    }

    #[test]
    fn an_invalid_line_loses_only_its_own_value() {
        let (values, ok) = parse("intr 5 1 2\nctxt x\nprocesses\nprocs_running 3\n");
        let expected = StatValues { interrupts: Some(5), running: Some(3), ..StatValues::default() };
        assert_eq!((values, ok), (expected, false));
    }

    /// The totals of context switches and forks after each read of boot time, context switches and forks.
    fn totals(reads: &[(Option<u64>, Option<u64>, u64)]) -> Vec<(Option<u64>, Option<u64>)> {
        let mut counters = StatCounters::default();
        let read = |&(boot_time, context_switches, forks): &(Option<u64>, Option<u64>, u64)| {
            let mut values = StatValues { boot_time, context_switches, forks: Some(forks), ..StatValues::default() };
            counters.add(&mut values);
            assert_eq!((values.boot_time, values.interrupts), (boot_time, None));
            (values.context_switches, values.forks)
        };
        reads.iter().map(read).collect()
    }

    #[test]
    fn a_lower_count_without_a_reboot_is_a_new_baseline() {
        for boot_time in [None, Some(1000)] {
            let reads = [(boot_time, Some(100), 5), (boot_time, Some(50), 6), (boot_time, Some(60), 7)];
            assert_eq!(
                totals(&reads),
                [100, 100, 110].map(Some).into_iter().zip([5, 6, 7].map(Some)).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_reboot_adds_the_whole_new_count() {
        let reads = [(Some(1000), Some(100), 5), (Some(2000), Some(50), 6), (Some(2000), Some(60), 7)];
        assert_eq!(totals(&reads), [(Some(100), Some(5)), (Some(150), Some(11)), (Some(160), Some(12))]);
    }

    #[test]
    fn a_boot_time_that_changes_with_the_clock_adds_nothing() {
        assert_eq!(totals(&[(Some(1000), Some(100), 5), (Some(2000), Some(101), 5)])[1], (Some(101), Some(5)));
    }

    #[test]
    fn a_missing_count_is_absent_and_continues_when_it_returns() {
        let reads = [(Some(1000), Some(100), 5), (None, None, 5), (Some(1000), Some(107), 5)];
        assert_eq!(totals(&reads), [(Some(100), Some(5)), (None, Some(5)), (Some(107), Some(5))]);
    }

    #[test]
    fn a_file_without_a_known_line_is_refused() {
        for text in ["", "\n", "cpu0 1 2 3 4\n", "\0\0\0"] {
            assert!(!parse(text).1, "{text:?}");
        }
    }
}

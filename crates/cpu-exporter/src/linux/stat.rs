//! The counters of /proc/stat besides CPU time.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use super::rising::Rising;
use super::roots::{Roots, STAT_LIMIT, excerpt, read_at_most};

/// Interrupts, context switches, forks and processes of the host.
pub(crate) struct Stat {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl Stat {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { path: roots.proc_stat(), kept: Mutex::default() }
    }
}

#[async_trait]
impl Collector for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let Some(text) = read_at_most(STAT_LIMIT, &self.path)? else {
            bail!("{} is missing: is procfs mounted there?", self.path.display());
        };
        let (mut counters, faults) = Counters::parse(&text);
        // only assignments happen under the lock: what is kept is whole at any time
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).add(&mut counters);
        for family in families(&counters) {
            scrape.add(family);
        }
        faults.result().with_context(|| format!("{}", self.path.display()))
    }
}

/// The single numbers of /proc/stat, those that this kernel has; proc_stat(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counters {
    interrupts: Option<u64>,
    context_switches: Option<u64>,
    boot_time: Option<u64>,
    forks: Option<u64>,
    running: Option<u64>,
    blocked: Option<u64>,
}

impl Counters {
    fn parse(text: &str) -> (Self, Faults) {
        let mut counters = Self::default();
        let mut faults = Faults::default();
        for line in text.split_inclusive('\n') {
            let (key, rest) = line.split_once(' ').unwrap_or((line.trim_end(), ""));
            let field = match key {
                "intr" => &mut counters.interrupts, // thousands of numbers follow, of which the first is the sum
                "ctxt" => &mut counters.context_switches,
                "btime" => &mut counters.boot_time,
                "processes" => &mut counters.forks,
                "procs_running" => &mut counters.running,
                "procs_blocked" => &mut counters.blocked,
                _ => continue,
            };
            // Only the end of a cut file lacks its newline, and a cut number would turn a counter
            // back. In a whole file no line but procs_blocked, or softirq after it, is the last.
            if !line.ends_with('\n') && key != "procs_blocked" {
                faults.note(anyhow::anyhow!("cut short in {:?}", excerpt(line)));
                continue;
            }
            let number = rest.split_ascii_whitespace().next().unwrap_or_default().parse();
            *field = faults.keep(number.with_context(|| format!("not a number in {:?}", excerpt(line))));
        }
        if counters == Self::default() {
            faults.note(anyhow::anyhow!("no line that is known in {:?}", excerpt(text)));
        }
        (counters, faults)
    }
}

/// What keeps the counters from going down.
#[derive(Debug, Default)]
struct Kept {
    boot_time: Option<u64>,
    interrupts: Rising,
    context_switches: Rising,
    forks: Rising,
}

impl Kept {
    /// Puts the totals after one more read in place of what was read.
    fn add(&mut self, counters: &mut Counters) {
        let Counters { boot_time, interrupts, context_switches, forks, .. } = counters;
        let mut counts = [
            (&mut self.interrupts, interrupts),
            (&mut self.context_switches, context_switches),
            (&mut self.forks, forks),
        ];
        // Setting the clock moves the boot time too, but takes nothing from the counters.
        let moved = boot_time.is_some() && *boot_time != self.boot_time;
        if moved && counts.iter().any(|(counter, now)| now.is_some_and(|now| counter.falls(now))) {
            counts.iter_mut().for_each(|(counter, _)| counter.begin_anew());
        }
        self.boot_time = boot_time.or(self.boot_time);
        for (counter, count) in counts {
            *count = count.map(|now| counter.add(now));
        }
    }
}

fn families(counters: &Counters) -> impl Iterator<Item = Family> {
    let Counters { interrupts, context_switches, boot_time, forks, running, blocked } = *counters;
    let counter = |name, help, value: Option<u64>| Some(Family::counter(name, help, &[]).value(value?));
    let gauge = |name, help, value: Option<u64>| Some(Family::gauge(name, help, &[]).value(value?));
    [
        counter("cpu_exporter_intr_total", "Total number of interrupts serviced.", interrupts),
        counter("cpu_exporter_context_switches_total", "Total number of context switches.", context_switches),
        counter("cpu_exporter_forks_total", "Total number of forks.", forks),
        gauge("cpu_exporter_boot_time_seconds", "Node boot time, in unixtime.", boot_time),
        gauge("cpu_exporter_procs_running", "Number of processes in runnable state.", running),
        gauge("cpu_exporter_procs_blocked", "Number of processes blocked waiting for I/O to complete.", blocked),
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAPTOP: &str = include_str!("../../tests/fixtures/laptop/proc/stat");

    fn parse(text: &str) -> (Counters, bool) {
        let (counters, faults) = Counters::parse(text);
        (counters, faults.result().is_ok())
    }

    #[test]
    fn the_first_number_of_each_line_counts() {
        let expected = Counters {
            interrupts: Some(8_885_917),
            context_switches: Some(38_014_093),
            boot_time: Some(1_418_183_276),
            forks: Some(26_442),
            running: Some(2),
            blocked: Some(1),
        };
        assert_eq!(parse(LAPTOP), (expected, true));
        assert_eq!(parse(LAPTOP.trim_end()), (expected, true));
        assert_eq!(parse(LAPTOP.split("softirq").next().unwrap().trim_end()), (expected, true));
    }

    #[test]
    fn a_cut_number_is_a_fault_and_not_a_lower_count() {
        let cut = &LAPTOP[..LAPTOP.find("ctxt").unwrap() + "ctxt 380".len()];
        let (counters, ok) = parse(cut);
        assert_eq!((counters.interrupts, counters.context_switches, ok), (Some(8_885_917), None, false));
    }

    #[test]
    fn a_line_that_is_no_number_costs_only_itself() {
        let (counters, ok) = parse("intr 5 1 2\nctxt x\nprocesses\nprocs_running 3\n");
        let expected = Counters { interrupts: Some(5), running: Some(3), ..Counters::default() };
        assert_eq!((counters, ok), (expected, false));
    }

    /// What context switches and forks become over reads of the boot time and the two.
    fn totals(reads: &[(Option<u64>, Option<u64>, u64)]) -> Vec<(Option<u64>, Option<u64>)> {
        let mut kept = Kept::default();
        let read = |&(boot_time, context_switches, forks): &(Option<u64>, Option<u64>, u64)| {
            let mut counters = Counters { boot_time, context_switches, forks: Some(forks), ..Counters::default() };
            kept.add(&mut counters);
            assert_eq!((counters.boot_time, counters.interrupts), (boot_time, None));
            (counters.context_switches, counters.forks)
        };
        reads.iter().map(read).collect()
    }

    #[test]
    fn a_count_that_falls_without_a_new_boot_is_a_new_baseline() {
        for boot_time in [None, Some(1000)] {
            let reads = [(boot_time, Some(100), 5), (boot_time, Some(50), 6), (boot_time, Some(60), 7)];
            assert_eq!(
                totals(&reads),
                [100, 100, 110].map(Some).into_iter().zip([5, 6, 7].map(Some)).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_new_boot_adds_all_that_was_counted_since() {
        let reads = [(Some(1000), Some(100), 5), (Some(2000), Some(50), 6), (Some(2000), Some(60), 7)];
        assert_eq!(totals(&reads), [(Some(100), Some(5)), (Some(150), Some(11)), (Some(160), Some(12))]);
    }

    #[test]
    fn a_boot_time_that_moves_with_the_clock_adds_nothing() {
        assert_eq!(totals(&[(Some(1000), Some(100), 5), (Some(2000), Some(101), 5)])[1], (Some(101), Some(5)));
    }

    #[test]
    fn a_count_that_is_gone_is_absent_and_goes_on_when_it_is_back() {
        let reads = [(Some(1000), Some(100), 5), (None, None, 5), (Some(1000), Some(107), 5)];
        assert_eq!(totals(&reads), [(Some(100), Some(5)), (None, Some(5)), (Some(107), Some(5))]);
    }

    #[test]
    fn a_file_without_any_known_line_is_garbage() {
        for text in ["", "\n", "cpu0 1 2 3 4\n", "\0\0\0"] {
            assert!(!parse(text).1, "{text:?}");
        }
    }
}

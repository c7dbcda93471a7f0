//! The counters of /proc/stat besides CPU time.

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use super::roots::{Roots, excerpt, read};

/// Interrupts, context switches, forks and processes of the host.
pub(crate) struct Stat(pub(crate) Roots);

#[async_trait]
impl Collector for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let path = self.0.proc_stat();
        let Some(text) = read(&path)? else {
            bail!("{} is missing: is procfs mounted there?", path.display());
        };
        let (counters, faults) = Counters::parse(&text);
        for family in families(&counters) {
            scrape.add(family);
        }
        faults.result().with_context(|| format!("{}", path.display()))
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

    #[test]
    fn a_file_without_any_known_line_is_garbage() {
        for text in ["", "\n", "cpu0 1 2 3 4\n", "\0\0\0"] {
            assert!(!parse(text).1, "{text:?}");
        }
    }
}

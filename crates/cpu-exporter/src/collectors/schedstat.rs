//! Collector `schedstat`: running time, run-queue latency and timeslices of the CPUs, from /proc/schedstat.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait};

use crate::cgroup_files::seconds;
use crate::cpu_counters::CpuCounters;
use crate::procfs::{excerpt, read_lines};
use crate::settings::Settings;

/// Scheduler statistics of the host's CPUs.
pub(super) struct SchedstatCollector {
    settings: Settings,
    counters: Mutex<CpuCounters<3>>,
}

impl SchedstatCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), counters: Mutex::default() }
    }
}

/// Size limit: a line for each CPU, and up to six lines of 400 bytes for its scheduling domains.
const LIMIT: u64 = 32 << 20;

#[async_trait]
impl Collector for SchedstatCollector {
    fn name(&self) -> &'static str {
        "schedstat"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let path = self.settings.roots.procfs.join("schedstat");
        let read = move || read_lines(LIMIT, &path)?.map(|text| parse(&text).context("schedstat")).transpose();
        let Some((cpus, faults)) = scrape.blocking(read).await? else { return Ok(()) };
        // A panic cannot leave the counters inconsistent: only assignments happen under the lock.
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.add(cpus, faults.is_empty());
        for family in families(&counters, self.settings.per_cpu) {
            scrape.add(self.settings.names.apply(family));
        }
        faults.result().context("schedstat")
    }
}

/// Running time in ns, waiting time in ns, and timeslices of each CPU.
type Cpus = Vec<(u32, [u64; 3])>;

/// Parses the lines of CPUs. An invalid line does not affect other CPUs. Any line without a known key is an invalid line
/// of a CPU.
fn parse(text: &str) -> Result<(Cpus, Faults)> {
    let (mut cpus, mut faults) = (Cpus::new(), Faults::default());
    for line in text.split_inclusive('\n') {
        if !line.ends_with('\n') {
            bail!("truncated line {:?}", excerpt(line));
        }
        if ["version ", "timestamp ", "domain"].iter().any(|key| line.starts_with(key)) {
            continue;
        }
        let cpu = line.strip_prefix("cpu").and_then(parse_line);
        let cpu = cpu.with_context(|| format!("not a CPU with nine numbers: {:?}", excerpt(line)));
        cpus.extend(faults.keep(cpu));
    }
    if cpus.is_empty() {
        faults.result()?;
        bail!("no CPU line in {:?}", excerpt(text));
    }
    Ok((cpus, faults))
}

/// Parses a CPU number and nine numbers. The last three are exported.
fn parse_line(rest: &str) -> Option<(u32, [u64; 3])> {
    let mut numbers = rest.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let cpu = u32::try_from(next()?).ok()?;
    for _ in 0..6 {
        next()?;
    }
    Some((cpu, [next()?, next()?, next()?]))
}

fn families(counters: &CpuCounters<3>, per_cpu: bool) -> [Family; 3] {
    let labels: &[&'static str] = if per_cpu { &["cpu"] } else { &[] };
    let mut families = [
        Family::counter(
            "cpu_exporter_schedstat_running_seconds_total",
            "Number of seconds CPU spent running a process.",
            labels,
        ),
        Family::counter(
            "cpu_exporter_schedstat_waiting_seconds_total",
            "Number of seconds spent by processing waiting for this CPU.",
            labels,
        ),
        Family::counter("cpu_exporter_schedstat_timeslices_total", "Number of timeslices executed by CPU.", labels),
    ];
    let mut push = |labels: &[String], [running, waiting, timeslices]: [u64; 3]| {
        families[0].push(labels, seconds(running));
        families[1].push(labels, seconds(waiting));
        families[2].push(labels, timeslices);
    };
    if per_cpu {
        counters.cpus().for_each(|(cpu, counts)| push(&[cpu.to_string()], counts));
    } else {
        counters.sums().into_iter().for_each(|sums| push(&[], sums));
    }
    families
}

/// Parses a file, for the fuzz targets.
#[cfg(fuzzing)]
pub(super) fn fuzz(text: &str) {
    let _ = parse(text);
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    const TEXT: &str = "version 15\ntimestamp 1\ncpu0 498 0 0 0 0 0 2000000000 1500000000 94\ndomain0 3 0 0 0\n\
        cpu1 518 0 0 0 0 0 1000000000 500000000 6 7\n";

    #[test]
    fn the_last_three_numbers_of_each_cpu_are_read() {
        let expected = [(0, [2_000_000_000, 1_500_000_000, 94]), (1, [1_000_000_000, 500_000_000, 6])];
        let (cpus, faults) = parse(TEXT).unwrap();
        assert_eq!((cpus, faults.is_empty()), (expected.to_vec(), true));
    }

    #[test]
    fn a_truncated_or_invalid_file_is_refused() {
        for text in ["", "version 15\n", "cpu0 1 2 3\n", "cpu0 1 2 3 4 5 6 7 8 x\n", "cpux 1 2 3 4 5 6 7 8 9\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&TEXT[..TEXT.len() - 1]).is_err());
    }

    #[test]
    fn cpus_are_summed_unless_each_is_requested() {
        let mut counters = CpuCounters::default();
        counters.add(parse(TEXT).unwrap().0, true);
        let text = |per_cpu| to_text(families(&counters, per_cpu));
        assert!(text(false).contains("\ncpu_exporter_schedstat_waiting_seconds_total 2\n"), "{}", text(false));
        assert!(text(true).contains("\ncpu_exporter_schedstat_waiting_seconds_total{cpu=\"1\"} 0.5\n"));
    }
}

//! Collector `cpu`: CPU time in /proc/stat, summed over CPUs or by CPU.

mod stat_lines;
mod sums;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use exporter_common::{Collector, Family, Faults, Scrape, async_trait, blocking};

use self::stat_lines::{GUEST_MODES, Line, MODES, Ticks, parse};
use self::sums::{Sums, seconds};
use crate::settings::{Names, Settings};

/// CPU time of the host.
pub(super) struct CpuCollector {
    settings: Settings,
    state: Mutex<State>,
}

/// The sums, and the parsed lines, whose memory is reused.
#[derive(Default)]
struct State {
    sums: Sums,
    lines: Vec<Line>,
}

impl CpuCollector {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), state: Mutex::default() }
    }

    /// The time since the boot in ticks, read only before the first sums. A read that hangs is abandoned.
    async fn uptime(&self) -> Option<u64> {
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).sums.ticks.is_some() {
            return None;
        }
        let roots = self.settings.roots.clone();
        let read = blocking(move || roots.proc("uptime"));
        let text = tokio::time::timeout(UPTIME_TIMEOUT, read).await.ok()?.ok()??;
        let (seconds, _) = text.split_once('.')?;
        seconds.parse::<u64>().ok()?.checked_mul(100)
    }
}

#[async_trait]
impl Collector for CpuCollector {
    fn name(&self) -> &'static str {
        "cpu"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let stat = &self.settings.roots.stat;
        let bytes = stat.require().await?;
        let uptime = self.uptime().await;
        // A panic cannot leave the sums inconsistent: they change only in Sums::add and Sums::start, which do not fail.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { sums, lines } = &mut *state;
        let path = || format!("{}", stat.path().display());
        let mut faults = Faults::default();
        let total = parse(&bytes, lines, &mut faults).with_context(path)?;
        sums.add(lines, faults.is_empty());
        // Without an invalid CPU's share, the sums would start too low. The sum line has it.
        if sums.ticks.is_none() && (faults.is_empty() || total.is_some()) {
            sums.start(lines, total, uptime);
        }
        for family in families(sums, &self.settings) {
            scrape.add(self.settings.names.apply(family));
        }
        faults.result().with_context(path)
    }
}

/// Timeout of the read of /proc/uptime.
const UPTIME_TIMEOUT: Duration = Duration::from_millis(500);

fn families(sums: &Sums, settings: &Settings) -> Vec<Family> {
    let [usage, guest] = summed(sums);
    let mut families = match settings.names {
        Names::Own if settings.per_cpu => [vec![usage], by_cpu(sums.totals(), sums.columns).into()].concat(),
        Names::Own => vec![usage, guest],
        Names::Node => by_cpu(sums.readings(), sums.columns).into(),
    };
    families.retain(|family| settings.guest || family.name() != GUEST);
    families
}

const GUEST: &str = "cpu_exporter_cpu_guest_seconds_total";
const GUEST_HELP: &str = "Seconds the CPUs spent in guests (VMs) for each mode.";

fn summed(sums: &Sums) -> [Family; 2] {
    let mut usage = Family::counter(
        "cpu_exporter_cpu_usage_seconds_total",
        "Seconds the CPUs spent in each mode, summed over CPUs, from /proc/stat.",
        &["mode"],
    );
    let mut guest = Family::counter(GUEST, GUEST_HELP, &["mode"]);
    if let Some(ticks) = &sums.ticks {
        push(&mut usage, &mut guest, &ticks[..sums.columns], |mode| [mode]);
    }
    [usage, guest]
}

fn by_cpu<'a>(cpus: impl Iterator<Item = (u32, &'a Ticks)>, columns: usize) -> [Family; 2] {
    let labels = &["cpu", "mode"];
    let mut usage = Family::counter("cpu_exporter_cpu_seconds_total", "Seconds the CPUs spent in each mode.", labels);
    let mut guest = Family::counter(GUEST, GUEST_HELP, labels);
    for (cpu, ticks) in cpus {
        let cpu = cpu.to_string();
        push(&mut usage, &mut guest, &ticks[..columns], |mode| [&cpu, mode]);
    }
    [usage, guest]
}

/// Adds only the columns that this kernel has: others are absent instead of 0.
fn push<'a, const N: usize>(
    usage: &mut Family,
    guest: &mut Family,
    ticks: &[u64],
    labels: impl Fn(&'a str) -> [&'a str; N],
) {
    let (ticks, guest_ticks) = ticks.split_at(MODES.len().min(ticks.len()));
    for (mode, ticks) in MODES.iter().zip(ticks) {
        usage.push(&labels(mode), seconds(*ticks));
    }
    for (mode, ticks) in GUEST_MODES.iter().zip(guest_ticks) {
        guest.push(&labels(mode), seconds(*ticks));
    }
}

/// Adds several reads, for the fuzz targets.
#[cfg(fuzzing)]
pub(super) fn fuzz(reads: &[&[u8]]) {
    let (mut sums, mut lines) = (Sums::default(), Vec::new());
    let mut totals = std::collections::BTreeMap::new();
    for read in reads {
        let mut faults = Faults::default();
        let Ok(total) = parse(read, &mut lines, &mut faults) else { continue };
        let before = sums.ticks;
        sums.add(&lines, faults.is_empty());
        let now = sums.ticks.unwrap_or_else(|| sums.start(&lines, total, None));
        let before = before.unwrap_or_default();
        assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?} {sums:?}");
        for (cpu, now) in sums.totals() {
            let before = totals.insert(cpu, *now).unwrap_or_default();
            assert!(before.iter().zip(now).all(|(before, now)| before <= now), "{before:?} {sums:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;
    use crate::procfs::Roots;

    #[test]
    fn a_column_that_the_kernel_lacks_is_absent() {
        let mut settings = Settings::new(Roots::new("/nowhere", "/nowhere", None));
        settings.per_cpu = true;
        let mut sums = Sums::default();
        let mut lines = Vec::new();
        parse(b"cpu0 100 2 3 4\n", &mut lines, &mut Faults::default()).unwrap();
        sums.add(&lines, true);
        sums.start(&lines, None, None);
        let text = to_text(families(&sums, &settings));
        assert!(text.contains("cpu_exporter_cpu_usage_seconds_total{mode=\"user\"} 1\n"), "{text}");
        assert!(text.contains("cpu_exporter_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1\n"), "{text}");
        assert!(!text.contains("iowait") && !text.contains("guest"), "{text}");
    }
}

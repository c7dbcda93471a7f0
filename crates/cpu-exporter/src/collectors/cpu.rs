//! Collector `cpu`: CPU time in /proc/stat, summed over CPUs, also when CPUs go offline and online.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Scrape, async_trait};

use crate::procfs::{Roots, excerpt};

/// CPU time of the host.
pub(super) struct CpuCollector {
    roots: Roots,
    state: Mutex<State>,
}

/// The sums, and the parsed lines, whose memory is reused.
#[derive(Default)]
struct State {
    sums: Sums,
    lines: Vec<Line>,
}

impl CpuCollector {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { roots: roots.clone(), state: Mutex::default() }
    }

    /// The time since the boot in ticks, read only before the first sums. A read that hangs is abandoned.
    async fn uptime(&self) -> Option<u64> {
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).sums.reads > 0 {
            return None;
        }
        let roots = self.roots.clone();
        let read = tokio::task::spawn_blocking(move || roots.proc("uptime"));
        let text = tokio::time::timeout(UPTIME_TIMEOUT, read).await.ok()?.ok()?.ok()??;
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
        let bytes = self.roots.stat.read().await?;
        let uptime = self.uptime().await;
        // A panic cannot leave the sums inconsistent: they change only in Sums::add, which does not fail.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { sums, lines } = &mut *state;
        let total = parse(&bytes, lines).with_context(|| format!("{}", self.roots.stat.path().display()))?;
        if sums.reads == 0 {
            sums.start(lines, total, uptime);
        }
        sums.add(lines);
        for family in families(sums) {
            scrape.add(family);
        }
        Ok(())
    }
}

/// Timeout of the read of /proc/uptime.
const UPTIME_TIMEOUT: Duration = Duration::from_millis(500);

/// The columns of a CPU line in order, see proc_stat(5). The first eight add up to the CPU's time; guest and guest_nice
/// are also included in user and nice.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const COLUMNS: usize = MODES.len() + GUEST_MODES.len();
const IDLE: usize = 3;

/// Ticks by column.
type Ticks = [u64; COLUMNS];

/// The line of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    cpu: u32,
    ticks: Ticks,
    /// Number of columns that this kernel has; missing trailing columns count as 0.
    columns: usize,
}

/// Replaces `lines` with the CPU lines, which are the first of the file, and returns the sum line if it is valid. The
/// rest of the file, thousands of interrupt counts, is not parsed.
fn parse(stat: &[u8], lines: &mut Vec<Line>) -> Result<Option<Ticks>> {
    lines.clear();
    let mut total = None;
    let mut columns_before = 0; // of the previous line, including the sum line
    for text in stat.split_inclusive(|&byte| byte == b'\n') {
        let Some(rest) = text.strip_prefix(b"cpu") else { break };
        let text = || String::from_utf8_lossy(text).into_owned();
        if rest.first().is_some_and(u8::is_ascii_whitespace) {
            // Only the start of the sums needs this line, so an invalid one is not an error.
            if let Some((ticks, columns)) = parse_columns(rest) {
                total = Some(ticks);
                columns_before = columns;
            }
            continue;
        }
        let (cpu, rest_of_line) = rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let cpu = number(cpu).filter(|_| !cpu.is_empty()).and_then(|cpu| u32::try_from(cpu).ok());
        let cpu = cpu.with_context(|| format!("not a CPU number: {:?}", excerpt(&text())))?;
        let (ticks, columns) =
            parse_columns(rest_of_line).with_context(|| format!("not a number in {:?}", excerpt(&text())))?;
        // A last line without a newline and with fewer columns than the previous line is truncated. Its idle time might
        // be too low.
        if !rest.ends_with(b"\n") && columns < columns_before.max(IDLE + 1) {
            bail!("truncated line {:?}", excerpt(&text()));
        }
        columns_before = columns;
        match columns {
            0 => {} // node_exporter also skips a line of one word
            columns if columns <= IDLE => bail!("fewer than {} columns in {:?}", IDLE + 1, excerpt(&text())),
            columns => lines.push(Line { cpu, ticks, columns }),
        }
    }
    if lines.is_empty() {
        bail!("no CPU line at the start");
    }
    Ok(total)
}

/// Parses the columns of a line and returns their number; `None` if one is not a number.
fn parse_columns(rest: &[u8]) -> Option<(Ticks, usize)> {
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut ticks = Ticks::default();
    let mut columns = 0;
    for (column, word) in ticks.iter_mut().zip(&mut words) {
        *column = number(word)?;
        columns += 1;
    }
    Some((ticks, columns))
}

/// Parses decimal digits.
fn number(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Sums over CPUs that never decrease.
///
/// An increase of a sum equals `sum(increase())` over node_exporter's series of each CPU and mode:
///
/// - The first read is the baseline: the sums start as the plain sums over all CPUs. [`Sums::start`] has the exceptions,
///   which keep a restart of the exporter from lowering a sum by the share of CPUs that went offline before.
/// - The kernel's idle, iowait and steal times can decrease a little. Like in node_exporter, a lower reading of a mode adds
///   0 until the previous value is exceeded.
/// - If idle decreases by 3 s or more, the CPU restarted its counts. node_exporter then exports the new values. A sum that
///   did so would decrease, which Prometheus reads as a counter reset. Here the new values are a baseline and add 0.
/// - A CPU that goes offline keeps its share.
/// - A CPU that returns adds its increase since its last reading, like `rate()` over a series with a gap. A mode that
///   returns lower is a new baseline and adds 0, where `rate()` would add the whole value; an idle time that returns lower
///   by 3 s or more is a new baseline for the whole CPU.
/// - A CPU first seen after the first read is a baseline and adds 0, since a new series has no increase yet.
#[derive(Debug, Default)]
struct Sums {
    /// Every CPU seen since the start.
    cpus: BTreeMap<u32, LastSeen>,
    ticks: Ticks,
    /// Number of columns that this kernel has.
    columns: usize,
    reads: u64,
}

/// The last reading of one CPU.
#[derive(Debug)]
struct LastSeen {
    ticks: Ticks,
    /// Number of the read.
    read: u64,
}

impl Sums {
    /// Sets the start values before the first read. Prometheus reads a sum that is lower than before a restart of this
    /// exporter as a counter reset and adds its whole value, so the start must not be lower, unless it is 0:
    ///
    /// - If a CPU has counted less time than the host is up, its counts were reset by hotplug or suspend, and the sums
    ///   before the restart are unknown. The sums start at 0.
    /// - If the kernel's own sum line exceeds the plain sums, it contains the share of CPUs that are offline. The sums
    ///   start there.
    /// - Otherwise they start as the plain sums.
    fn start(&mut self, lines: &[Line], total: Option<Ticks>, uptime: Option<u64>) {
        let mut plain = Ticks::default();
        lines.iter().for_each(|line| add(&mut plain, &line.ticks));
        let counted =
            |line: &Line| line.ticks[..MODES.len()].iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
        let reset = |line: &Line| uptime.is_some_and(|uptime| counted(line) < (uptime / 10 * 9).saturating_sub(6_000));
        // The kernel adds before it rounds to ticks, so its sum may exceed the sum of the lines by one tick per CPU.
        let rounding = lines.len() as u64;
        let exceeds =
            |total: &Ticks| total.iter().zip(&plain).any(|(total, plain)| *total > plain.saturating_add(rounding));
        self.ticks = if lines.iter().any(reset) {
            Ticks::default()
        } else if let Some(total) = total.filter(exceeds) {
            std::array::from_fn(|column| total[column].max(plain[column]))
        } else {
            plain
        };
    }

    /// Adds one complete read of the file.
    fn add(&mut self, lines: &[Line]) {
        let previous = self.reads;
        self.reads += 1;
        self.columns = lines.iter().map(|line| line.columns).max().unwrap_or(0);
        for Line { cpu, ticks, .. } in lines {
            let Some(last) = self.cpus.get_mut(cpu) else {
                self.cpus.insert(*cpu, LastSeen { ticks: *ticks, read: self.reads });
                continue;
            };
            let returned = last.read < previous;
            last.read = self.reads;
            if seconds(last.ticks[IDLE]) - seconds(ticks[IDLE]) >= LARGE_DECREASE_SECONDS {
                tracing::debug!(
                    cpu,
                    "idle time decreased by 3 s or more: using the new values as the baseline of this CPU"
                );
                last.ticks = *ticks;
                continue;
            }
            let mut increase = Ticks::default();
            for ((increase, last), now) in increase.iter_mut().zip(&mut last.ticks).zip(ticks) {
                *increase = now.saturating_sub(*last);
                *last = if returned { *now } else { *now.max(last) };
            }
            add(&mut self.ticks, &increase);
        }
    }
}

/// Adds with saturation, so that huge numbers in an invalid file cannot decrease a sum.
fn add(sums: &mut Ticks, increase: &Ticks) {
    for (sum, increase) in sums.iter_mut().zip(increase) {
        *sum = sum.saturating_add(*increase);
    }
}

/// The threshold of node_exporter. Both compare it in seconds as floats, so that a decrease of exactly 3 s gives the same
/// result.
const LARGE_DECREASE_SECONDS: f64 = 3.0;

/// Converts ticks to seconds. The kernel reports times in units of `USER_HZ`, which is part of its interface: 100 on every
/// supported architecture except Alpha. node_exporter divides by 100 too.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ticks, which is 2.8 million CPU years")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

/// Exports only the columns that this kernel has: others are absent instead of 0.
fn families(sums: &Sums) -> [Family; 2] {
    let mut usage = Family::counter(
        "cpu_exporter_cpu_usage_seconds_total",
        "Seconds the CPUs spent in each mode, summed over CPUs, from /proc/stat.",
        &["mode"],
    );
    let mut guest = Family::counter(
        "cpu_exporter_cpu_guest_seconds_total",
        "Seconds the CPUs spent in guests (VMs) for each mode, summed over CPUs, from /proc/stat.",
        &["mode"],
    );
    let (ticks, guest_ticks) = sums.ticks[..sums.columns].split_at(MODES.len().min(sums.columns));
    for (mode, ticks) in MODES.iter().zip(ticks) {
        usage.push(&[mode], seconds(*ticks));
    }
    for (mode, ticks) in GUEST_MODES.iter().zip(guest_ticks) {
        guest.push(&[mode], seconds(*ticks));
    }
    [usage, guest]
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;

    const LAPTOP: &str = include_str!("../../tests/fixtures/laptop/proc/stat");
    const VM: &str = include_str!("../../tests/fixtures/vm/proc/stat");

    fn lines(text: &str) -> Result<Vec<Line>> {
        let mut lines = vec![Line { cpu: 99, ticks: [99; COLUMNS], columns: 99 }];
        parse(text.as_bytes(), &mut lines).map(|_| lines)
    }

    /// One read of CPU numbers and all their columns.
    fn read(cpus: &[(u32, Ticks)]) -> Vec<Line> {
        cpus.iter().map(|&(cpu, ticks)| Line { cpu, ticks, columns: COLUMNS }).collect()
    }

    fn sums(reads: &[&[(u32, Ticks)]]) -> Ticks {
        let mut sums = Sums::default();
        let mut before = Ticks::default();
        for cpus in reads {
            if sums.reads == 0 {
                sums.start(&read(cpus), None, None);
            }
            sums.add(&read(cpus));
            assert!(before.iter().zip(&sums.ticks).all(|(before, now)| before <= now), "{before:?} {sums:?}");
            before = sums.ticks;
        }
        sums.ticks
    }

    const fn all(ticks: u64) -> Ticks {
        [ticks; COLUMNS]
    }

    const fn idle(ticks: u64, others: u64) -> Ticks {
        let mut all = all(others);
        all[IDLE] = ticks;
        all
    }

    #[test]
    fn each_cpu_line_has_ten_columns() {
        let cpus = lines(LAPTOP).unwrap();
        assert_eq!(cpus.len(), 8);
        let first = Line { cpu: 0, ticks: [44490, 19, 21045, 1_087_069, 220, 1, 3410, 0, 2, 1], columns: 10 };
        assert_eq!(cpus[0], first);
        assert_eq!(lines(VM).unwrap().iter().map(|line| line.cpu).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn fewer_and_more_columns_are_accepted() {
        assert_eq!(lines("cpu0 1 2 3 4\n").unwrap()[0].columns, 4);
        let more = lines("cpu0 1 2 3 4 5 6 7 8 9 10 11 12\n").unwrap();
        assert_eq!(more[0], Line { cpu: 0, ticks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], columns: 10 });
    }

    #[test]
    fn a_missing_last_newline_and_gaps_between_cpus_are_accepted() {
        let cpus = lines("cpu  3 4 5 6\ncpu0 1 2 3 4\ncpu17 2 2 2 2").unwrap();
        assert_eq!(cpus.iter().map(|line| line.cpu).collect::<Vec<_>>(), [0, 17]);
    }

    #[test]
    fn a_thousand_cpus_are_read() {
        let text: String = (0..1024).map(|cpu| format!("cpu{cpu} 1 2 3 4 5 6 7 8 9 10\n")).collect();
        assert_eq!(lines(&format!("{text}intr 1 2 3\n")).unwrap().len(), 1024);
    }

    #[test]
    fn invalid_files_are_refused() {
        for text in [
            "",
            "\n",
            "intr 1 2 3\n",
            "cpu  1 2 3 4\nintr 1\n",
            "cpu0\nintr 1\n",
            "cpu0 1 2 3\n",
            "cpu0 1 2 x 4\n",
            "cpu0 1 2 3.5 4\n",
            "cpu0 1 2 -3 4\n",
            "cpux 1 2 3 4\n",
            "cpu99999999999 1 2 3 4\n",
            "cpu0 1 2 3 99999999999999999999\n",
            "\0\0\0\0",
        ] {
            assert!(lines(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_truncated_within_the_columns_of_a_cpu_is_refused() {
        let second = LAPTOP.find("cpu1").unwrap();
        let end = second + LAPTOP[second..].find('\n').unwrap();
        let last_column = LAPTOP[..end].rfind(' ').unwrap();
        for at in second + "cpu1 ".len()..=last_column {
            assert!(lines(&LAPTOP[..at]).is_err(), "{:?}", &LAPTOP[second..at]);
        }
    }

    #[test]
    fn the_first_sums_are_the_sums_over_cpus() {
        assert_eq!(sums(&[&[(0, all(100)), (1, all(23))]]), all(123));
    }

    #[test]
    fn each_cpu_adds_its_increase() {
        assert_eq!(sums(&[&[(0, all(100)), (1, all(100))], &[(0, all(101)), (1, all(150))]]), all(251));
    }

    #[test]
    fn a_small_decrease_is_held_for_each_mode() {
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, all(9_990))], &[(0, all(9_995))]]), all(10_000));
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, all(9_990))], &[(0, all(10_003))]]), all(10_003));
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, idle(9_990, 10_200))]]), idle(10_000, 10_200));
    }

    #[test]
    fn a_large_decrease_of_idle_is_a_new_baseline() {
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, idle(100, 10_200))]]), all(10_000));
        let later = sums(&[&[(0, all(10_000))], &[(0, idle(100, 10_200))], &[(0, idle(107, 10_203))]]);
        assert_eq!(later, idle(10_007, 10_003));
    }

    #[test]
    fn decreases_that_add_up_to_three_seconds_are_a_large_decrease() {
        let reads: &[&[(u32, Ticks)]] =
            &[&[(0, all(10_000))], &[(0, idle(9_850, 10_000))], &[(0, idle(9_700, 10_000))], &[(0, all(10_010))]];
        assert_eq!(sums(reads), idle(10_310, 10_010));
    }

    #[test]
    fn an_offline_cpu_keeps_its_share() {
        assert_eq!(sums(&[&[(0, all(100)), (1, all(50))], &[(0, all(110))]]), all(160));
    }

    #[test]
    fn a_cpu_that_returns_adds_its_increase_since() {
        let reads: &[&[(u32, Ticks)]] =
            &[&[(0, all(100)), (1, all(50))], &[(0, all(100))], &[(0, all(100))], &[(0, all(100)), (1, all(57))]];
        assert_eq!(sums(reads), all(157));
    }

    #[test]
    fn a_cpu_that_returns_with_lower_counts_is_a_new_baseline() {
        let back = |ticks, later| {
            sums(&[&[(0, all(100)), (1, all(5_000))], &[(0, all(100))], &[(0, all(100)), (1, ticks)], &[(1, later)]])
        };
        assert_eq!(back(all(4_990), all(4_991)), all(5_101));
        assert_eq!(back(idle(0, 9_000), idle(1, 9_002)), idle(5_101, 5_102));
    }

    #[test]
    fn a_cpu_first_seen_later_is_a_baseline() {
        assert_eq!(sums(&[&[(0, all(100))], &[(0, all(100)), (1, all(70))]]), all(100));
        assert_eq!(sums(&[&[(0, all(100))], &[(0, all(100)), (1, all(70))], &[(0, all(100)), (1, all(71))]]), all(101));
    }

    #[test]
    fn an_overflow_does_not_decrease_the_sum() {
        assert_eq!(sums(&[&[(0, all(u64::MAX)), (1, all(5))], &[(0, all(u64::MAX)), (1, all(6))]]), all(u64::MAX));
    }

    #[test]
    fn a_column_that_the_kernel_lacks_is_absent() {
        let mut sums = Sums::default();
        let lines = lines("cpu0 100 2 3 4\n").unwrap();
        sums.start(&lines, None, None);
        sums.add(&lines);
        let text = to_text(families(&sums));
        assert!(text.contains("cpu_exporter_cpu_usage_seconds_total{mode=\"user\"} 1\n"), "{text}");
        assert!(!text.contains("iowait") && !text.contains("guest"), "{text}");
    }

    #[test]
    fn an_invalid_sum_line_is_ignored() {
        for total in ["cpu  x 1 2 3\n", "cpu \n", "cpu  1 2 -3 4\n"] {
            assert_eq!(lines(&format!("{total}cpu0 1 2 3 4\n")).unwrap().len(), 1, "{total:?}");
        }
    }

    fn start(cpus: &[(u32, Ticks)], total: Option<Ticks>, uptime: Option<u64>) -> Ticks {
        let mut sums = Sums::default();
        sums.start(&read(cpus), total, uptime);
        sums.ticks
    }

    #[test]
    fn the_share_of_offline_cpus_is_in_the_start_values() {
        let online = [(0, all(10_000)), (1, all(10_000))];
        assert_eq!(start(&online, Some(all(25_000)), None), all(25_000));
        assert_eq!(start(&online, Some(all(20_002)), None), all(20_000), "rounding");
        assert_eq!(start(&online, Some(all(0)), None), all(20_000));
    }

    #[test]
    fn after_a_reset_of_a_cpu_the_sums_start_at_zero() {
        let online = [(0, all(10_000)), (1, all(1_000))];
        assert_eq!(start(&online, None, Some(80_000)), all(0));
        assert_eq!(start(&online, None, Some(10_000)), all(11_000), "uptime below the counted time");
        assert_eq!(start(&online[..1], None, Some(80_000)), all(10_000));
    }
}

//! The CPU lines of /proc/stat, summed over CPUs that come and go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use exporter_common::{Collector, Family, Scrape, async_trait};

use super::roots::{Roots, STAT_LIMIT, excerpt, read_into};

/// The CPU time of the host.
pub(crate) struct Cpu {
    stat: PathBuf,
    state: Mutex<State>,
}

/// What is kept between scrapes: the sums, and buffers, so that a scrape allocates next to nothing.
#[derive(Default)]
struct State {
    sums: Sums,
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

impl Cpu {
    pub(crate) fn new(roots: &Roots) -> Self {
        Self { stat: roots.proc_stat(), state: Mutex::default() }
    }
}

#[async_trait]
impl Collector for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        // the sums change only in Sums::add, which cannot fail half-way: they are whole at any time
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { sums, bytes, lines } = &mut *state;
        if !read_into(bytes, STAT_LIMIT, &self.stat)? {
            bail!("{} is missing: is procfs mounted there?", self.stat.display());
        }
        parse(bytes, lines).with_context(|| format!("{}", self.stat.display()))?;
        sums.add(lines);
        for family in families(sums) {
            scrape.add(family);
        }
        Ok(())
    }
}

/// The columns of a CPU's line, in their order; proc_stat(5). The first eight are the modes that
/// add up to the CPU's time; guest and guest_nice are also contained in user and nice.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const COLUMNS: usize = MODES.len() + GUEST_MODES.len();
const IDLE: usize = 3;

/// Ticks by column.
type Ticks = [u64; COLUMNS];

/// One CPU's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    cpu: u32,
    ticks: Ticks,
    /// How many columns this kernel has; those that are missing at the end count as 0.
    columns: usize,
}

/// Puts the lines of the CPUs in `lines`, in place of what was there. They are the first lines of the
/// file; what follows (thousands of interrupt counters) is not looked at.
fn parse(stat: &[u8], lines: &mut Vec<Line>) -> Result<()> {
    lines.clear();
    let mut columns = 0; // of the line before, the sum of all CPUs included
    for text in stat.split_inclusive(|&byte| byte == b'\n') {
        let Some(rest) = text.strip_prefix(b"cpu") else { break };
        let text = || String::from_utf8_lossy(text).into_owned();
        let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let cpu = match rest.first() {
            Some(byte) if byte.is_ascii_whitespace() => None, // the sum of all CPUs
            _ => {
                let number = words.next().and_then(number).and_then(|number| u32::try_from(number).ok());
                Some(number.with_context(|| format!("not a CPU's number: {:?}", excerpt(&text())))?)
            }
        };
        let before = columns;
        let mut ticks = Ticks::default();
        columns = 0;
        for (column, word) in ticks.iter_mut().zip(&mut words) {
            *column = number(word).with_context(|| format!("not a number in {:?}", excerpt(&text())))?;
            columns += 1;
        }
        // Only the end of a cut file lacks its newline. A number of fewer columns shows that the cut
        // went through this line: taken for a whole one, its idle time would have jumped back.
        if !rest.ends_with(b"\n") && columns < before.max(IDLE + 1) {
            bail!("cut short in {:?}", excerpt(&text()));
        }
        match cpu {
            None => {}
            Some(_) if columns == 0 => {} // as node_exporter: a line of one word says nothing
            Some(_) if columns <= IDLE => bail!("fewer than {} columns in {:?}", IDLE + 1, excerpt(&text())),
            Some(cpu) => lines.push(Line { cpu, ticks, columns }),
        }
    }
    if lines.is_empty() {
        bail!("no line of a CPU at its beginning");
    }
    Ok(())
}

/// A whole number of decimal digits.
fn number(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The sums over CPUs, and what makes them true counters.
///
/// Their increase over any interval is that of node_exporter's `node_cpu_seconds_total`, summed over
/// CPUs as `sum(rate())` does it, so each CPU and mode adds what its own series adds:
///
/// - The first read is the baseline of the sums: they begin as the plain sums over all CPUs.
/// - A lower reading is held at the old value and adds 0 until it is passed. The kernel's idle,
///   iowait and steal times can go back a little. This is node_exporter's rule, mode by mode.
/// - When idle falls by 3 s or more, what the CPU shows is not its old count gone wrong but a new one.
///   node_exporter takes all its new values as they are; a sum that did so would drop, or leap when
///   Prometheus takes the drop for a restart. Here the new values are a baseline and add 0.
/// - A CPU that is gone keeps its share. Its series at node_exporter ends, which takes nothing from
///   what it had added.
/// - A CPU that comes back resumes its series: `rate()` adds the difference between the last sample
///   before the gap and the first one after it, as long as both are in its range. So it adds what it
///   has counted since it was last seen, however long ago; an increase over an interval that has
///   both ends in it agrees. A mode that comes back lower begins anew from there and adds 0, where
///   `rate()` would see a restart and leap by the whole value; an idle time that comes back lower by
///   3 s or more makes the whole CPU a new one, as above.
/// - A CPU first seen after the first read is a baseline and adds 0: a series that begins has no
///   increase yet.
#[derive(Debug, Default)]
struct Sums {
    /// Every CPU that was ever seen.
    cpus: BTreeMap<u32, LastSeen>,
    ticks: Ticks,
    /// How many columns this kernel has.
    columns: usize,
    reads: u64,
}

/// What is known of one CPU.
#[derive(Debug)]
struct LastSeen {
    ticks: Ticks,
    /// In which read.
    read: u64,
}

impl Sums {
    /// Adds one whole read of the file.
    fn add(&mut self, lines: &[Line]) {
        let previous = self.reads;
        self.reads += 1;
        self.columns = lines.iter().map(|line| line.columns).max().unwrap_or(0);
        for Line { cpu, ticks, .. } in lines {
            let Some(last) = self.cpus.get_mut(cpu) else {
                self.cpus.insert(*cpu, LastSeen { ticks: *ticks, read: self.reads });
                if previous == 0 {
                    add(&mut self.ticks, ticks);
                }
                continue;
            };
            let came_back = last.read < previous;
            last.read = self.reads;
            if seconds(last.ticks[IDLE]) - seconds(ticks[IDLE]) >= JUMP_BACK_SECONDS {
                tracing::debug!(cpu, "idle time jumped back: a new baseline for this CPU");
                last.ticks = *ticks;
                continue;
            }
            let mut increase = Ticks::default();
            for ((increase, last), now) in increase.iter_mut().zip(&mut last.ticks).zip(ticks) {
                *increase = now.saturating_sub(*last);
                *last = if came_back { *now } else { *now.max(last) };
            }
            add(&mut self.ticks, &increase);
        }
    }
}

/// Saturating, so that garbage in a made-up /proc cannot turn a sum back.
fn add(sums: &mut Ticks, increase: &Ticks) {
    for (sum, increase) in sums.iter_mut().zip(increase) {
        *sum = sum.saturating_add(*increase);
    }
}

/// node_exporter's threshold. It is compared in seconds as floats, as there, so that both decide
/// alike where the fall is 3 s to the tick.
const JUMP_BACK_SECONDS: f64 = 3.0;

/// Ticks as seconds. The kernel shows its times in units of `USER_HZ`, which is part of its interface:
/// 100 on every architecture that Linux still supports but Alpha. node_exporter divides by it too.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ticks, which is 2.8 million CPU years")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

/// Only the columns that this kernel has: what it does not count is absent, not 0.
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
        parse(text.as_bytes(), &mut lines).map(|()| lines)
    }

    /// One read: of each CPU its number and all its columns.
    fn read(cpus: &[(u32, Ticks)]) -> Vec<Line> {
        cpus.iter().map(|&(cpu, ticks)| Line { cpu, ticks, columns: COLUMNS }).collect()
    }

    fn sums(reads: &[&[(u32, Ticks)]]) -> Ticks {
        let mut sums = Sums::default();
        let mut before = Ticks::default();
        for cpus in reads {
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
    fn every_cpu_has_a_line_of_ten_columns() {
        let cpus = lines(LAPTOP).unwrap();
        assert_eq!(cpus.len(), 8);
        let first = Line { cpu: 0, ticks: [44490, 19, 21045, 1_087_069, 220, 1, 3410, 0, 2, 1], columns: 10 };
        assert_eq!(cpus[0], first);
        assert_eq!(lines(VM).unwrap().iter().map(|line| line.cpu).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn old_kernels_have_fewer_columns_and_later_ones_may_have_more() {
        assert_eq!(lines("cpu0 1 2 3 4\n").unwrap()[0].columns, 4);
        let more = lines("cpu0 1 2 3 4 5 6 7 8 9 10 11 12\n").unwrap();
        assert_eq!(more[0], Line { cpu: 0, ticks: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], columns: 10 });
    }

    #[test]
    fn a_missing_last_newline_and_gaps_between_cpus_are_fine() {
        let cpus = lines("cpu  3 4 5 6\ncpu0 1 2 3 4\ncpu17 2 2 2 2").unwrap();
        assert_eq!(cpus.iter().map(|line| line.cpu).collect::<Vec<_>>(), [0, 17]);
    }

    #[test]
    fn a_thousand_cpus_are_read() {
        let text: String = (0..1024).map(|cpu| format!("cpu{cpu} 1 2 3 4 5 6 7 8 9 10\n")).collect();
        assert_eq!(lines(&format!("{text}intr 1 2 3\n")).unwrap().len(), 1024);
    }

    #[test]
    fn garbage_is_refused() {
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
    fn a_cut_within_the_columns_of_a_cpu_is_refused() {
        let second = LAPTOP.find("cpu1").unwrap();
        let end = second + LAPTOP[second..].find('\n').unwrap();
        let last_column = LAPTOP[..end].rfind(' ').unwrap();
        for at in second + "cpu1 ".len()..=last_column {
            assert!(lines(&LAPTOP[..at]).is_err(), "{:?}", &LAPTOP[second..at]);
        }
    }

    #[test]
    fn the_sums_begin_as_the_sums_over_cpus() {
        assert_eq!(sums(&[&[(0, all(100)), (1, all(23))]]), all(123));
    }

    #[test]
    fn each_cpu_adds_what_it_has_counted() {
        assert_eq!(sums(&[&[(0, all(100)), (1, all(100))], &[(0, all(101)), (1, all(150))]]), all(251));
    }

    #[test]
    fn a_small_step_back_is_held_mode_by_mode() {
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, all(9_990))], &[(0, all(9_995))]]), all(10_000));
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, all(9_990))], &[(0, all(10_003))]]), all(10_003));
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, idle(9_990, 10_200))]]), idle(10_000, 10_200));
    }

    #[test]
    fn idle_that_jumps_far_back_is_a_new_baseline() {
        assert_eq!(sums(&[&[(0, all(10_000))], &[(0, idle(100, 10_200))]]), all(10_000));
        let later = sums(&[&[(0, all(10_000))], &[(0, idle(100, 10_200))], &[(0, idle(107, 10_203))]]);
        assert_eq!(later, idle(10_007, 10_003));
    }

    #[test]
    fn steps_back_that_add_up_to_three_seconds_are_a_jump() {
        let reads: &[&[(u32, Ticks)]] =
            &[&[(0, all(10_000))], &[(0, idle(9_850, 10_000))], &[(0, idle(9_700, 10_000))], &[(0, all(10_010))]];
        assert_eq!(sums(reads), idle(10_310, 10_010));
    }

    #[test]
    fn a_cpu_that_is_gone_keeps_its_share() {
        assert_eq!(sums(&[&[(0, all(100)), (1, all(50))], &[(0, all(110))]]), all(160));
    }

    #[test]
    fn a_cpu_that_comes_back_adds_what_it_counted_since() {
        let reads: &[&[(u32, Ticks)]] =
            &[&[(0, all(100)), (1, all(50))], &[(0, all(100))], &[(0, all(100))], &[(0, all(100)), (1, all(57))]];
        assert_eq!(sums(reads), all(157));
    }

    #[test]
    fn a_cpu_that_comes_back_lower_begins_anew_from_there() {
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
    fn numbers_too_large_to_add_do_not_turn_the_sum_back() {
        assert_eq!(sums(&[&[(0, all(u64::MAX)), (1, all(5))], &[(0, all(u64::MAX)), (1, all(6))]]), all(u64::MAX));
    }

    #[test]
    fn what_a_kernel_does_not_count_is_absent() {
        let mut sums = Sums::default();
        sums.add(&lines("cpu0 100 2 3 4\n").unwrap());
        let text = to_text(families(&sums));
        assert!(text.contains("cpu_exporter_cpu_usage_seconds_total{mode=\"user\"} 1\n"), "{text}");
        assert!(!text.contains("iowait") && !text.contains("guest"), "{text}");
    }
}

//! CPU time summed over CPUs, also when CPUs go offline and online.

use std::collections::BTreeMap;

use super::stat_lines::{IDLE, Line, MODES, Ticks};

/// Sums over CPUs that never decrease.
///
/// An increase of a sum equals `sum(increase())` over node_exporter's series of each CPU and mode:
///
/// - The baseline is the first read whose sum line is valid, or whose lines of all CPUs are. The sums start as the plain
///   sums over all CPUs. [`Sums::start`] has the exceptions, which keep a restart of the exporter from lowering a sum by
///   the share of CPUs that went offline before.
/// - The kernel's idle, iowait and steal times can decrease a little. Like in node_exporter, a lower reading of a mode adds
///   0 until the previous value is exceeded.
/// - If idle decreases by 3 s or more, the CPU restarted its counts. node_exporter then exports the new values. A sum that
///   did so would decrease, which Prometheus reads as a counter reset. Here the new values are a baseline and add 0.
/// - A CPU that goes offline, or whose line is invalid, keeps its share.
/// - A CPU that was offline and returns adds its increase since its last reading, like `rate()` over a series with a gap.
///   A mode that returns lower is a new baseline and adds 0, where `rate()` would add the whole value; an idle time that
///   returns lower by 3 s or more is a new baseline for the whole CPU.
/// - A CPU first seen after the first read is a baseline and adds 0, since a new series has no increase yet.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Every CPU seen since the start.
    cpus: BTreeMap<u32, LastSeen>,
    /// `None` before [`Sums::start`].
    pub(super) ticks: Option<Ticks>,
    /// Number of columns that this kernel has.
    pub(super) columns: usize,
    reads: u64,
}

/// The last reading of one CPU.
#[derive(Debug)]
struct LastSeen {
    /// The last reading; a mode that decreased a little keeps its previous value.
    ticks: Ticks,
    /// The first reading and all increases since.
    total: Ticks,
    /// Number of the read.
    read: u64,
    /// Whether the last complete read lacked this CPU.
    offline: bool,
}

impl Sums {
    /// Starts the sums with the lines that were added last, and returns them. Prometheus reads a sum that is lower than
    /// before a restart of this exporter as a counter reset and adds its whole value, so the start must not be lower,
    /// unless it is 0:
    ///
    /// - If a CPU has counted less time than the host is up, its counts were reset by hotplug or suspend, and the sums
    ///   before the restart are unknown. The sums start at 0.
    /// - If the kernel's own sum line exceeds the plain sums, it contains the share of CPUs that are offline. The sums
    ///   start there.
    /// - Otherwise they start as the plain sums.
    pub(super) fn start(&mut self, lines: &[Line], total: Option<Ticks>, uptime: Option<u64>) -> Ticks {
        let mut plain = Ticks::default();
        lines.iter().for_each(|line| add(&mut plain, &line.ticks));
        let counted =
            |line: &Line| line.ticks[..MODES.len()].iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
        let reset = |line: &Line| uptime.is_some_and(|uptime| counted(line) < (uptime / 10 * 9).saturating_sub(6_000));
        // The kernel adds before it rounds to ticks, so its sum may exceed the sum of the lines by one tick per CPU.
        let rounding = lines.len() as u64;
        let exceeds =
            |total: &Ticks| total.iter().zip(&plain).any(|(total, plain)| *total > plain.saturating_add(rounding));
        *self.ticks.insert(if lines.iter().any(reset) {
            Ticks::default()
        } else if let Some(total) = total.filter(exceeds) {
            std::array::from_fn(|column| total[column].max(plain[column]))
        } else {
            plain
        })
    }

    /// Adds one read of the file. Only in a complete read, which has no invalid line, a missing CPU is offline.
    pub(super) fn add(&mut self, lines: &[Line], complete: bool) {
        self.reads += 1;
        self.columns = lines.iter().map(|line| line.columns).max().unwrap_or(0);
        for Line { cpu, ticks, .. } in lines {
            let Some(last) = self.cpus.get_mut(cpu) else {
                self.cpus.insert(*cpu, LastSeen { ticks: *ticks, total: *ticks, read: self.reads, offline: false });
                continue;
            };
            let returned = std::mem::take(&mut last.offline);
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
            add(&mut last.total, &increase);
            if let Some(sums) = &mut self.ticks {
                add(sums, &increase);
            }
        }
        if complete {
            self.cpus.values_mut().for_each(|last| last.offline = last.read < self.reads);
        }
    }

    /// The CPUs of the last read, each with its total, which never decreases.
    pub(super) fn totals(&self) -> impl Iterator<Item = (u32, &Ticks)> {
        self.online().map(|(cpu, last)| (cpu, &last.total))
    }

    /// The CPUs of the last read, each with the values of node_exporter, which decrease if the CPU's counts restart.
    pub(super) fn readings(&self) -> impl Iterator<Item = (u32, &Ticks)> {
        self.online().map(|(cpu, last)| (cpu, &last.ticks))
    }

    fn online(&self) -> impl Iterator<Item = (u32, &LastSeen)> {
        self.cpus.iter().filter(|(_, last)| last.read == self.reads).map(|(cpu, last)| (*cpu, last))
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
pub(super) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::stat_lines::COLUMNS;
    use super::*;

    /// One read of CPU numbers and all their columns.
    fn read(cpus: &[(u32, Ticks)]) -> Vec<Line> {
        cpus.iter().map(|&(cpu, ticks)| Line { cpu, ticks, columns: COLUMNS }).collect()
    }

    fn sums(reads: &[&[(u32, Ticks)]]) -> Ticks {
        let mut sums = Sums::default();
        let mut before = Ticks::default();
        for cpus in reads {
            sums.add(&read(cpus), true);
            let now = sums.ticks.unwrap_or_else(|| sums.start(&read(cpus), None, None));
            assert!(before.iter().zip(&now).all(|(before, now)| before <= now), "{before:?} {sums:?}");
            before = now;
        }
        before
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

    fn start(cpus: &[(u32, Ticks)], total: Option<Ticks>, uptime: Option<u64>) -> Ticks {
        Sums::default().start(&read(cpus), total, uptime)
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

    /// The totals and the readings of the CPUs after the last of some reads.
    fn by_cpu(reads: &[&[(u32, Ticks)]]) -> [Vec<(u32, Ticks)>; 2] {
        let mut sums = Sums::default();
        reads.iter().for_each(|cpus| sums.add(&read(cpus), true));
        let owned = |(cpu, ticks): (u32, &Ticks)| (cpu, *ticks);
        [sums.totals().map(owned).collect(), sums.readings().map(owned).collect()]
    }

    #[test]
    fn an_offline_cpu_is_absent_and_one_that_returns_continues() {
        let reads: &[&[(u32, Ticks)]] = &[&[(0, all(100)), (1, all(50))], &[(0, all(110))]];
        assert_eq!(by_cpu(reads), [vec![(0, all(110))], vec![(0, all(110))]]);
        let reads = &[reads[0], reads[1], &[(0, all(110)), (1, all(57))]];
        assert_eq!(by_cpu(reads), [vec![(0, all(110)), (1, all(57))], vec![(0, all(110)), (1, all(57))]]);
    }

    #[test]
    fn only_readings_decrease_when_a_cpu_restarts_its_counts() {
        let reads: &[&[(u32, Ticks)]] = &[&[(0, all(10_000))], &[(0, idle(100, 10_200))], &[(0, idle(107, 10_203))]];
        assert_eq!(by_cpu(reads), [vec![(0, idle(10_007, 10_003))], vec![(0, idle(107, 10_203))]]);
        assert_eq!(by_cpu(&[&[(0, all(100))], &[(0, all(99))]]), [vec![(0, all(100))], vec![(0, all(100))]]);
    }
}

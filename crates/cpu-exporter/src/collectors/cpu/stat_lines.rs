//! Parses the CPU lines of /proc/stat.

use anyhow::{Context, Result, bail, ensure};
use exporter_common::Faults;

use crate::procfs::excerpt;

/// The columns of a CPU line in order, see proc_stat(5). The first eight add up to the CPU's time; guest and guest_nice
/// are also included in user and nice.
pub(super) const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
pub(super) const GUEST_MODES: [&str; 2] = ["user", "nice"];
pub(super) const COLUMNS: usize = MODES.len() + GUEST_MODES.len();
pub(super) const IDLE: usize = 3;

/// Ticks by column.
pub(super) type Ticks = [u64; COLUMNS];

/// The line of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) cpu: u32,
    pub(super) ticks: Ticks,
    /// Number of columns that this kernel has; missing trailing columns count as 0.
    pub(super) columns: usize,
}

impl Line {
    /// Refuses a line with fewer columns than another line of the same read.
    fn require(&self, columns: usize) -> Result<()> {
        ensure!(
            self.columns >= columns,
            "the line of cpu{} is truncated: {} columns instead of {columns}",
            self.cpu,
            self.columns
        );
        Ok(())
    }
}

/// Keys of the lines after the CPU lines, see proc_stat(5); `disk` is of Linux 2.2 and of BSD's linprocfs. Any other line
/// before them is an invalid CPU line.
const OTHER_KEYS: [&str; 10] =
    ["disk", "intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq", "page", "swap"];

/// Replaces `lines` with the CPU lines, which are the first of the file. An invalid line is a fault and affects only its
/// own CPU. The rest of the file, thousands of interrupt counts, is not parsed. Returns the sum line if it is valid.
pub(super) fn parse(stat: &[u8], lines: &mut Vec<Line>, faults: &mut Faults) -> Result<Option<Ticks>> {
    lines.clear();
    let mut total = None;
    let mut most = IDLE + 1; // columns of a line, including the sum line
    for (index, text) in stat.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let rest = text.strip_prefix(b"cpu");
        if rest.is_none() && is_of_other_key(text) {
            break;
        }
        if let Some(rest) = rest.filter(|rest| index == 0 && rest.first().is_some_and(u8::is_ascii_whitespace)) {
            // Only the start of the sums needs this line, so an invalid one is not an error.
            total = parse_columns(rest);
            most = total.map_or(most, |(_, columns)| columns.max(most));
            continue;
        }
        let line = rest.context("not a CPU line").and_then(parse_line);
        // A last line without a newline and with fewer columns than a previous line is truncated. Its idle time might
        // be too low, and CPUs are missing.
        let columns = line.as_ref().map_or(0, |line| line.columns);
        if !text.ends_with(b"\n") && columns < most {
            bail!("truncated line {:?}", excerpt(&String::from_utf8_lossy(text)));
        }
        let line = line.with_context(|| format!("in line {:?}", excerpt(&String::from_utf8_lossy(text))));
        let Some(line) = faults.keep(line) else { continue };
        most = most.max(columns);
        lines.push(line);
    }
    lines.retain(|line| faults.keep(line.require(most)).is_some());
    if lines.is_empty() {
        std::mem::take(faults).result()?;
        bail!("no CPU line at the start");
    }
    Ok(total.filter(|(_, columns)| *columns == most).map(|(ticks, _)| ticks))
}

/// Whether a line starts with one of [`OTHER_KEYS`].
fn is_of_other_key(line: &[u8]) -> bool {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    OTHER_KEYS.iter().any(|key| key.as_bytes() == &line[..end])
}

/// Parses the line of a CPU after `cpu`.
fn parse_line(rest: &[u8]) -> Result<Line> {
    let (cpu, rest) = rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let cpu = number(cpu).filter(|_| !cpu.is_empty()).and_then(|cpu| u32::try_from(cpu).ok());
    let cpu = cpu.context("not a CPU number")?;
    let (ticks, columns) = parse_columns(rest).context("not a number")?;
    ensure!(columns > IDLE, "fewer than {} columns", IDLE + 1);
    Ok(Line { cpu, ticks, columns })
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

#[cfg(test)]
mod tests {
    use super::*;

    const LAPTOP: &str = include_str!("../../../tests/fixtures/laptop/proc/stat");
    const VM: &str = include_str!("../../../tests/fixtures/vm/proc/stat");

    fn lines(text: &str) -> Result<Vec<Line>> {
        let (lines, faults) = lines_and_faults(text)?;
        faults.result().map(|()| lines)
    }

    fn lines_and_faults(text: &str) -> Result<(Vec<Line>, Faults)> {
        let mut lines = vec![Line { cpu: 99, ticks: [99; COLUMNS], columns: 99 }];
        let mut faults = Faults::default();
        parse(text.as_bytes(), &mut lines, &mut faults).map(|_| (lines, faults))
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
        assert_eq!(lines(&format!("{text}disk 0 0 0 0\npage 0 0\n")).unwrap().len(), 1024);
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
    fn an_invalid_line_affects_only_its_cpu() {
        for line in [
            "cpu1 1 2 x 4",
            "cpu1 1 2 3",
            "cpu1",
            "cpu  1 2 3 4",
            "cpux 1 2 3 4",
            "cpu99999999999 1 2 3 4",
            "\0\0",
            "",
            "xpu1 1 2 3 4",
            "garbage 1 2 3 4",
        ] {
            let (lines, faults) = lines_and_faults(&format!("cpu0 1 2 3 4\n{line}\ncpu2 1 2 3 4\nintr 1\n")).unwrap();
            assert_eq!(lines.iter().map(|line| line.cpu).collect::<Vec<_>>(), [0, 2], "{line:?}");
            assert!(!faults.is_empty(), "{line:?}");
        }
        let (_, faults) = lines_and_faults("cpu0 1 2 3 4\ncpu1 1 x 3 4\n").unwrap();
        assert_eq!(format!("{:#}", faults.result().unwrap_err()), "in line \"cpu1 1 x 3 4\": not a number");
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
    fn a_cpu_line_without_its_last_columns_is_invalid() {
        for text in [
            "cpu  9 9 9 9 9\ncpu0 1 2 3 4 5\ncpu1 1 2 3 4\n",
            "cpu  x\ncpu0 1 2 3 4 5\ncpu1 1 2 3 4\n",
            "cpu1 1 2 3 4\ncpu0 1 2 3 4 5\n",
            "cpu  9 9 9 9 9\ncpu1 1 2 3 4\ncpu0 1 2 3 4 5\n",
        ] {
            let (lines, faults) = lines_and_faults(text).unwrap();
            assert_eq!(lines.iter().map(|line| line.cpu).collect::<Vec<_>>(), [0], "{text:?}");
            let error = faults.result().unwrap_err().to_string();
            assert_eq!(error, "the line of cpu1 is truncated: 4 columns instead of 5", "{text:?}");
        }
        assert!(lines("cpu  9 9 9 9 9\ncpu0 1 2 3 4\n").is_err());
    }

    #[test]
    fn an_invalid_sum_line_is_ignored() {
        let total = |line: &str| {
            let (mut lines, mut faults) = (Vec::new(), Faults::default());
            let total = parse(format!("{line}\ncpu0 1 2 3 4 5\n").as_bytes(), &mut lines, &mut faults).unwrap();
            assert!(lines.len() == 1 && faults.is_empty(), "{line:?}");
            total.map(|ticks| ticks[4])
        };
        for line in ["cpu  x 1 2 3 4", "cpu ", "cpu  1 2 -3 4 5", "cpu  3000", "cpu  1 2 3", "cpu  1 2 3 4"] {
            assert_eq!(total(line), None, "{line:?}");
        }
        assert_eq!(total("cpu  1 2 3 4 5"), Some(5));
    }
}

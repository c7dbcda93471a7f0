//! Parses tables with a column for each CPU, the format of /proc/interrupts and /proc/softirqs.

use anyhow::{Context, Result, bail, ensure};
use exporter_common::Faults;

use super::file::excerpt;

/// The CPUs of the columns, the valid rows, and the errors of the others.
#[derive(Debug)]
pub(crate) struct CpuTable<'a> {
    pub(crate) cpus: Vec<u32>,
    pub(crate) rows: Vec<Row<'a>>,
    pub(crate) faults: Faults,
}

/// A name, a count for each CPU, and the words after the counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) counts: Vec<u64>,
    pub(crate) rest: Vec<&'a str>,
}

impl<'a> CpuTable<'a> {
    /// Parses a table without the rows named in `skipped`, which are not of CPUs. An invalid row, such as one with fewer
    /// counts than CPUs, is a fault and does not affect others.
    pub(crate) fn parse(text: &'a str, skipped: &[&str]) -> Result<Self> {
        let (head, rows) = text.split_once('\n').unwrap_or((text, ""));
        let number = |word: &str| word.strip_prefix("CPU").and_then(|number| number.parse().ok());
        let cpus: Option<Vec<u32>> = head.split_ascii_whitespace().map(number).collect();
        let cpus = cpus.filter(|cpus| !cpus.is_empty());
        let cpus = cpus.with_context(|| format!("not a line of CPUs: {:?}", excerpt(head)))?;
        let mut table = Self { cpus, rows: Vec::new(), faults: Faults::default() };
        for line in rows.split_inclusive('\n') {
            // In a truncated last line, a count may be too low.
            if !line.ends_with('\n') {
                bail!("truncated line {:?}", excerpt(line));
            }
            let row = parse_row(line, table.cpus.len(), skipped);
            let row = row.with_context(|| format!("in line {:?}", excerpt(line)));
            table.rows.extend(table.faults.keep(row).flatten());
        }
        Ok(table)
    }
}

/// Parses a row; `None` if it is skipped.
fn parse_row<'a>(line: &'a str, cpus: usize, skipped: &[&str]) -> Result<Option<Row<'a>>> {
    ensure!(!line.contains(char::REPLACEMENT_CHARACTER), "not UTF-8");
    let (name, rest) = line.split_once(':').context("no name")?;
    let name = name.trim();
    if skipped.contains(&name) {
        return Ok(None);
    }
    let words: Vec<_> = rest.split_ascii_whitespace().collect();
    ensure!(words.len() >= cpus, "fewer counts than CPUs ({cpus})");
    let (counts, rest) = words.split_at(cpus);
    let counts: Option<_> = counts.iter().map(|count| count.parse().ok()).collect();
    Ok(Some(Row { name, counts: counts.context("not a number")?, rest: rest.to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_count_for_each_cpu() {
        let text = "      CPU0  CPU2\n  0:  18  0  IO-APIC  2-edge  timer\nNMI:  1  2  Non-maskable\nERR:  3\n";
        let row = |name, counts: [u64; 2], rest| Row { name, counts: counts.to_vec(), rest };
        let expected =
            [row("0", [18, 0], vec!["IO-APIC", "2-edge", "timer"]), row("NMI", [1, 2], vec!["Non-maskable"])];
        let table = CpuTable::parse(text, &["ERR"]).unwrap();
        assert_eq!((table.cpus, table.rows, table.faults.is_empty()), (vec![0, 2], expected.to_vec(), true));
    }

    #[test]
    fn a_truncated_table_or_one_without_cpus_is_refused() {
        for text in ["", "\n", "CPU0 x\n", "CPU0\nHI: 1"] {
            assert!(CpuTable::parse(text, &[]).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_invalid_row_does_not_affect_others() {
        for row in ["HI", "HI: x", "HI: -1", "HI:", "HI\u{fffd}: 1", "\0"] {
            let text = format!("CPU0\n{row}\nRCU: 7\n");
            let table = CpuTable::parse(&text, &[]).unwrap();
            assert_eq!((table.rows.len(), table.faults.is_empty()), (1, false), "{row:?}");
        }
    }
}

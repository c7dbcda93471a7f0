//! Parses tables with a column for each CPU, the format of /proc/interrupts and /proc/softirqs.

use anyhow::{Context, Result, bail};

use super::file::excerpt;

/// The CPUs of the columns, and the rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CpuTable<'a> {
    pub(crate) cpus: Vec<u32>,
    pub(crate) rows: Vec<Row<'a>>,
}

/// A name, a count for each CPU, and the words after the counts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) counts: Vec<u64>,
    pub(crate) rest: Vec<&'a str>,
}

impl<'a> CpuTable<'a> {
    /// Parses a table. A row with fewer counts than CPUs, such as `ERR` of /proc/interrupts, is not one of CPUs and is
    /// skipped.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let (head, rows) = text.split_once('\n').unwrap_or((text, ""));
        let number = |word: &str| word.strip_prefix("CPU").and_then(|number| number.parse().ok());
        let cpus: Option<Vec<u32>> = head.split_ascii_whitespace().map(number).collect();
        let cpus = cpus.filter(|cpus| !cpus.is_empty());
        let cpus = cpus.with_context(|| format!("not a line of CPUs: {:?}", excerpt(head)))?;
        let mut table = Self { cpus, rows: Vec::new() };
        for line in rows.split_inclusive('\n') {
            // In a truncated last line, a count may be too low.
            if !line.ends_with('\n') {
                bail!("truncated line {:?}", excerpt(line));
            }
            let Some((name, rest)) = line.split_once(':') else { bail!("no name in line {:?}", excerpt(line)) };
            let words: Vec<_> = rest.split_ascii_whitespace().collect();
            if words.len() < table.cpus.len() {
                continue;
            }
            let (counts, rest) = words.split_at(table.cpus.len());
            let counts: Option<Vec<_>> = counts.iter().map(|count| count.parse().ok()).collect();
            let counts = counts.with_context(|| format!("not a number in {:?}", excerpt(line)))?;
            table.rows.push(Row { name: name.trim(), counts, rest: rest.to_vec() });
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_count_for_each_cpu() {
        let text = "      CPU0  CPU2\n  0:  18  0  IO-APIC  2-edge  timer\nNMI:  1  2  Non-maskable\nERR:  3\n";
        let row = |name, counts: [u64; 2], rest| Row { name, counts: counts.to_vec(), rest };
        let expected = CpuTable {
            cpus: vec![0, 2],
            rows: vec![row("0", [18, 0], vec!["IO-APIC", "2-edge", "timer"]), row("NMI", [1, 2], vec!["Non-maskable"])],
        };
        assert_eq!(CpuTable::parse(text).unwrap(), expected);
    }

    #[test]
    fn a_truncated_or_invalid_table_is_refused() {
        for text in ["", "\n", "CPU0 x\n", "CPU0\nHI: 1", "CPU0\nHI\n", "CPU0\nHI: x\n", "CPU0\nHI: -1\n"] {
            assert!(CpuTable::parse(text).is_err(), "{text:?}");
        }
    }
}

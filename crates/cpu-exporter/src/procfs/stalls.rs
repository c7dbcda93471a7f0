//! Parses pressure stall information (PSI): /proc/pressure and the pressure files of cgroups.

use anyhow::{Context, Result, bail};

use super::file::excerpt;

/// The totals of one file in microseconds; `None` for a line that it lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stalls {
    pub(crate) some: Option<u64>,
    pub(crate) full: Option<u64>,
}

impl Stalls {
    /// Parses lines like `some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut stalls = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let field = match words.next() {
                Some("some") => &mut stalls.some,
                Some("full") => &mut stalls.full,
                _ => continue,
            };
            let total = words.find_map(|word| word.strip_prefix("total=")).and_then(|total| total.parse().ok());
            *field = Some(total.with_context(|| format!("no total in line {:?}", excerpt(line)))?);
        }
        if stalls == Self::default() {
            bail!("neither a some nor a full line in {:?}", excerpt(text));
        }
        Ok(stalls)
    }
}

/// Two divisions like in node_exporter: a single one by a million rounds some values differently.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 microseconds, which is 285 years")]
pub(crate) fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: &str = include_str!("../../tests/fixtures/vm/proc/pressure/cpu");
    const IRQ: &str = include_str!("../../tests/fixtures/laptop/proc/pressure/irq");

    #[test]
    fn both_totals_are_read() {
        assert_eq!(Stalls::parse(CPU).unwrap(), Stalls { some: Some(15_050_131), full: Some(0) });
        assert_eq!(Stalls::parse(IRQ).unwrap(), Stalls { some: None, full: Some(8494) });
    }

    #[test]
    fn an_empty_or_truncated_file_is_refused() {
        for text in ["", "\n", "some avg10=0.00 avg60=0.00\n", "some total=x\n", "some\n", "rubbish\n"] {
            assert!(Stalls::parse(text).is_err(), "{text:?}");
        }
    }
}

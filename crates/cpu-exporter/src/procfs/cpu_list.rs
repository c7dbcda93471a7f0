//! Parses the kernel's CPU lists (`0-3,7`), the format of /sys/devices/system/cpu/online.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::file::{excerpt, read};

/// The CPUs listed in a file; `None` if this host does not have the file.
pub(crate) fn read_cpu_list(path: &Path) -> Result<Option<BTreeSet<u32>>> {
    let Some(text) = read(path)? else { return Ok(None) };
    parse(&text).map(Some).with_context(|| format!("{}", path.display()))
}

/// [`read_cpu_list`] for a file that contains at least one CPU on every host.
pub(crate) fn read_nonempty_cpu_list(path: &Path) -> Result<Option<BTreeSet<u32>>> {
    let Some(text) = read(path)? else { return Ok(None) };
    nonempty_cpu_list(path, text.as_bytes()).map(Some)
}

/// The CPUs in the content of a file, at least one.
pub(crate) fn nonempty_cpu_list(path: &Path, content: &[u8]) -> Result<BTreeSet<u32>> {
    let cpus = std::str::from_utf8(content).map_err(anyhow::Error::from).and_then(parse);
    let cpus = cpus.with_context(|| format!("{}", path.display()))?;
    if cpus.is_empty() {
        bail!("{}: the list of CPUs is empty", path.display());
    }
    Ok(cpus)
}

/// Parses numbers and ranges separated by commas; the list may be empty or end in a comma.
pub(super) fn parse(text: &str) -> Result<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    let list = text.trim();
    for part in list.strip_suffix(',').unwrap_or(list).split(',').filter(|_| !list.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
            bail!("not a list of CPUs: {:?}", excerpt(text));
        };
        if last < first || last >= MAX_CPUS {
            bail!("not a range of CPUs: {part:?}");
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// Linux supports at most 8,192 CPUs. A list with larger numbers is invalid and must not exhaust the memory.
const MAX_CPUS: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ranges_and_a_trailing_comma_are_valid() {
        for (text, expected) in [
            ("\n", vec![]),
            ("", vec![]),
            ("1\n", vec![1]),
            ("1,\n", vec![1]),
            ("1,3-5,9\n", vec![1, 3, 4, 5, 9]),
            ("1,3-4,7,20-21", vec![1, 3, 4, 7, 20, 21]),
            ("2-3,0-2", vec![0, 1, 2, 3]),
        ] {
            assert_eq!(parse(text).unwrap().into_iter().collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn truncated_reversed_and_huge_ranges_are_refused() {
        for text in ["1,2-", "1,-3", "x", ",", "1,,2", "3-1", "0-4294967295", "0-99999999999", "0 1"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}

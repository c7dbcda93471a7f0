//! Logs that came and went between two looks at their path: several rotations in a row, or one while
//! the process was stopped.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::log_file::{Identity, LogFile};
use crate::place::directory;

/// How far the time of a file may lag behind the clock: the kernel's ticks are coarse.
pub(crate) const COARSE: Duration = Duration::from_millis(20);

/// Opens what was rotated away from a path and is younger than the last look at it. Older ones were
/// read in their time. Empty where the file system does not know when a file was made.
pub(crate) fn since(path: &Path, last_look: SystemTime, known: &[Identity], now: Instant) -> Vec<LogFile> {
    let youngest = last_look.checked_sub(COARSE).unwrap_or(last_look);
    let mut found = siblings(path, now);
    found.retain(|file| file.born.is_some_and(|born| born >= youngest) && !known.contains(&file.identity));
    found
}

/// Opens what may be the copy of a log that was truncated, the youngest first: made not long before the last look at the
/// log, since making a large one takes its time.
pub(crate) fn copies(path: &Path, last_look: SystemTime, now: Instant) -> Vec<LogFile> {
    let oldest = last_look.checked_sub(COPYING).unwrap_or(last_look);
    let mut found = siblings(path, now);
    found.retain(|file| file.born.is_none_or(|born| born >= oldest));
    found.sort_by_key(|file| std::cmp::Reverse(file.born));
    found
}

/// How long making a copy may take.
const COPYING: Duration = Duration::from_secs(300);

/// Opens everything whose name is what rotation makes of a log's, each file once.
pub(crate) fn siblings(path: &Path, now: Instant) -> Vec<LogFile> {
    let Ok(entries) = std::fs::read_dir(directory(path)) else { return Vec::new() };
    let rotated = entries.flatten().map(|entry| entry.path()).filter(|other| is_of(other, path));
    let mut found: Vec<LogFile> = Vec::new();
    for file in rotated.filter_map(|path| LogFile::open(&path, now).ok()) {
        if found.iter().all(|other| other.identity != file.identity) {
            found.push(file);
        }
    }
    found
}

/// Whether a path is what rotation makes of a log's.
pub(crate) fn is_of(other: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    directory(other) == directory(path)
        && name(other).zip(name(path)).is_some_and(|(other, name)| is_rotated(&other, &name))
}

/// Whether a name is what rotation makes of a log's name, uncompressed: a number or a date follows.
fn is_rotated(other: &str, name: &str) -> bool {
    let number = other.strip_prefix(name).and_then(|rest| rest.strip_prefix(['.', '-']));
    number.is_some_and(|number| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.chars().all(|c| c.is_ascii_digit() || "-_:T".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_date_makes_a_name_that_of_a_rotated_log() {
        for other in
            ["access.log.1", "access.log-20261120", "access.log.2026-11-20_09:00", "access.log-20261120-1795163170"]
        {
            assert!(is_rotated(other, "access.log"), "{other}");
        }
        for other in [
            "access.log",
            "access.log.1.gz",
            "access.log_ssl",
            "access.log.old",
            "access.log.",
            "other.log.1",
            "access",
        ] {
            assert!(!is_rotated(other, "access.log"), "{other}");
        }
    }
}

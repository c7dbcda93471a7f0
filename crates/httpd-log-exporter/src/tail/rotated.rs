//! Finds rotated files next to a log's path, after rotations between two passes or while the exporter was down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::log_paths::{directory, is_compressed};

/// Maximum lag of a file's timestamps behind the clock: the kernel takes them from a coarse clock.
pub(crate) const COARSE: Duration = Duration::from_millis(20);

/// Files and directories that could not be opened. They may have lines that are not counted.
pub(crate) type FileErrors = Vec<(PathBuf, io::Error)>;

/// Opens the rotated files that were created after the last look at their path, and returns them with that path. Older
/// files were read before. Returns nothing on file systems without creation times. Each directory is read once, since there
/// may be thousands of paths.
pub(crate) fn since<'a>(
    paths: &'a BTreeMap<PathBuf, SearchWindow>,
    known: &BTreeSet<FileIdentity>,
    now: Instant,
    faults: &mut FileErrors,
) -> Vec<(&'a Path, LogFile)> {
    let directories: BTreeSet<_> = paths.keys().map(|path| directory(path)).collect();
    let mut found: Vec<(&Path, LogFile)> = Vec::new();
    let others: Vec<_> = directories.into_iter().flat_map(|directory| entries(directory, faults)).collect();
    for other in others {
        let Some((path, window)) = base_paths(&other).find_map(|base| paths.get_key_value(&base)) else { continue };
        let youngest = window.since.checked_sub(COARSE).unwrap_or(window.since);
        let wanted = |metadata: &Metadata| {
            let identity = FileIdentity::of(metadata);
            let is_new = !known.contains(&identity) && found.iter().all(|(_, file)| file.identity != identity);
            is_new && metadata.is_file() && metadata.created().is_ok_and(|born| born >= youngest)
        };
        if let Some(file) = open_wanted(&other, wanted, now, faults) {
            found.push((path, file));
        }
    }
    found
}

/// The entries of a directory. A missing directory has none.
fn entries(directory: &Path, faults: &mut FileErrors) -> Vec<PathBuf> {
    let mut fault = |error: io::Error| {
        if error.kind() != io::ErrorKind::NotFound {
            faults.push((directory.to_path_buf(), error));
        }
        None
    };
    match std::fs::read_dir(directory) {
        Ok(entries) => entries.filter_map(|entry| entry.map_or_else(&mut fault, |entry| Some(entry.path()))).collect(),
        Err(error) => {
            fault(error);
            Vec::new()
        }
    }
}

/// Opens a file if it exists and is wanted. If another file gets its name in the meantime, that one must be wanted too.
fn open_wanted(
    path: &Path,
    wanted: impl Fn(&Metadata) -> bool,
    now: Instant,
    faults: &mut FileErrors,
) -> Option<LogFile> {
    let open = || {
        loop {
            let metadata = std::fs::metadata(path)?;
            let file = wanted(&metadata).then(|| LogFile::open(path, now)).transpose()?;
            if file.as_ref().is_none_or(|file| file.identity == FileIdentity::of(&metadata)) {
                return Ok(file);
            }
        }
    };
    open().unwrap_or_else(|error: io::Error| {
        if error.kind() != io::ErrorKind::NotFound {
            faults.push((path.to_path_buf(), error));
        }
        None
    })
}

/// Since when files of a path may have been rotated unseen, and until when they are searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchWindow {
    pub(crate) since: SystemTime,
    pub(crate) until: Instant,
}

/// The log paths that rotation may have renamed to a path.
fn base_paths(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ends = name.match_indices(['.', '-']).map(|(end, _)| &name[..end]);
    ends.filter(|base| is_rotated(name, base)).map(|base| path.with_file_name(base))
}

/// Opens possible copies of a truncated log, the youngest first. A copy can be older than the last look at the log, since
/// copying a large log takes time.
pub(crate) fn copies(path: &Path, last_look: SystemTime, now: Instant, faults: &mut FileErrors) -> Vec<LogFile> {
    let oldest = last_look.checked_sub(COPYING).unwrap_or(last_look);
    let young = |metadata: &Metadata| metadata.is_file() && metadata.created().map_or(true, |born| born >= oldest);
    let mut found = siblings(path, young, now, faults);
    found.sort_by_key(|file| std::cmp::Reverse(file.born));
    found
}

/// Maximum time that copying a log takes.
const COPYING: Duration = Duration::from_secs(300);

/// Opens the wanted files with names that rotation gives to a log, each file once.
pub(crate) fn siblings(
    path: &Path,
    wanted: impl Fn(&Metadata) -> bool,
    now: Instant,
    faults: &mut FileErrors,
) -> Vec<LogFile> {
    let mut found: Vec<LogFile> = Vec::new();
    for other in entries(directory(path), faults).into_iter().filter(|other| is_rotation_of(other, path)) {
        let Some(file) = open_wanted(&other, &wanted, now, faults) else { continue };
        if found.iter().all(|other| other.identity != file.identity) {
            found.push(file);
        }
    }
    found
}

/// Whether a rotated file of a log is next to its path, compressed or not.
pub(crate) fn has_rotated_file(path: &Path) -> bool {
    let entries = std::fs::read_dir(directory(path)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|other| {
        let uncompressed = if is_compressed(&other) { other.with_extension("") } else { other };
        is_rotation_of(&uncompressed, path)
    })
}

/// Whether rotation renames a log's path to another path.
pub(crate) fn is_rotation_of(other: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    directory(other) == directory(path)
        && name(other).zip(name(path)).is_some_and(|(other, name)| is_rotated(&other, &name))
}

/// Whether a name belongs to an uncompressed rotated log: the log's name, then a number or a date.
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
    fn the_name_of_the_log_is_derived_from_a_rotated_name() {
        for (name, expected) in [
            ("/x/access.log.1", "/x/access.log"),
            ("/x/access.log-2026-11-20", "/x/access.log"),
            ("/x/a-b.log.2026-11-20_09:00", "/x/a-b.log"),
        ] {
            assert!(base_paths(Path::new(name)).any(|base| base == Path::new(expected)), "{name}");
        }
        for name in ["/x/access.log", "/x/access.log.gz", "/x/.1", "/x/error"] {
            assert!(base_paths(Path::new(name)).all(|base| base == Path::new("/x/")), "{name}");
        }
    }

    #[test]
    fn a_rotated_log_has_a_number_or_a_date_behind_its_name() {
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

//! Logs that came and went between two looks at their path: several rotations in a row, or one while
//! the process was stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::log_paths::{directory, is_compressed};

/// How far the time of a file may lag behind the clock: the kernel's ticks are coarse.
pub(crate) const COARSE: Duration = Duration::from_millis(20);

/// What could not be opened, or listed: there may be lines in it that are not counted.
pub(crate) type FileErrors = Vec<(PathBuf, io::Error)>;

/// Opens what was rotated away from paths and is younger than the last look at them, with those paths. Older ones were
/// read in their time. Empty where the file system does not know when a file was made. There may be thousands of paths, so
/// their directory is read once and only what is wanted is opened.
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
        let Some((path, searched)) = bases(&other).find_map(|base| paths.get_key_value(&base)) else { continue };
        let youngest = searched.since.checked_sub(COARSE).unwrap_or(searched.since);
        let wanted = |metadata: &Metadata| {
            let identity = FileIdentity::of(metadata);
            let is_new = !known.contains(&identity) && found.iter().all(|(_, file)| file.identity != identity);
            is_new && metadata.is_file() && metadata.created().is_ok_and(|born| born >= youngest)
        };
        if let Some(file) = opened(&other, wanted, now, faults) {
            found.push((path, file));
        }
    }
    found
}

/// What is in a directory. One that is not there has nothing.
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

/// Opens a file, if that is wanted and it is there. Its name may be given to another one meanwhile, which is to be wanted, too.
fn opened(path: &Path, wanted: impl Fn(&Metadata) -> bool, now: Instant, faults: &mut FileErrors) -> Option<LogFile> {
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

/// Since when logs of a path may have come and gone unseen, and how long they are searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchWindow {
    pub(crate) since: SystemTime,
    pub(crate) until: Instant,
}

/// The paths of which rotation may have made a path.
fn bases(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ends = name.match_indices(['.', '-']).map(|(end, _)| &name[..end]);
    ends.filter(|base| is_rotated(name, base)).map(|base| path.with_file_name(base))
}

/// Opens what may be the copy of a log that was truncated, the youngest first: made not long before the last look at the
/// log, since making a large one takes its time.
pub(crate) fn copies(path: &Path, last_look: SystemTime, now: Instant, faults: &mut FileErrors) -> Vec<LogFile> {
    let oldest = last_look.checked_sub(COPYING).unwrap_or(last_look);
    let young = |metadata: &Metadata| metadata.is_file() && metadata.created().map_or(true, |born| born >= oldest);
    let mut found = siblings(path, young, now, faults);
    found.sort_by_key(|file| std::cmp::Reverse(file.born));
    found
}

/// How long making a copy may take.
const COPYING: Duration = Duration::from_secs(300);

/// Opens everything wanted whose name is what rotation makes of a log's, each file once.
pub(crate) fn siblings(
    path: &Path,
    wanted: impl Fn(&Metadata) -> bool,
    now: Instant,
    faults: &mut FileErrors,
) -> Vec<LogFile> {
    let mut found: Vec<LogFile> = Vec::new();
    for other in entries(directory(path), faults).into_iter().filter(|other| is_of(other, path)) {
        let Some(file) = opened(&other, &wanted, now, faults) else { continue };
        if found.iter().all(|other| other.identity != file.identity) {
            found.push(file);
        }
    }
    found
}

/// Whether there is anything beside a log's path that rotation, and maybe compression, made of one.
pub(crate) fn is_beside(path: &Path) -> bool {
    let entries = std::fs::read_dir(directory(path)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|other| {
        let uncompressed = if is_compressed(&other) { other.with_extension("") } else { other };
        is_of(&uncompressed, path)
    })
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
    fn a_rotated_name_leads_to_that_of_the_log() {
        for (name, expected) in [
            ("/x/access.log.1", "/x/access.log"),
            ("/x/access.log-2026-11-20", "/x/access.log"),
            ("/x/a-b.log.2026-11-20_09:00", "/x/a-b.log"),
        ] {
            assert!(bases(Path::new(name)).any(|base| base == Path::new(expected)), "{name}");
        }
        for name in ["/x/access.log", "/x/access.log.gz", "/x/.1", "/x/error"] {
            assert!(bases(Path::new(name)).all(|base| base == Path::new("/x/")), "{name}");
        }
    }

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

//! Finds rotated files next to a log's path, after rotations between two passes or while the exporter was down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::log_paths::directory;

/// Maximum lag of a file's timestamps behind the clock: the kernel takes them from a coarse clock.
pub(crate) const COARSE: Duration = Duration::from_millis(20);

/// Files and directories that could not be opened. They may have lines that are not counted.
pub(crate) type FileErrors = Vec<(PathBuf, io::Error)>;

/// The rotated files next to log paths, plain and compressed. Each directory is listed once, since there may be thousands of
/// paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generations {
    plain: BTreeMap<PathBuf, Vec<PathBuf>>,
    compressed: BTreeMap<PathBuf, Vec<PathBuf>>,
}

impl Generations {
    /// Lists the directories of log paths, each with whether a symbolic link leads to it. The link's next target has the
    /// same name with other digits.
    pub(crate) fn next_to<'a>(paths: impl IntoIterator<Item = (&'a Path, bool)>, faults: &mut FileErrors) -> Self {
        let paths: BTreeMap<_, _> = paths.into_iter().collect();
        let targets = paths.iter().filter(|(_, is_target)| **is_target);
        let targets: BTreeMap<_, _> = targets.map(|(path, _)| (without_digits(path), *path)).collect();
        let directories: BTreeSet<_> = paths.keys().map(|path| directory(path)).collect();
        let entries: BTreeSet<_> = directories.into_iter().flat_map(|directory| entries(directory, faults)).collect();
        let mut found = Self::default();
        for entry in &entries {
            let is_gzip = entry.extension().is_some_and(|extension| extension == "gz");
            let plain = if is_gzip { &entry.with_extension("") } else { entry };
            // a log that also exists uncompressed is still being compressed, and is read uncompressed
            if is_gzip && entries.contains(plain) {
                continue;
            }
            let base = base_paths(plain).find(|base| paths.contains_key(base.as_path()));
            let other_target = || targets.get(&without_digits(plain)).filter(|target| **target != plain.as_path());
            let Some(base) = base.or_else(|| other_target().map(|target| target.to_path_buf())) else { continue };
            let generations = if is_gzip { &mut found.compressed } else { &mut found.plain };
            generations.entry(base).or_default().push(entry.clone());
        }
        found
    }

    /// The uncompressed rotated files of a log path.
    pub(crate) fn plain(&self, path: &Path) -> &[PathBuf] {
        self.plain.get(path).map_or(&[], Vec::as_slice)
    }

    /// All uncompressed files.
    pub(crate) fn all_plain(&self) -> impl Iterator<Item = &PathBuf> {
        self.plain.values().flatten()
    }

    /// All compressed files, each with the log path.
    pub(crate) fn all_compressed(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.compressed.iter().flat_map(|(base, found)| found.iter().map(|path| (base.as_path(), path.as_path())))
    }

    /// Whether a log path has a rotated file.
    pub(crate) fn has_any(&self, path: &Path) -> bool {
        self.plain.contains_key(path) || self.compressed.contains_key(path)
    }
}

/// Opens the rotated files that were created after the last look at their path, and returns them with that path. Older
/// files were read before. Returns nothing on file systems without creation times.
pub(crate) fn since(
    windows: &BTreeMap<PathBuf, SearchWindow>,
    generations: &Generations,
    known: &BTreeSet<FileIdentity>,
    now: Instant,
    faults: &mut FileErrors,
) -> Vec<(PathBuf, LogFile)> {
    let mut seen = known.clone();
    let mut found = Vec::new();
    for (path, window) in windows {
        let youngest = window.since.checked_sub(COARSE).unwrap_or(window.since);
        for other in generations.plain(path) {
            let wanted = |metadata: &Metadata| {
                let is_young = metadata.is_file() && metadata.created().is_ok_and(|born| born >= youngest);
                is_young && !seen.contains(&FileIdentity::of(metadata))
            };
            if let Some(file) = open_wanted(other, wanted, now, faults) {
                seen.insert(file.identity);
                found.push((path.clone(), file));
            }
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

/// A path without the digits of its file name.
fn without_digits(path: &Path) -> (PathBuf, String) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    (directory(path).to_path_buf(), name.chars().filter(|c| !c.is_ascii_digit()).collect())
}

/// Since when files of a path may have been rotated unseen, and until when they are searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchWindow {
    pub(crate) since: SystemTime,
    pub(crate) until: Instant,
    /// Whether a symbolic link leads to the path, so that earlier and later targets of the link are searched, too.
    pub(crate) is_target: bool,
}

/// The log paths that rotation may have renamed to a path.
pub(crate) fn base_paths(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ends = name.match_indices(['.', '-']).map(|(end, _)| &name[..end]);
    ends.filter(|base| is_rotated(name, base)).map(|base| path.with_file_name(base))
}

/// Opens possible copies of a truncated log, the youngest first. A copy can be older than the last look at the log, since
/// copying a large log takes time.
pub(crate) fn copies(
    paths: &[PathBuf],
    known: &BTreeSet<FileIdentity>,
    last_look: SystemTime,
    now: Instant,
    faults: &mut FileErrors,
) -> Vec<LogFile> {
    let oldest = oldest_copy(last_look);
    let young = |metadata: &Metadata| {
        let is_young = metadata.is_file() && metadata.created().map_or(true, |born| born >= oldest);
        is_young && !known.contains(&FileIdentity::of(metadata))
    };
    let mut found: Vec<_> = paths.iter().filter_map(|path| open_wanted(path, young, now, faults)).collect();
    found.sort_by_key(|file| std::cmp::Reverse(file.born));
    found
}

/// The earliest creation time of a copy that was made after a look at its log.
pub(crate) fn oldest_copy(last_look: SystemTime) -> SystemTime {
    last_look.checked_sub(COPYING).unwrap_or(last_look)
}

/// Maximum time that copying a log takes.
const COPYING: Duration = Duration::from_secs(300);

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
    fn generations_are_listed_by_log_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.log", "a.log.1", "a.log.2", "a.log.2.gz", "a.log-20261120.gz", "b.log.1", "c.log.1", "x"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let [a, b, d] = ["a.log", "b.log", "d.log"].map(|name| folder.path().join(name));
        let found = Generations::next_to([(a.as_path(), false), (&b, false), (&d, false)], &mut FileErrors::new());
        let names =
            |paths: &[PathBuf]| -> Vec<_> { paths.iter().map(|path| path.file_name().unwrap().to_owned()).collect() };
        assert_eq!(names(found.plain(&a)), ["a.log.1", "a.log.2"]);
        let compressed: Vec<_> = found.all_compressed().map(|(_, path)| path.to_path_buf()).collect();
        assert_eq!(names(&compressed), ["a.log-20261120.gz"], "not the one that is still being compressed");
        assert_eq!(names(found.plain(&b)), ["b.log.1"]);
        let targets = Generations::next_to([(a.as_path(), true), (&b, false)], &mut FileErrors::new());
        assert_eq!(names(targets.plain(&a)), ["a.log.1", "a.log.2"], "without a digit in its name");
        assert!(found.has_any(&a) && found.has_any(&b) && !found.has_any(&d));
    }

    #[test]
    fn other_targets_of_a_link_differ_in_digits_only() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["access-1.log", "access-2.log", "access-30.log.gz", "access-x.log", "error-1.log"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let target = folder.path().join("access-2.log");
        let found = Generations::next_to([(target.as_path(), true)], &mut FileErrors::new());
        assert_eq!(found.plain(&target), [folder.path().join("access-1.log")]);
        let gzip = folder.path().join("access-30.log.gz");
        assert_eq!(found.all_compressed().collect::<Vec<_>>(), [(target.as_path(), gzip.as_path())]);
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

//! The paths of a log: one path or a glob.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::compression;
use crate::tail::glob::{covers, is_absence, matching, wildcards};

/// One path or a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogPaths {
    Path(PathBuf),
    /// `*`, `?` and `[a-z]` match parts of a name, in any component of the path; `**` matches any number of folders.
    Glob(PathBuf),
}

impl LogPaths {
    /// Parses a flag's value. An existing path is not a glob, even if it has a `*`.
    pub(crate) fn parse(text: &str) -> Self {
        if text.contains(['*', '?', '[']) && !Path::new(text).exists() {
            // two stars at the end are all files in all folders
            Self::Glob(if text.ends_with("/**") { Path::new(text).join("*") } else { text.into() })
        } else {
            Self::Path(text.into())
        }
    }

    /// Whether this is a glob.
    pub(crate) fn is_glob(&self) -> bool {
        matches!(self, Self::Glob(_))
    }

    /// The current paths with their metadata. A single path is always listed. A glob lists the matching files without
    /// compressed ones, and directories that cannot be read or are missing before the first wildcard.
    pub(crate) fn list(&self) -> Vec<(PathBuf, io::Result<Metadata>)> {
        match self {
            Self::Path(path) => vec![(path.clone(), std::fs::metadata(path))],
            Self::Glob(pattern) => {
                let (paths, faults) = matching(pattern);
                let paths = paths.into_iter().filter(|path| !is_compressed(path));
                let found = paths.filter_map(|path| {
                    let metadata = std::fs::metadata(&path);
                    let file = metadata.as_ref().map_or_else(|error| !is_absence(error), Metadata::is_file);
                    file.then_some((path, metadata))
                });
                found.chain(faults.into_iter().map(|(directory, error)| (directory, Err(error)))).collect()
            }
        }
    }

    /// The compressed files: a single path with compressed content, or the files that match the glob and have the extension
    /// of a compressed file. If the glob also matches its name without the extension, that file is still being compressed.
    pub(crate) fn compressed(&self) -> Vec<PathBuf> {
        match self {
            Self::Path(path) if compression::is_compressed(path).unwrap_or(false) => vec![path.clone()],
            Self::Path(_) => Vec::new(),
            Self::Glob(pattern) => {
                let found = matching(pattern).0;
                let is_listed = |path: &PathBuf| found.binary_search(path).is_ok() && path.is_file();
                let is_alone = |path: &&PathBuf| is_compressed(path) && !is_listed(&path.with_extension(""));
                found.iter().filter(|path| is_alone(path) && path.is_file()).cloned().collect()
            }
        }
    }

    /// The log's spelling of a path that it covers, whatever the spelling of that path: relative, absolute, or through a
    /// symbolic link.
    pub(crate) fn spelling_of(&self, path: &Path) -> Option<PathBuf> {
        let path = absolute(path);
        match self {
            Self::Path(own) => (absolute(own) == path).then(|| own.clone()),
            Self::Glob(pattern) => {
                let is_fixed = |component: &Component<'_>| wildcards(component).is_none();
                let fixed: PathBuf = pattern.components().take_while(is_fixed).collect();
                let rest = path.strip_prefix(absolute(&fixed.join("x")).parent()?).ok()?;
                let names: Vec<_> = pattern.components().skip_while(is_fixed).map(Component::as_os_str).collect();
                let path: Vec<_> = rest.components().map(Component::as_os_str).collect();
                covers(&names, &path).then(|| fixed.join(rest))
            }
        }
    }

    /// The directories in which the log's files appear and disappear.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        match self {
            Self::Path(path) => vec![directory(path).to_path_buf()],
            Self::Glob(pattern) => matching(directory(pattern)).0,
        }
    }
}

/// The path in an absolute directory without symbolic links. The file itself may be missing.
fn absolute(path: &Path) -> PathBuf {
    let in_directory = std::fs::canonicalize(directory(path)).ok().zip(path.file_name());
    in_directory.map_or_else(
        || std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
        |(directory, name)| directory.join(name),
    )
}

/// The directory of a file.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// Whether a file is compressed, by its extension.
pub(crate) fn is_compressed(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["gz", "zst", "xz", "bz2", "lz4", "Z"].contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_lists_files_in_all_matching_directories_without_compressed_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["a/access.log", "b/access.log", "b/access.log.1", "b/access.log.2.gz", "b/.access.log", "c/error.log"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::create_dir(folder.path().join("c/access.log")).unwrap();
        let log_paths = LogPaths::parse(folder.path().join("*/access.log*").to_str().unwrap());
        let found: Vec<_> = log_paths.list().into_iter().map(|(path, _)| path).collect();
        let expected = ["a/access.log", "b/access.log", "b/access.log.1"].map(|name| folder.path().join(name));
        assert_eq!(found, expected);
        assert_eq!(log_paths.directories().len(), 3);
    }

    #[test]
    fn a_covered_path_is_found_in_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        let spelling = |own: &str, path: &str| {
            let found = LogPaths::parse(root.join(own).to_str().unwrap()).spelling_of(&root.join(path));
            found.map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        };
        for (own, path, expected) in [
            ("a/x.log", "a/./x.log", Some("a/x.log")),
            ("a/x.log", "a/b/../x.log", Some("a/x.log")),
            ("a/x.log", "link/x.log", Some("a/x.log")),
            ("link/x.log", "a/x.log", Some("link/x.log")),
            ("a/x.log", "a/y.log", None),
            ("link/*.log", "a/x.log", Some("link/x.log")),
            ("*/b/*.log", "link/b/x.log", Some("a/b/x.log")),
            ("a/*.log", "a/b/x.log", None),
            ("a/*.log", "a/x.txt", None),
            ("**/*.log", "a/b/x.log", Some("a/b/x.log")),
            ("link/**/*.log", "a/x.log", Some("link/x.log")),
        ] {
            assert_eq!(spelling(own, path).as_deref(), expected, "{own} {path}");
        }
        let relative = LogPaths::parse("./Cargo.toml").spelling_of(&std::path::absolute("Cargo.toml").unwrap());
        assert_eq!(relative, Some("./Cargo.toml".into()));
    }

    #[test]
    fn an_existing_path_is_not_a_glob() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("[x]*");
        assert!(LogPaths::parse(path.to_str().unwrap()).is_glob());
        std::fs::write(&path, "").unwrap();
        assert!(!LogPaths::parse(path.to_str().unwrap()).is_glob());
    }

    #[test]
    fn a_directory_that_is_missing_before_the_first_wildcard_or_unreadable_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap(); // not even for root
        for (name, expected) in [
            ("file/*.log", 1),
            ("missing/*.log", 1),
            ("missing/x/*/*.log", 1),
            ("loop/*.log", 1),
            ("*.log", 0),
            ("*/*.log", 1), // the loop
            ("f*/*.log", 0),
            ("f*/access.log", 0),
            ("*/missing/*.log", 1), // the loop
            ("m*/*.log", 0),
        ] {
            let found = LogPaths::Glob(folder.path().join(name)).list();
            assert_eq!(found.iter().filter(|(_, found)| found.is_err()).count(), expected, "{name}");
        }
    }
}

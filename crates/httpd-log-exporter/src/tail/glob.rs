//! Globs: finds the paths that match, and checks whether a path matches.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The component that matches any number of folders, also none.
const ANY_DEPTH: &str = "**";
/// The maximum number of folders that the `**` of a glob may match.
const MAX_FOLDERS: usize = 10_000;

/// Directories that cannot be read.
pub(crate) type Faults = Vec<(PathBuf, io::Error)>;

/// The name of a component with wildcards.
pub(crate) fn wildcards<'a>(component: &Component<'a>) -> Option<&'a str> {
    match component {
        Component::Normal(name) => name.to_str().filter(|name| name.contains(['*', '?', '['])),
        _ => None,
    }
}

/// The sorted paths that match a glob, and the directories that cannot be read.
pub(crate) fn matching(pattern: &Path) -> (Vec<PathBuf>, Faults) {
    let mut found = vec![PathBuf::new()];
    let mut faults = Faults::new();
    let mut is_configured = true; // until the first wildcard
    for component in pattern.components() {
        found = match wildcards(&component) {
            None => found.into_iter().map(|path| path.join(component)).collect(),
            Some(name) => {
                let required = std::mem::take(&mut is_configured);
                match name {
                    ANY_DEPTH => folders(found, required, &mut faults),
                    _ => found.iter().flat_map(|path| within(path, name, required, &mut faults)).collect(),
                }
            }
        };
    }
    found.sort_unstable();
    // two components may report the same directory
    faults.sort_by(|(one, _), (other, _)| one.cmp(other));
    faults.dedup_by(|(one, _), (other, _)| one == other);
    (found, faults)
}

/// Folders and all folders in them, without hidden ones and without symbolic links, which may lead in circles.
fn folders(roots: Vec<PathBuf>, required: bool, faults: &mut Faults) -> Vec<PathBuf> {
    let mut found = roots;
    let mut at = 0;
    while let Some(folder) = found.get(at) {
        let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        found.extend(entries(&folder.clone(), required, faults, "*", is_folder));
        at += 1;
        if found.len() > MAX_FOLDERS {
            let error = format!("more than {MAX_FOLDERS} folders match {ANY_DEPTH}: use a glob with fewer");
            faults.push((found[0].clone(), io::Error::other(error)));
            found.truncate(MAX_FOLDERS);
            break;
        }
    }
    // two roots may be in each other
    found.sort_unstable();
    found.dedup();
    found
}

/// The entries of a directory with matching names.
fn within(path: &Path, pattern: &str, required: bool, faults: &mut Faults) -> Vec<PathBuf> {
    entries(path, required, faults, pattern, |_| true)
}

/// The wanted entries of a directory with matching names. Unless the directory is required, a missing one, or a path that is
/// not a directory, has none.
fn entries(
    path: &Path,
    required: bool,
    faults: &mut Faults,
    pattern: &str,
    is_wanted: impl Fn(&std::fs::DirEntry) -> bool,
) -> Vec<PathBuf> {
    let readable = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let entries = match std::fs::read_dir(readable) {
        Ok(entries) => entries,
        Err(error) => {
            if required || !is_absence(&error) {
                faults.push((readable.to_path_buf(), error));
            }
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                let name = entry.file_name();
                let bytes = name.as_encoded_bytes();
                let is_visible = bytes[0] != b'.' || pattern.starts_with('.');
                if is_visible && matches(pattern.as_bytes(), bytes) && is_wanted(&entry) {
                    found.push(path.join(name));
                }
            }
            Err(error) => faults.push((readable.to_path_buf(), error)),
        }
    }
    found
}

/// Whether an error means that nothing is at a path: a component is missing, or is not a directory.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether the components of a path match the components of a glob.
pub(crate) fn covers(pattern: &[&OsStr], path: &[&OsStr]) -> bool {
    let is_any_depth = |at: usize| pattern.get(at).is_some_and(|name| *name == ANY_DEPTH);
    // whether the first components of the glob match the components of the path so far
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    let skip_any_depth = |reached: &mut [bool]| {
        (0..pattern.len()).filter(|at| is_any_depth(*at)).for_each(|at| reached[at + 1] |= reached[at]);
    };
    skip_any_depth(&mut reached);
    for name in path {
        let mut next = vec![false; reached.len()];
        for at in (0..pattern.len()).filter(|at| reached[*at]) {
            if is_any_depth(at) {
                next[at] = true;
            } else if matches(pattern[at].as_encoded_bytes(), name.as_encoded_bytes()) {
                next[at + 1] = true;
            }
        }
        reached = next;
        skip_any_depth(&mut reached);
    }
    reached[pattern.len()]
}

/// Whether a name matches a glob.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    // where to continue if the part behind the last star does not match
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        let step = match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, in_name));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(&pattern[at..], name[in_name]),
            Some(byte) if *byte == name[in_name] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => (at, in_name) = (at + step, in_name + 1),
            (None, Some((after, from))) => {
                (at, in_name) = (after, from + 1);
                star = Some((after, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Length of the class at the start of a glob (`[a-z]`, `[!a-z]`), if a byte is in the class.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let begin = 1 + usize::from(negated);
    // a bracket at the start is literal
    let end = begin + 1 + pattern.get(begin + 1..)?.iter().position(|&byte| byte == b']')?;
    let mut set = &pattern[begin..end];
    let mut found = false;
    while let Some(&first) = set.first() {
        let (last, length) = match set {
            [_, b'-', last, ..] => (*last, 3),
            _ => (first, 1),
        };
        found |= (first..=last).contains(&byte);
        set = &set[length..];
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn stars_question_marks_and_classes_match_parts_of_names() {
        for (pattern, name, expected) in [
            ("*.log", "access.log", true),
            ("*.log", "access.log.1", false),
            ("access*log*", "access.www.log.1", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("[ab]*", "bx", true),
            ("[!ab]*", "bx", false),
            ("x[0-9][0-9]", "x42", true),
            ("x[0-9]", "xa", false),
            ("x[]]", "x]", true),
            ("*a*b*c*", "xxaxxbxxc", true),
            ("*a*b*c*", "xxaxxcxxb", false),
            ("x[", "x[", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn two_stars_match_any_number_of_folders() {
        for (pattern, path, expected) in [
            ("**/x.log", "x.log", true),
            ("**/x.log", "a/b/x.log", true),
            ("a/**/x.log", "a/x.log", true),
            ("a/**/x.log", "b/x.log", false),
            ("**/b/**/*.log", "a/b/c/d/x.log", true),
            ("**/b/**/*.log", "a/c/d/x.log", false),
            ("**/**/x.log", "x.log", true),
            ("a/**", "a/b/c", true),
            ("*/x.log", "a/b/x.log", false),
        ] {
            let names = |text: &'static str| text.split('/').map(OsStr::new).collect::<Vec<_>>();
            assert_eq!(covers(&names(pattern), &names(path)), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn two_stars_find_files_at_any_depth_without_circles_and_hidden_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.log", "a/x.log", "a/b/c/x.log", "a/b/y.log", ".hidden/x.log", "a/.git/x.log"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        symlink("..", folder.path().join("a/circle")).unwrap();
        let found = |pattern: &str| {
            let (found, faults) = matching(&folder.path().join(pattern));
            assert!(faults.is_empty(), "{pattern}: {faults:?}");
            let name = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
            found.iter().filter(|path| path.is_file()).map(name).collect::<Vec<_>>()
        };
        assert_eq!(found("**/x.log"), ["a/b/c/x.log", "a/x.log", "x.log"]);
        assert_eq!(found("a/**/*.log"), ["a/b/c/x.log", "a/b/y.log", "a/x.log"]);
        assert_eq!(found("**/b/**/*.log"), ["a/b/c/x.log", "a/b/y.log"]);
        assert_eq!(found("**/a/**/**/x.log"), ["a/b/c/x.log", "a/x.log"]);
    }

    #[test]
    fn a_missing_folder_before_two_stars_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        for (pattern, expected) in [("missing/**/*.log", 1), ("**/missing/*.log", 0), ("**/*.log", 0)] {
            assert_eq!(matching(&folder.path().join(pattern)).1.len(), expected, "{pattern}");
        }
    }

    #[test]
    fn too_many_folders_are_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_FOLDERS {
            std::fs::create_dir(folder.path().join(number.to_string())).unwrap();
        }
        let (_, faults) = matching(&folder.path().join("**/x.log"));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].1.to_string().starts_with("more than 10000 folders match **"), "{faults:?}");
    }
}

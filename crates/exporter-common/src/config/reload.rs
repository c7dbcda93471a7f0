//! Configuration files that are read again: whether they changed, and how that went.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::exposition::family::Family;

/// How the last load of a configuration went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadStatus {
    /// Whether it succeeded; otherwise an older configuration is in effect.
    pub successful: bool,
    /// When one last succeeded.
    pub last_success: SystemTime,
}

/// The files that a configuration was read from, and what showed then that they would have changed.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    /// Device and inode: a file that was renamed into place may have the old one's time and length.
    #[cfg(unix)]
    place: (u64, u64),
}

impl Files {
    /// Files as they are now. Look before reading: then a change in between is seen later.
    pub fn look(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (Stamp::of(&path), path)).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// One file more.
    pub fn add(&mut self, path: &Path) {
        self.0.push((path.to_owned(), Stamp::of(path)));
    }

    /// Whether any of them is another one than it was.
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

impl Stamp {
    /// Through links, as Kubernetes makes them: a mounted ConfigMap changes by moving one.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            #[cfg(unix)]
            place: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            },
        })
    }
}

/// How the last loads of all configurations went; nothing where there is none.
pub(crate) fn families(loads: impl IntoIterator<Item = ReloadStatus>) -> Vec<Family> {
    let loads: Vec<_> = loads.into_iter().collect();
    let Some(last_success) = loads.iter().map(|load| load.last_success).max() else { return Vec::new() };
    vec![
        Family::gauge(
            "exporter_config_last_reload_successful",
            "Whether the last load of every configuration file succeeded (1 = yes); 0 while an older one is in effect.",
            &[],
        )
        .value(f64::from(u8::from(loads.iter().all(|load| load.successful)))),
        Family::gauge(
            "exporter_config_last_reload_success_timestamp_seconds",
            "Unix time of the last successful load of a configuration file in seconds.",
            &[],
        )
        .value(last_success.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exposition::text::to_text;

    #[test]
    fn one_failed_load_of_several_is_a_failure() {
        let load =
            |successful, seconds| ReloadStatus { successful, last_success: UNIX_EPOCH + Duration::from_secs(seconds) };
        let text = to_text(families([load(true, 2), load(false, 1)]));
        assert!(text.contains("_successful 0\n") && text.contains("_timestamp_seconds 2\n"), "{text}");
        assert!(to_text(families([load(true, 2)])).contains("_successful 1\n"));
        assert!(families([]).is_empty());
    }

    #[test]
    fn a_file_that_is_changed_replaced_made_or_removed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let look = || Files::look([path.clone()]);
        let missing = look();
        assert!(!missing.changed());
        std::fs::write(&path, "one").unwrap();
        assert!(missing.changed());
        let first = look();
        assert!(!first.changed());
        std::fs::write(&path, "longer").unwrap();
        assert!(first.changed());
        let second = look();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "anothe").unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(second.changed(), "another file of the same time and length");
        let third = look();
        std::fs::remove_file(&path).unwrap();
        assert!(third.changed());
    }
}

//! Reloading of configuration files: detects changes, and exports the status of the last load.
//!
//! ```
//! use std::path::PathBuf;
//! use std::time::SystemTime;
//!
//! use scrapewright::reload::{Files, ReloadStatus};
//!
//! let files = Files::snapshot([PathBuf::from("/etc/my-exporter.yml")]);
//! // read them; later, before a scrape:
//! if files.changed() {
//!     // read them again
//! }
//! let status = ReloadStatus::new(true, SystemTime::now()); // for Source::reload_status
//! ```

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::exposition::family::Family;

/// The status of the last load of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadStatus {
    /// Whether the last load succeeded; otherwise an older configuration is in effect.
    pub successful: bool,
    /// The time of the last successful load.
    pub last_success: SystemTime,
}

impl ReloadStatus {
    /// The status of a load, and the time of the last successful one.
    pub fn new(successful: bool, last_success: SystemTime) -> Self {
        Self { successful, last_success }
    }
}

/// The files of a configuration, and their versions when it was loaded.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Option<FileVersion>)>);

#[derive(Debug, PartialEq, Eq)]
struct FileVersion {
    modified: Option<SystemTime>,
    len: u64,
    /// Device and inode: a replaced file may have the same time and length.
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Files {
    /// The current versions of files. Call this before reading them, so that a change in between is detected.
    pub fn snapshot(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (FileVersion::of(&path), path)).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// Adds a file.
    pub fn add(&mut self, path: &Path) {
        self.0.push((path.to_owned(), FileVersion::of(path)));
    }

    /// Whether any of the files has changed.
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| FileVersion::of(path) != *stamp)
    }
}

impl FileVersion {
    /// Follows symbolic links: Kubernetes updates a mounted ConfigMap by replacing one.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            len: metadata.len(),
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino())
            },
        })
    }
}

/// The metrics of the last loads of all configurations; none without a configuration.
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
    fn one_failed_load_makes_the_status_0() {
        let load =
            |successful, seconds| ReloadStatus { successful, last_success: UNIX_EPOCH + Duration::from_secs(seconds) };
        let text = to_text(families([load(true, 2), load(false, 1)]));
        assert!(text.contains("_successful 0\n") && text.contains("_timestamp_seconds 2\n"), "{text}");
        assert!(to_text(families([load(true, 2)])).contains("_successful 1\n"));
        assert!(families([]).is_empty());
    }

    #[test]
    fn a_changed_replaced_created_or_removed_file_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let snapshot = || Files::snapshot([path.clone()]);
        let missing = snapshot();
        assert!(!missing.changed());
        std::fs::write(&path, "one").unwrap();
        assert!(missing.changed());
        let first = snapshot();
        assert!(!first.changed());
        std::fs::write(&path, "longer").unwrap();
        assert!(first.changed());
        let second = snapshot();
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "anothe").unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(second.changed(), "another file of the same time and length");
        let third = snapshot();
        std::fs::remove_file(&path).unwrap();
        assert!(third.changed());
    }
}

//! One followed log: its paths, its table of files, and the state of searches and waits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::metrics::registry::SharedRegistry;
use crate::tail::log_file::FileIdentity;
use crate::tail::log_paths::LogPaths;
use crate::tail::rotated::SearchWindow;
use crate::tail::tracked_file::{FileEvent, FileStatus, TrackedFile};

/// How long a rotated file must be quiet before it is closed. nginx and Apache write to it until they reopen their logs,
/// and flush their buffers then.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Duration of the search for generations that appeared and were rotated between two passes. One pass can miss a file while
/// rotation changes names. It is shorter than the grace period, so that no file is found a second time.
pub(crate) const SEARCH: Duration = Duration::from_secs(1);

/// How long scrapes get no metrics while the exporter catches up with an earlier process, and how long files of that
/// process are waited for if their directory cannot be read.
pub(crate) const CATCHING_UP: Duration = Duration::from_secs(60);

/// One followed log.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Index of the log in the registry.
    pub(crate) index: usize,
    pub(crate) log_paths: LogPaths,
    /// The table of tracked files.
    pub(super) files: Vec<TrackedFile>,
    /// Sizes at startup of the files that are read from there on, though they may not be open yet.
    pub(super) start_sizes: BTreeMap<FileIdentity, u64>,
    /// Paths at which a file was seen. Another file at one of them is a rotation.
    pub(super) known_paths: BTreeSet<PathBuf>,
    /// When the log's paths were last looked up.
    pub(super) last_look: SystemTime,
    pub(super) search: Search,
    pub(super) catch_up: CatchUp,
    /// Whether the paths were looked up before.
    pub(super) has_looked: bool,
    /// Whether the log message was written that no file matches the glob yet.
    pub(super) no_match_logged: bool,
}

/// The search for generations that appeared and were rotated, or were copied and truncated, between two passes.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The paths next to which rotated files are searched.
    pub(super) windows: BTreeMap<PathBuf, SearchWindow>,
    /// Paths whose read errors were logged.
    pub(super) reported: BTreeSet<PathBuf>,
    /// Compressed logs that were compared with the generations.
    pub(super) examined: BTreeSet<FileIdentity>,
}

/// Remaining work to continue where an earlier process stopped.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// Compressed logs that may have unread lines, until they are read.
    pub(super) compressed: Option<CompressedLogs>,
    /// Until when hidden files are waited for.
    pub(super) deadline: Option<Instant>,
    /// Versions of the hidden files' paths and directories when the files were last searched.
    pub(super) path_versions: Vec<Option<PathVersion>>,
    /// Whether the log message was written that files are waited for.
    pub(super) wait_reported: bool,
}

/// Compressed logs, and when they were listed.
#[derive(Debug)]
pub(super) struct CompressedLogs {
    /// The log path, and the path of the compressed log.
    pub(super) paths: Vec<(PathBuf, PathBuf)>,
    pub(super) listed: SystemTime,
}

/// Device, inode and time of the last change: they differ once anything happens to a file or in a directory.
pub(super) type PathVersion = (u64, u64, i64, i64);

/// Where to start in a log that exists at startup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StartAt {
    /// Start at the end of the file
    End,
    /// Start at the beginning of the file
    Beginning,
}

impl Tail {
    /// A log without open files.
    pub(crate) fn new(index: usize, log_paths: LogPaths) -> Self {
        Self {
            index,
            log_paths,
            files: Vec::new(),
            start_sizes: BTreeMap::new(),
            known_paths: BTreeSet::new(),
            last_look: SystemTime::now(),
            search: Search::default(),
            catch_up: CatchUp::default(),
            has_looked: false,
            no_match_logged: false,
        }
    }

    /// Opens a log for the first time. A log that is missing is read from its beginning once it exists.
    pub(crate) fn open(
        index: usize,
        log_paths: LogPaths,
        start: StartAt,
        registry: &SharedRegistry,
        now: Instant,
    ) -> Self {
        let mut tail = Self::new(index, log_paths);
        if start == StartAt::End {
            let present = tail.log_paths.list().into_iter().filter_map(|(_, metadata)| metadata.ok());
            tail.start_sizes = present.map(|metadata| (FileIdentity::of(&metadata), metadata.len())).collect();
        }
        tail.first_look(registry, now);
        tail
    }

    /// Looks up the log's paths for the first time.
    pub(super) fn first_look(&mut self, registry: &SharedRegistry, now: Instant) {
        let (_, fault) = self.look(registry, now);
        self.has_looked = true;
        let health = &mut registry.lock().logs[self.index];
        (health.fault, health.is_file) = (fault, true);
    }

    /// Whether files of an earlier process are waited for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.files.iter().any(|row| row.status == FileStatus::Hidden)
    }

    /// When the log's paths were last looked up.
    pub(crate) fn last_look(&self) -> SystemTime {
        self.last_look
    }

    /// The rows whose file is open.
    pub(super) fn open_files(&self) -> impl Iterator<Item = &TrackedFile> {
        self.files.iter().filter(|row| row.status.is_open())
    }

    /// The identities of the open files.
    pub(super) fn open_identities(&self) -> BTreeSet<FileIdentity> {
        self.open_files().map(|row| row.identity).collect()
    }

    /// The indices of the rows with a status.
    pub(super) fn rows(&self, wanted: impl Fn(&TrackedFile) -> bool) -> Vec<usize> {
        (0..self.files.len()).filter(|row| wanted(&self.files[*row])).collect()
    }

    /// Applies an event to every row.
    pub(super) fn apply_to_all(&mut self, event: FileEvent) {
        for row in &mut self.files {
            row.apply(event);
        }
    }

    /// Removes the rows that are forgotten. Indices of rows are valid until then.
    pub(super) fn remove_forgotten(&mut self) {
        self.files.retain(|row| row.status != FileStatus::Forgotten);
    }
}

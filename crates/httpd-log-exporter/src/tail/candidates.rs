//! Candidates for the files of an earlier process: at the log's paths, at saved paths, and rotated files next to both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::tail::log_file::{FileIdentity, LogFile};
use crate::tail::log_paths::LogPaths;
use crate::tail::rotated::{FileErrors, Generations};
use crate::tail::tracked_file::TrackedFile;

/// A file that may be one of the earlier process, and its path of the log. `None` if it is at another path.
pub(crate) type Candidate = (Option<PathBuf>, LogFile);

/// The candidates. Those with a searched identity are open, the others are opened when a content is searched.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    open: BTreeMap<FileIdentity, Candidate>,
    generations: Generations,
    /// The log's paths.
    listed: BTreeSet<PathBuf>,
    /// Paths of files that an earlier process opened through a symbolic link.
    targets: BTreeSet<PathBuf>,
    /// Files that are open in the table.
    taken: BTreeSet<FileIdentity>,
}

impl Candidates {
    /// Lists the candidates for the files of rows. `taken` files are not candidates.
    pub(crate) fn list<'a>(
        log_paths: &LogPaths,
        missing: impl Iterator<Item = &'a TrackedFile> + Clone,
        taken: &BTreeSet<FileIdentity>,
        now: Instant,
    ) -> Self {
        let listed = log_paths.list().into_iter().map(|(path, _)| path).collect();
        // the name of a symbolic link does not lead to the file once the link has another target
        let targets = missing.clone().filter_map(|row| row.target.clone()).collect();
        let mut all = Self { listed, targets, taken: taken.clone(), ..Self::default() };
        let wanted: BTreeSet<_> = missing.clone().map(|row| row.identity).collect();
        let saved: BTreeSet<_> = missing.flat_map(|row| row.path.iter().chain(&row.origin).cloned()).collect();
        // the second attempt finds files whose names changed during the first one
        for _ in 0..2 {
            let paths = all.listed.iter().chain(&saved).map(|path| (path.as_path(), false));
            let paths = paths.chain(all.targets.iter().map(|target| (target.as_path(), true)));
            all.generations = Generations::next_to(paths, &mut FileErrors::new());
            let is_wanted = |metadata: &Metadata| wanted.contains(&FileIdentity::of(metadata));
            let paths: Vec<_> =
                all.listed.iter().chain(&all.targets).chain(all.generations.all_plain()).cloned().collect();
            for path in paths {
                if let Some(candidate) = all.open(&path, is_wanted, now) {
                    all.put_back(candidate);
                }
            }
            if wanted.iter().all(|identity| all.open.contains_key(identity) || taken.contains(identity)) {
                break;
            }
        }
        all
    }

    /// The compressed logs, each with its log path.
    pub(crate) fn compressed(&self) -> Vec<(PathBuf, PathBuf)> {
        let compressed = self.generations.all_compressed();
        compressed.map(|(base, path)| (base.to_path_buf(), path.to_path_buf())).collect()
    }

    /// Takes the candidate with an identity.
    pub(crate) fn take(&mut self, identity: FileIdentity) -> Option<Candidate> {
        let candidate = self.open.remove(&identity)?;
        self.taken.insert(identity);
        Some(candidate)
    }

    /// Adds a candidate that is not the searched file.
    pub(crate) fn put_back(&mut self, candidate: Candidate) {
        self.taken.remove(&candidate.1.identity);
        self.open.entry(candidate.1.identity).or_insert(candidate);
    }

    /// Takes the first candidate at or next to a log path for which `matches` returns a value. Without a path, all are
    /// compared.
    pub(crate) fn find<T>(
        &mut self,
        origin: Option<&Path>,
        now: Instant,
        mut matches: impl FnMut(&LogFile) -> Option<T>,
    ) -> Option<(Candidate, T)> {
        let paths: Vec<PathBuf> = match origin {
            Some(origin) => [origin.to_path_buf()].into_iter().chain(self.generations.plain(origin).to_vec()).collect(),
            None => self.listed.iter().chain(&self.targets).chain(self.generations.all_plain()).cloned().collect(),
        };
        for path in paths {
            let candidate = self.open(&path, |_| true, now);
            let Some(candidate) = candidate else { continue };
            let identity = candidate.1.identity;
            if let Some(found) = matches(&candidate.1) {
                self.open.remove(&identity);
                self.taken.insert(identity);
                return Some((candidate, found));
            }
        }
        None
    }

    /// Opens the file at a path if it is wanted and not taken. A file that does not open is not found, and then reported.
    fn open(&self, path: &Path, wanted: impl Fn(&Metadata) -> bool, now: Instant) -> Option<Candidate> {
        let metadata = std::fs::metadata(path).ok()?;
        if self.taken.contains(&FileIdentity::of(&metadata)) || !wanted(&metadata) {
            return None;
        }
        let file = LogFile::open(path, now).ok().filter(|file| !self.taken.contains(&file.identity))?;
        Some((self.listed.contains(path).then(|| path.to_path_buf()), file))
    }
}

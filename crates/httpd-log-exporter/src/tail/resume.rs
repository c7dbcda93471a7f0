//! Going on where an earlier process was: its files are looked for, and what cannot be seen at present is waited for.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::{CATCHING_UP, FileStatus, SEARCH, Tail, TrackedFile};
use crate::lines::{self, LineSplitter};
use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::state::{SavedFile, SavedSource};
use crate::tail::compressed;
use crate::tail::log_file::{FileIdentity, LogFile, ReadPosition};
use crate::tail::log_paths::{LogPaths, directory};
use crate::tail::rotated::{self, FileErrors, SearchWindow};

/// What an earlier process had read, as far as it is not found again.
#[derive(Debug, Default)]
pub(super) struct ResumedFiles {
    /// What is not there: it may have been compressed.
    lost: Vec<SavedFile>,
    /// What may come back, since where it was nothing can be seen: it stays in the state.
    away: Vec<SavedFile>,
    /// What was found.
    found: Vec<SavedFile>,
    /// What is given up: how far it was read.
    missing: BTreeSet<(FileIdentity, u64)>,
    /// What may have come and gone, or went, and was compressed before anybody looked again; and when that was listed.
    compressed: Vec<PathBuf>,
    listed: Option<SystemTime>,
    /// What was to be seen where files are away when they were last looked for.
    seen: Vec<Option<Sight>>,
    /// Whether the log has it that something is waited for.
    told: bool,
    /// Until when is waited for what is away.
    until: Option<Instant>,
}

/// What changes whenever something happens to a file or in a directory: device, inode, and the time of its last change.
type Sight = (u64, u64, i64, i64);

impl ResumedFiles {
    /// Whether what is compressed is still to be read.
    pub(super) fn is_pending(&self) -> bool {
        !self.compressed.is_empty() || self.is_waiting()
    }

    fn is_waiting(&self) -> bool {
        self.away.iter().any(|file| !file.missing)
    }

    /// Forgets a file that was lost or away.
    pub(super) fn came_back(&mut self, identity: FileIdentity) {
        self.away.retain(|file| file.identity() != identity);
        self.lost.retain(|file| file.identity() != identity);
    }
}

impl Tail {
    /// Opens a log where an earlier process was. Files are known again by number and content, or by content alone;
    /// what came while nobody looked is read from its beginning.
    pub(crate) fn resume(
        index: usize,
        log_paths: LogPaths,
        saved: &SavedSource,
        registry: &SharedRegistry,
        now: Instant,
    ) -> Self {
        let mut tail = Self::new(index, log_paths);
        tail.last_look = saved.last_look();
        tail.resumed.until = Some(now + CATCHING_UP);
        tail.find(&saved.files, saved.searched_since(), registry, now);
        tail.begin(registry, now);
        tail.search(registry, now);
        tail
    }

    /// What an earlier process had read and was not found up to now.
    pub(crate) fn unfound(&self) -> impl Iterator<Item = &SavedFile> {
        self.resumed.lost.iter().chain(&self.resumed.away)
    }

    /// Whether it was looked for in vain what an earlier process had read.
    pub(super) fn is_missing(&self, identity: FileIdentity, position: &ReadPosition) -> bool {
        self.resumed.missing.contains(&(identity, position.offset))
    }

    /// Whether it waits for something that an earlier process had read.
    pub(crate) fn is_waiting(&self) -> bool {
        self.resumed.is_waiting()
    }

    /// Looks for what is away when something has changed where it was, or has been waited for for long enough.
    pub(super) fn look_again(&mut self, registry: &SharedRegistry, now: Instant) {
        if self.resumed.away.is_empty() {
            return;
        }
        let in_vain = self.resumed.is_waiting() && self.resumed.until.is_some_and(|until| now >= until);
        if !in_vain && self.sights() == self.resumed.seen {
            return;
        }
        let mut away = std::mem::take(&mut self.resumed.away);
        for file in away.iter_mut().filter(|file| in_vain && !file.missing) {
            file.missing = true;
            tell_missing(file);
        }
        self.find(&away, self.last_look, registry, now);
    }

    /// What is to be seen where files are away.
    fn sights(&self) -> Vec<Option<Sight>> {
        let away = || self.resumed.away.iter();
        let files = away().flat_map(|file| file.path.iter().chain(&file.target)).cloned();
        let paths: BTreeSet<_> = files.chain(self.path().map(Path::to_path_buf)).collect();
        let directories: BTreeSet<_> = paths.iter().map(|path| directory(path).to_path_buf()).collect();
        let all: BTreeSet<_> = paths.into_iter().chain(directories).chain(self.log_paths.directories()).collect();
        let sight = |path: PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
        };
        all.into_iter().map(sight).collect()
    }

    fn path(&self) -> Option<&Path> {
        match &self.log_paths {
            LogPaths::Path(path) => Some(path),
            LogPaths::Glob(_) => None,
        }
    }

    /// Looks for files that an earlier process had read, and for what came and went since a time.
    fn find(&mut self, saved: &[SavedFile], since: SystemTime, registry: &SharedRegistry, now: Instant) {
        let index = self.index;
        self.resumed.listed = Some(SystemTime::now());
        let listed: Vec<_> = self.log_paths.list().into_iter().map(|(path, _)| path).collect();
        // what was read through a symbolic link is not found by the link's name, once that points elsewhere
        let targets = || saved.iter().filter_map(|file| file.target.as_ref());
        let paths: BTreeSet<_> =
            listed.iter().chain(saved.iter().filter_map(|file| file.path.as_ref())).chain(targets()).collect();
        self.resumed.compressed = paths.iter().flat_map(|path| compressed::siblings(path)).collect();
        let mut seen: BTreeSet<_> = self.files.iter().map(|followed| followed.file.identity).collect();
        let mut candidates: Vec<(Option<&PathBuf>, LogFile)> = Vec::new();
        // names may be changing: what is not seen by the first look at them is by the second
        for _ in 0..2 {
            let there = listed.iter().filter_map(|path| Some((Some(path), LogFile::open(path, now).ok()?)));
            let linked = targets().filter_map(|path| LogFile::open(path, now).ok());
            // what cannot be opened is not found, and that is told
            let siblings = |path: &&PathBuf| rotated::siblings(path, |_| true, now, &mut FileErrors::new());
            let rotated = paths.iter().flat_map(siblings).chain(linked).map(|file| (None, file));
            candidates.extend(there.chain(rotated).filter(|(_, file)| seen.insert(file.identity)));
            if saved.iter().all(|file| seen.contains(&file.identity())) {
                break;
            }
        }
        // by number first: what one log was must not be taken for another that begins alike
        let mut unfound = Vec::new();
        for file in saved {
            self.known.extend(file.path.clone());
            let position = file.position();
            let same = |(_, candidate): &(_, LogFile)| candidate.identity == file.identity();
            match candidates.iter().position(same) {
                // one that cannot be compared at present is the one by its number: reading it compares again
                Some(at)
                    if position.as_ref().is_none_or(|position| position.is_of(&candidates[at].1).unwrap_or(true)) =>
                {
                    self.go_on(candidates.swap_remove(at), file, registry);
                }
                found => unfound.push((file, found.is_some())),
            }
        }
        for (file, rewritten) in unfound {
            if let Some(path) = file.path.as_ref().filter(|_| rewritten) {
                registry.lock().logs[index].truncations += 1;
                self.known.remove(path);
                self.searched.insert(path.clone(), SearchWindow { since, until: now + SEARCH });
            }
            let Some(position) = file.position() else {
                // nothing was read of it: it is read whole when it is there, and until then is something to wait for
                self.resumed.lost.extend((!rewritten).then(|| file.clone()));
                continue;
            };
            if let Some(at) = candidates.iter().position(|(_, candidate)| matches!(position.is_of(candidate), Ok(true)))
            {
                self.go_on(candidates.swap_remove(at), file, registry);
                continue;
            }
            let copied = |(_, candidate): &mut (_, LogFile)| {
                matches!(candidate.goes_on(&mut file.position().unwrap_or_default()), Ok(true))
            };
            if let Some(at) = candidates.iter_mut().position(copied).filter(|_| rewritten) {
                let (path, file) = candidates.swap_remove(at);
                let _ = registry.lock().ownership.claim(file.identity, index); // no other log has it yet
                self.files.push(TrackedFile {
                    file,
                    status: path.map_or(FileStatus::Rotated, |path| FileStatus::AtPath(path.clone())),
                });
                continue;
            }
            self.resumed.lost.push(file.clone());
        }
        // what came and went meanwhile may be compressed at any moment, and reading what is compressed takes its time
        for path in saved.iter().filter_map(|file| file.path.clone()) {
            self.searched.entry(path).or_insert(SearchWindow { since, until: now + SEARCH });
        }
        self.judge_lost(registry);
        let positions = self.resumed.lost.iter().filter_map(|file| Some((file.identity(), file.position()?)));
        self.cut = positions.collect();
    }

    /// While nothing can be seen where one of the lost files was, all of them may come back.
    fn judge_lost(&mut self, registry: &SharedRegistry) {
        let lost = &self.resumed.lost;
        if lost.iter().all(|file| file.missing) || !self.is_hidden() {
            return;
        }
        for file in lost {
            close(file, registry);
        }
        if !std::mem::replace(&mut self.resumed.told, true) {
            let source = &registry.lock().logs[self.index].source;
            tracing::info!(source, "waiting for logs that were read before and cannot be seen at present");
        }
        self.resumed.away = std::mem::take(&mut self.resumed.lost);
        self.resumed.compressed.clear(); // it is listed again
        self.resumed.seen = self.sights();
    }

    /// Whether there is nothing to be seen where files were that are lost: the directory is gone, or may not be read, or has
    /// nothing of the log, as one on which nothing is mounted.
    fn is_hidden(&self) -> bool {
        let found = self.log_paths.list();
        let beside = |path: &Path| {
            let listed = self.log_paths.is_glob() && found.iter().any(|(other, _)| directory(other) == directory(path));
            listed || rotated::is_beside(path)
        };
        let hidden = |path: &Path| match LogFile::open(path, Instant::now()) {
            Err(error) if error.kind() == ErrorKind::NotFound => !beside(path),
            opened => opened.is_err(),
        };
        let files = self.resumed.lost.iter().filter_map(|file| file.path.as_deref());
        let closed = self.log_paths.is_glob() && found.iter().any(|(_, metadata)| metadata.is_err());
        closed || files.chain(self.path()).any(hidden)
    }

    /// Goes on in a file that an earlier process had read.
    fn go_on(&mut self, (path, mut file): (Option<&PathBuf>, LogFile), saved: &SavedFile, registry: &SharedRegistry) {
        if registry.lock().ownership.claim(file.identity, self.index).is_err() {
            return;
        }
        registry.lock().ownership.forget(file.identity);
        self.resumed.found.push(saved.clone());
        file.target = file.target.or_else(|| saved.target.clone());
        file.position = saved.position().unwrap_or_default();
        let status = path.map_or(FileStatus::Rotated, |path| FileStatus::AtPath(path.clone()));
        self.files.push(TrackedFile { file, status });
    }

    /// Reads what is left of logs that were compressed while nobody looked, and whole ones that came and went meanwhile.
    pub(super) fn read_compressed(&mut self, registry: &SharedRegistry, buffer: &mut [u8]) {
        if self.is_waiting() {
            return; // what is there may be only a part
        }
        let mut lost = std::mem::take(&mut self.resumed.lost);
        let found = std::mem::take(&mut self.resumed.found);
        let compressed = std::mem::take(&mut self.resumed.compressed);
        let listed = self.resumed.listed.take().filter(|_| !compressed.is_empty());
        for path in compressed {
            let read = lost.iter().chain(&found).enumerate().find_map(|(at, saved)| {
                let position = saved.resumed(saved.position()?);
                let opened = compressed::open_at(&path, saved.head(), &position).transpose()?;
                Some(opened.map(|log| (at, position.lines, log)))
            });
            let read = match read {
                Some(Ok((at, lines, log))) if at < lost.len() => {
                    let found = lost.remove(at);
                    self.cut.retain(|(lost, _)| *lost != found.identity());
                    self.read_whole(log, lines, registry, buffer)
                }
                Some(Ok(_)) => Ok(()), // it is there uncompressed, too
                Some(Err(error)) => Err(error),
                None => match compressed::is_younger(&path, self.last_look) {
                    Ok(true) => {
                        registry.lock().logs[self.index].rotations += 1;
                        compressed::open(&path)
                            .and_then(|log| self.read_whole(log, LineSplitter::default(), registry, buffer))
                    }
                    Ok(false) => Ok(()), // older than what was read before
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = read {
                registry.lock().logs[self.index].read_errors += 1;
                tracing::warn!(
                    error = permission::explain(&path, &error, "read"),
                    "a compressed log was not read to its end"
                );
            }
        }
        // even where the log itself is missing: what was compressed until then is not read again
        self.last_look = listed.unwrap_or(self.last_look).max(self.last_look);
        if lost.is_empty() {
            return;
        }
        self.resumed.lost = lost;
        let hidden = self.is_hidden();
        for mut file in std::mem::take(&mut self.resumed.lost) {
            let Some(position) = file.position() else { continue };
            self.resumed.missing.insert((file.identity(), position.offset)); // again with each look
            if !self.files.iter().any(|followed| followed.file.identity == file.identity()) {
                close(&file, registry); // it may come back
            }
            if !file.missing {
                tell_missing(&file);
            }
            if file.path.as_ref().map_or(hidden, |path| LogFile::open(path, Instant::now()).is_err()) {
                file.missing = true;
                self.resumed.away.push(file);
            }
        }
        self.resumed.seen = self.sights();
    }

    /// Counts the lines of a compressed log to its end.
    fn read_whole(
        &self,
        mut log: compressed::Decoder,
        mut lines: LineSplitter,
        registry: &SharedRegistry,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        loop {
            let read = log.read(buffer);
            let mut registry = registry.lock();
            let Some(bytes) = read.as_ref().ok().filter(|read| **read > 0).map(|read| &buffer[..*read]) else {
                lines.finish(|line| registry.count_line(self.index, line));
                return read.map(drop);
            };
            lines.feed(bytes, |line| registry.count_line(self.index, line));
            registry.record_time(self.index, lines::last(bytes));
            registry.logs[self.index].read_bytes += bytes.len() as u64;
            registry.last_pass = Some(Instant::now());
        }
    }
}

/// Notes how far a file was read that may come back.
fn close(file: &SavedFile, registry: &SharedRegistry) {
    if let Some(position) = file.position() {
        registry.lock().ownership.close(file.identity(), position);
    }
}

fn tell_missing(file: &SavedFile) {
    let path = file.path.as_ref().map_or("a rotated log".into(), |path| path.to_string_lossy());
    tracing::warn!(%path, "cannot find again what was read before; what was not yet read of it is missing");
}

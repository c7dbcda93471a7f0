//! One log followed by identity, not by name: a file that was rotated away is read until it is quiet,
//! the one in its place from the beginning, at once.

pub(crate) mod compressed;
#[cfg(test)]
mod drills;
pub(crate) mod file_ownership;
pub(crate) mod follow;
pub(crate) mod log_file;
pub(crate) mod log_paths;
mod resume;
pub(crate) mod rotated;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::lines;
use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::log_file::{FileIdentity, LogFile, ReadPosition};
use crate::tail::log_paths::LogPaths;
use crate::tail::resume::ResumedFiles;
use crate::tail::rotated::{FileErrors, SearchWindow};

/// How long a file that was rotated away must be quiet before it counts as finished. nginx and Apache
/// go on writing to it until they are told to reopen, and flush their buffers then.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long logs are searched that came and went between two looks: while their names still change,
/// one search can miss them. It is shorter than the grace, so what was found is not found again.
pub(crate) const SEARCH: Duration = Duration::from_secs(1);

/// How long nobody may ask before it has caught up with what an earlier process showed, and how long is waited for what
/// that one had read and cannot be seen.
pub(crate) const CATCHING_UP: Duration = Duration::from_secs(60);

/// A log: where its files are, and those that are open, be they still there or not.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Its place in the book.
    pub(crate) index: usize,
    pub(crate) log_paths: LogPaths,
    pub(crate) files: Vec<TrackedFile>,
    /// What an earlier process had read, as far as it is not found again.
    resumed: ResumedFiles,
    /// Where reading begins in files that were there at the start, though they may not be open yet.
    start_at: BTreeMap<FileIdentity, u64>,
    /// Paths at which there was a file before, so that another one is a rotation.
    known: BTreeSet<PathBuf>,
    /// When the log was last looked at.
    pub(crate) last_look: SystemTime,
    /// Paths at which logs may have come and gone unseen, after rotations.
    pub(crate) searched: BTreeMap<PathBuf, SearchWindow>,
    /// How far files were read that were cut, or are lost: their copies were not found yet, while names change.
    cut: Vec<(FileIdentity, ReadPosition)>,
    /// What could not be read during a search, and was told.
    told: BTreeSet<PathBuf>,
}

/// An open file and where it is.
#[derive(Debug)]
pub(crate) struct TrackedFile {
    pub(crate) file: LogFile,
    pub(crate) status: FileStatus,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileStatus {
    /// At a path of the log.
    AtPath(PathBuf),
    /// It was at a path where there is nothing now.
    Missing(PathBuf),
    /// Nowhere: it was rotated away, and is read until it is quiet.
    Rotated,
    /// A copy of another file of the log, made in order to truncate that. It is read from there on
    /// where the other was read to, once that has been truncated.
    CopyOf(PathBuf, FileIdentity),
}

/// What a look at a log found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PassResult {
    /// Whether something was read, or the files are others.
    pub(crate) active: bool,
    /// Whether there is more to read at once.
    pub(crate) more: bool,
}

/// Where a log is read from that is there at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StartAt {
    /// Only what is written from now on
    End,
    /// What is there already, too
    Beginning,
}

impl Tail {
    /// A log of which nothing is open yet.
    pub(crate) fn new(index: usize, log_paths: LogPaths) -> Self {
        Self {
            index,
            log_paths,
            files: Vec::new(),
            resumed: ResumedFiles::default(),
            start_at: BTreeMap::new(),
            known: BTreeSet::new(),
            last_look: SystemTime::now(),
            searched: BTreeMap::new(),
            cut: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    /// Opens a log where it is to be read from. What is not there is waited for, and read from its
    /// beginning when it appears.
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
            tail.start_at = present.map(|metadata| (FileIdentity::of(&metadata), metadata.len())).collect();
        }
        tail.begin(registry, now);
        tail
    }

    /// Looks for the first time.
    pub(crate) fn begin(&mut self, registry: &SharedRegistry, now: Instant) {
        let (_, fault) = self.look(registry, now);
        let health = &mut registry.lock().logs[self.index];
        (health.fault, health.is_file) = (fault, true);
    }

    /// Since when what came and went is searched at present: the next process is to search it, too.
    pub(crate) fn searched_since(&self) -> Option<SystemTime> {
        self.searched.values().map(|searched| searched.since).min()
    }

    /// How far files were read that were cut, as long as their copies are looked for; without those that are lost.
    pub(crate) fn cut(&self) -> impl Iterator<Item = &(FileIdentity, ReadPosition)> {
        let is_lost = |identity: FileIdentity| self.unfound().any(|file| file.identity() == identity);
        self.cut.iter().filter(move |(identity, position)| {
            position.offset > 0 && !is_lost(*identity) && !self.is_missing(*identity, position)
        })
    }

    /// Finds out which files there are, and reads what is new in all of them.
    pub(crate) fn pass(&mut self, registry: &SharedRegistry, buffer: &mut [u8], now: Instant) -> PassResult {
        self.look_again(registry, now);
        self.read_compressed(registry, buffer);
        let before = self.last_look;
        let (changed, mut fault) = self.look(registry, now);
        fault = fault.or(self.search(registry, now));
        self.judge_copies();
        let mut seen = PassResult { active: changed, more: false };
        let mut lag = 0;
        let index = self.index;
        let (mut truncated, mut begun) = (Vec::new(), Vec::new());
        for at in 0..self.files.len() {
            let TrackedFile { file, status } = &mut self.files[at];
            if matches!(status, FileStatus::CopyOf(..)) {
                continue;
            }
            let progress = file.catch_up(now, buffer, |stream, bytes, left| {
                let mut registry = registry.lock();
                stream.feed(bytes, |line| registry.count_line(index, line));
                registry.record_time(index, lines::last(bytes));
                registry.logs[index].read_bytes += bytes.len() as u64;
                registry.logs[index].lag = lag + left;
                registry.last_pass = Some(Instant::now());
            });
            match progress {
                Ok(progress) => {
                    seen.active |= progress.read > 0 || progress.truncated.is_some();
                    seen.more |= progress.read > 0 && progress.left > 0;
                    lag += progress.left;
                    truncated.extend(progress.truncated.map(|position| (at, position)));
                    begun.extend(progress.begun.then_some(at));
                }
                Err(error) => {
                    let path = match status {
                        FileStatus::AtPath(path) | FileStatus::Missing(path) | FileStatus::CopyOf(path, _) => path,
                        FileStatus::Rotated => Path::new("a rotated log"),
                    };
                    registry.lock().logs[index].read_errors += 1;
                    fault = Some(permission::explain_awaited(path, &error, "read"));
                }
            }
        }
        for (at, position) in truncated {
            self.truncated(at, position, registry, now);
            begun.push(at);
        }
        for at in begun {
            let FileStatus::AtPath(path) = &self.files[at].status else { continue };
            let beside = self.files[at].file.target.as_ref().unwrap_or(path).clone();
            self.searched.entry(beside).or_insert(SearchWindow { since: before, until: now + SEARCH });
            seen.more = true; // copies, if there are any
        }
        self.close_quiet(registry, now);
        let health = &mut registry.lock().logs[index];
        health.lag = lag;
        health.fault = fault;
        seen
    }

    /// Reads all there is and closes: a last line without its end counts.
    pub(crate) fn read_to_end(mut self, registry: &SharedRegistry, buffer: &mut [u8]) {
        while self.pass(registry, buffer, Instant::now()).more {}
        for followed in self.files.drain(..) {
            followed.file.finish(|line| registry.lock().count_line(self.index, line));
        }
    }

    /// Finds out which files there are and opens those that are new; true if there are other ones than
    /// before. And the fault, if there is one: the files that are open are kept then.
    fn look(&mut self, registry: &SharedRegistry, now: Instant) -> (bool, Option<String>) {
        let looked = SystemTime::now();
        let found = self.log_paths.list();
        let mut fault = None;
        let mut changed = false;
        let mut there = BTreeSet::new();
        let mut taken = BTreeSet::new();
        let open: BTreeMap<_, _> =
            self.files.iter().enumerate().map(|(at, followed)| (followed.file.identity, at)).collect();
        for (path, metadata) in found {
            let placed =
                metadata.map(|metadata| FileIdentity::of(&metadata)).and_then(|identity| match open.get(&identity) {
                    _ if taken.contains(&identity) => Ok((identity, false)), // another name of the same file
                    Some(&at) => Ok((identity, self.keep(at, &path))),
                    None => self.open_new(&path, identity, registry, now),
                });
            match placed {
                Ok((identity, new)) => {
                    changed |= new;
                    taken.insert(identity);
                    there.insert(path);
                }
                Err(error) => {
                    if error.kind() != ErrorKind::NotFound {
                        registry.lock().logs[self.index].open_errors += 1;
                        there.insert(path.clone());
                    }
                    fault = Some(permission::explain_awaited(&path, &error, "open"));
                }
            }
        }
        let is_glob = self.log_paths.is_glob();
        for TrackedFile { file, status } in &mut self.files {
            if taken.contains(&file.identity) {
                continue;
            }
            match status {
                FileStatus::AtPath(path) if is_glob || (there.contains(path) && fault.is_none()) => {
                    *status = FileStatus::Rotated
                }
                FileStatus::AtPath(path) => *status = FileStatus::Missing(std::mem::take(path)),
                FileStatus::Missing(path) if there.contains(path) && fault.is_none() => *status = FileStatus::Rotated,
                _ => continue,
            }
            file.wait_from(now);
        }
        // by it what was compressed is known to be new, also by the next process if this one is killed before it is read
        if (fault.is_none() || is_glob) && !self.resumed.is_pending() {
            self.last_look = looked;
        }
        (changed, fault)
    }

    /// Notes that an open file is at a path; true if it was not there before.
    fn keep(&mut self, at: usize, path: &Path) -> bool {
        match &mut self.files[at].status {
            FileStatus::AtPath(there) | FileStatus::CopyOf(there, _) if there == path => return false,
            FileStatus::CopyOf(there, _) => path.clone_into(there),
            status => *status = FileStatus::AtPath(path.to_path_buf()),
        }
        // it was moved here, maybe in the place of another
        self.known.insert(path.to_path_buf());
        self.forget_start();
        true
    }

    /// Opens a file that is new at a path, and true; unless its name was given to another one that is open.
    fn open_new(
        &mut self,
        path: &Path,
        listed: FileIdentity,
        registry: &SharedRegistry,
        now: Instant,
    ) -> Result<(FileIdentity, bool), Error> {
        let mut file = LogFile::open(path, now)?;
        let identity = file.identity;
        if identity != listed && self.files.iter().any(|other| other.file.identity == identity) {
            return Ok((identity, false));
        }
        let original = if self.log_paths.is_glob() { self.original_of(path, &file)? } else { None };
        {
            let mut registry = registry.lock();
            if let Err(owner) = registry.ownership.claim(file.identity, self.index) {
                let owner = &registry.logs[owner].source;
                return Err(Error::other(format!("it is the same file as in --access-log {owner}, and read there")));
            }
        }
        if let Some(original) = original {
            self.files.push(TrackedFile { file, status: FileStatus::CopyOf(path.to_path_buf(), original) });
            return Ok((identity, true));
        }
        let reopened = registry.lock().ownership.reopen(&file)?;
        if let Some(position) = reopened {
            self.resumed.came_back(file.identity);
            self.cut.retain(|(lost, _)| *lost != file.identity);
            file.position = position;
        } else if let Some(size) = self.start_at.get(&file.identity) {
            file.go_to(*size)?;
        }
        self.files.push(TrackedFile { file, status: FileStatus::AtPath(path.to_path_buf()) });
        if !self.known.insert(path.to_path_buf()) {
            tracing::info!(path = %path.display(), "log rotated");
            registry.lock().logs[self.index].rotations += 1;
            self.forget_start();
            let since = self.searched.get(path).map_or(self.last_look, |searched| searched.since);
            self.searched.insert(path.to_path_buf(), SearchWindow { since, until: now + SEARCH });
        }
        Ok((identity, true))
    }

    /// After a rotation a file that has the number of one that was there at the start is another one.
    fn forget_start(&mut self) {
        if !self.log_paths.is_glob() {
            self.start_at.clear();
        }
    }

    /// The file of which a new one in the pattern is a copy: its name is what rotation makes of the other's, and it
    /// begins as that did.
    fn original_of(&self, path: &Path, copy: &LogFile) -> Result<Option<FileIdentity>, Error> {
        // most names are not those of rotated logs, and there may be thousands
        let may_be = path.as_os_str().as_encoded_bytes().last().is_some_and(u8::is_ascii_digit);
        for TrackedFile { file, status } in self.files.iter().filter(|_| may_be) {
            if let FileStatus::AtPath(at) = status
                && rotated::is_of(path, at)
                && is_at(at, file.identity)?
                && copy.may_copy(file)?
            {
                return Ok(Some(file.identity));
            }
        }
        Ok(None)
    }

    /// A file was cut or written anew. If it was copied before, the copy has what was not yet read of it.
    fn truncated(&mut self, at: usize, mut position: ReadPosition, registry: &SharedRegistry, now: Instant) {
        let original = self.files[at].file.identity;
        let FileStatus::AtPath(path) = self.files[at].status.clone() else { return };
        tracing::info!(path = %path.display(), "log truncated; reading it from its beginning");
        registry.lock().logs[self.index].truncations += 1;
        let mut found = false;
        for followed in &mut self.files {
            let FileStatus::CopyOf(path, of) = &followed.status else { continue };
            if *of != original {
                continue;
            }
            // it was a copy as long as it could be read, and reading it compares again
            let goes_on = followed.file.goes_on(&mut position).unwrap_or_else(|_| {
                followed.file.position = std::mem::take(&mut position);
                true
            });
            // else it is one of what was written since
            if goes_on {
                followed.status = FileStatus::AtPath(path.clone());
                found = true;
            }
        }
        if !found {
            let beside = self.files[at].file.target.as_ref().unwrap_or(&path).clone();
            self.cut.push((original, position));
            self.find_copies(&beside, registry, now, &mut FileErrors::new()); // the search tells them, which looks again
        }
    }

    /// Looks for the copies of files that were cut.
    fn find_copies(&mut self, path: &Path, registry: &SharedRegistry, now: Instant, faults: &mut FileErrors) {
        let tracked: BTreeSet<_> = self.files.iter().map(|followed| followed.file.identity).collect();
        let copies = rotated::copies(path, self.last_look, now, faults);
        for file in copies.into_iter().filter(|file| !tracked.contains(&file.identity)) {
            if let Err(error) = self.go_on_in_copy(file, registry) {
                faults.push((path.to_path_buf(), error));
            }
        }
    }

    /// Goes on in the copy of a file that was cut; gives back what is none.
    fn go_on_in_copy(&mut self, mut file: LogFile, registry: &SharedRegistry) -> Result<Option<LogFile>, Error> {
        for at in 0..self.cut.len() {
            if file.goes_on(&mut self.cut[at].1)? {
                let (original, _) = self.cut.swap_remove(at);
                self.resumed.came_back(original);
                if registry.lock().ownership.claim(file.identity, self.index).is_ok() {
                    self.files.push(TrackedFile { file, status: FileStatus::Rotated });
                }
                return Ok(None);
            }
        }
        Ok(Some(file))
    }

    /// What was taken for a copy of another file and turns out to be none is a file of its own. What cannot be compared at
    /// present is left to the next look.
    fn judge_copies(&mut self) {
        for at in 0..self.files.len() {
            let FileStatus::CopyOf(path, original) = &self.files[at].status else { continue };
            let original = self.files.iter().find(|other| other.file.identity == *original);
            if original.is_some_and(|original| matches!(self.files[at].file.may_copy(&original.file), Ok(false))) {
                self.files[at].status = FileStatus::AtPath(path.clone());
            }
        }
    }

    /// Opens logs that came and went between two looks; and the fault, if there is one: what cannot be opened may have lines
    /// that are not counted.
    fn search(&mut self, registry: &SharedRegistry, now: Instant) -> Option<String> {
        if self.searched.is_empty() {
            return None;
        }
        let mut faults = FileErrors::new();
        let paths: Vec<_> = self.searched.keys().filter(|_| !self.cut.is_empty()).cloned().collect();
        paths.iter().for_each(|path| self.find_copies(path, registry, now, &mut faults));
        let tracked = self.files.iter().map(|followed| followed.file.identity).collect();
        let found = rotated::since(&self.searched, &tracked, now, &mut faults);
        // one that has just begun may become a copy of what is there: it is judged when there is something in it
        let growing: BTreeSet<_> =
            found.iter().filter(|(_, file)| file.has_just_begun(SEARCH)).map(|(path, _)| path.to_path_buf()).collect();
        let found = found.into_iter().filter(|(_, file)| !file.has_just_begun(SEARCH));
        let between = found.filter_map(|(path, file)| match self.came_between(path, &file) {
            Ok(between) => between.then(|| Ok((path.to_path_buf(), file))),
            Err(error) => Some(Err((path.to_path_buf(), error))),
        });
        for between in between.collect::<Vec<_>>() {
            let gone_on =
                between.and_then(|(path, file)| self.go_on_in_copy(file, registry).map_err(|error| (path, error)));
            match gone_on {
                Ok(Some(file)) => {
                    let mut registry = registry.lock();
                    if registry.ownership.claim(file.identity, self.index).is_ok() {
                        registry.logs[self.index].rotations += 1;
                        self.files.push(TrackedFile { file, status: FileStatus::Rotated });
                    }
                }
                Ok(None) => {}
                Err(fault) => faults.push(fault),
            }
        }
        let fault = self.tell(&faults, registry);
        // a copy of what is at a path has to be looked for once more if that is cut before it is read for the first time
        let unseen =
            |TrackedFile { file, status }: &TrackedFile| matches!(status, FileStatus::AtPath(_)) && file.is_unseen();
        let all_seen = !self.files.iter().any(unseen);
        self.searched.retain(|path, searched| now < searched.until || !all_seen || growing.contains(path));
        if self.searched.is_empty() {
            self.cut.clear();
            self.told.clear();
        }
        fault
    }

    /// Whether what was rotated away from a path came and went between two looks.
    fn came_between(&self, path: &Path, file: &LogFile) -> Result<bool, Error> {
        // a copy of what is there has nothing new as long as that is not truncated
        let is_at = |status: &FileStatus| matches!(status, FileStatus::AtPath(at) if at == path);
        let is_there = |other: &&TrackedFile| is_at(&other.status) || other.file.target.as_deref() == Some(path);
        match self.files.iter().find(is_there) {
            Some(there) if file.size()? == 0 => Ok(there.file.position.offset > 0),
            Some(there) => Ok(!file.may_copy(&there.file)?),
            None => Ok(true),
        }
    }

    /// Counts what could not be looked into during a search, and tells each place once; the last fault.
    fn tell(&mut self, faults: &FileErrors, registry: &SharedRegistry) -> Option<String> {
        for (path, error) in faults {
            registry.lock().logs[self.index].open_errors += 1;
            if self.told.insert(path.clone()) {
                let error = permission::explain(path, error, "read");
                tracing::warn!(error, "a rotated log may have lines that are not counted");
            }
        }
        faults.last().map(|(path, error)| permission::explain(path, error, "read"))
    }

    /// Closes files that nobody writes to any more.
    fn close_quiet(&mut self, registry: &SharedRegistry, now: Instant) {
        let quiet = |file: &LogFile| now.saturating_duration_since(file.quiet_since()) >= GRACE;
        let finished = self.files.extract_if(.., |TrackedFile { file, status }| match status {
            FileStatus::Rotated => quiet(file),
            // a deleted one would keep its place on the disk for as long as it is open
            FileStatus::Missing(_) => quiet(file) && file.is_deleted(),
            FileStatus::AtPath(_) | FileStatus::CopyOf(..) => false,
        });
        for followed in finished {
            let identity = followed.file.identity;
            let position = followed.file.finish(|line| registry.lock().count_line(self.index, line));
            registry.lock().ownership.close(identity, position);
        }
    }
}

/// Whether a file is at a path.
fn is_at(path: &Path, file: FileIdentity) -> Result<bool, Error> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        metadata => metadata.map(|metadata| FileIdentity::of(&metadata) == file),
    }
}

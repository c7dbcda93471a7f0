//! The state file: how far every file was read and what was counted until there, of one instant.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::book::{Book, Shared};
use crate::counts::{Cell, Counts};
use crate::health::{Health, Incidents};
use crate::lines::Lines;
use crate::log_file::{Identity, LogFile, Mark};
use crate::request::{Cache, Method, Protocol, Status};
use crate::tail::{Spot, Tail};

/// All that an exporter needs to go on where another one was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    sources: Vec<SavedSource>,
    series: Vec<SavedSeries>,
    durations: Vec<SavedDurations>,
    protocols: Vec<(String, u64)>,
    caches: Vec<(String, u64)>,
    overflowed: u64,
}

/// What is known of one `--access-log`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSource {
    source: String,
    lines: [u64; 4],
    read_bytes: u64,
    rotations: u64,
    truncations: u64,
    open_errors: u64,
    read_errors: u64,
    last_time: Option<f64>,
    /// In seconds since the epoch.
    last_look: f64,
    pub(crate) files: Vec<SavedFile>,
}

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedFile {
    device: u64,
    inode: u64,
    /// Where it was, if it was not rotated away.
    pub(crate) path: Option<PathBuf>,
    /// Its own path, where it was opened through a symbolic link.
    #[serde(default)]
    pub(crate) target: Option<PathBuf>,
    offset: u64,
    /// How many bytes before the offset belong to a line that has no end yet.
    waiting: usize,
    skipping: bool,
    /// In hexadecimal digits.
    head: String,
    anchor: String,
    /// Whether it was waited for in vain: the log has told that it is missing.
    #[serde(default)]
    pub(crate) missing: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedSeries {
    vhost: Option<String>,
    route: Option<String>,
    method: String,
    status: String,
    requests: u64,
    // as text: JSON's readers do not agree on numbers beyond 64 bits
    sent: String,
    received: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedDurations {
    vhost: Option<String>,
    route: Option<String>,
    /// Of requests, or of what of the servers behind.
    kind: usize,
    bounds: Vec<f64>,
    counts: Vec<u64>,
    nanoseconds: String,
}

const VERSION: u32 = 1;
/// How often it is written while anything changes.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many times longer than writing it took it is left alone.
const REST: u32 = 20;
/// How often a copy of it is forced onto the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(60);

impl State {
    /// Reads a state file; `None` if there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>> {
        let what = || format!("cannot read the state file {}", path.display());
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(what)?,
        };
        let state: Self = serde_json::from_slice(&text).with_context(what)?;
        if state.version != VERSION {
            bail!("{}: it has version {}, not {VERSION}", what(), state.version);
        }
        Ok(Some(state))
    }

    /// The present state.
    fn of(tails: &[Tail], book: &Book) -> Self {
        let counts = &book.counts;
        let series = counts.series().filter(|series| *series.cell != Cell::default());
        let groups = counts.groups().flat_map(|(vhost, route, group)| {
            let durations = group.durations.iter().enumerate();
            durations.filter_map(move |(kind, durations)| Some((vhost, route, kind, durations.as_ref()?)))
        });
        Self {
            version: VERSION,
            sources: book.logs.iter().enumerate().map(|(index, log)| SavedSource::of(index, log, tails)).collect(),
            series: series
                .map(|series| SavedSeries {
                    vhost: series.vhost.map(str::to_owned),
                    route: series.route.map(str::to_owned),
                    method: series.method.name().to_owned(),
                    status: Status::label(series.status.index()),
                    requests: series.cell.requests,
                    sent: series.cell.sent.to_string(),
                    received: series.cell.received.to_string(),
                })
                .collect(),
            durations: groups
                .map(|(vhost, route, kind, durations)| SavedDurations {
                    vhost: vhost.map(str::to_owned),
                    route: route.map(str::to_owned),
                    kind,
                    bounds: durations.bounds.clone(),
                    counts: durations.counts.clone(),
                    nanoseconds: durations.sum.to_string(),
                })
                .collect(),
            protocols: named(&Protocol::NAMES, &counts.protocols),
            caches: named(&Cache::NAMES, &counts.caches),
            overflowed: counts.overflowed,
        }
    }

    /// What is known of a source by what the flag says.
    pub(crate) fn source(&self, source: &str) -> Option<&SavedSource> {
        self.sources.iter().find(|saved| saved.source == source)
    }

    /// Adds to the counters what an earlier process had counted.
    pub(crate) fn restore(&self, book: &mut Book) {
        let counts = &mut book.counts;
        for saved in &self.series {
            let method = Method::of(saved.method.as_bytes());
            let Some(status) = Status::parse(saved.status.as_bytes()) else { continue };
            let cell = Cell {
                requests: saved.requests,
                sent: saved.sent.parse().unwrap_or_default(),
                received: saved.received.parse().unwrap_or_default(),
            };
            counts.restore(saved.vhost.as_deref(), saved.route.as_deref(), method, status, cell);
        }
        let mut fits = true;
        for saved in &self.durations {
            fits &= saved.restore(counts);
        }
        if !fits {
            tracing::warn!("the state file has durations in other buckets; they begin at 0");
        }
        for (name, count) in &self.protocols {
            if let Some(at) = Protocol::NAMES.iter().position(|known| known == name) {
                counts.protocols[at] += count;
            }
        }
        for (name, count) in &self.caches {
            if let Some(at) = Cache::NAMES.iter().position(|known| known == name) {
                counts.caches[at] += count;
            }
        }
        counts.overflowed += self.overflowed;
        for log in &mut book.logs {
            if let Some(saved) = self.source(&log.source) {
                saved.restore(log);
            }
        }
    }
}

impl SavedSource {
    fn of(index: usize, log: &Health, tails: &[Tail]) -> Self {
        let tail = tails.iter().find(|tail| tail.index == index);
        let files = tail.into_iter().flat_map(|tail| &tail.files);
        Self {
            source: log.source.clone(),
            lines: log.lines,
            read_bytes: log.read_bytes,
            rotations: log.rotations,
            truncations: log.truncations,
            open_errors: log.open_errors,
            read_errors: log.read_errors,
            last_time: log.last_time,
            last_look: tail.map_or(0.0, |tail| seconds(tail.last_look)),
            files: files
                .filter_map(|followed| SavedFile::of(&followed.file, &followed.spot))
                .chain(tail.into_iter().flat_map(|tail| tail.unfound().cloned()))
                .collect(),
        }
    }

    fn restore(&self, log: &mut Health) {
        log.lines.iter_mut().zip(self.lines).for_each(|(there, count)| *there += count);
        log.read_bytes += self.read_bytes;
        log.rotations += self.rotations;
        log.truncations += self.truncations;
        log.open_errors += self.open_errors;
        log.read_errors += self.read_errors;
        log.last_time = self.last_time;
    }

    fn incidents(&self) -> Incidents {
        let &Self { rotations, truncations, open_errors, read_errors, .. } = self;
        Incidents { rotations, truncations, open_errors, read_errors }
    }

    /// When the source was last looked at.
    pub(crate) fn last_look(&self) -> SystemTime {
        UNIX_EPOCH + Duration::try_from_secs_f64(self.last_look).unwrap_or_default()
    }
}

impl SavedFile {
    /// A copy is known again by itself.
    fn of(file: &LogFile, spot: &Spot) -> Option<Self> {
        let path = match spot {
            Spot::At(path) | Spot::Missing(path) => Some(path.clone()),
            Spot::Gone => None,
            Spot::CopyOf(..) => return None,
        };
        Some(Self {
            device: file.identity.device,
            inode: file.identity.inode,
            path: path.filter(|path| path.to_str().is_some()), // JSON has no other text
            target: file.target.clone().filter(|target| target.to_str().is_some()),
            offset: file.mark.offset,
            waiting: file.mark.lines.waiting(),
            skipping: file.mark.lines.is_skipping(),
            head: to_hex(&file.mark.head),
            anchor: to_hex(&file.mark.anchor),
            missing: false,
        })
    }

    /// The file it was.
    pub(crate) fn identity(&self) -> Identity {
        Identity { device: self.device, inode: self.inode }
    }

    /// Its first bytes.
    pub(crate) fn head(&self) -> Option<Vec<u8>> {
        from_hex(&self.head)
    }

    /// By what the file is known again; `None` if nothing was read of it.
    pub(crate) fn mark(&self) -> Option<Mark> {
        let mark = Mark {
            offset: self.offset,
            head: from_hex(&self.head)?,
            anchor: from_hex(&self.anchor)?,
            lines: if self.skipping { Lines::within_a_line() } else { Lines::default() },
        };
        (self.offset > 0 && mark.anchor.len() as u64 <= self.offset).then_some(mark)
    }

    /// A mark, as it is to go on from: a line that had no end is read again from its beginning.
    pub(crate) fn resumed(&self, mut mark: Mark) -> Mark {
        mark.offset -= (self.waiting as u64).min(mark.offset);
        mark.anchor.truncate(mark.anchor.len().saturating_sub(self.waiting));
        mark.head.truncate(usize::try_from(mark.offset).unwrap_or(usize::MAX));
        mark
    }
}

impl SavedDurations {
    fn restore(&self, counts: &mut Counts) -> bool {
        let group = counts.restored_group(self.vhost.as_deref(), self.route.as_deref());
        let sum = self.nanoseconds.parse().unwrap_or_default();
        match counts.durations(group).get_mut(self.kind) {
            Some(Some(durations)) => durations.restore(&self.bounds, &self.counts, sum),
            _ => true, // the format has no such time any more
        }
    }
}

/// Writes the state, now and then.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    last: Option<State>,
    next: Instant,
    failing: bool,
    /// The thread that last wrote what is on the disk for sure, and when it is to be written again.
    syncing: Option<JoinHandle<()>>,
    next_sync: Instant,
}

impl Keeper {
    /// A keeper of a file.
    pub(crate) fn new(path: PathBuf) -> Self {
        let now = Instant::now();
        Self { path, last: None, next: now, failing: false, syncing: None, next_sync: now }
    }

    /// Writes the state if it is time to.
    pub(crate) fn tick(&mut self, tails: &[Tail], book: &Shared) {
        if Instant::now() >= self.next {
            self.save(tails, book);
        }
    }

    /// Writes the state if it is another one than last time. If that fails it is said once, and tried again.
    pub(crate) fn save(&mut self, tails: &[Tail], book: &Shared) {
        let begun = Instant::now();
        let state = State::of(tails, &book.lock());
        if self.last.as_ref().is_none_or(|last| differs(last, &state)) {
            match write(&self.path, &state) {
                Ok(()) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(path = %self.path.display(), "the state file can be written again");
                    }
                    self.sync(&state);
                    let mut book = book.lock();
                    for (log, saved) in book.logs.iter_mut().zip(&state.sources) {
                        log.saved = Some(saved.incidents());
                    }
                    self.last = Some(state);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let path = self.path.display();
                        tracing::warn!(%path, %error, "cannot write the state file; going on without");
                    }
                    let mut book = book.lock();
                    book.logs.iter_mut().for_each(|log| log.saved = None);
                    *book.state_errors.get_or_insert(0) += 1;
                }
            }
        }
        self.next = begun + INTERVAL.max(begun.elapsed() * REST);
    }
}

impl Keeper {
    /// Writes a copy that outlives a loss of power. What the kernel has outlives the process, so the state itself is not
    /// forced onto the disk, which once a second would wear it and keep it awake. But after a loss of power that file may
    /// be empty, with some file systems; the copy is older, and its positions fit its counters. It is written on a thread
    /// of its own, since a busy disk takes its time; errors are told where the state itself is written.
    fn sync(&mut self, state: &State) {
        let idle = self.syncing.as_ref().is_none_or(JoinHandle::is_finished);
        if Instant::now() >= self.next_sync && idle {
            let (path, state) = (on_disk(&self.path), state.clone());
            let writing = move || drop(write_to_disk(&path, &state));
            self.syncing = thread::Builder::new().name("state".to_owned()).spawn(writing).ok();
            self.next_sync = Instant::now() + SYNC_INTERVAL;
        }
    }
}

/// Whether states differ in more than when they were looked at.
fn differs(a: &State, b: &State) -> bool {
    let same_sources = a.sources.len() == b.sources.len()
        && a.sources.iter().zip(&b.sources).all(|(a, b)| *a == SavedSource { last_look: a.last_look, ..b.clone() });
    !same_sources || *a != State { sources: a.sources.clone(), ..b.clone() }
}

/// Writes a state beside the file, and puts it in its place.
fn write(path: &Path, state: &State) -> io::Result<()> {
    let beside = with_ending(path, ".new");
    std::fs::write(&beside, serde_json::to_vec(state)?)?;
    std::fs::rename(&beside, path)
}

/// The same, with the content on the disk before it has its name. Which of two names is there after a loss of power does
/// not matter: both are whole.
fn write_to_disk(path: &Path, state: &State) -> io::Result<()> {
    let beside = with_ending(path, ".new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Where the copy of a state file is that is on the disk for sure.
pub(crate) fn on_disk(path: &Path) -> PathBuf {
    with_ending(path, ".synced")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn named(names: &[&str], counts: &[u64]) -> Vec<(String, u64)> {
    names.iter().zip(counts).map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Line;

    fn book(format: &str, bounds: &[f64]) -> Book {
        let format: crate::format::Format = format.parse().unwrap();
        let counts = Counts::new(&format, bounds, vec!["api=^/api/".parse().unwrap()], 100);
        Book::new(format, counts, ["access.log".to_owned()])
    }

    const FORMAT: &str = "$host $request_uri $request_method $status $bytes_sent $request_time $upstream_cache_status";

    #[test]
    fn what_was_counted_is_restored() {
        let mut before = book(FORMAT, &[0.1]);
        for line in
            ["a /api/x GET 200 18446744073709551615 0.05 HIT", "a /api/y GET 200 9 0.05 -", "b / POST 404 5 2.5 -", "x"]
        {
            before.line(0, Line::Whole(line.as_bytes()));
        }
        before.logs[0].last_time = Some(7.5);
        let state = State::of(&[], &before);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write(&path, &state).unwrap();
        let loaded = State::load(&path).unwrap().unwrap();
        assert_eq!(loaded, state);
        let mut after = book(FORMAT, &[0.1]);
        loaded.restore(&mut after);
        assert_eq!(State::of(&[], &after), state);
        // a bucket less: only the histograms begin anew
        let mut other = book(FORMAT, &[0.2]);
        loaded.restore(&mut other);
        assert_eq!(State::of(&[], &other).series, state.series);
    }

    #[test]
    fn what_is_no_state_is_refused_and_what_is_missing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        assert!(State::load(&path).unwrap().is_none());
        let state = serde_json::to_string(&State::of(&[], &book("common", &[]))).unwrap();
        for text in ["", "{}", &state[..state.len() / 2], &state.replace("\"version\":1", "\"version\":9"), "\0\0\0"] {
            std::fs::write(&path, text).unwrap();
            assert!(State::load(&path).is_err(), "{text}");
        }
        std::fs::write(&path, &state).unwrap();
        assert!(State::load(&path).unwrap().is_some());
    }

    #[test]
    fn a_copy_is_written_to_the_disk_beside_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut keeper = Keeper::new(path.clone());
        keeper.save(&[], &Shared::new(book("common", &[])));
        keeper.syncing.take().unwrap().join().unwrap();
        assert_eq!(std::fs::read(on_disk(&path)).unwrap(), std::fs::read(&path).unwrap());
        keeper.last = None;
        keeper.save(&[], &Shared::new(book("common", &[])));
        assert!(keeper.syncing.is_none(), "not every time");
    }

    #[test]
    fn what_happened_to_a_log_is_shown_once_it_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut keeper = Keeper::new(path.clone());
        let shared = Shared::new(book("common", &[]));
        let shown = || shared.lock().logs[0].incidents().rotations;
        shared.lock().logs[0].rotations = 1;
        assert_eq!(shown(), 1, "without a state there is nothing to wait for");
        keeper.save(&[], &shared);
        shared.lock().logs[0].rotations = 2;
        assert_eq!(shown(), 1);
        keeper.save(&[], &shared);
        assert_eq!(shown(), 2);
        std::fs::create_dir(with_ending(&path, ".new")).unwrap(); // cannot be written any more
        shared.lock().logs[0].rotations = 3;
        keeper.save(&[], &shared);
        assert_eq!(shown(), 3);
    }

    #[test]
    fn bytes_are_hexadecimal_digits_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        assert!(from_hex("0").is_none() && from_hex("0g").is_none());
    }
}

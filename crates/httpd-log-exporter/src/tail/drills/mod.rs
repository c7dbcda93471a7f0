//! Drills of the tail: everything that servers, logrotate and administrators do to a log.

mod compression;
mod containers;
mod disks;
mod generations;
mod globs;
mod presence;
mod random;
mod restarts;
mod rotation;
mod truncation;

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::format::Format;
use crate::metrics::counts::RequestCounts;
use crate::metrics::health::LogHealth;
use crate::metrics::registry::{Registry, SharedRegistry};
use crate::tail::log_paths::LogPaths;
use crate::tail::{StartAt, Tail};

/// A log in a temporary folder, and a clock that the drill advances.
struct Drill {
    folder: tempfile::TempDir,
    registry: SharedRegistry,
    tail: Option<Tail>,
    now: Instant,
}

impl Drill {
    /// Calls `prepare` to set up the folder, then opens the log.
    fn new(start: StartAt, prepare: impl FnOnce(&Drill)) -> Self {
        Self::of("access.log", start, prepare)
    }

    /// The same with a glob.
    fn of(glob: &str, start: StartAt, prepare: impl FnOnce(&Drill)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry();
        let mut drill = Self { folder, registry, tail: None, now: Instant::now() };
        prepare(&drill);
        let log_paths = LogPaths::parse(drill.path(glob).to_str().unwrap());
        drill.tail = Some(Tail::open(0, log_paths, start, &drill.registry, drill.now));
        drill
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) -> File {
        let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn look(&mut self) -> LogHealth {
        let mut buffer = [0; 64];
        while self.tail.as_mut().unwrap().pass(&self.registry, &mut buffer, self.now).more {}
        self.registry.lock().logs[0].clone()
    }

    /// Reads everything, and asserts which lines were counted since the start. Each line has a different number of bytes,
    /// so a lost line and a line that is counted twice both change the sum.
    #[track_caller]
    fn counted(&mut self, lines: &[u32]) -> LogHealth {
        let health = self.look();
        let expected: u128 = lines.iter().map(|line| 1 << line).sum();
        let registry = self.registry.lock();
        let bytes: u128 = registry.counts.series().map(|series| series.cell.sent).sum();
        let requests: u64 = registry.counts.series().map(|series| series.cell.requests).sum();
        assert_eq!((requests, format!("{bytes:b}")), (lines.len() as u64, format!("{expected:b}")), "{health:?}");
        health
    }

    /// Number of files that are held open.
    fn open_files(&self) -> usize {
        self.tail.as_ref().unwrap().open_files().count()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

fn registry() -> SharedRegistry {
    let format: Format = "combined".parse().unwrap();
    let counts = RequestCounts::new(&format, &[], Vec::new(), 0);
    SharedRegistry::new(Registry::new(format, counts, ["access.log".to_owned()]))
}

/// The line with a number from 0 to 60.
fn line(number: u32) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {} \"-\" \"-\"\n", 1_u64 << number)
}

//! Drills of the follower: everything that servers, logrotate and people do to a log.

mod disks;
mod patterns;
mod presence;
mod restarts;
mod rotation;
mod truncation;

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::book::{Book, Shared};
use crate::counts::Counts;
use crate::format::Format;
use crate::health::Health;
use crate::place::Place;
use crate::tail::{Start, Tail};

/// A log in a folder of its own, and a clock that is moved by hand.
struct Drill {
    folder: tempfile::TempDir,
    book: Shared,
    tail: Option<Tail>,
    now: Instant,
}

impl Drill {
    /// Starts with what `prepare` does in the folder.
    fn new(start: Start, prepare: impl FnOnce(&Drill)) -> Self {
        Self::of("access.log", start, prepare)
    }

    /// The same with a pattern.
    fn of(pattern: &str, start: Start, prepare: impl FnOnce(&Drill)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let book = book();
        let mut drill = Self { folder, book, tail: None, now: Instant::now() };
        prepare(&drill);
        let place = Place::parse(drill.path(pattern).to_str().unwrap());
        drill.tail = Some(Tail::open(0, place, start, &drill.book, drill.now));
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

    fn look(&mut self) -> Health {
        let mut buffer = [0; 64];
        while self.tail.as_mut().unwrap().pass(&self.book, &mut buffer, self.now).more {}
        self.book.lock().logs[0].clone()
    }

    /// Looks, and asserts which lines were counted up to now: each has bytes of its own, so none
    /// is lost and none counted twice.
    #[track_caller]
    fn counted(&mut self, lines: &[u32]) -> Health {
        let health = self.look();
        let expected: u128 = lines.iter().map(|line| 1 << line).sum();
        let book = self.book.lock();
        let bytes: u128 = book.counts.series().map(|series| series.cell.sent).sum();
        let requests: u64 = book.counts.series().map(|series| series.cell.requests).sum();
        assert_eq!((requests, format!("{bytes:b}")), (lines.len() as u64, format!("{expected:b}")), "{health:?}");
        health
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

fn book() -> Shared {
    let format: Format = "combined".parse().unwrap();
    let counts = Counts::new(&format, &[], Vec::new(), 0);
    Shared::new(Book::new(format, counts, ["access.log".to_owned()]))
}

/// A line by its number, from 0 to 60.
fn line(number: u32) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {} \"-\" \"-\"\n", 1_u64 << number)
}

//! One log followed by identity, not by name: a file that was rotated away is read until it is quiet,
//! the one in its place from the beginning, at once.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::book::Shared;
use crate::log_file::{Identity, LogFile};
use crate::permission;

/// How long a file that was rotated away must be quiet before it counts as finished. nginx and Apache
/// go on writing to it until they are told to reopen, and flush their buffers then.
const GRACE: Duration = Duration::from_secs(10);

/// A log: a path, the file that was last found there, and files that were there before.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Its place in the book.
    index: usize,
    pub(crate) path: PathBuf,
    current: Option<LogFile>,
    draining: Vec<LogFile>,
    /// Whether there was a file before, so that another one is a rotation.
    found_before: bool,
}

/// What a look at a log found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Whether something was read, or the file is another one.
    pub(crate) active: bool,
    /// Whether there is more to read at once.
    pub(crate) more: bool,
}

/// Where a log is read from that is there at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Start {
    /// Only what is written from now on
    End,
    /// What is there already, too
    Beginning,
}

impl Tail {
    /// Opens a log where it is to be read from. One that is not there is waited for, and read from
    /// its beginning when it appears.
    pub(crate) fn open(index: usize, path: PathBuf, start: Start, book: &Shared, now: Instant) -> Self {
        let mut tail = Self { index, path, current: None, draining: Vec::new(), found_before: false };
        let mut fault = tail.look(book, now).err();
        if start == Start::End
            && let Some(file) = &mut tail.current
            && let Err(error) = file.go_to_end()
        {
            fault = Some(tail.read_error(book, &error));
        }
        book.lock().logs[index].fault = fault;
        tail
    }

    /// Finds out which file is at the path, and reads what is new in all files of the log.
    pub(crate) fn pass(&mut self, book: &Shared, buffer: &mut [u8], now: Instant) -> Seen {
        let (changed, mut fault) = match self.look(book, now) {
            Ok(changed) => (changed, None),
            Err(fault) => (false, Some(fault)),
        };
        let missing = fault.is_some();
        let mut seen = Seen { active: changed, more: false };
        let mut lag = 0;
        let index = self.index;
        let mut errors = Vec::new();
        for file in self.draining.iter_mut().chain(&mut self.current) {
            let progress = file.catch_up(now, buffer, |lines, bytes| {
                let mut book = book.lock();
                lines.feed(bytes, |line| book.line(index, line));
                book.logs[index].read_bytes += bytes.len() as u64;
                book.came_by = Some(Instant::now());
            });
            match progress {
                Ok(progress) => {
                    seen.active |= progress.read > 0 || progress.truncated;
                    seen.more |= progress.read > 0 && progress.left > 0;
                    lag += progress.left;
                    if progress.truncated {
                        tracing::info!(path = %self.path.display(), "log truncated; reading it from its beginning");
                        book.lock().logs[index].truncations += 1;
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        for error in errors {
            fault = Some(self.read_error(book, &error));
        }
        self.close_quiet(book, missing, now);
        let health = &mut book.lock().logs[index];
        health.lag = lag;
        health.fault = fault;
        seen
    }

    /// Reads all there is and closes: a last line without its end counts.
    pub(crate) fn read_to_end(mut self, book: &Shared, buffer: &mut [u8]) {
        while self.pass(book, buffer, Instant::now()).more {}
        for file in self.draining.drain(..).chain(self.current.take()) {
            file.finish(|line| book.lock().line(self.index, line));
        }
    }

    /// The identity of the file at the path.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.current.as_ref().map(|file| file.identity)
    }

    /// Opens the file at the path if it is another one; true if so. Otherwise the fault, if there is
    /// one: the file that was there is kept then.
    fn look(&mut self, book: &Shared, now: Instant) -> Result<bool, String> {
        let found = std::fs::metadata(&self.path).and_then(|metadata| {
            let known = self.identity() == Some(Identity::of(&metadata));
            if known { Ok(None) } else { LogFile::open(&self.path, now).map(Some) }
        });
        let file = match found {
            Ok(Some(file)) if self.identity() != Some(file.identity) => file,
            Ok(_) => return Ok(false),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    book.lock().logs[self.index].open_errors += 1;
                }
                return Err(permission::explain(&self.path, &error, "open"));
            }
        };
        if std::mem::replace(&mut self.found_before, true) {
            tracing::info!(path = %self.path.display(), "log rotated");
            book.lock().logs[self.index].rotations += 1;
        }
        // one that was moved back is no new file
        let known = self.draining.iter().position(|draining| draining.identity == file.identity);
        let file = known.map_or(file, |at| self.draining.remove(at));
        if let Some(mut old) = self.current.replace(file) {
            old.wait_from(now);
            self.draining.push(old);
        }
        Ok(true)
    }

    /// Closes files that nobody writes to any more.
    fn close_quiet(&mut self, book: &Shared, missing: bool, now: Instant) {
        let quiet = |file: &LogFile| now.saturating_duration_since(file.quiet_since()) >= GRACE;
        // a deleted one would keep its place on the disk for as long as it is open
        let deleted = self.current.take_if(|file| missing && quiet(file) && file.is_deleted());
        for file in self.draining.extract_if(.., |file| quiet(file)).chain(deleted) {
            file.finish(|line| book.lock().line(self.index, line));
        }
    }

    fn read_error(&self, book: &Shared, error: &std::io::Error) -> String {
        book.lock().logs[self.index].read_errors += 1;
        permission::explain(&self.path, error, "read")
    }
}

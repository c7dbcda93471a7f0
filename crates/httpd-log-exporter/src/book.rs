//! The book that is kept: every counter, written by the thread that reads, read by scrapes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::counts::Counts;
use crate::format::Format;
use crate::health::{Health, Outcome};
use crate::lines::Line;

/// All that was counted since the start.
#[derive(Debug)]
pub(crate) struct Book {
    format: &'static Format,
    pub(crate) counts: Counts,
    /// One for each `--access-log`, in the order of the flags.
    pub(crate) logs: Vec<Health>,
    /// When the reading thread last came by; `None` before it runs.
    pub(crate) came_by: Option<Instant>,
}

/// The book as both sides hold it. It is locked once for many lines.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Book>>);

impl Book {
    /// All at 0. `bounds` are the histogram's, for a format that has a time.
    pub(crate) fn new(format: &'static Format, bounds: &[f64], sources: impl IntoIterator<Item = String>) -> Self {
        Self {
            format,
            counts: Counts::new(format.has_duration.then_some(bounds)),
            logs: sources.into_iter().map(|source| Health { source, ..Health::default() }).collect(),
            came_by: None,
        }
    }

    /// Counts a line of a log.
    #[inline]
    pub(crate) fn line(&mut self, log: usize, line: Line<'_>) {
        let outcome = match line {
            Line::TooLong => Outcome::TooLong,
            Line::Whole(line) => match (self.format.parse)(line) {
                None => {
                    if self.logs[log].lines[Outcome::Unmatched as usize] == 0 {
                        self.show(log, line);
                    }
                    Outcome::Unmatched
                }
                Some(request) if self.counts.add(&request) => Outcome::Matched,
                Some(_) => Outcome::ValueError,
            },
        };
        self.logs[log].lines[outcome as usize] += 1;
    }

    /// Shows the first line of a log that does not have the format; the others are only counted.
    #[cold]
    fn show(&self, log: usize, line: &[u8]) {
        let begin = String::from_utf8_lossy(&line[..line.len().min(200)]);
        let (source, format) = (&self.logs[log].source, self.format.name);
        tracing::warn!(
            source,
            format,
            line = &*begin,
            "a line does not have the format; further ones are counted only"
        );
    }
}

impl Shared {
    /// Shares a book.
    pub(crate) fn new(book: Book) -> Self {
        Self(Arc::new(Mutex::new(book)))
    }

    /// The book, for this side alone.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // counters are whole at any time
    }
}

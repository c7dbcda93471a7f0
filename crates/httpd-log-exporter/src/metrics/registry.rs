//! The book that is kept: every counter, written by those who read, read by scrapes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::format::timestamp::epoch_seconds;
use crate::format::{Format, LineParser};
use crate::lines::Line;
use crate::metrics::counts::RequestCounts;
use crate::metrics::health::{LineResult, LogHealth};
use crate::tail::file_ownership::FileOwnership;

/// All that was counted since the start.
#[derive(Debug)]
pub(crate) struct Registry {
    format: Format,
    pub(crate) counts: RequestCounts,
    /// One for each `--access-log`, in the order of the flags.
    pub(crate) logs: Vec<LogHealth>,
    /// Which of them reads which file.
    pub(crate) ownership: FileOwnership,
    /// When the thread that reads files last came by; `None` while there is none.
    pub(crate) last_pass: Option<Instant>,
    /// Whether there is no more to be read of what was there at the start.
    pub(crate) caught_up: bool,
    /// How often the state file could not be written, where there is to be one.
    pub(crate) state_errors: Option<u64>,
}

/// The book as both sides hold it. It is locked once for many lines.
#[derive(Clone, Debug)]
pub(crate) struct SharedRegistry(Arc<Mutex<Registry>>);

impl Registry {
    /// All at 0.
    pub(crate) fn new(format: Format, counts: RequestCounts, sources: impl IntoIterator<Item = String>) -> Self {
        let logs = sources.into_iter().map(|source| LogHealth { source, ..LogHealth::default() }).collect();
        Self {
            format,
            counts,
            logs,
            ownership: FileOwnership::default(),
            last_pass: None,
            caught_up: false,
            state_errors: None,
        }
    }

    /// Counts a line of a log.
    #[inline]
    pub(crate) fn count_line(&mut self, log: usize, line: Line<'_>) {
        let outcome = match line {
            Line::TooLong => LineResult::TooLong,
            Line::Whole(line) => match self.count(line) {
                None => {
                    if self.logs[log].lines[LineResult::Unmatched as usize] == 0 {
                        self.show(log, line);
                    }
                    LineResult::Unmatched
                }
                Some(true) => LineResult::Matched,
                Some(false) => LineResult::ValueError,
            },
        };
        self.logs[log].lines[outcome as usize] += 1;
    }

    /// Counts a line that is a message of its own.
    pub(crate) fn count_message(&mut self, log: usize, line: Line<'_>) {
        self.count_line(log, line);
        if let Line::Whole(line) = line {
            self.record_time(log, line);
        }
    }

    /// Counts a line; `None` for one that does not have the format, false for one with a wrong number.
    #[inline]
    fn count(&mut self, line: &[u8]) -> Option<bool> {
        if let LineParser::Clf(parse, _) = &self.format.reader {
            return Some(self.counts.add(&parse(line)?));
        }
        let (request, details) = self.format.read(line)?;
        Some(self.counts.add_detailed(&request, &details))
    }

    /// Notes when the last line of a piece was written.
    pub(crate) fn record_time(&mut self, log: usize, line: &[u8]) {
        if let Some(time) = self.format.time(line).and_then(epoch_seconds) {
            self.logs[log].last_time = Some(time);
        }
    }

    /// Shows the first line of a log that does not have the format; the others are only counted.
    #[cold]
    fn show(&self, log: usize, line: &[u8]) {
        let begin = String::from_utf8_lossy(&line[..line.len().min(200)]);
        let (source, format) = (&self.logs[log].source, &self.format.name);
        tracing::warn!(
            source,
            format,
            line = &*begin,
            "a line does not have the format; further ones are counted only; see httpd-log-exporter explain"
        );
    }
}

impl SharedRegistry {
    /// Shares a book.
    pub(crate) fn new(registry: Registry) -> Self {
        Self(Arc::new(Mutex::new(registry)))
    }

    /// The book, for this side alone.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // counters are whole at any time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::LineSplitter;

    #[test]
    fn lines_like_those_before_are_counted_without_an_allocation() {
        let presets = include_str!("../../tests/lines/presets.txt").lines();
        let presets = presets.map(|case| {
            let mut parts = case.splitn(3, '\t');
            (parts.next().unwrap().parse().unwrap(), parts.nth(1).unwrap())
        });
        let regex = Format::of_regex(r#""(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+)"#).unwrap();
        let further = [
            ("$host $request_method $status $request_time".parse().unwrap(), "www.example.com GET 200 0.5"),
            (regex, r#"x "GET / HTTP/1.1" 200 5"#),
        ];
        for (format, line) in presets.chain(further) {
            let name = format.name.clone();
            let routes = vec!["api=^/api/".parse().unwrap()];
            let counts = RequestCounts::new(&format, &[0.1, 1.0], routes, 100);
            let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
            let mut lines = LineSplitter::default();
            // the end is cut off, so that a line waits for its end
            let piece = format!("{line}\n").repeat(100);
            let (piece, rest) = piece.split_at(piece.len() - 10);
            let mut read = |piece: &str| lines.feed(piece.as_bytes(), |line| registry.count_line(0, line));
            read(piece);
            read(rest);
            let used = allocation_counter::measure(|| {
                read(piece);
                read(rest);
            });
            assert_eq!(used.count_total, 0, "{name}: {line}");
            assert_eq!(registry.logs[0].lines, [200, 0, 0, 0], "{name}: {line}");
        }
    }
}

//! All counters. Log readers write them; scrapes read them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use crate::container::{self, Parts, Stream};
use crate::format::field::RequestBuilder;
use crate::format::request::path;
use crate::format::timestamp::epoch_seconds;
use crate::format::w3c::Header;
use crate::format::{Format, LineParser};
use crate::lines::{self, Line, LineSplitter};
use crate::metrics::counts::RequestCounts;
use crate::metrics::health::{LineResult, LogHealth};
use crate::metrics::line_rules::{LineRules, RequestLine};
use crate::nginxlog::Namespaces;
use crate::tail::file_ownership::FileOwnership;
use crate::tail::log_file::LogFile;
use crate::tail::read_position::ReadPosition;

/// The counters and the health of all logs.
#[derive(Debug)]
pub(crate) struct Registry {
    format: Format,
    pub(crate) counts: RequestCounts,
    /// One entry for each `--access-log`, in the order of the flags.
    pub(crate) logs: Vec<LogHealth>,
    /// Which log reads which file.
    pub(crate) ownership: FileOwnership,
    /// When the reader thread last finished reading a chunk or a pass; `None` if it is not running.
    pub(crate) last_pass: Option<Instant>,
    /// Whether all data that existed at startup is read.
    pub(crate) caught_up: bool,
    /// Failed writes of the state file; `None` without a state file.
    pub(crate) state_errors: Option<u64>,
    /// Since when all counters count, in this process and in earlier ones; `None` if unknown.
    pub(crate) since: Option<SystemTime>,
    /// The same of the histograms, which other buckets reset.
    pub(crate) durations_since: Option<SystemTime>,
    /// Whether native histograms are exported next to the classic ones.
    pub(crate) native_histograms: bool,
    /// The rules that flags define for the fields of lines.
    pub(crate) rules: Option<LineRules>,
    /// The stream that is read, if the logs are of containers.
    pub(crate) container: Option<Stream>,
    /// The namespaces of `--config.file`, which count all lines if there are any.
    pub(crate) namespaces: Option<Namespaces>,
}

/// The registry, shared by readers and scrapes. Readers lock it once for many lines.
#[derive(Clone, Debug)]
pub(crate) struct SharedRegistry(Arc<Mutex<Registry>>);

impl Registry {
    /// Creates a registry with all counters at 0.
    pub(crate) fn new(format: Format, counts: RequestCounts, sources: impl IntoIterator<Item = String>) -> Self {
        // whole seconds, so that the state file restores the same time
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let now = now.map(|since| UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        let logs = sources.into_iter().map(|source| LogHealth { source, ..LogHealth::default() }).collect();
        Self {
            format,
            counts,
            logs,
            ownership: FileOwnership::default(),
            last_pass: None,
            caught_up: false,
            state_errors: None,
            since: now,
            durations_since: now,
            native_histograms: true,
            rules: None,
            container: None,
            namespaces: None,
        }
    }

    /// Creates a registry whose lines are counted in namespaces, with one source for each of their logs.
    pub(crate) fn of_namespaces(namespaces: Namespaces, sources: impl IntoIterator<Item = String>) -> Result<Self> {
        let format: Format = "common".parse().map_err(anyhow::Error::msg)?; // not used
        let counts = RequestCounts::new(&format, &[], Vec::new(), 0);
        Ok(Self { namespaces: Some(namespaces), ..Self::new(format, counts, sources) })
    }

    /// Whether lines may be dropped.
    pub(crate) fn can_drop(&self) -> bool {
        self.container.is_some()
            || self.namespaces.as_ref().is_some_and(Namespaces::has_tags)
            || self.rules.as_ref().is_some_and(LineRules::has_drops)
            || self.logs.iter().any(|log| log.lines[LineResult::Dropped as usize] > 0)
    }

    /// Sets the log whose lines follow, by the paths that it has or had; a source without a path has none.
    pub(crate) fn set_log<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        if let Some(rules) = &mut self.rules {
            rules.set_log(paths);
        }
    }

    /// Counts the lines that bytes of a log complete, and records the time of the last one.
    pub(crate) fn read(
        &mut self,
        log: usize,
        lines: &mut LineSplitter,
        parts: &mut Parts,
        header: &mut Option<Header>,
        bytes: &[u8],
    ) {
        self.format.set_header(header.as_ref());
        if let Some(namespaces) = &mut self.namespaces {
            namespaces.set_time();
        }
        match self.container {
            None if self.namespaces.is_some() => lines.feed(bytes, |line| self.count_in_namespace(log, line)),
            None if self.format.has_directives() => lines.feed(bytes, |line| self.count_or_describe(log, line)),
            None => lines.feed(bytes, |line| self.count_line(log, line)),
            Some(stream) => {
                lines.feed(bytes, |line| parts.add(line, stream, |line| self.count_or_describe(log, line)));
            }
        }
        *header = self.format.header();
        self.record_time(log, lines::last(bytes));
        self.logs[log].read_bytes += bytes.len() as u64;
    }

    /// Counts the incomplete line at the end of a log.
    pub(crate) fn finish(&mut self, log: usize, lines: &mut LineSplitter, parts: &mut Parts, header: Option<&Header>) {
        self.format.set_header(header);
        match self.container {
            None if self.namespaces.is_some() => lines.finish(|line| self.count_in_namespace(log, line)),
            None if self.format.has_directives() => lines.finish(|line| self.count_or_describe(log, line)),
            None => lines.finish(|line| self.count_line(log, line)),
            Some(stream) => {
                lines.finish(|line| parts.add(line, stream, |line| self.count_or_describe(log, line)));
                parts.finish(|line| self.count_or_describe(log, line));
            }
        }
    }

    /// Counts a line, unless it describes the lines after it. Not inlined a second time, so that the program stays small.
    #[inline(never)]
    pub(crate) fn count_or_describe(&mut self, log: usize, line: Line<'_>) {
        match line {
            Line::Whole(line) if self.format.directive(line) => {}
            _ => self.count_line(log, line),
        }
    }

    /// The stream in which lines describe the lines after them, if the format has such lines.
    pub(crate) fn described_stream(&self) -> Option<Option<Stream>> {
        self.format.has_directives().then_some(self.container)
    }

    /// Counts a line of a log.
    #[inline]
    pub(crate) fn count_line(&mut self, log: usize, line: Line<'_>) {
        let result = match line {
            Line::TooLong => LineResult::TooLong,
            Line::OtherStream => LineResult::Dropped,
            Line::Whole(line) => match self.count(line) {
                None => self.unmatched(log, line),
                Some(LineResult::ValueError) => {
                    if self.logs[log].lines[LineResult::ValueError as usize] == 0 {
                        self.log_wrong_number(log, line);
                    }
                    LineResult::ValueError
                }
                Some(result) => result,
            },
        };
        self.logs[log].lines[result as usize] += 1;
    }

    /// Counts a line of a log in its namespace.
    fn count_in_namespace(&mut self, log: usize, line: Line<'_>) {
        let Some(namespaces) = &mut self.namespaces else { return };
        let result = match line {
            Line::OtherStream => LineResult::Dropped,
            Line::TooLong => {
                namespaces.count_too_long(log);
                LineResult::TooLong
            }
            Line::Whole(line) => namespaces.count(log, line).unwrap_or_else(|| self.unmatched(log, line)),
        };
        self.logs[log].lines[result as usize] += 1;
    }

    /// The result of a line that does not match the format. The first such line is logged.
    #[cold]
    fn unmatched(&mut self, log: usize, line: &[u8]) -> LineResult {
        if self.logs[log].lines[LineResult::Unmatched as usize] == 0 {
            self.log_mismatch(log, line);
        }
        LineResult::Unmatched
    }

    /// Counts a line that arrived as one message of syslog with a tag, and records its time.
    pub(crate) fn count_message(&mut self, log: usize, line: Line<'_>, tag: &[u8]) {
        self.set_log([]);
        self.format.set_header(None);
        match &mut self.namespaces {
            Some(namespaces) if matches!(line, Line::Whole(_)) && !namespaces.is_wanted(log, tag) => {
                self.logs[log].lines[LineResult::Dropped as usize] += 1;
                return;
            }
            Some(namespaces) => {
                namespaces.set_time();
                self.count_in_namespace(log, line);
            }
            None => self.count_or_describe(log, line),
        }
        if let Line::Whole(line) = line {
            self.record_time(log, line);
        }
    }

    /// Counts a line; `None` if it does not match the format.
    #[inline]
    fn count(&mut self, line: &[u8]) -> Option<LineResult> {
        if self.rules.is_some() {
            return self.count_with_rules(line);
        }
        if let LineParser::Clf(parse, _) = &self.format.parser {
            return Some(LineResult::of(self.counts.add(&parse(line)?)));
        }
        let mut builder = RequestBuilder::NEW;
        let (request, details) = self.format.read(line, &mut builder)?;
        Some(LineResult::of(self.counts.add_detailed(request, details)))
    }

    /// The same with the rules of flags. Not inlined, so that lines without rules are counted as fast as before.
    #[inline(never)]
    fn count_with_rules(&mut self, line: &[u8]) -> Option<LineResult> {
        let rules = self.rules.as_mut()?;
        let mut builder = RequestBuilder::NEW;
        let (request, details) = self.format.read(line, &mut builder)?;
        rules.find(&mut self.format, line);
        let path = details.path.unwrap_or_else(|| path(request.line));
        let line = RequestLine { text: line, path, method: request.method, status: request.status };
        if rules.is_dropped(&line) {
            return Some(LineResult::Dropped);
        }
        rules.read_values(&line, &mut self.counts.values);
        Some(LineResult::of(match rules.has_labels() {
            true => self.counts.add_labeled(request, details, |values| rules.append_labels(&line, values)),
            false => self.counts.add_detailed(request, details),
        }))
    }

    /// Records the timestamp of a line, the last one of a chunk.
    pub(crate) fn record_time(&mut self, log: usize, line: &[u8]) {
        let wrapped = self.container.and_then(|_| container::time(line));
        let format = match &mut self.namespaces {
            Some(namespaces) => namespaces.format(log),
            None => &mut self.format,
        };
        let time = wrapped.map_or_else(|| format.seconds(line), epoch_seconds);
        if let Some(time) = time {
            self.logs[log].last_time = Some(time);
        }
    }

    /// Logs the first line with an invalid number.
    #[cold]
    fn log_wrong_number(&self, log: usize, line: &[u8]) {
        let start = String::from_utf8_lossy(&line[..line.len().min(200)]);
        let source = &self.logs[log].source;
        tracing::warn!(
            source,
            line = &*start,
            "a number in the line is invalid and not added; later ones are only counted"
        );
    }

    /// Logs the first line that does not match the format.
    #[cold]
    fn log_mismatch(&mut self, log: usize, line: &[u8]) {
        let start = String::from_utf8_lossy(&line[..line.len().min(200)]);
        // explain does not read --config.file
        let (format, hint) = match &mut self.namespaces {
            Some(namespaces) => (&namespaces.format(log).name, ""),
            None => (&self.format.name, "; run httpd-log-exporter explain"),
        };
        let source = &self.logs[log].source;
        tracing::warn!(
            source,
            format,
            line = &*start,
            "line does not match the format; later mismatches are only counted{hint}"
        );
    }
}

impl SharedRegistry {
    /// Shares a registry.
    pub(crate) fn new(registry: Registry) -> Self {
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Locks the registry.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // counters are valid after a panic, too
    }

    /// The position in a file that was closed before, if the content up to it is unchanged. The file is read without the
    /// lock, since a read may hang and scrapes need the lock.
    pub(crate) fn reopen(&self, file: &LogFile) -> io::Result<Option<ReadPosition>> {
        let known: Vec<_> =
            self.lock().ownership.closed().filter(|known| known.identity == file.identity).copied().collect();
        for closed in known {
            if let Some(position) = file.position_after(&closed.content)? {
                self.lock().ownership.forget_closed(&closed);
                return Ok(Some(ReadPosition { lines: closed.lines(), ..position }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_known_labels_is_counted_without_an_allocation() {
        let presets = include_str!("../../tests/lines/presets.txt").lines();
        let presets = presets.map(|case| {
            let mut parts = case.splitn(3, '\t');
            (parts.next().unwrap().parse().unwrap(), parts.nth(1).unwrap())
        });
        let regex = Format::from_regex(r#""(?P<request>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+)"#).unwrap();
        let formats = [
            ("$host $request_method $status $request_time".parse().unwrap(), "www.example.com GET 200 0.5"),
            (regex, r#"x "GET / HTTP/1.1" 200 5"#),
        ];
        for (format, line) in presets.chain(formats) {
            let name = format.name.clone();
            let routes = vec!["api=^/api/".parse().unwrap()];
            let counts = RequestCounts::new(&format, &[0.1, 1.0], routes, 100);
            let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
            let mut lines = LineSplitter::default();
            // two chunks split a line
            let chunk = format!("{line}\n").repeat(100);
            let (chunk, rest) = chunk.split_at(chunk.len() - 10);
            let mut read = |chunk: &str| lines.feed(chunk.as_bytes(), |line| registry.count_line(0, line));
            read(chunk);
            read(rest);
            let used = allocation_counter::measure(|| {
                read(chunk);
                read(rest);
            });
            assert_eq!(used.count_total, 0, "{name}: {line}");
            assert_eq!(registry.logs[0].lines, [200, 0, 0, 0, 0], "{name}: {line}");
        }
    }
}

//! Logs to stderr, one line per event, in logfmt or JSON, with the keys of Go's slog: time, level, msg.

use std::any::Any;
use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::exposition::family::Family;

/// `--log.level`: the lowest severity to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum LogLevel {
    /// Failures that stop the process or a part of it.
    Error,
    /// Failures that the process survives.
    Warn,
    /// Changes of the state.
    Info,
    /// Details for a diagnosis.
    Debug,
}

/// `--log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// `time=… level=INFO msg="…" key=value`
    Logfmt,
    /// `{"time":"…","level":"INFO","msg":"…","key":"value"}`
    Json,
}

/// Starts logging to stderr: events of the crate `tracing`, and panics. Later calls in the same process have no effect.
/// [`Program`](crate::Program) calls it; call it in your own process if that has no other subscriber.
///
/// ```
/// use scrapewright::log::{self, LogFormat, LogLevel};
///
/// log::init(LogLevel::Info, LogFormat::Logfmt);
/// ```
pub fn init(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    if tracing::subscriber::set_global_default(Stderr { level, format }).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic_message(panic.payload());
        tracing::error!(location, panic = message, "panicked; this is a bug, please report it");
    }));
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

struct Stderr {
    level: Level,
    format: LogFormat,
}

/// Libraries whose events help only their own developers.
const QUIET: &[&str] = &["h2", "hyper", "hyper_util", "mio", "notify", "reqwest", "rustls", "tower", "warp", "want"];

impl Subscriber for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let library = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= self.level && metadata.is_event() && !QUIET.contains(&library)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // spans are disabled
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let level = event.metadata().level().as_str();
        let header = [("time", time.as_str()), ("level", level), ("msg", fields.message.as_str())];
        let others = fields.others.iter().map(|(key, value)| (*key, value.as_str()));
        let line = line(self.format, header.into_iter().chain(others));
        write(&line);
    }
}

/// The number of log lines that were dropped because stderr was blocked.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The size of a write that does not block on a pipe with room for anything: PIPE_BUF.
const PIECE: usize = 4096;

/// Writes a line to stderr. If that would block, because the reader of a pipe hangs or a terminal is stopped, the line
/// is dropped: the program must not hang with it.
pub(crate) fn write(line: &str) {
    let mut stderr = std::io::stderr().lock();
    for piece in line.as_bytes().chunks(PIECE) {
        if !is_writable(&stderr) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // a closed stderr must not stop the program
        let _ = stderr.write_all(piece);
    }
}

fn is_writable(stderr: &impl AsFd) -> bool {
    let mut stderr = [PollFd::new(stderr, PollFlags::OUT)];
    poll(&mut stderr, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
}

/// `exporter_log_lines_dropped_total`
pub(crate) fn families() -> Vec<Family> {
    let dropped = Family::counter(
        "exporter_log_lines_dropped_total",
        "Total number of log lines dropped because stderr was blocked.",
        &[],
    );
    vec![dropped.value(DROPPED.load(Ordering::Relaxed))]
}

#[derive(Default)]
struct EventFields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take(field, format!("{value:?}"));
    }
}

impl EventFields {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

fn line<'a>(format: LogFormat, fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut line = String::new();
    for (key, value) in fields {
        let quoted = quoted(value); // logfmt uses the escapes of JSON
        let _ = match format {
            LogFormat::Json => write!(line, "{}\"{key}\":{quoted}", if line.is_empty() { '{' } else { ',' }),
            LogFormat::Logfmt => {
                let space = if line.is_empty() { "" } else { " " };
                let plain = !value.is_empty()
                    && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\'));
                if plain { write!(line, "{space}{key}={value}") } else { write!(line, "{space}{key}={quoted}") }
            }
        };
    }
    line.push_str(if format == LogFormat::Json { "}\n" } else { "\n" });
    line
}

/// A JSON string.
fn quoted(value: &str) -> String {
    let mut quoted = String::from('"');
    for character in value.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..' ' => drop(write!(quoted, "\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quoted_text_is_the_same_in_json() {
        let text: String = ('\0'..='\u{ff}').chain("\u{2028}😀\\\"".chars()).collect();
        assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
    }

    const FIELDS: [(&str, &str); 3] = [("level", "INFO"), ("msg", "two\nlines \"quoted\""), ("path", "/proc/stat")];

    #[test]
    fn logfmt_quotes_only_values_that_need_quotes() {
        let text = line(LogFormat::Logfmt, FIELDS.into_iter());
        assert_eq!(text, "level=INFO msg=\"two\\nlines \\\"quoted\\\"\" path=/proc/stat\n");
    }

    #[test]
    fn json_lines_are_objects() {
        let text = line(LogFormat::Json, FIELDS.into_iter());
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["msg"], "two\nlines \"quoted\"");
        assert_eq!(text.lines().count(), 1);
    }
}

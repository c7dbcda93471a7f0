//! Logs to stderr, one line per event, in logfmt or JSON, with the keys of Go's slog: time, level, msg.

use std::any::Any;
use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// `--log.level`: the lowest severity to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        // a closed stderr must not stop the program
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
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
        let quoted = serde_json::Value::from(value); // logfmt uses the escapes of JSON
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

#[cfg(test)]
mod tests {
    use super::*;

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

//! Prometheus exporter for HTTP servers, from their access logs.

mod access_log;
mod book;
mod clf;
mod counts;
mod explain;
mod field;
mod flags;
mod follow;
mod format;
mod health;
mod histogram;
mod json;
mod lines;
mod log_file;
mod metrics;
mod pattern;
mod permission;
mod presets;
mod request;
mod rotated;
mod steps;
mod tail;
mod template;
mod time;
mod vhosts;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use exporter_common::{Program, Purpose, Source};

use crate::access_log::AccessLog;
use crate::book::{Book, Shared};
use crate::counts::Counts;
use crate::flags::Flags;
use crate::tail::{Start, Tail};

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    Program::new(
        "httpd-log-exporter",
        env!("CARGO_PKG_VERSION"),
        "Exports an HTTP server's metrics from its access logs.",
        8001,
    )
    .subcommand(explain::command(), explain::run)
    .main(|flags: Flags, startup| {
        flags::check(&flags.access_logs, startup.purpose == Purpose::Check)?;
        flags::check_format(&flags)?;
        if startup.purpose == Purpose::Check {
            return Ok(Vec::new());
        }
        let start = if startup.purpose == Purpose::Once { Start::Beginning } else { flags.start };
        let format = flags.format();
        let counts = Counts::new(&format, &flags.buckets.0, flags.routes, flags.max_series);
        let book = Shared::new(Book::new(format, counts, flags.access_logs.iter().cloned()));
        let tails = open(&flags.access_logs, start, &book)?;
        if startup.purpose == Purpose::Serve {
            return Ok(vec![Source::new(AccessLog::new(book, tails))]);
        }
        // a log of any size: the scrape's deadline begins when it was read
        let mut buffer = vec![0; follow::BUFFER];
        for tail in tails {
            tail.read_to_end(&book, &mut buffer);
        }
        book.lock().came_by = None; // nobody reads any more
        Ok(vec![Source::new(AccessLog::new(book, Vec::new()))])
    })
}

/// Opens the logs. What is written from now on is counted.
fn open(sources: &[String], start: Start, book: &Shared) -> Result<Vec<Tail>> {
    let mut tails: Vec<Tail> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let tail = Tail::open(index, PathBuf::from(source), start, book, Instant::now());
        let twice = tails.iter().find(|other| tail.identity().is_some() && other.identity() == tail.identity());
        if let Some(other) = twice {
            bail!("--access-log {source} and {} are the same file", other.path.display());
        }
        tails.push(tail);
    }
    Ok(tails)
}

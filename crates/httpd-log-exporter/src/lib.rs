//! Prometheus exporter for HTTP servers, from their access logs.

mod access_log;
mod book;
mod claims;
mod clf;
#[cfg(any(test, fuzzing))]
mod clf_regex;
mod compressed;
mod counts;
#[cfg(test)]
mod drills;
mod explain;
mod field;
mod flags;
mod follow;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod histogram;
mod json;
mod lines;
mod log_file;
mod metrics;
mod origin;
mod pattern;
mod permission;
mod place;
mod presets;
mod request;
mod rotated;
mod state;
mod steps;
mod stream;
mod syslog;
mod syslog_tcp;
mod tail;
mod template;
mod time;
mod vhosts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use exporter_common::{Program, Purpose, Source};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::access_log::{AccessLog, Work};
use crate::book::{Book, Shared};
use crate::counts::Counts;
use crate::flags::Flags;
use crate::log_file::Identity;
use crate::origin::Origin;
use crate::state::{Keeper, State};
use crate::tail::{Start, Tail};

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    program().main(|flags: Flags, startup| {
        flags::check(&flags.access_logs, startup.purpose == Purpose::Check)?;
        flags::check_format(&flags)?;
        if startup.purpose == Purpose::Check {
            flags.state_file.as_deref().map_or(Ok(None), State::load)?;
            return Ok(Vec::new());
        }
        let start = flags.start;
        let format = flags.format();
        let counts = Counts::new(&format, &flags.buckets.0, flags.routes, flags.max_series);
        let book = Shared::new(Book::new(format, counts, flags.access_logs.iter().cloned()));
        let origins = origins(&flags.access_logs)?;
        if startup.purpose == Purpose::Once {
            read_once(&origins, &book)?;
            return Ok(vec![Source::new(AccessLog::new(book, Work::default()))]);
        }
        allow_many_files();
        let state = flags.state_file.as_deref().and_then(load);
        let mut work = Work { resumed: state.is_some(), ..Work::default() };
        work.tails = open(&origins, start, state.as_ref(), &book)?;
        for (index, origin) in origins.iter().enumerate() {
            work.streams.extend(origin.stream()?.map(|stream| (index, stream)));
        }
        if let Some(path) = flags.state_file {
            book.lock().state_errors = Some(0);
            work.keeper = Some(Keeper::new(path));
        }
        Ok(vec![Source::new(AccessLog::new(book, work))])
    })
}

/// The command line, for what is made from it: man pages, completions.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new(
        "httpd-log-exporter",
        env!("CARGO_PKG_VERSION"),
        "Exports an HTTP server's metrics from its access logs.",
        8001,
    )
    .subcommand(explain::command(), explain::run)
}

/// Every log is open, and those that were rotated for a while, too: the limit that a shell or systemd begins with is for
/// programs that cannot bear more than 1024 files.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }); // what cannot be opened is told
}

/// The state that an earlier process left, if it can be used.
fn load(path: &Path) -> Option<State> {
    State::load(path).unwrap_or_else(|error| {
        let mut error = format!("{error:#}");
        // as after a loss of power
        match State::load(&state::on_disk(path)) {
            Ok(Some(state)) => {
                tracing::warn!(error, "going on where the copy of the state was taken that is on the disk for sure");
                return Some(state);
            }
            Ok(None) => {}
            Err(copy) => error += &format!("; {copy:#}"),
        }
        tracing::warn!(error, "starting without the state of an earlier process: its counters begin at 0");
        None
    })
}

/// What the flags name.
fn origins(sources: &[String]) -> Result<Vec<Origin>> {
    sources
        .iter()
        .map(|source| Origin::parse(source).map_err(|error| anyhow!("--access-log {source}: {error}")))
        .collect()
}

/// Reads everything to its end. A log of any size: the scrape's deadline begins when it was read.
fn read_once(origins: &[Origin], book: &Shared) -> Result<()> {
    let tails = open(origins, Start::Beginning, None, book)?;
    let mut buffer = vec![0; follow::BUFFER];
    for tail in tails {
        tail.read_to_end(book, &mut buffer);
    }
    for (index, origin) in origins.iter().enumerate() {
        match origin {
            Origin::Udp(_) | Origin::Tcp(_) | Origin::Unix(_) => {
                bail!("--once needs a source that has an end, and syslog has none")
            }
            Origin::Files(_) => {}
            Origin::Stdin | Origin::Fifo(_) => {
                if let Some(stream) = origin.stream()? {
                    stream.read_to_end(index, book)?;
                }
            }
        }
    }
    let mut book = book.lock();
    book.came_by = None; // nobody reads any more
    for log in &mut book.logs {
        log.fault = log.fault.take().map(|fault| fault.trim_end_matches(permission::AWAITED).to_owned());
    }
    Ok(())
}

/// Opens the logs, where an earlier process was if its state knows them. What is written from now on is
/// counted.
fn open(origins: &[Origin], start: Start, state: Option<&State>, book: &Shared) -> Result<Vec<Tail>> {
    if let Some(state) = state {
        state.restore(&mut book.lock());
    }
    refuse_twice(origins)?;
    let mut tails: Vec<Tail> = Vec::new();
    for (index, origin) in origins.iter().enumerate() {
        let Origin::Files(place) = origin else { continue };
        let source = book.lock().logs[index].source.clone();
        tails.push(match state.and_then(|state| state.source(&source)) {
            Some(saved) => Tail::resume(index, place.clone(), saved, book, Instant::now()),
            None => Tail::open(index, place.clone(), start, book, Instant::now()),
        });
    }
    Ok(tails)
}

/// Refuses logs that share a file: they would be two names for one log.
fn refuse_twice(origins: &[Origin]) -> Result<()> {
    let mut seen: BTreeMap<Identity, (usize, PathBuf)> = BTreeMap::new();
    for (index, origin) in origins.iter().enumerate() {
        let Origin::Files(place) = origin else { continue };
        for (path, metadata) in place.list() {
            let Ok(metadata) = metadata else { continue };
            let (owner, same) = seen.entry(Identity::of(&metadata)).or_insert_with(|| (index, path.clone()));
            if *owner != index {
                bail!("--access-log {} and {} are the same file", path.display(), same.display());
            }
        }
    }
    Ok(())
}

//! Prometheus exporter for HTTP servers, from their access logs.

mod collector;
mod explain;
mod flags;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod input;
mod lines;
mod metrics;
mod permission;
mod state;
mod tail;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use exporter_common::{Program, Purpose, Source};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::collector::{AccessLogCollector, LogReaders};
use crate::flags::Flags;
use crate::input::Input;
use crate::metrics::counts::RequestCounts;
use crate::metrics::registry::{Registry, SharedRegistry};
use crate::state::{SavedState, StateWriter};
use crate::tail::log_file::FileIdentity;
use crate::tail::{StartAt, Tail};

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    program().main(|flags: Flags, startup| {
        flags::check(&flags.access_logs, startup.purpose == Purpose::Check)?;
        flags::check_format(&flags)?;
        if startup.purpose == Purpose::Check {
            flags.state_file.as_deref().map_or(Ok(None), SavedState::load)?;
            return Ok(Vec::new());
        }
        let start = flags.start;
        let format = flags.format();
        let counts = RequestCounts::new(&format, &flags.buckets.0, flags.routes, flags.max_series);
        let registry = SharedRegistry::new(Registry::new(format, counts, flags.access_logs.iter().cloned()));
        let inputs = inputs(&flags.access_logs)?;
        if startup.purpose == Purpose::Once {
            read_once(&inputs, &registry)?;
            return Ok(vec![Source::new(AccessLogCollector::new(registry, LogReaders::default()))]);
        }
        allow_many_files();
        let state = flags.state_file.as_deref().and_then(load);
        let mut work = LogReaders { resumed: state.is_some(), ..LogReaders::default() };
        work.tails = open(&inputs, start, state.as_ref(), &registry)?;
        for (index, input) in inputs.iter().enumerate() {
            work.streams.extend(input.stream()?.map(|stream| (index, stream)));
        }
        if let Some(path) = flags.state_file {
            registry.lock().state_errors = Some(0);
            work.state_writer = Some(StateWriter::new(path));
        }
        Ok(vec![Source::new(AccessLogCollector::new(registry, work))])
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
fn load(path: &Path) -> Option<SavedState> {
    SavedState::load(path).unwrap_or_else(|error| {
        let mut error = format!("{error:#}");
        // as after a loss of power
        match SavedState::load(&state::on_disk(path)) {
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
fn inputs(sources: &[String]) -> Result<Vec<Input>> {
    sources
        .iter()
        .map(|source| Input::parse(source).map_err(|error| anyhow!("--access-log {source}: {error}")))
        .collect()
}

/// Reads everything to its end. A log of any size: the scrape's deadline begins when it was read.
fn read_once(inputs: &[Input], registry: &SharedRegistry) -> Result<()> {
    let tails = open(inputs, StartAt::Beginning, None, registry)?;
    let mut buffer = vec![0; tail::follow::BUFFER];
    for tail in tails {
        tail.read_to_end(registry, &mut buffer);
    }
    for (index, input) in inputs.iter().enumerate() {
        match input {
            Input::Udp(_) | Input::Tcp(_) | Input::Unix(_) => {
                bail!("--once needs a source that has an end, and syslog has none")
            }
            Input::Files(_) => {}
            Input::Stdin | Input::Fifo(_) => {
                if let Some(stream) = input.stream()? {
                    stream.read_to_end(index, registry)?;
                }
            }
        }
    }
    let mut registry = registry.lock();
    registry.last_pass = None; // nobody reads any more
    for log in &mut registry.logs {
        log.fault = log.fault.take().map(|fault| fault.trim_end_matches(permission::AWAITED).to_owned());
    }
    Ok(())
}

/// Opens the logs, where an earlier process was if its state knows them. What is written from now on is
/// counted.
fn open(inputs: &[Input], start: StartAt, state: Option<&SavedState>, registry: &SharedRegistry) -> Result<Vec<Tail>> {
    if let Some(state) = state {
        state.restore(&mut registry.lock());
    }
    refuse_twice(inputs)?;
    let mut tails: Vec<Tail> = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let Input::Files(log_paths) = input else { continue };
        let source = registry.lock().logs[index].source.clone();
        tails.push(match state.and_then(|state| state.source(&source)) {
            Some(saved) => Tail::resume(index, log_paths.clone(), saved, registry, Instant::now()),
            None => Tail::open(index, log_paths.clone(), start, registry, Instant::now()),
        });
    }
    Ok(tails)
}

/// Refuses logs that share a file: they would be two names for one log.
fn refuse_twice(inputs: &[Input]) -> Result<()> {
    let mut seen: BTreeMap<FileIdentity, (usize, PathBuf)> = BTreeMap::new();
    for (index, input) in inputs.iter().enumerate() {
        let Input::Files(log_paths) = input else { continue };
        for (path, metadata) in log_paths.list() {
            let Ok(metadata) = metadata else { continue };
            let (owner, same) = seen.entry(FileIdentity::of(&metadata)).or_insert_with(|| (index, path.clone()));
            if *owner != index {
                bail!("--access-log {} and {} are the same file", path.display(), same.display());
            }
        }
    }
    Ok(())
}

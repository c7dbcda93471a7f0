//! Prometheus exporter for HTTP servers that reads their access logs.

mod collector;
mod compression;
mod container;
mod explain;
mod flags;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod input;
mod lines;
mod metrics;
mod nginxlog;
mod permission;
mod regular_file;
mod rule_flags;
mod state;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use exporter_common::{Program, Purpose};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::collector::LogReaders;
use crate::flags::Flags;
use crate::input::Input;
use crate::input::stream::count_lines;
use crate::metrics::counts::RequestCounts;
use crate::metrics::registry::{Registry, SharedRegistry};
use crate::nginxlog::{Namespaces, NginxlogConfig};
use crate::state::{SavedState, StateWriter};
use crate::tail::log_file::FileIdentity;
use crate::tail::{StartAt, Tail};

/// Runs the exporter until it stops.
pub fn main() -> ExitCode {
    let config = config_file().map(|path| NginxlogConfig::load(&path));
    let program = match &config {
        // the defaults of common flags must be known before flags are parsed
        Some(Ok(config)) => program()
            .default_value("web.listen-address", config.listen_address.clone())
            .default_value("web.telemetry-path", config.metrics_path.clone()),
        _ => program(),
    };
    program.main(|flags: Flags, startup| {
        let config = config.transpose()?.inspect(NginxlogConfig::warn);
        let (flag, sources) = match &config {
            Some(config) => ("--config.file: source", config.sources()),
            None => ("--access-log", flags.access_logs.clone()),
        };
        flags::check(flag, &sources, startup.purpose)?;
        let (start, state_file) = (flags.start, flags.state_file.clone());
        let registry = match &config {
            Some(config) => Registry::of_namespaces(Namespaces::new(config, flags.max_series)?, sources.clone())?,
            None => registry(&flags, &sources)?,
        };
        if startup.purpose == Purpose::Check {
            if let Some(path) = &state_file {
                SavedState::load(path)?;
                flags::directory_fault("--state.file", path).map_or(Ok(()), |fault| Err(anyhow!(fault)))?;
            }
            return Ok(Vec::new());
        }
        let registry = SharedRegistry::new(registry);
        let inputs = inputs(flag, &sources)?;
        if startup.purpose == Purpose::Once {
            read_once(&inputs, &registry)?;
            return Ok(vec![collector::source(registry, LogReaders::default())]);
        }
        allow_many_files();
        let state_writer = state_file.map(StateWriter::new).transpose()?;
        let state = state_writer.as_ref().and_then(|state_writer| load(state_writer.path()));
        let mut readers = open(&inputs, start, state.as_ref(), &registry)?;
        for (index, input) in inputs.iter().enumerate() {
            readers.streams.extend(input.stream()?.map(|stream| (index, stream)));
        }
        registry.lock().state_errors = state_writer.as_ref().map(|_| 0);
        readers.state_writer = state_writer;
        Ok(vec![collector::source(registry, readers)])
    })
}

/// The value of `--config.file`, if the command line is valid.
fn config_file() -> Option<PathBuf> {
    let matches = command().ignore_errors(true).try_get_matches().ok()?;
    matches.get_one::<PathBuf>("config_file").cloned()
}

/// The registry that flags define.
fn registry(flags: &Flags, sources: &[String]) -> Result<Registry> {
    let rules = flags.rules.rules()?;
    flags::check_format(flags, &rules)?;
    let (format, line_rules) = flags.format(&rules)?;
    let counts = RequestCounts::of_rules(&format, &flags.buckets.0, rules, flags.max_series);
    let mut registry = Registry::new(format, counts, sources.iter().cloned());
    (registry.native_histograms, registry.rules) = (flags.native_histograms, line_rules);
    registry.container = flags.container;
    Ok(registry)
}

/// The command line, from which man pages and completions are generated.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new(
        "httpd-log-exporter",
        env!("CARGO_PKG_VERSION"),
        "Exports metrics of an HTTP server from its access logs.",
        8001,
    )
    .revision(option_env!("EXPORTER_REVISION"))
    .flag_help("once", "Read every log from its beginning to its end, print the metrics to standard output, and exit")
    .examples(&[
        ("httpd-log-exporter --access-log /var/log/nginx/access.log", "Follow a log in the format combined"),
        (
            "httpd-log-exporter --access-log '/var/log/nginx/*.log' --state.file /var/lib/httpd-log-exporter/state",
            "Follow several logs, and continue after a restart",
        ),
        (
            "httpd-log-exporter explain --access-log.format combined /var/log/nginx/access.log",
            "Show how lines are parsed, or which format matches",
        ),
        (
            "httpd-log-exporter --config.file /etc/prometheus-nginxlog-exporter.hcl",
            "Replace prometheus-nginxlog-exporter, with its configuration and its metrics",
        ),
        ("httpd-log-exporter --once --access-log access.log.1", "Count a whole log and exit"),
    ])
    .files(&[
        (
            "/var/lib/httpd-log-exporter/state",
            "Positions and counters of the systemd service (--state.file); state.synced is a copy synced to disk",
        ),
        ("/etc/default/httpd-log-exporter", "Flags of the systemd service of the Debian package"),
    ])
    .subcommand(explain::command(), explain::run)
}

/// Raises the limit of open files to its maximum. The exporter keeps every log open, and the default soft limit of 1024 is
/// meant for programs that use `select`.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }); // a log that cannot be opened is reported
}

/// Loads the state of an earlier process, if it is valid.
fn load(path: &Path) -> Option<SavedState> {
    SavedState::load(path).unwrap_or_else(|error| {
        let mut error = format!("{error:#}");
        // a power failure may have truncated the file
        match SavedState::load(&state::on_disk(path)) {
            Ok(Some(state)) => {
                tracing::warn!(error, "resuming from the last state snapshot synced to disk");
                return Some(state);
            }
            Ok(None) => {}
            Err(copy) => error += &format!("; {copy:#}"),
        }
        tracing::warn!(error, "starting without saved state: counters start at 0");
        None
    })
}

/// Parses the logs that a flag names.
fn inputs(flag: &str, sources: &[String]) -> Result<Vec<Input>> {
    sources.iter().map(|source| Input::parse(source).map_err(|error| anyhow!("{flag} {source}: {error}"))).collect()
}

/// Reads all inputs to their end, before the scrape timeout starts, so that logs may have any size.
fn read_once(inputs: &[Input], registry: &SharedRegistry) -> Result<()> {
    let readers = open(inputs, StartAt::Beginning, None, registry)?;
    let mut buffer = vec![0; tail::follow::BUFFER];
    let is_plain = |tail: &Tail| tail.log_paths.is_glob() || tail.log_paths.compressed().is_empty();
    for tail in readers.tails.into_iter().filter(is_plain) {
        tail.read_to_end(registry, &mut buffer);
    }
    let mut compressed = BTreeSet::new(); // a file may have several names
    for (index, input) in inputs.iter().enumerate() {
        match input {
            Input::Udp(_) | Input::Tcp(_) | Input::Unix(_) => {
                bail!("--once cannot read syslog: use a file, a FIFO or standard input")
            }
            Input::Files(log_paths) => {
                let is_new = |path: &PathBuf| {
                    let identity = std::fs::metadata(path).map(|metadata| FileIdentity::of(&metadata));
                    identity.map_or(true, |identity| compressed.insert(identity))
                };
                for path in log_paths.compressed().into_iter().filter(is_new) {
                    read_compressed(index, &path, registry);
                }
            }
            Input::Stdin | Input::Fifo(_) => {
                if let Some(stream) = input.stream()? {
                    stream.read_to_end(index, registry)?;
                }
            }
        }
    }
    let mut registry = registry.lock();
    registry.last_pass = None; // no reader thread
    for log in &mut registry.logs {
        log.fault = log.fault.take().map(|fault| fault.trim_end_matches(permission::WAITING).to_owned());
    }
    Ok(())
}

/// Reads a compressed log to its end. If it cannot be decompressed, the lines before the error count.
fn read_compressed(index: usize, path: &Path, registry: &SharedRegistry) {
    if let Err(error) = compression::open(path).and_then(|log| count_lines(log, &[path], index, registry)) {
        let log = &mut registry.lock().logs[index];
        log.read_errors += 1;
        log.fault = Some(permission::explain(path, &error, "read"));
    }
}

/// Opens the log files that no earlier process read. The others are opened at their saved positions later.
fn open(inputs: &[Input], start: StartAt, state: Option<&SavedState>, registry: &SharedRegistry) -> Result<LogReaders> {
    if let Some(state) = state {
        state.restore(&mut registry.lock());
    }
    reject_shared_files(inputs)?;
    let sources: Vec<_> = registry.lock().logs.iter().map(|log| log.source.clone()).collect();
    let logs = inputs.iter().enumerate().filter_map(|(index, input)| match input {
        Input::Files(log_paths) => Some((index, sources[index].as_str(), log_paths)),
        _ => None,
    });
    let mut saved = state.map(|state| state.assign(logs.clone())).unwrap_or_default();
    let mut readers = LogReaders::default();
    for (index, _, log_paths) in logs {
        match saved.remove(&index) {
            Some(saved) => readers.resuming.push((index, log_paths.clone(), saved)),
            None => readers.tails.push(Tail::open(index, log_paths.clone(), start, registry, Instant::now())),
        }
    }
    Ok(readers)
}

/// Rejects two logs that resolve to the same file.
fn reject_shared_files(inputs: &[Input]) -> Result<()> {
    let mut seen: BTreeMap<FileIdentity, (usize, PathBuf)> = BTreeMap::new();
    for (index, input) in inputs.iter().enumerate() {
        let Input::Files(log_paths) = input else { continue };
        for (path, metadata) in log_paths.list() {
            let Ok(metadata) = metadata else { continue };
            let (owner, same) = seen.entry(FileIdentity::of(&metadata)).or_insert_with(|| (index, path.clone()));
            if *owner != index {
                bail!("the logs {} and {} are the same file", path.display(), same.display());
            }
        }
    }
    Ok(())
}

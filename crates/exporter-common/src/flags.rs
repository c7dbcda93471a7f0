//! The common flags of the exporters, their environment variables, and one-line errors.

use std::any::TypeId;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{ArgPredicate, BoolishValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Args, Command};

use crate::config::duration;
use crate::http::listen::ListenAddress;
use crate::log::{self, LogLevel};
use crate::scrape::probe::{Probe, Prober, TargetPattern};
use crate::scrape::source::Collection;

/// The common flags, named as in Prometheus's own exporters.
#[derive(Args, Clone, Debug)]
pub(crate) struct CommonFlags {
    // not a doc comment: there the brackets would be a link
    #[arg(help = "Address to listen on: host:port, :port, [v6]:port or unix:/path. Repeatable.")]
    #[arg(id = "web.listen-address", long = "web.listen-address", value_name = "ADDRESS", value_delimiter = '\n')]
    #[arg(global = true, help_heading = WEB)]
    pub(crate) listen_addresses: Vec<ListenAddress>,

    /// Path of the metrics endpoint
    #[arg(id = "web.telemetry-path", long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    #[arg(value_parser = telemetry_path, help_heading = WEB)]
    pub(crate) telemetry_path: String,

    /// Web configuration file with TLS, basic auth and headers, in the format of all Prometheus exporters
    #[arg(id = "web.config.file", long = "web.config.file", value_name = "FILE", global = true, help_heading = WEB)]
    pub(crate) web_config: Option<PathBuf>,

    /// Use systemd socket activation instead of --web.listen-address
    #[arg(long = "web.systemd-socket", action = ArgAction::SetTrue, help_heading = WEB)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) systemd_socket: bool,

    /// Maximum number of concurrent scrapes; 0 means no limit
    #[arg(long = "web.max-requests", value_name = "N", default_value = "40", help_heading = WEB)]
    #[arg(value_parser = |text: &str| text.parse::<usize>().map_err(|_| "expected a whole number"))]
    pub(crate) max_requests: usize,

    /// Add the created timestamps of counters and histograms to OpenMetrics responses, as additional series (*_created)
    #[arg(long = "web.openmetrics-created", action = ArgAction::SetTrue, help_heading = WEB)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) openmetrics_created: bool,

    /// Exclude metrics about the exporter itself (promhttp_*, process_*, refused scrapes, closed connections)
    #[arg(long = "web.disable-exporter-metrics", action = ArgAction::SetTrue, help_heading = WEB)]
    #[arg(value_parser = BoolishValueParser::new())]
    pub(crate) disable_exporter_metrics: bool,

    /// Maximum duration of a read of a source, with its unit: 500ms, 10s, 1m
    #[arg(long = "scrape.timeout", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = duration::parse_positive, help_heading = SCRAPE)]
    pub(crate) scrape_timeout: Duration,

    /// Safety margin subtracted from Prometheus's scrape timeout, with its unit: 500ms, 1s; 0 means none
    #[arg(long = "scrape.timeout-offset", value_name = "DURATION", default_value = "0.5s")]
    #[arg(value_parser = duration::parse, help_heading = SCRAPE)]
    pub(crate) timeout_offset: Duration,

    /// Lowest severity to log
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", value_enum, ignore_case = true)]
    #[arg(global = true, help_heading = LOG)]
    pub(crate) log_level: LogLevel,

    /// Format of log messages
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_enum, ignore_case = true)]
    #[arg(global = true, help_heading = LOG)]
    pub(crate) log_format: log::LogFormat,

    /// Read all sources once, print the metrics to standard output, and exit
    #[arg(long, conflicts_with = "check", display_order = 900)] // after the program's own flags
    pub(crate) once: bool,

    /// Validate the flags and the files they name without opening a connection, and exit
    #[arg(long, display_order = 901)]
    pub(crate) check: bool,
}

/// An invalid combination of flags, which clap does not detect. If creating the sources fails with this error, the
/// program prints one line and exits with status 2, as for every invalid flag.
#[derive(Debug)]
pub struct UsageError(String);

impl UsageError {
    /// The error and how to fix it, without the program's name.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// When a remote source is read.
#[derive(Args, Clone, Debug)]
pub struct CollectFlags {
    /// How long a successful read serves later scrapes, with its unit: 500ms, 3s, 1m; 0 means no cache. Replaces
    /// --poll.interval
    #[arg(id = "collect.cache-ttl", long = "collect.cache-ttl", value_name = "DURATION", default_value = "0")]
    #[arg(value_parser = duration::parse, help_heading = SCRAPE)]
    cache_ttl: Duration,

    /// Interval of reads in the background, with its unit: 500ms, 5s, 1m; 0 means one read per scrape
    #[arg(id = "poll.interval", long = "poll.interval", value_name = "DURATION")]
    #[arg(value_parser = duration::parse, help_heading = SCRAPE)]
    // a default of the program must not conflict with a cache that the user sets
    #[arg(default_value_if("collect.cache-ttl", ArgPredicate::IsPresent, None))]
    poll_interval: Option<Duration>,
}

impl CollectFlags {
    /// When to read, with `default_interval` if `--poll.interval` is not set.
    ///
    /// # Errors
    /// Both flags are set.
    pub fn collection(&self, default_interval: Duration) -> anyhow::Result<Collection> {
        match (self.cache_ttl, self.poll_interval) {
            (Duration::ZERO, interval) => Ok(match interval.unwrap_or(default_interval) {
                Duration::ZERO => Collection::OnScrape,
                interval => Collection::Background(interval),
            }),
            (ttl, None | Some(Duration::ZERO)) => Ok(Collection::Cached(ttl)),
            (_, Some(_)) => {
                let what = "--collect.cache-ttl and --poll.interval are mutually exclusive: set one of them to 0";
                Err(UsageError::new(what).into())
            }
        }
    }
}

/// Which targets a multi-target exporter may probe, and for how long.
#[derive(Args, Clone, Debug)]
pub struct ProbeFlags {
    /// Target that may be probed, for example db-*.example.org:5432. A * is any text, also with
    /// dots and colons, but without / @ ? #. Repeatable.
    #[arg(id = "probe.target", long = "probe.target", value_name = "PATTERN", value_delimiter = '\n')]
    #[arg(required = true, help_heading = PROBE)]
    targets: Vec<TargetPattern>,

    /// Maximum duration of one probe, with its unit: 500ms, 10s, 1m
    #[arg(id = "probe.timeout", long = "probe.timeout", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = duration::parse_positive, help_heading = PROBE)]
    timeout: Duration,
}

impl ProbeFlags {
    /// The probe that these flags allow.
    ///
    /// ```
    /// use scrapewright::{ProbeFlags, Program, Prober, clap};
    ///
    /// #[derive(clap::Args)]
    /// struct Flags {
    ///     #[command(flatten)]
    ///     probe: ProbeFlags,
    /// }
    ///
    /// fn run(prober: impl Prober) -> std::process::ExitCode {
    ///     Program::new("my-exporter", env!("CARGO_PKG_VERSION"), "Exports my targets.", 9999)
    ///         .main(|flags: Flags, _| Ok(flags.probe.probe(prober)))
    /// }
    /// ```
    pub fn probe(self, prober: impl Prober) -> Probe {
        Probe::new(prober, self.targets).timeout(self.timeout)
    }
}

const WEB: &str = "Web";
const PROBE: &str = "Probe";
const SCRAPE: &str = "Scrape";
const LOG: &str = "Log";
const COLLECTORS: &str = "Collectors";

/// The path of the metrics.
pub(crate) fn telemetry_path(text: &str) -> Result<String, String> {
    match text {
        "/-/healthy" | "/-/ready" => Err("the path is reserved".to_owned()),
        path if path.starts_with('/') && !path.contains(['?', '#', ' ']) => Ok(path.to_owned()),
        _ => Err("a path must start with / and have no ?, # or space".to_owned()),
    }
}

/// Adds `--[no-]collector.<name>` for every collector and `--collector.disable-defaults`.
pub(crate) fn with_toggles(mut command: Command, toggles: &[(&'static str, bool)]) -> Command {
    if toggles.is_empty() {
        return command;
    }
    for (name, default) in toggles {
        let (on, off) = (format!("collector.{name}"), format!("no-collector.{name}"));
        let state = if *default { "enabled" } else { "disabled" };
        command = command
            .arg(
                Arg::new(on.clone())
                    .long(on.clone())
                    .help(format!("Enable the collector {name}, or disable it with --{off} [default: {state}]"))
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .value_parser(BoolishValueParser::new())
                    .value_name("BOOL")
                    .hide_possible_values(true)
                    .help_heading(COLLECTORS),
            )
            .arg(
                Arg::new(off.clone())
                    .long(off)
                    .action(ArgAction::SetTrue)
                    .overrides_with(on)
                    .hide(true)
                    .help_heading(COLLECTORS),
            );
    }
    command.arg(
        Arg::new("collector.disable-defaults")
            .long("collector.disable-defaults")
            .help("Disable every collector without a --collector.NAME flag")
            .action(ArgAction::SetTrue)
            .value_parser(BoolishValueParser::new())
            .help_heading(COLLECTORS),
    )
}

/// Adds `--probe`.
pub(crate) fn with_probe(command: Command) -> Command {
    command.arg(
        Arg::new("probe")
            .long("probe")
            .help("Connect once, print the findings and errors, and exit; alone or with --check")
            .action(ArgAction::SetTrue)
            .conflicts_with("once"),
    )
}

/// Whether a flag or variable enables or disables one collector.
fn named(matches: &ArgMatches, collector: &str) -> Option<bool> {
    if matches.get_flag(&format!("no-collector.{collector}")) {
        return Some(false);
    }
    matches.get_one::<bool>(&format!("collector.{collector}")).copied()
}

/// The collectors that flags or variables explicitly enable or disable.
pub(crate) fn all_named(matches: &ArgMatches, toggles: &[(&'static str, bool)]) -> Vec<(&'static str, bool)> {
    toggles.iter().filter_map(|(name, _)| Some((*name, named(matches, name)?))).collect()
}

/// Whether every collector without a flag is disabled.
pub(crate) fn disable_defaults(matches: &ArgMatches, toggles: &[(&'static str, bool)]) -> bool {
    // clap panics on a flag that a program without toggles does not have
    !toggles.is_empty() && matches.get_flag("collector.disable-defaults")
}

/// The enabled collectors.
pub(crate) fn enabled(matches: &ArgMatches, toggles: &[(&'static str, bool)]) -> Vec<&'static str> {
    let defaults = !disable_defaults(matches, toggles);
    let on = |(name, default): &&(&'static str, bool)| named(matches, name).unwrap_or(*default && defaults);
    toggles.iter().filter(on).map(|(name, _)| *name).collect()
}

/// Flags without a variable, since users would not expect an environment to set them.
const NO_VARIABLE: &[&str] = &["once", "check", "probe", "version", "help"];

/// The environment variable of a flag: `CPU_EXPORTER_WEB_LISTEN_ADDRESS`.
fn variable(program: &str, flag: &str) -> String {
    format!("{program}_{flag}").replace(['-', '.'], "_").to_uppercase()
}

/// Adds the environment variable of every flag. An empty variable counts as not set.
pub(crate) fn with_variables(command: Command, program: &str) -> Command {
    command.mut_args(|arg| {
        let Some(flag) = arg.get_long().filter(|flag| !NO_VARIABLE.contains(flag) && !flag.starts_with("no-")) else {
            return arg;
        };
        let variable = variable(program, flag);
        let empty = std::env::var_os(&variable).is_some_and(|value| value.is_empty());
        if empty { arg } else { arg.env(variable) }
    })
}

/// Makes `-1` a value of every flag, and `-5s` one of each duration. The flag's parser then reports its valid values;
/// clap would report an unknown flag.
pub fn with_negative_values(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let duration = arg.get_value_parser().type_id() == TypeId::of::<Duration>();
        match arg.get_long() {
            Some(_) if !arg.get_action().takes_values() => arg,
            Some(_) if duration => arg.allow_hyphen_values(true),
            Some(_) => arg.allow_negative_numbers(true),
            None => arg,
        }
    });
    command.mut_subcommands(with_negative_values)
}

/// clap's error in one line: the error, its source and a hint.
pub(crate) fn one_line(error: &clap::Error, program: &str, toggles: &[(&str, bool)]) -> String {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let what = paragraphs.next().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = what.replace("value was not a boolean", "expected true or false"); // clap's own text names no values
    let tip = paragraphs.find_map(|paragraph| paragraph.trim().strip_prefix("tip: "));
    let tip = tip.map(|tip| format!("; {}", tip.lines().next().unwrap_or_default()));
    let tip = unknown_collector(error, toggles).or(tip);
    let source = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(arg))
            if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) =>
        {
            from_variable(arg, program)
        }
        _ if error.kind() == ErrorKind::InvalidUtf8 => not_utf8(program),
        _ => None,
    };
    format!("{what}{}{}; try --help", source.unwrap_or_default(), tip.unwrap_or_default())
}

/// Lists the collectors if a flag names an unknown one.
fn unknown_collector(error: &clap::Error, toggles: &[(&str, bool)]) -> Option<String> {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return None };
    let named = arg.strip_prefix("--no-").or(arg.strip_prefix("--"))?.strip_prefix("collector.")?;
    if error.kind() != ErrorKind::UnknownArgument || toggles.is_empty() {
        return None;
    }
    // Flags of a collector start with its name: --collector.diskstats.device-exclude.
    let named = named.split('.').next()?;
    let names: Vec<_> = toggles.iter().map(|(name, _)| *name).collect();
    if names.contains(&named) {
        return None;
    }
    Some(format!("; unknown collector {named:?}: the collectors are {}", names.join(", ")))
}

/// The argument or the variable that is not UTF-8.
fn not_utf8(program: &str) -> Option<String> {
    let argument = std::env::args_os().find(|argument| argument.to_str().is_none());
    let prefix = variable(program, "");
    let mut variables = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(&prefix));
    let source = argument.map(|argument| argument.to_string_lossy().into_owned()).or_else(|| {
        let (name, _) = variables.find(|(_, value)| value.to_str().is_none())?;
        Some(name.to_string_lossy().into_owned())
    });
    source.map(|source| format!(": {source}"))
}

/// The variable, if the invalid value comes from the environment.
fn from_variable(arg: &str, program: &str) -> Option<String> {
    let flag = arg.split([' ', '=', '[']).next()?;
    let typed = std::env::args_os().any(|typed| typed.to_string_lossy().split('=').next() == Some(flag));
    let variable = variable(program, flag.strip_prefix("--")?);
    (!typed && std::env::var_os(&variable).is_some()).then(|| format!(" (from {variable})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    #[test]
    fn the_name_of_a_variable_follows_from_its_flag() {
        assert_eq!(variable("cpu-exporter", "web.listen-address"), "CPU_EXPORTER_WEB_LISTEN_ADDRESS");
    }

    #[test]
    fn an_explicit_collector_survives_disable_defaults() {
        let toggles = [("cpu", true), ("stat", true), ("cgroup", false)];
        for (line, expected) in [
            ("x", vec!["cpu", "stat"]),
            ("x --no-collector.stat --collector.cgroup", vec!["cpu", "cgroup"]),
            ("x --collector.disable-defaults --collector.stat", vec!["stat"]),
            ("x --no-collector.stat --collector.stat", vec!["cpu", "stat"]),
            ("x --collector.stat --no-collector.stat", vec!["cpu"]),
        ] {
            let matches = with_toggles(Command::new("x"), &toggles).get_matches_from(line.split(' '));
            assert_eq!(enabled(&matches, &toggles), expected, "{line}");
        }
    }

    #[test]
    fn a_collector_is_explicitly_enabled_or_disabled_or_neither() {
        let toggles = [("cpu", true), ("stat", true), ("cgroup", false)];
        let line = "x --collector.cgroup --no-collector.stat --collector.disable-defaults";
        let matches = with_toggles(Command::new("x"), &toggles).get_matches_from(line.split(' '));
        assert_eq!(all_named(&matches, &toggles), [("stat", false), ("cgroup", true)]);
    }

    #[test]
    fn a_program_without_toggles_has_no_collectors() {
        let matches = with_toggles(Command::new("x"), &[]).get_matches_from(["x"]);
        assert!(enabled(&matches, &[]).is_empty() && all_named(&matches, &[]).is_empty());
    }

    #[test]
    fn cached_and_background_reads_are_mutually_exclusive() {
        let default = Duration::from_secs(5);
        let collection = |line: &str| {
            let command = CollectFlags::augment_args(Command::new("x")).mut_arg("poll.interval", |arg| {
                arg.default_value("5s") // as Program::default_value does
            });
            let matches = command.try_get_matches_from(line.split(' ')).unwrap();
            CollectFlags::from_arg_matches(&matches).unwrap().collection(default).ok()
        };
        assert_eq!(collection("x"), Some(Collection::Background(default)));
        assert_eq!(collection("x --poll.interval=0"), Some(Collection::OnScrape));
        assert_eq!(collection("x --collect.cache-ttl=0"), Some(Collection::Background(default)));
        assert_eq!(collection("x --collect.cache-ttl=9s"), Some(Collection::Cached(Duration::from_secs(9))));
        assert_eq!(collection("x --collect.cache-ttl=9s --poll.interval=1s"), None);
        assert_eq!(
            collection("x --collect.cache-ttl=9s --poll.interval=0"),
            Some(Collection::Cached(Duration::from_secs(9)))
        );
    }
}

//! A complete exporter: parses flags, then serves, or runs `--once`, `--check` or `healthcheck`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::exposition::encoder;
use crate::exposition::escaping::Escaping;
use crate::exposition::text::Text;
use crate::flags::{self, CommonFlags, UsageError};
use crate::help::{self, Entries};
use crate::http::listen::Listener;
use crate::http::web_settings::WebConfiguration;
use crate::http::{healthcheck, systemd};
use crate::scrape::blocking;
use crate::scrape::scrape_response::{Exporter, ScrapeFilter};
use crate::service::{Service, Sources};
use crate::signals::Signals;
use crate::{log, manual, process};

/// An exporter: its name, description, default port, collectors and subcommands.
pub struct Program {
    name: &'static str,
    version: &'static str,
    revision: &'static str,
    about: &'static str,
    port: u16,
    toggles: Vec<(&'static str, bool)>,
    defaults: Vec<(&'static str, String)>,
    helps: Vec<(&'static str, &'static str)>,
    examples: Entries,
    files: Entries,
    subcommands: Vec<(Command, Subcommand)>,
    ignored: Vec<String>,
    reports: bool,
}

/// Runs a subcommand with its flags, which include the program's global flags.
///
/// ```
/// use std::process::ExitCode;
///
/// use scrapewright::Program;
/// use scrapewright::clap::Command;
///
/// let program = Program::new("my-exporter", "1.0.0", "Exports my source.", 9999)
///     .subcommand(Command::new("explain").about("Show how a line is parsed"), |_flags| Ok(ExitCode::SUCCESS))
///     .flag_help("once", "Read the whole log, print the metrics, and exit")
///     .ignored(["path.rootfs".to_owned()]);
/// ```
pub type Subcommand = fn(&ArgMatches) -> Result<ExitCode>;

/// Creates the sources from the program's own flags.
type Open<'a> = Box<dyn FnOnce(&Startup) -> Result<Sources> + 'a>;

/// Parses the program's own flags.
type Parse<'a> = Box<dyn FnOnce(&ArgMatches) -> Result<Open<'a>, clap::Error> + 'a>;

/// The purpose of this run, and the enabled collectors.
#[derive(Debug)]
#[non_exhaustive]
pub struct Startup {
    /// The purpose of the sources.
    pub purpose: Purpose,
    /// Whether the metrics of the exporter's own process (`process_*`) are exported.
    pub process_metrics: bool,
    /// Whether every collector without a flag is disabled (`--collector.disable-defaults`).
    pub disable_defaults: bool,
    enabled: Vec<&'static str>,
    named: Vec<(&'static str, bool)>,
}

/// The purpose of an exporter's sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Serve until the process is stopped.
    Serve,
    /// `--once`: read each source once, and exit.
    Once,
    /// `--check`: validate flags and files, without reading a source or opening a connection.
    Check,
    /// `--probe`: read each source once, print its report ([`Source::reported`](crate::Source::reported)), and exit.
    Probe,
}

impl Startup {
    /// Whether a collector of [`Program::collectors`] is enabled.
    pub fn enabled(&self, collector: &str) -> bool {
        self.enabled.contains(&collector)
    }

    /// Whether a flag or variable explicitly enables or disables a collector; for a collector whose default
    /// depends on another flag.
    pub fn named(&self, collector: &str) -> Option<bool> {
        self.named.iter().find(|(name, _)| *name == collector).map(|(_, on)| *on)
    }
}

impl Program {
    /// An exporter: its command (`cpu-exporter`), its version, its description, its default port.
    pub fn new(name: &'static str, version: &'static str, about: &'static str, port: u16) -> Self {
        Self {
            name,
            version,
            revision: process::revision(None),
            about,
            port,
            toggles: Vec::new(),
            defaults: Vec::new(),
            helps: Vec::new(),
            examples: &[],
            files: &[],
            subcommands: Vec::new(),
            ignored: Vec::new(),
            reports: false,
        }
    }

    /// Sets the revision of the program's source for `--version` and the label `revision` of `*_build_info`. Without a
    /// revision, or with an empty one, it is `unknown`.
    ///
    /// `option_env!` takes it from the environment of the build, and cargo compiles only the program again when it
    /// changes:
    ///
    /// ```
    /// use scrapewright::Program;
    ///
    /// let program = Program::new("my-exporter", env!("CARGO_PKG_VERSION"), "Exports my source.", 9999)
    ///     .revision(option_env!("EXPORTER_REVISION"));
    /// ```
    ///
    /// Then build with `EXPORTER_REVISION=$(git rev-parse --short=12 HEAD) cargo build --release`.
    #[must_use]
    pub fn revision(mut self, revision: Option<&'static str>) -> Self {
        self.revision = process::revision(revision);
        self
    }

    /// Adds collectors that flags enable and disable, with their default.
    #[must_use]
    pub fn collectors(mut self, toggles: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        self.toggles.extend(toggles);
        self
    }

    /// Changes the default of a flag, named without its dashes.
    #[must_use]
    pub fn default_value(mut self, flag: &'static str, value: String) -> Self {
        self.defaults.push((flag, value));
        self
    }

    /// Changes the help of a common flag, named without its dashes.
    #[must_use]
    pub fn flag_help(mut self, flag: &'static str, help: &'static str) -> Self {
        self.helps.push((flag, help));
        self
    }

    /// Sets the examples in the help and the manual page: each a command and its effect.
    #[must_use]
    pub fn examples(mut self, examples: &'static [(&'static str, &'static str)]) -> Self {
        self.examples = examples;
        self
    }

    /// Sets the files in the help and the manual page: each a path and its content.
    #[must_use]
    pub fn files(mut self, files: &'static [(&'static str, &'static str)]) -> Self {
        self.files = files;
        self
    }

    /// Accepts flags without a value that have no effect, named without their dashes, for compatibility with another
    /// program. They are not in `--help`.
    #[must_use]
    pub fn ignored(mut self, flags: impl IntoIterator<Item = String>) -> Self {
        self.ignored.extend(flags.into_iter().map(|flag| format!("--{flag}")));
        self
    }

    /// Adds the flag `--probe`, for sources with a report ([`Source::reported`](crate::Source::reported)). It has nothing to
    /// do with a [`Probe`](crate::Probe), which is served at `/probe`.
    #[must_use]
    pub fn reports(mut self) -> Self {
        self.reports = true;
        self
    }

    /// Adds a subcommand.
    #[must_use]
    pub fn subcommand(mut self, command: Command, run: Subcommand) -> Self {
        self.subcommands.push((command, run));
        self
    }

    /// Runs the program. `sources` creates the sources from the program's own flags `F`. It validates the flags and
    /// the files they name, and starts no background work, which belongs to [`Source::run`](crate::Source::run).
    ///
    /// The exit status is 0; 1 if a collector failed with `--once` or `--probe`, `--check` found an error, or the start failed;
    /// 2 for invalid flags.
    pub fn main<'a, F: Args + 'a, S: Into<Sources>>(
        self,
        sources: impl FnOnce(F, &Startup) -> Result<S> + 'a,
    ) -> ExitCode {
        // Generic code is compiled for each program, and optimized for speed as the program is. So there is little of it.
        let parse: Parse<'a> = Box::new(|matches| {
            let own = F::from_arg_matches(matches)?;
            Ok(Box::new(move |startup| sources(own, startup).map(Into::into)))
        });
        self.start(F::augment_args, parse)
    }

    fn start(self, augment: fn(Command) -> Command, parse: Parse<'_>) -> ExitCode {
        let arguments = std::env::args_os().filter(|argument| !self.ignored.iter().any(|flag| argument == &**flag));
        let matches = match self.command_with(augment).try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) => return self.usage(&error),
        };
        match manual::output(|| self.command_with(augment), self.version, &matches) {
            Ok(None) => {}
            Ok(Some(output)) => return print(&output, true),
            Err(error) => {
                print_error(format_args!("{}: {error}\n", self.name));
                return ExitCode::FAILURE;
            }
        }
        let common = match CommonFlags::from_arg_matches(&matches) {
            Ok(common) => common,
            Err(error) => return self.usage(&error),
        };
        log::init(common.log_level, common.log_format);
        let check = common.check;
        // a subcommand does not need the program's required flags
        let ended = match self.run_subcommand(&common, &matches) {
            Some(ended) => ended,
            None => match parse(&matches) {
                Ok(open) => self.run(common, &matches, open),
                Err(error) => return self.usage(&error),
            },
        };
        match ended {
            Ok(code) => code,
            Err(error) if error.is::<UsageError>() => {
                print_error(format_args!("{}: error: {error:#}; try --help\n", self.name));
                ExitCode::from(2)
            }
            Err(error) if check => {
                print_error(format_args!("{}: {error:#}\n", self.name));
                ExitCode::FAILURE
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "cannot start");
                ExitCode::FAILURE
            }
        }
    }

    /// Runs the subcommand, if there is one.
    fn run_subcommand(&self, common: &CommonFlags, matches: &ArgMatches) -> Option<Result<ExitCode>> {
        let (name, matches) = matches.subcommand()?;
        if name == "healthcheck" {
            return Some(Ok(match healthcheck::check(&common.listen_addresses, common.web_config.as_deref()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    print_error(format_args!("{}: {error:#}\n", self.name));
                    ExitCode::FAILURE
                }
            }));
        }
        let (_, run) = self.subcommands.iter().find(|(command, _)| command.get_name() == name)?;
        Some(run(matches))
    }

    fn run(&self, common: CommonFlags, matches: &ArgMatches, open: Open<'_>) -> Result<ExitCode> {
        let purpose = match &common {
            _ if self.reports && matches.get_flag("probe") => Purpose::Probe,
            CommonFlags { once: true, .. } => Purpose::Once,
            CommonFlags { check: true, .. } => Purpose::Check,
            _ => Purpose::Serve,
        };
        // One thread serves: a scrape is short, see scrape/blocking.rs.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(64)
            .build()
            .context("cannot start the runtime")?;
        let entered = runtime.enter();
        let startup = Startup {
            purpose,
            process_metrics: !common.disable_exporter_metrics,
            disable_defaults: flags::disable_defaults(matches, &self.toggles),
            enabled: flags::enabled(matches, &self.toggles),
            named: flags::all_named(matches, &self.toggles),
        };
        let sources = open(&startup);
        let web = WebConfiguration::load(common.web_config.as_deref()).context("--web.config.file");
        if purpose == Purpose::Check
            && sources.is_err()
            && let Err(error) = &web
        {
            print_error(format_args!("{}: {error:#}\n", self.name)); // the error of the sources follows
        }
        let (sources, web) = (sources?, Arc::new(web?));
        drop(entered);
        let service = Service::builder(self.name, self.version, sources)
            .about(self.about)
            .revision(Some(self.revision))
            .metrics_path(&*common.telemetry_path)
            .scrape_timeout(common.scrape_timeout)
            .timeout_offset(common.timeout_offset)
            .max_requests(common.max_requests)
            .process_metrics(!common.disable_exporter_metrics)
            .openmetrics_created(common.openmetrics_created)
            .loaded_web_config(web)
            .build()?;
        if purpose == Purpose::Check {
            print_error(format_args!("{}: flags and files are valid\n", self.name));
            runtime.shutdown_background();
            return Ok(ExitCode::SUCCESS);
        }
        blocking::run(runtime, async move {
            match purpose {
                Purpose::Once => Ok(once(&service.router.exporter).await),
                Purpose::Probe => Ok(probe(&service.router.exporter).await),
                Purpose::Serve | Purpose::Check => serve(service, &common).await.map(|()| ExitCode::SUCCESS),
            }
        })
        .context("cannot start a thread")?
    }

    /// The command line with all flags, variables and subcommands; also for generating man pages and completions.
    pub fn command<F: Args>(&self) -> Command {
        self.command_with(F::augment_args)
    }

    fn command_with(&self, augment: fn(Command) -> Command) -> Command {
        let version = format!("{} (revision {}, rustc {})", self.version, self.revision, process::rustc());
        // The common flags are first, so that the sections of the help have the same order in every program.
        let command = CommonFlags::augment_args(Command::new(self.name));
        let mut command = augment(command)
            .about(self.about)
            .version(version)
            .max_term_width(120)
            .subcommand_negates_reqs(true)
            .mut_arg("web.listen-address", |arg| arg.default_value(format!(":{}", self.port)));
        for (flag, value) in &self.defaults {
            command = command.mut_arg(flag, |arg| arg.default_value(value.clone()));
        }
        for (flag, text) in &self.helps {
            command = command.mut_arg(flag, |arg| arg.help(*text));
        }
        if self.reports {
            command = flags::with_probe(command);
        }
        let command = help::with_sections(command, self.examples, self.files);
        let command = flags::with_variables(flags::with_toggles(command, &self.toggles), self.name);
        let command = command.subcommands(self.subcommands.iter().map(|(command, _)| command.clone()));
        let command = command.subcommand(
            Command::new("healthcheck")
                .about("Check whether the exporter at the listen address is healthy; for containers")
                .after_help("Exit status:\n  0\n      Healthy\n  1\n      Not healthy, or no response"),
        );
        manual::with_subcommands(flags::with_negative_values(command)).mut_subcommands(help::with_invalid_flag)
    }

    fn usage(&self, error: &clap::Error) -> ExitCode {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print(); // stdout may be closed
                ExitCode::SUCCESS
            }
            _ => {
                print_error(format_args!(
                    "{}: error: {}\n",
                    self.name,
                    flags::one_line(error, self.name, &self.toggles)
                ));
                ExitCode::from(2)
            }
        }
    }
}

/// Serves until SIGTERM or SIGINT, and notifies systemd.
async fn serve(service: Service, common: &CommonFlags) -> Result<()> {
    let mut signals = Signals::new()?;
    let listeners = if common.systemd_socket {
        systemd::listeners()?
    } else {
        let mut listeners = Vec::new();
        for address in &common.listen_addresses {
            let bound = Listener::bind_to(address).await;
            listeners.push(bound.map_err(|error| anyhow!("{error:#}: use another --web.listen-address"))?);
        }
        listeners
    };
    let mut watchdog = JoinSet::new();
    let router = service.router.clone();
    let (again, immediately) = oneshot::channel();
    let stopped = async move {
        systemd::ready().await;
        watchdog.spawn(systemd::watchdog());
        let signal = signals.stop(&router).await;
        tracing::info!(signal, "stopping");
        tokio::spawn(async move { again.send(signals.stop_again().await) });
        systemd::stopping().await;
    };
    tokio::select! {
        served = service.serve(listeners, stopped) => served,
        Ok(signal) = immediately => {
            tracing::warn!(signal, "stopping immediately: requests in progress get no response");
            Ok(())
        }
    }
}

/// `--once`: prints the metrics to standard output.
async fn once(exporter: &Exporter) -> ExitCode {
    let (exposition, success) = exporter.scrape(&ScrapeFilter::default(), exporter.timeout, Escaping::AllowUtf8).await;
    let mut body = Vec::new();
    encoder::encode(&exposition, Box::new(Text), &mut body);
    print(&body, success)
}

/// `--probe`: prints the collectors' reports.
async fn probe(exporter: &Exporter) -> ExitCode {
    let (_, success) = exporter.scrape(&ScrapeFilter::default(), exporter.timeout, Escaping::AllowUtf8).await;
    let lines = exporter.sources.iter().flat_map(|source| source.report());
    print(lines.map(|line| line + "\n").collect::<String>().as_bytes(), success)
}

/// Prints to standard output. The exit status shows the success of the read.
fn print(text: &[u8], success: bool) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            tracing::error!(%error, "cannot write to standard output");
            ExitCode::FAILURE
        }
        _ if success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn print_error(line: std::fmt::Arguments<'_>) {
    log::write(&line.to_string());
}

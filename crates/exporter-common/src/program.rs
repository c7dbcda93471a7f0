//! A whole exporter: flags, logs, `--once`, `--check`, `healthcheck`, serving until it is stopped.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::exposition::escaping::Escaping;
use crate::exposition::text;
use crate::flags::{self, CommonFlags, UsageError};
use crate::http::handler_metrics::HandlerMetrics;
use crate::http::landing::ExporterInfo;
use crate::http::web_settings::WebConfiguration;
use crate::http::{healthcheck, serve};
use crate::scrape::scrape_response::{Exporter, ScrapeFilter};
use crate::scrape::source::Source;
use crate::{log, process};

/// What an exporter is: its name, what it says of itself, and where it listens.
pub struct Program {
    name: &'static str,
    version: &'static str,
    about: &'static str,
    port: u16,
    toggles: Vec<(&'static str, bool)>,
    defaults: Vec<(&'static str, String)>,
    subcommands: Vec<(Command, Subcommand)>,
}

/// Runs a subcommand from its flags; the program's own that are global are among them.
pub type Subcommand = fn(&ArgMatches) -> Result<ExitCode>;

/// What the program was started for, and with which collectors.
#[derive(Debug)]
pub struct Startup {
    /// What the sources are wanted for.
    pub purpose: Purpose,
    /// Whether the metrics of the exporter's own process (`process_*`) are exported.
    pub process_metrics: bool,
    enabled: Vec<&'static str>,
    named: Vec<(&'static str, bool)>,
}

/// What an exporter's sources are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To serve them until the process is stopped.
    Serve,
    /// `--once`: to read each once, whole, and end.
    Once,
    /// `--check`: to find faults in flags and files; nothing is read from a source, nothing connected.
    Check,
}

impl Startup {
    /// Whether a collector is on; for programs that named theirs with [`Program::collectors`].
    pub fn enabled(&self, collector: &str) -> bool {
        self.enabled.contains(&collector)
    }

    /// Whether a flag or variable of its own turns a collector on or off; for a collector whose
    /// default depends on another flag.
    pub fn named(&self, collector: &str) -> Option<bool> {
        self.named.iter().find(|(name, _)| *name == collector).map(|(_, on)| *on)
    }
}

impl Program {
    /// An exporter: its name as typed (`cpu-exporter`), its version, a sentence, its default port.
    pub fn new(name: &'static str, version: &'static str, about: &'static str, port: u16) -> Self {
        Self { name, version, about, port, toggles: Vec::new(), defaults: Vec::new(), subcommands: Vec::new() }
    }

    /// Names collectors that flags turn on and off, with whether they are on by default.
    #[must_use]
    pub fn collectors(mut self, toggles: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        self.toggles.extend(toggles);
        self
    }

    /// Changes the default of a flag, named without its dashes; the flag and its variable win.
    #[must_use]
    pub fn default_value(mut self, flag: &'static str, value: String) -> Self {
        self.defaults.push((flag, value));
        self
    }

    /// Adds a subcommand that serves nothing, and what runs it.
    #[must_use]
    pub fn subcommand(mut self, command: Command, run: Subcommand) -> Self {
        self.subcommands.push((command, run));
        self
    }

    /// Runs the program to its end. `sources` makes the collectors from the program's own flags `F`;
    /// it validates them and every file they name, and starts nothing: what goes on in the background
    /// belongs to [`Collector::run`](crate::Collector::run).
    ///
    /// The status is 0; 1 when a collector failed with `--once`, `--check` found faults, or it cannot
    /// start; 2 for flags that are wrong.
    pub fn main<F: Args>(self, sources: impl FnOnce(F, &Startup) -> Result<Vec<Source>>) -> ExitCode {
        let matches = match self.command::<F>().try_get_matches() {
            Ok(matches) => matches,
            Err(error) => return self.usage(&error),
        };
        let parsed =
            CommonFlags::from_arg_matches(&matches).and_then(|common| Ok((common, F::from_arg_matches(&matches)?)));
        let (common, own) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return self.usage(&error),
        };
        log::init(common.log_level, common.log_format);
        let check = common.check;
        match self.run(common, own, &matches, sources) {
            Ok(code) => code,
            Err(error) if error.is::<UsageError>() => {
                say(format_args!("{}: error: {error:#}; try --help\n", self.name));
                ExitCode::from(2)
            }
            Err(error) if check => {
                say(format_args!("{}: {error:#}\n", self.name));
                ExitCode::FAILURE
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "cannot start");
                ExitCode::FAILURE
            }
        }
    }

    fn run<F>(
        &self,
        common: CommonFlags,
        own: F,
        matches: &ArgMatches,
        sources: impl FnOnce(F, &Startup) -> Result<Vec<Source>>,
    ) -> Result<ExitCode> {
        if matches.subcommand_name() == Some("healthcheck") {
            return Ok(match healthcheck::check(&common.listen_addresses, common.web_config.as_deref()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    say(format_args!("{}: {error:#}\n", self.name));
                    ExitCode::FAILURE
                }
            });
        }
        if let Some((name, matches)) = matches.subcommand()
            && let Some((_, run)) = self.subcommands.iter().find(|(command, _)| command.get_name() == name)
        {
            return run(matches);
        }
        let purpose = match &common {
            CommonFlags { once: true, .. } => Purpose::Once,
            CommonFlags { check: true, .. } => Purpose::Check,
            _ => Purpose::Serve,
        };
        // One thread serves: a scrape is short, and what may wait has threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(64)
            .build()
            .context("cannot start the runtime")?;
        let entered = runtime.enter();
        let startup = Startup {
            purpose,
            process_metrics: !common.disable_exporter_metrics,
            enabled: flags::enabled(matches, &self.toggles),
            named: flags::all_named(matches, &self.toggles),
        };
        let sources = sources(own, &startup);
        let web = WebConfiguration::load(common.web_config.as_deref()).context("--web.config.file");
        if purpose == Purpose::Check
            && sources.is_err()
            && let Err(fault) = &web
        {
            say(format_args!("{}: {fault:#}\n", self.name)); // that of the sources is told last, and counts
        }
        let (sources, web) = (sources?, Arc::new(web?));
        drop(entered);
        let reload = web.clone();
        let registry = prometheus::Registry::new();
        let handler_metrics = HandlerMetrics::new(&registry).context("cannot register the exporter's own metrics")?;
        let exporter = Arc::new(Exporter {
            sources: sources.into_iter().map(Arc::new).collect(),
            build_info: Arc::new(process::build_info(self.name, self.version)),
            own_metrics: (!common.disable_exporter_metrics).then_some(registry),
            web_reload: Box::new(move || reload.reloaded()),
            timeout: common.scrape_timeout,
            duplicates: AtomicU64::new(0),
        });
        let code = match purpose {
            Purpose::Check => {
                say(format_args!("{}: flags and files are valid\n", self.name));
                Ok(ExitCode::SUCCESS)
            }
            Purpose::Once => Ok(runtime.block_on(once(&exporter))),
            Purpose::Serve => {
                let about = ExporterInfo { name: self.name, version: self.version, about: self.about };
                runtime
                    .block_on(serve::serve(exporter, web, handler_metrics, about, common))
                    .map(|()| ExitCode::SUCCESS)
            }
        };
        runtime.shutdown_background(); // a thread that hangs in a device must not keep the process
        code
    }

    /// The command line: common flags, the program's own, toggles, variables, `healthcheck`. For what is made
    /// from it: man pages, completions.
    pub fn command<F: Args>(&self) -> Command {
        let version = format!("{} (revision {}, rustc {})", self.version, process::revision(), process::rustc());
        let command = F::augment_args(Command::new(self.name));
        let mut command = CommonFlags::augment_args(command)
            .about(self.about)
            .version(version)
            .max_term_width(120)
            .mut_arg("web.listen-address", |arg| arg.default_value(format!(":{}", self.port)));
        for (flag, value) in &self.defaults {
            command = command.mut_arg(flag, |arg| arg.default_value(value.clone()));
        }
        command = flags::with_variables(flags::with_toggles(command, &self.toggles), self.name);
        command = command.subcommands(self.subcommands.iter().map(|(command, _)| command.clone()));
        command.subcommand(
            Command::new("healthcheck")
                .about("Check whether the exporter at the listen address is healthy; for containers"),
        )
    }

    fn usage(&self, error: &clap::Error) -> ExitCode {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print(); // a reader that has gone away needs no help
                ExitCode::SUCCESS
            }
            _ => {
                say(format_args!("{}: error: {}\n", self.name, flags::one_line(error, self.name, &self.toggles)));
                ExitCode::from(2)
            }
        }
    }
}

/// `--once`: the exposition on standard output.
async fn once(exporter: &Exporter) -> ExitCode {
    let (exposition, success) = exporter.scrape(&ScrapeFilter::default(), exporter.timeout, Escaping::AllowUtf8).await;
    let mut body = Vec::new();
    text::encode(&exposition, &mut body);
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&body).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            tracing::error!(%error, "cannot write to standard output");
            ExitCode::FAILURE
        }
        _ if success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn say(line: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(line); // nobody left to tell
}

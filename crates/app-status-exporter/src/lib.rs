//! Prometheus exporter for the JSON status page of an application.

mod collector;
mod config;
mod formats;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod json;
mod metrics;
mod probe;
mod suggest;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::ArgPredicate;
use exporter_common::{CollectFlags, Program, Purpose, Sources, TargetPattern, UsageError};

use crate::collector::AppStatus;
use crate::config::environment::Defaults;
use crate::http::url::{self, AppUrl};
use crate::target::{ConfigFlags, TargetLoader};

/// The flags of this exporter.
#[derive(clap::Args)]
#[command(after_help = "Environment:
  APP_PORT
      --app.url http://localhost:APP_PORT/status, if neither the flag nor its own variable is set
  POLLING_INTERVAL_SECONDS
      --poll.interval in seconds without a unit, under the same condition
  EXPORTER_PORT
      --web.listen-address :EXPORTER_PORT, under the same condition")]
struct Flags {
    /// URL of the status page: http://, https://, unix:/run/app.sock:/path, or file:page.json; tcp://host:port or
    /// socket:/run/app.sock for a socket without HTTP
    #[arg(id = "app.url", long = "app.url", value_name = "URL", value_parser = url::AppUrlParser, hide_env_values = true)]
    #[arg(required = false)]
    // the default is set later, because the environment may change it
    // an exporter of many targets may have no other application
    #[arg(default_value_if("probe.target", ArgPredicate::IsPresent, None))]
    url: Option<AppUrl>,

    /// Target that requests to /probe may name, for example http://app-*:5000/status. A * is any text without / @ ? #.
    /// Without --app.url, only /probe is served. Repeatable.
    #[arg(id = "probe.target", long = "probe.target", value_name = "URL", value_delimiter = '\n')]
    probe_targets: Vec<TargetPattern>,

    /// Configuration of json_exporter that maps the page to metrics. Without it, the page has the four classic fields
    #[arg(id = "config.file", long = "config.file", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Module of the configuration [default: default]
    #[arg(id = "config.module", long = "config.module", value_name = "NAME")]
    module: Option<String>,

    #[command(flatten)]
    collect: CollectFlags,
}

/// Runs the exporter.
pub fn main() -> ExitCode {
    let defaults = Defaults::from_environment();
    program(&defaults).main(|flags: Flags, startup| {
        if let Some(error) = defaults.errors.into_iter().next() {
            return Err(UsageError::new(error).into());
        }
        for variable in defaults.ignored {
            tracing::warn!(variable, "environment variable ignored: it is a Kubernetes service link (tcp://...)");
        }
        let probe = match flags.probe_targets {
            targets if targets.is_empty() => None,
            targets => Some(probe::probe(targets, flags.config.clone(), flags.module.as_deref())?),
        };
        let module = flags.module.clone().unwrap_or("default".to_owned());
        let config = match (flags.config, flags.module) {
            (None, Some(_)) => return Err(UsageError::new("--config.module requires --config.file").into()),
            (None, None) => None,
            (Some(file), _) => Some(ConfigFlags { file, module, process_metrics: startup.process_metrics }),
        };
        let mut sources = Vec::new();
        if let Some(url) = flags.url {
            if startup.purpose == Purpose::Check {
                check_file(&url)?;
            }
            let loader = TargetLoader::load(url, config)?;
            sources.push(AppStatus::source(loader, flags.collect.collection(defaults.interval)?));
        }
        let sources = Sources::from(sources);
        Ok(match probe {
            Some(probe) => sources.probe(probe),
            None => sources,
        })
    })
}

/// Validates that the file of a URL can be opened. Opening another kind of file, such as a FIFO, could block.
fn check_file(url: &AppUrl) -> Result<()> {
    let AppUrl::File(path) = url else { return Ok(()) };
    let opened = std::fs::metadata(path).and_then(|metadata| match () {
        () if metadata.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
        () if metadata.is_file() => std::fs::File::open(path).map(drop),
        () => Ok(()),
    });
    opened.with_context(|| format!("--app.url: cannot read {}", path.display()))
}

/// The command line without the environment's defaults, for man pages and completions.
pub fn command() -> clap::Command {
    program(&Defaults::without_environment()).command::<Flags>()
}

fn program(defaults: &Defaults) -> Program {
    let about = "Exports the JSON status page of an application.";
    Program::new("app-status-exporter", env!("CARGO_PKG_VERSION"), about, 9877)
        .revision(option_env!("EXPORTER_REVISION"))
        .examples(&[
            ("app-status-exporter --app.url http://localhost:5000/status", "Export the status page of an application"),
            (
                "app-status-exporter --once --app.url file:page.json --config.file app.yml",
                "Test a mapping with a saved page",
            ),
            ("app-status-exporter --check --config.file app.yml", "Validate a mapping"),
            (
                "app-status-exporter suggest http://localhost:5000/status >app.yml",
                "Suggest a mapping for the values of a page",
            ),
        ])
        .files(&[("/etc/default/app-status-exporter", "Flags of the systemd service of the Debian package")])
        .subcommand(suggest::command(), suggest::run)
        .default_value("app.url", defaults.url.clone())
        .default_value("poll.interval", format!("{}s", defaults.interval.as_secs_f64()))
        .default_value("web.listen-address", defaults.listen_address.clone())
}

//! Prometheus exporter for an application's JSON status page.

mod config;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod json;
mod metrics;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use exporter_common::reload::Reloaded;
use exporter_common::{CollectFlags, Collector, Family, Faults, Program, Scrape, Source, UsageError, async_trait};
use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::config::environment::Defaults;
use crate::http::url::AppUrl;
use crate::json::document::{Document, DocumentError};
use crate::metrics::classic::ClassicStatus;
use crate::metrics::failures::{FailureCounters, FailureReason, ReadError};
use crate::metrics::mapping::LostSeries;
use crate::target::{Mapping, Target, TargetLoader};

/// The exporter's own flags.
#[derive(clap::Args)]
#[command(after_help = "As last before the defaults these variables count: APP_PORT (--app.url \
    http://localhost:APP_PORT/status), POLLING_INTERVAL_SECONDS (--poll.interval) and EXPORTER_PORT \
    (--web.listen-address :EXPORTER_PORT).")]
struct Flags {
    /// The application's status page: http://, https://, unix:/run/app.sock:/path, or file:page.json
    #[arg(id = "app.url", long = "app.url", value_name = "URL", value_parser = http::url::Parser, hide_env_values = true)]
    #[arg(required = false)] // it has a default, which the environment may change
    url: AppUrl,

    /// What is taken from the page: a configuration of json_exporter. Without it the page has the classic four fields
    #[arg(id = "config.file", long = "config.file", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Which module of the configuration is used [default: default]
    #[arg(id = "config.module", long = "config.module", value_name = "NAME")]
    module: Option<String>,

    #[command(flatten)]
    collect: CollectFlags,
}

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    let defaults = Defaults::from_environment();
    program(&defaults).main(|flags: Flags, _| {
        if let Some(fault) = defaults.faults.into_iter().next() {
            return Err(UsageError::new(fault).into());
        }
        for variable in defaults.ignored {
            tracing::warn!(variable, "ignored: its value is a Kubernetes service link (tcp://...)");
        }
        let config = match (flags.config, flags.module) {
            (None, Some(_)) => return Err(UsageError::new("--config.module goes with --config.file").into()),
            (None, None) => None,
            (Some(file), module) => Some((file, module.unwrap_or("default".to_owned()))),
        };
        let loader = Arc::new(TargetLoader::load(flags.url, config)?);
        let app_status = AppStatus { loader, failures: FailureCounters::default() };
        Ok(vec![Source::new(app_status).collected(flags.collect.collection(defaults.interval)?)])
    })
}

/// The command line as it is without variables, for what is made from it: man pages, completions.
pub fn command() -> clap::Command {
    program(&Defaults::without_environment()).command::<Flags>()
}

fn program(defaults: &Defaults) -> Program {
    Program::new("app-status-exporter", env!("CARGO_PKG_VERSION"), "Exports an application's JSON status page.", 9877)
        .default_value("app.url", defaults.url.clone())
        .default_value("poll.interval", format!("{}s", defaults.interval.as_secs_f64()))
        .default_value("web.listen-address", defaults.listen_address.clone())
}

/// The status page of one application.
struct AppStatus {
    loader: Arc<TargetLoader>,
    failures: FailureCounters,
}

#[async_trait]
impl Collector for AppStatus {
    fn name(&self) -> &'static str {
        "app_status"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let attempt = self.failures.attempt();
        let target = match self.loader.unchanging() {
            Some(target) => target,
            None => {
                let loader = self.loader.clone();
                scrape.blocking(move || loader.up_to_date()).await
            }
        };
        // what is left of the time is for saying what went wrong
        let limit = scrape.time_left().mul_f64(0.95);
        let until = Instant::now() + limit;
        let pages = join_all((0..target.client.pages()).map(|page| target.client.fetch(page, limit))).await;
        let mut faults = Faults::default();
        let mut reason = None;
        for (page, fetched) in pages.into_iter().enumerate() {
            let mut failed = Faults::default();
            let translated = match fetched {
                Ok(fetched) => translate(&target, page, &fetched, until).await,
                Err(failure) => Err(failure),
            };
            match translated {
                Ok((families, lost)) => {
                    families.into_iter().for_each(|family| scrape.add(family));
                    for lost in lost {
                        reason.get_or_insert(FailureReason::Incomplete);
                        self.failures.count_lost(&lost);
                        failed.note(anyhow::Error::msg(match lost.count {
                            1 => lost.what,
                            count => format!("{}, and {} like it", lost.what, count - 1),
                        }));
                    }
                }
                Err(failure) => {
                    reason.get_or_insert(failure.reason);
                    failed.note(failure.error);
                }
            }
            faults.keep(failed.result().with_context(|| target.client.display_url(page).to_owned()));
        }
        attempt.finish(reason);
        faults.result()
    }

    fn kept(&self) -> Vec<Family> {
        self.failures.families()
    }

    async fn reload(&self) {
        let loader = self.loader.clone();
        let _ = tokio::task::spawn_blocking(move || loader.reload()).await; // it does not panic
    }

    fn reloaded(&self) -> Option<Reloaded> {
        self.loader.reloaded()
    }
}

/// What a page gives, as the mapping says, and what it does not give.
async fn translate(
    target: &Target,
    page: usize,
    (body, status): &(Vec<u8>, Option<StatusCode>),
    until: Instant,
) -> Result<(Vec<Family>, Vec<LostSeries>), ReadError> {
    let text = String::from_utf8_lossy(body);
    let document = Document::parse(&text).map_err(|fault| match status {
        None => ReadError::from(fault),
        Some(status) => {
            let ReadError { reason, error } = fault.into();
            ReadError { reason, error: error.context(format!("it answers {status}")) } // something in between, as a rule
        }
    })?;
    match &target.mapping {
        Mapping::Classic => {
            let status =
                ClassicStatus::of(&document).map_err(|error| ReadError { reason: FailureReason::Incomplete, error })?;
            Ok(metrics::classic::families(status))
        }
        Mapping::Configured(metrics) => metrics::mapping::families(metrics, page, &document, until).await,
    }
}

impl From<DocumentError> for ReadError {
    fn from(fault: DocumentError) -> Self {
        let reason = match fault {
            DocumentError::NotJson(_) => FailureReason::NotJson,
            DocumentError::TooDeep => FailureReason::TooDeep,
            DocumentError::TooManyValues(_) => FailureReason::TooLarge,
        };
        Self { reason, error: fault.into() }
    }
}

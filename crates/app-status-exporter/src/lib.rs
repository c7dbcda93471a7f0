//! Prometheus exporter for an application's JSON status page.

mod environment;
mod json;
mod page;
mod status;
mod url;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use exporter_common::{CollectFlags, Collector, Faults, Program, Scrape, Source, async_trait};

use crate::environment::Defaults;
use crate::page::Page;
use crate::status::Status;
use crate::url::AppUrl;

/// The exporter's own flags.
#[derive(clap::Args)]
#[command(after_help = "As last before the defaults these variables count: APP_PORT (--app.url \
    http://localhost:APP_PORT/status), POLLING_INTERVAL_SECONDS (--poll.interval) and EXPORTER_PORT \
    (--web.listen-address :EXPORTER_PORT).")]
struct Flags {
    /// The application's status page, http or https
    #[arg(id = "app.url", long = "app.url", value_name = "URL", value_parser = url::Parser, hide_env_values = true)]
    #[arg(required = false)] // it has a default, which the environment may change
    url: AppUrl,

    #[command(flatten)]
    collect: CollectFlags,
}

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    let defaults = match Defaults::from_environment() {
        Ok(defaults) => defaults,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "app-status-exporter: error: {fault}"); // nobody left to tell
            return ExitCode::from(2);
        }
    };
    Program::new("app-status-exporter", env!("CARGO_PKG_VERSION"), "Exports an application's JSON status page.", 9877)
        .default_value("app.url", defaults.url)
        .default_value("poll.interval", format!("{}s", defaults.interval.as_secs_f64()))
        .default_value("web.listen-address", defaults.listen_address)
        .main(|flags: Flags, _| {
            for variable in defaults.ignored {
                tracing::warn!(variable, "ignored: its value is a Kubernetes service link (tcp://...)");
            }
            let app_status = AppStatus(Page::new(flags.url)?);
            Ok(vec![Source::new(app_status).collected(flags.collect.collection(defaults.interval)?)])
        })
}

/// The status page of one application.
struct AppStatus(Page);

#[async_trait]
impl Collector for AppStatus {
    fn name(&self) -> &'static str {
        "app_status"
    }

    async fn collect(&self, scrape: &Scrape) -> Result<()> {
        let Self(page) = self;
        self.translate(scrape).await.with_context(|| page.place().to_owned())
    }
}

impl AppStatus {
    async fn translate(&self, scrape: &Scrape) -> Result<()> {
        // what is left of the time is for saying what went wrong
        let (code, body) = self.0.fetch(scrape.time_left().mul_f64(0.95)).await?;
        let status = Status::parse(&body).map_err(|error| match code.is_success() {
            true => error,
            false => error.context(format!("it answers {code}")), // from something in between, as a rule
        })?;
        let mut faults = Faults::default();
        for family in status::families(status) {
            if let Some(family) = faults.keep(family) {
                scrape.add(family);
            }
        }
        faults.result()
    }
}

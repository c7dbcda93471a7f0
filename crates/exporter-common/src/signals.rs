//! The signals of a program: SIGTERM and SIGINT stop it, SIGHUP reloads its configuration files.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::http::router::Router;

/// The handled signals.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot handle SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot handle SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("cannot handle SIGHUP")?,
        })
    }

    /// The name of the signal that stops the program. Until then, SIGHUP reloads.
    pub(crate) async fn stop(&mut self, router: &Arc<Router>) -> &'static str {
        loop {
            tokio::select! {
                signal = stop(&mut self.terminate, &mut self.interrupt) => return signal,
                _ = self.hangup.recv() => {
                    if router.exporter.reload_statuses().next().is_none() {
                        tracing::info!("SIGHUP: no configuration file to reload");
                    }
                    if router.web.is_configured() {
                        tracing::info!("SIGHUP: reloading the web configuration");
                    }
                    let router = router.clone();
                    tokio::spawn(async move { router.reload().await }); // a source may take long
                }
            }
        }
    }

    /// The name of another signal that stops the program.
    pub(crate) async fn stop_again(&mut self) -> &'static str {
        stop(&mut self.terminate, &mut self.interrupt).await
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

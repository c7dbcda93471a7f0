//! Serves requests until the process is stopped.

use std::sync::{Arc, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::join_all;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::admission::Admission;
use super::authentication::Authenticator;
use super::connection;
use super::connection_limits::Connections;
use super::gzip::Gzip;
use super::handler_metrics::HandlerMetrics;
use super::landing::ExporterInfo;
use super::listen::Listener;
use super::router::Router;
use super::systemd;
use super::web_settings::WebConfiguration;

use crate::flags::CommonFlags;
use crate::scrape::scrape_response::Exporter;

/// The time limit for requests in progress during shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// The time without a failure after which the recovery is logged.
const QUIET: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) async fn serve(
    exporter: Arc<Exporter>,
    web: Arc<WebConfiguration>,
    handler_metrics: Arc<HandlerMetrics>,
    info: ExporterInfo,
    common: CommonFlags,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    let listeners = if common.systemd_socket {
        Listener::from_systemd()?
    } else {
        let mut listeners = Vec::new();
        for address in &common.listen_addresses {
            listeners.push(Listener::bind(address).await?);
        }
        listeners
    };
    let permits = if common.max_requests == 0 { usize::MAX } else { common.max_requests }.min(Semaphore::MAX_PERMITS);
    let connections = Connections::new();
    let router = Arc::new(Router {
        exporter: exporter.clone(),
        web: web.clone(),
        authenticator: Authenticator::new(),
        info,
        telemetry_path: common.telemetry_path,
        timeout_offset: common.timeout_offset,
        max_requests: common.max_requests,
        scrapes: Semaphore::new(permits),
        handler_metrics,
        gzip: Gzip::default(),
        admission: Admission::new(connections.clone()),
        refusals: Mutex::default(),
        ready: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for source in &exporter.sources {
        tasks.spawn(source.clone().run_in_background(exporter.timeout));
    }
    let mut accepting = JoinSet::new();
    let tls = web.settings().await.tls.is_some();
    for listener in listeners {
        tracing::info!(address = listener.address()?, tls, version = router.info.version, "listening");
        accepting.spawn(accept(listener, router.clone(), connections.clone()));
    }
    systemd::notify(NotifyState::Ready).await;
    tasks.spawn(systemd::watchdog());
    let first = router.clone();
    tasks.spawn(async move {
        let (sources, timeout) = (&first.exporter.sources, first.exporter.timeout);
        join_all(sources.iter().map(|source| source.read_first(timeout))).await;
        first.ready.store(true, Ordering::Relaxed);
    });
    let signal = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => {
                if exporter.reload_statuses().next().is_none() {
                    tracing::info!("SIGHUP: no configuration file to reload");
                }
                if web.is_configured() {
                    tracing::info!("SIGHUP: reloading the web configuration");
                    web.reload().await;
                }
                for source in &exporter.sources {
                    let source = source.clone();
                    tasks.spawn(async move { source.reload_files().await });
                }
            }
        }
    };
    tracing::info!(signal, "stopping");
    systemd::notify(NotifyState::Stopping).await;
    accepting.shutdown().await; // closes the listeners
    if !connections.drain(DRAIN).await {
        tracing::warn!("requests were still in progress after the time limit for shutdown");
    }
    tasks.shutdown().await;
    Ok(())
}

async fn accept(listener: Listener, router: Arc<Router>, connections: Arc<Connections>) {
    let mut failed: Option<Instant> = None;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if failed.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "cannot accept connections");
                }
                tokio::time::sleep(Duration::from_millis(100)).await; // the limit of file descriptors may be reached: wait until some are closed
                continue;
            }
        };
        // a successful accept between failures is not a recovery
        if failed.is_some_and(|failed| failed.elapsed() > QUIET) {
            failed = None;
            tracing::info!("accepting connections again");
        }
        let Some(slot) = connections.slot().await else { return };
        tokio::spawn(connection::serve(stream, peer, slot, router.clone()));
    }
}

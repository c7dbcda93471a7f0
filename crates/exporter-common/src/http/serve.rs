//! Serves requests until the exporter is stopped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::connection;
use super::connection_limits::Connections;
use super::listen::Listener;
use super::router::Router;

/// The time limit for requests in progress during shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// The time without a failure after which the recovery is logged.
const QUIET: Duration = Duration::from_secs(1);

/// Serves until `shutdown` completes, then drains.
pub(crate) async fn serve(
    router: &Arc<Router>,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let connections = &router.connections;
    let mut tasks = background(router);
    let mut accepting = JoinSet::new();
    let tls = router.web.settings().await.tls.is_some();
    for listener in listeners {
        tracing::info!(address = listener.address()?, tls, version = &*router.info.version, "listening");
        accepting.spawn(accept(listener, router.clone(), connections.clone()));
    }
    shutdown.await;
    accepting.shutdown().await; // closes the listeners
    if !connections.drain(DRAIN).await {
        tracing::warn!("requests were still in progress after the time limit for shutdown");
    }
    tasks.shutdown().await;
    Ok(())
}

/// Starts the background work of the sources, and their first reads.
pub(crate) fn background(router: &Arc<Router>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for source in &router.exporter.sources {
        tasks.spawn(source.clone().run_in_background(router.exporter.timeout));
    }
    let router = router.clone();
    tasks.spawn(async move {
        let (sources, timeout) = (&router.exporter.sources, router.exporter.timeout);
        join_all(sources.iter().map(|source| source.read_first(timeout))).await;
        router.ready.store(true, Ordering::Relaxed);
    });
    tasks
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
                // the limit of file descriptors may be reached
                connections.evict_waiting();
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // a successful accept between failures is not a recovery
        if failed.is_some_and(|failed| failed.elapsed() > QUIET) {
            failed = None;
            tracing::info!("accepting connections again");
        }
        let Some(slot) = connections.slot(peer).await else { return };
        tokio::spawn(connection::serve(stream, peer, slot, router.clone()));
    }
}

//! Serves HTTP until SIGTERM, SIGINT or SIGHUP.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use warp::Reply;
use warp::filters::BoxedFilter;

/// Time for requests in progress to finish after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// The limit of open connections; clients beyond it wait.
const MAX_CONNECTIONS: usize = 512;
/// The time limit for the headers of a request, and for a connection without one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `host:port`.
pub(crate) async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Serves until the process receives a stop signal, then drains the requests in progress.
pub(crate) async fn serve<R: Reply + 'static>(
    what: &str,
    listener: TcpListener,
    routes: BoxedFilter<(R,)>,
) -> Result<()> {
    let address = listener.local_addr().context("cannot get the listen address")?;
    let stopping = stopped()?;
    tokio::pin!(stopping);
    tracing::info!(what, %address, "listening");
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let service = TowerToHyperService::new(warp::service(routes));
    let (open, slots) = (GracefulShutdown::new(), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await?;
            anyhow::Ok((listener.accept().await?, slot))
        };
        let ((stream, _), slot) = tokio::select! {
            () = &mut stopping => break,
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(what, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            let _ = connection.await; // the client sent garbage or left
            drop(slot);
        });
    }
    if tokio::time::timeout(DRAIN_TIMEOUT, open.shutdown()).await.is_err() {
        tracing::warn!(what, "requests were still in progress at exit");
    }
    Ok(())
}

/// Completes when the process receives a stop signal. Signals are handled from this call on.
pub(crate) fn stopped() -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

//! Serves HTTP until SIGTERM, SIGINT or SIGHUP.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use warp::Reply;
use warp::filters::BoxedFilter;

/// Time for requests in progress to finish after a signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

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
    let (stopping, drain) = (stopped()?, stopped()?);
    tracing::info!(what, %address, "listening");
    let server = warp::serve(routes).incoming(listener).graceful(async {
        stopping.await;
    });
    let drain_timeout = async {
        drain.await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        () = server.run() => {}
        () = drain_timeout => tracing::warn!(what, "requests were still in progress at exit"),
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

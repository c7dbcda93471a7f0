//! A connection to a broker that is restored when it is lost, and its health page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::{Filter, Reply};

use crate::server::{listen, serve, stopped};

/// Delay before reconnecting.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// Timeout of the disconnection.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The steps of a session: `connect`, then `work` until the connection is lost, or `disconnect` when the process is
/// stopped.
pub(super) struct Session<Connect, Work, Disconnect> {
    pub(super) connect: Connect,
    pub(super) work: Work,
    pub(super) disconnect: Disconnect,
}

/// Keeps the broker connected until the process is stopped, and serves the health page at `address`.
pub(super) async fn run<C>(
    broker: &str,
    address: Option<&str>,
    session: Session<impl AsyncFn() -> Result<C>, impl AsyncFn(&mut C) -> Result<()>, impl AsyncFn(C)>,
) -> Result<()> {
    let connected = Arc::new(AtomicBool::new(false));
    match address {
        Some(address) => {
            let served = serve("health", listen(address).await?, health(Arc::clone(&connected)));
            tokio::try_join!(served, keep_connected(broker, &connected, session)).map(|_| ())
        }
        None => keep_connected(broker, &connected, session).await,
    }
}

/// `/healthy`: 200 while the broker is connected, otherwise 503.
fn health(connected: Arc<AtomicBool>) -> BoxedFilter<(impl Reply,)> {
    let get = warp::get().or(warp::head()).unify();
    let page = move || match connected.load(Ordering::Relaxed) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    warp::path!("healthy").and(get).map(page).boxed()
}

async fn keep_connected<C>(
    broker: &str,
    connected: &AtomicBool,
    session: Session<impl AsyncFn() -> Result<C>, impl AsyncFn(&mut C) -> Result<()>, impl AsyncFn(C)>,
) -> Result<()> {
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let mut logged = false;
    loop {
        let connection = tokio::select! {
            () = &mut stopped => return Ok(()),
            connection = (session.connect)() => connection,
        };
        let lost = match connection {
            Ok(mut connection) => {
                tracing::info!(broker, "connected");
                connected.store(true, Ordering::Relaxed);
                logged = false;
                let result = tokio::select! {
                    () = &mut stopped => None,
                    result = (session.work)(&mut connection) => Some(result),
                };
                connected.store(false, Ordering::Relaxed);
                let Some(result) = result else {
                    // On failure, the broker detects the closed connection.
                    let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, (session.disconnect)(connection)).await;
                    return Ok(());
                };
                result
            }
            Err(error) => Err(error),
        };
        // Log only changes of state.
        if let Err(error) = lost
            && !std::mem::replace(&mut logged, true)
        {
            tracing::warn!(broker, error = format!("{error:#}"), "broker not connected; retrying");
        }
        tokio::select! {
            () = &mut stopped => return Ok(()),
            () = tokio::time::sleep(RECONNECT_DELAY) => {}
        }
    }
}

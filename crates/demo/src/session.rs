//! A session with a broker that comes and goes, and a page that tells whether there is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::{Filter, Reply};

use crate::serve::{listen, serve, stopped};

/// How long it takes until a broker that was lost is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a broker may take for the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// What is done with a broker: `connect`, then `work` until the connection is lost, or `goodbye` when the process is
/// stopped.
pub(crate) struct Session<Connect, Work, Goodbye> {
    pub(crate) connect: Connect,
    pub(crate) work: Work,
    pub(crate) goodbye: Goodbye,
}

/// Keeps sessions with the broker until the process is stopped, and tells at `address` whether there is one.
pub(crate) async fn run<C>(
    broker: &str,
    address: Option<&str>,
    session: Session<impl AsyncFn() -> Result<C>, impl AsyncFn(&mut C) -> Result<()>, impl AsyncFn(C)>,
) -> Result<()> {
    let connected = Arc::new(AtomicBool::new(false));
    match address {
        Some(address) => {
            let served = serve("health", listen(address).await?, health(Arc::clone(&connected)));
            tokio::try_join!(served, keep(broker, &connected, session)).map(|_| ())
        }
        None => keep(broker, &connected, session).await,
    }
}

/// `/healthy`: 200 while the broker is connected, else 503.
fn health(connected: Arc<AtomicBool>) -> BoxedFilter<(impl Reply,)> {
    let get = warp::get().or(warp::head()).unify();
    let page = move || match connected.load(Ordering::Relaxed) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    warp::path!("healthy").and(get).map(page).boxed()
}

async fn keep<C>(
    broker: &str,
    connected: &AtomicBool,
    session: Session<impl AsyncFn() -> Result<C>, impl AsyncFn(&mut C) -> Result<()>, impl AsyncFn(C)>,
) -> Result<()> {
    let stopped = stopped()?;
    tokio::pin!(stopped);
    let mut told = false;
    loop {
        let connection = tokio::select! {
            () = &mut stopped => return Ok(()),
            connection = (session.connect)() => connection,
        };
        let lost = match connection {
            Ok(mut connection) => {
                tracing::info!(broker, "connected");
                connected.store(true, Ordering::Relaxed);
                told = false;
                let ended = tokio::select! {
                    () = &mut stopped => None,
                    ended = (session.work)(&mut connection) => Some(ended),
                };
                connected.store(false, Ordering::Relaxed);
                let Some(ended) = ended else {
                    let _ = tokio::time::timeout(GOODBYE, (session.goodbye)(connection)).await; // it will notice
                    return Ok(());
                };
                ended
            }
            Err(error) => Err(error),
        };
        // one line for each change of state
        if let Err(error) = lost
            && !std::mem::replace(&mut told, true)
        {
            tracing::warn!(broker, error = format!("{error:#}"), "no broker; trying again");
        }
        tokio::select! {
            () = &mut stopped => return Ok(()),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

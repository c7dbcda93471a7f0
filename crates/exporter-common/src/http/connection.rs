//! Serves one connection: TLS, HTTP/1.1 or HTTP/2, and its end.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Result;
use hyper::server::conn::http1;
#[cfg(feature = "http2")]
use hyper::server::conn::http2;
use hyper::service::{Service as _, service_fn};
#[cfg(feature = "http2")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;

use super::connection_limits::{ConnectionSlot, RequestGuard};
#[cfg(feature = "tls")]
use super::handshake;
use super::listen::{ClientSocket, ClientStream};
use super::monitored_stream::MonitoredStream;
use super::router::{self, Router};

/// The limit of the request headers in bytes; larger ones get 431.
const MAX_HEAD: usize = 32 * 1024;

/// The limit of concurrent requests of an HTTP/2 connection.
#[cfg(feature = "http2")]
const MAX_STREAMS: u32 = 8;

/// Serves a connection until it is closed.
pub(crate) async fn serve(
    stream: Box<dyn ClientSocket>,
    peer: Option<IpAddr>,
    slot: ConnectionSlot,
    router: Arc<Router>,
) {
    let monitored = slot.connection.clone();
    tokio::select! {
        served = converse(stream, peer, &slot, router) => if let Err(error) = served {
            tracing::debug!(error = format!("{error:#}"), "connection failed");
        },
        why = async {
            let why = monitored.overdue().await;
            if monitored.must_reset() {
                monitored.reset(); // before the response is dropped
            }
            why
        } => tracing::debug!(why, "connection closed"),
    }
}

async fn converse(
    stream: Box<dyn ClientSocket>,
    peer: Option<IpAddr>,
    slot: &ConnectionSlot,
    router: Arc<Router>,
) -> Result<()> {
    let stream = MonitoredStream::new(stream, slot.connection.clone());
    let tls = router.web.settings().await.tls.clone();
    let plain = tls.is_none();
    let (stream, http2): (Box<dyn ClientStream>, bool) = match tls {
        None => (Box::new(stream), false),
        #[cfg(feature = "tls")]
        Some(tls) => match handshake::accept(tls, stream).await? {
            Some(accepted) => accepted,
            None => return Ok(()),
        },
        #[cfg(not(feature = "tls"))]
        Some(tls) => match *tls {},
    };
    slot.connection.set_multiplexed(http2);
    let (connections, monitored) = (slot.connections.clone(), slot.connection.clone());
    let routes = router::routes(router, peer, move || RequestGuard::begin(&connections, &monitored));
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        router::with_path(&mut request);
        routes.call(request)
    });
    // connection_limits.rs has the deadlines
    let stream = TokioIo::new(stream);
    #[cfg(feature = "http2")]
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEAD as u32);
        return Ok(until_stopped(builder.serve_connection(stream, service), slot).await?);
    }
    let mut builder = http1::Builder::new();
    // a client may close its sending half after its request
    builder.header_read_timeout(None).max_buf_size(MAX_HEAD).half_close(true);
    until_stopped(builder.serve_connection(stream, service), slot).await.map_err(|error| {
        let unintelligible = plain && error.is_parse();
        let error = anyhow::Error::from(error);
        if unintelligible { error.context("not an HTTP request: the client may use TLS") } else { error }
    })
}

/// Serves a connection, which finishes its requests and ends when the exporter stops.
async fn until_stopped(
    connection: impl GracefulConnection<Error = hyper::Error>,
    slot: &ConnectionSlot,
) -> Result<(), hyper::Error> {
    let mut connection = pin!(connection);
    let mut stop = slot.connections.stop.subscribe();
    let result = tokio::select! {
        result = connection.as_mut() => Some(result),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    match result {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

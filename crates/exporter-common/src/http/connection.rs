//! Serves one connection: TLS, HTTP/1.1 or HTTP/2, and its end.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;

use super::connection_limits::{Connection, ConnectionSlot, RequestGuard};
use super::listen::ClientStream;
use super::router::{self, Router};

/// How long the head of a request may be, in bytes; a longer one is answered 431.
const MAX_HEAD: usize = 32 * 1024;

/// Serves a client to its end.
pub(crate) async fn serve(
    stream: Box<dyn ClientStream>,
    peer: Option<IpAddr>,
    place: ConnectionSlot,
    router: Arc<Router>,
) {
    let watched = place.watched.clone();
    tokio::select! {
        served = converse(stream, peer, &place, router) => if let Err(error) = served {
            tracing::debug!(error = format!("{error:#}"), "connection ended badly");
        },
        why = watched.overdue() => tracing::debug!(why, "connection closed"),
    }
}

async fn converse(
    stream: Box<dyn ClientStream>,
    peer: Option<IpAddr>,
    place: &ConnectionSlot,
    router: Arc<Router>,
) -> Result<()> {
    let mut stream = MonitoredStream { stream, watched: place.watched.clone(), first: Bytes::new() };
    let tls = router.web.settings().await.tls.clone();
    let plain = tls.is_none();
    let (stream, http2): (Box<dyn ClientStream>, bool) = match tls {
        None => (Box::new(stream), false),
        Some(tls) => {
            let mut first = [0; 5];
            stream.read_exact(&mut first).await?;
            if is_http(&first) {
                return refuse_plain(stream).await;
            }
            stream.first = Bytes::copy_from_slice(&first);
            let stream = match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
                Ok(stream) => stream,
                Err((error, stream)) => {
                    linger(stream).await?;
                    return Err(error).context("TLS");
                }
            };
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Box::new(stream), http2)
        }
    };
    place.watched.set_multiplexed(http2);
    let (connections, watched) = (place.connections.clone(), place.watched.clone());
    let routes = router::routes(router, peer, move || RequestGuard::begin(&connections, &watched));
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        // CONNECT names a host and no path, which warp's path filter panics at
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = http::Uri::from_static("/");
        }
        routes.call(request)
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    // the deadlines are ours
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD);
    builder.http2().max_concurrent_streams(32).max_header_list_size(MAX_HEAD as u32);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stop = place.connections.stop.subscribe();
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(|error| {
        let parse = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        let error = anyhow::anyhow!(error);
        if parse && plain { error.context("no HTTP request came; a client that speaks TLS?") } else { error }
    })
}

/// Whether a client that should greet in TLS sends a request, as Go tells it.
fn is_http(first: &[u8; 5]) -> bool {
    matches!(first, b"GET /" | b"HEAD " | b"POST " | b"PUT /" | b"OPTIO")
}

async fn refuse_plain(mut stream: MonitoredStream) -> Result<()> {
    let answer =
        b"HTTP/1.0 400 Bad RequestGuard\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
                   Client sent an HTTP request to an HTTPS server.\n";
    stream.write_all(answer).await?;
    linger(stream).await
}

/// Closes a connection such that the last words reach the client: one that is closed before everything was read is
/// reset, and they may be lost.
async fn linger(mut stream: MonitoredStream) -> Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MAX_HEAD as u64), &mut tokio::io::sink()).await?;
    Ok(())
}

/// The stream, which tells of progress.
struct MonitoredStream {
    stream: Box<dyn ClientStream>,
    watched: Arc<Connection>,
    /// Bytes that were read ahead.
    first: Bytes,
}

impl AsyncRead for MonitoredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.watched.read();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.watched.written();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, buffers));
        self.watched.written();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

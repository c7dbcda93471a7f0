//! Serves one connection: TLS, HTTP/1.1 or HTTP/2, and its end.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;

use super::connection_limits::{Connection, ConnectionSlot, RequestGuard};
use super::listen::{ClientSocket, ClientStream};
use super::router::{self, Router};

/// The limit of the request headers in bytes; larger ones get 431.
const MAX_HEAD: usize = 32 * 1024;

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
    let mut stream = MonitoredStream { stream, monitored: slot.connection.clone(), first: Bytes::new() };
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
    slot.connection.set_multiplexed(http2);
    let (connections, monitored) = (slot.connections.clone(), slot.connection.clone());
    let routes = router::routes(router, peer, move || RequestGuard::begin(&connections, &monitored));
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        // warp's path filter panics on CONNECT, which has a host instead of a path
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = http::Uri::from_static("/");
        }
        routes.call(request)
    });
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    // connection_limits.rs has the deadlines
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD);
    builder.http2().max_concurrent_streams(32).max_header_list_size(MAX_HEAD as u32);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stop = slot.connections.stop.subscribe();
    let result = tokio::select! {
        result = connection.as_mut() => Some(result),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let result = match result {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    result.map_err(|error| {
        let parse = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        let error = anyhow::anyhow!(error);
        if parse && plain { error.context("not an HTTP request: the client may use TLS") } else { error }
    })
}

/// Whether a client sends plain HTTP instead of TLS, by the same bytes as Go.
fn is_http(first: &[u8; 5]) -> bool {
    matches!(first, b"GET /" | b"HEAD " | b"POST " | b"PUT /" | b"OPTIO")
}

async fn refuse_plain(mut stream: MonitoredStream) -> Result<()> {
    let response = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
                   Client sent an HTTP request to an HTTPS server.\n";
    stream.write_all(response).await?;
    linger(stream).await
}

/// Closes a connection after the client's data is read. Otherwise the kernel resets it, and the client may lose the
/// response.
async fn linger(mut stream: MonitoredStream) -> Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(MAX_HEAD as u64), &mut tokio::io::sink()).await?;
    Ok(())
}

/// A stream that reports its progress, and that is reset if a response is incomplete.
struct MonitoredStream {
    stream: Box<dyn ClientSocket>,
    monitored: Arc<Connection>,
    /// Bytes that were read ahead.
    first: Bytes,
}

impl Drop for MonitoredStream {
    fn drop(&mut self) {
        if self.monitored.must_reset() {
            // the kernel also drops what it has not sent; if this fails, it sends that, and then a regular end
            let _ = SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
        }
    }
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
            self.monitored.read();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.monitored.written();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, buffers));
        self.monitored.written();
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

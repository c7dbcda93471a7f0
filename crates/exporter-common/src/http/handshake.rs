//! The TLS handshake of a connection.

use std::sync::Arc;

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::listen::ClientStream;
use super::monitored_stream::MonitoredStream;
use crate::tls::{ServerTls, explain_client_error};

/// The limit of bytes that are read from a refused client.
const MAX_IGNORED: u64 = 32 * 1024;

/// Accepts TLS. Returns the decrypted stream, and whether the client speaks HTTP/2; `None` if the client spoke plain HTTP
/// and got a response.
pub(super) async fn accept(
    tls: Arc<ServerTls>,
    mut stream: MonitoredStream,
) -> Result<Option<(Box<dyn ClientStream>, bool)>> {
    let mut first = [0; 5];
    stream.read_exact(&mut first).await?;
    if is_http(&first) {
        refuse_plain(stream).await?;
        return Ok(None);
    }
    stream.first = Bytes::copy_from_slice(&first);
    let stream = match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => {
            linger(stream).await?;
            let why = explain_client_error(&error).unwrap_or_else(|| error.to_string());
            bail!("TLS handshake failed: {why}");
        }
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Some((Box::new(stream), http2)))
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
    tokio::io::copy(&mut stream.take(MAX_IGNORED), &mut tokio::io::sink()).await?;
    Ok(())
}

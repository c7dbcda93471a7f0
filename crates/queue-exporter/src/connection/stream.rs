//! A connection to one address: TCP and TLS.

use std::fmt;

use anyhow::Result;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http::tls_error;
use crate::read_error::{Reason, read_error};

/// Host and port.
pub(crate) type Address = (String, u16);

/// Parses a host and a port as they are written in URLs.
pub(crate) fn parse_address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

/// A connected stream, encrypted or not.
pub(crate) trait Connected: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connected for S {}

/// Connects to an address; errors name `server`.
pub(crate) async fn connect(
    (host, port): Address,
    tls: Option<&TlsConnector>,
    server: &(dyn fmt::Display + Sync),
) -> Result<Box<dyn Connected>> {
    let failed = |reason, error: &dyn fmt::Display| read_error(reason, format!("cannot connect to {server}: {error}"));
    let stream = TcpStream::connect((host.as_str(), port)).await;
    let stream = stream.map_err(|error| failed(Reason::Connect, &error))?;
    stream.set_nodelay(true).map_err(|error| failed(Reason::Connect, &error))?;
    let Some(connector) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(host).map_err(|error| failed(Reason::Tls, &error))?;
    let encrypted = connector.connect(name, stream).await.map_err(|error| match tls_error(&error) {
        Some(text) => failed(Reason::Tls, &text),
        None => failed(Reason::Connect, &error),
    })?;
    Ok(Box::new(encrypted))
}

//! The connection to one address: TCP, TLS, and the start of the protocol or of a subscription.

use std::fmt;

use anyhow::Result;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connection::tls_error;
use crate::read_error::{Reason, read_error};

/// Host and port.
pub(super) type Address = (String, u16);

/// Parses a host and a port as they are written in URLs.
pub(super) fn parse_address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

/// A connected stream, encrypted or not.
pub(super) trait Connected: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connected for S {}

/// Connects to an address; errors name `server`.
pub(super) async fn connect(
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

/// An error of the connection or of the protocol, not of one command.
pub(super) fn transport_error(server: &(dyn fmt::Display + Sync), error: &RedisError) -> anyhow::Error {
    let reason = if error.is_io_error() { Reason::Connect } else { Reason::Protocol };
    read_error(reason, format!("{server}: {error}"))
}

/// Starts the protocol on a connected stream.
pub(super) async fn start_protocol<S>(stream: S) -> Result<MultiplexedConnection, RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // CLIENT SETINFO would need a permission that reading does not; the collector limits the time
    let info = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    tokio::spawn(driver); // it stops when the connection is dropped
    Ok(connection)
}

/// Subscribes to patterns of channels on a connected stream. The credentials are a user, which may be empty, and a
/// password.
pub(super) async fn subscribe(
    stream: Box<dyn Connected>,
    credentials: Option<(String, String)>,
    patterns: &[String],
) -> Result<PubSub, RedisError> {
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some((username, password)) = credentials {
        info = info.set_password(password);
        if !username.is_empty() {
            info = info.set_username(username);
        }
    }
    let mut subscription = PubSub::new(&info, stream).await?;
    for pattern in patterns {
        subscription.psubscribe(pattern).await?;
    }
    Ok(subscription)
}

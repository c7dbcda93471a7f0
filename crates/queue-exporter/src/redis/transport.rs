//! The start of Redis's protocol or of a subscription on a connected stream.

use std::fmt;

use anyhow::Result;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::Connected;
use crate::read_error::{Reason, read_error};

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

//! One Redis server: the connection to it that is kept, and commands in pipelines.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisError, ServerError, Value};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::tls_fault;
use crate::credentials::Credentials;
use crate::fault::{Reason, fault};
use crate::redis::{CREDENTIALS, add, field, list, refusal, said, text};
use crate::sentinel::Sentinel;

/// How servers are spoken to, all of a cluster alike.
pub(crate) struct Access {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) database: u32,
}

/// Host and port.
pub(crate) type Address = (String, u16);

/// A server by its address, or by who knows it.
pub(crate) struct Server {
    address: Address,
    /// Where the address is that of one that knows where Redis is.
    sentinel: Option<Sentinel>,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Whether it said on connecting that it is a node of a cluster.
    clustered: Mutex<Option<bool>>,
}

impl Server {
    pub(crate) fn new(address: Address, sentinel: Option<Sentinel>) -> Self {
        Self { address, sentinel, connection: Mutex::default(), clustered: Mutex::default() }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is a node of a cluster, as it said when it was last connected to.
    pub(crate) fn is_clustered(&self) -> bool {
        self.said() == Some(true)
    }

    /// Whether it said that it is none.
    pub(crate) fn is_alone(&self) -> bool {
        self.said() == Some(false)
    }

    fn said(&self) -> Option<bool> {
        *self.clustered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replies to some commands, among which may be errors of one command each. All commands only
    /// read, so they are sent again when a connection has ended since it was last used.
    pub(crate) async fn ask(&self, access: &Access, commands: &Pipeline) -> Result<Vec<Value>> {
        let kept = self.kept().take(); // kept again when it has answered: one that is half dead is not
        let replies = match kept {
            Some(mut connection) => match connection.send_packed_commands(commands, 0, commands.len()).await {
                Err(error) if error.is_io_error() || error.is_unrecoverable_error() => None,
                replies => Some((connection, replies)),
            },
            None => None,
        };
        let (connection, replies) = match replies {
            Some(replied) => replied,
            None => {
                let mut connection = self.connect(access).await?;
                let replies = connection.send_packed_commands(commands, 0, commands.len()).await;
                (connection, replies)
            }
        };
        let replies = replies.map_err(|error| self.fault(&error))?;
        let refused = replies.iter().find_map(|reply| match reply {
            Value::ServerError(error) if UNUSABLE.contains(&error.code()) => Some(error),
            _ => None,
        });
        if let Some(error) = refused {
            return Err(self.refusal(error));
        }
        self.kept().replace(connection);
        Ok(replies)
    }

    /// Connects where that is not done, so that it is known what it is.
    pub(crate) async fn meet(&self, access: &Access) -> Result<()> {
        if self.kept().is_none() {
            let connection = self.connect(access).await?;
            self.kept().replace(connection);
        }
        Ok(())
    }

    /// Gives up the connection: it is met elsewhere.
    pub(crate) fn part(&self) {
        self.kept().take();
    }

    async fn connect(&self, access: &Access) -> Result<MultiplexedConnection> {
        let cannot = |reason, error: &dyn fmt::Display| fault(reason, format!("cannot connect to {self}: {error}"));
        let (host, port) = match &self.sentinel {
            Some(sentinel) => sentinel.master().await?,
            None => self.address.clone(),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| cannot(Reason::Connect, &error))?;
        stream.set_nodelay(true).map_err(|error| cannot(Reason::Connect, &error))?;
        let started = match &access.tls {
            None => start(stream).await,
            Some(connector) => {
                let name = ServerName::try_from(host).map_err(|error| cannot(Reason::Tls, &error))?;
                let encrypted = connector.connect(name, stream).await;
                let failed = |error: std::io::Error| match tls_fault(&error) {
                    Some(text) => cannot(Reason::Tls, &text),
                    None => cannot(Reason::Connect, &error),
                };
                start(encrypted.map_err(failed)?).await
            }
        };
        let mut connection = started.map_err(|error| self.fault(&error))?;
        let mut commands = Pipeline::new();
        if let Some(credentials) = &access.credentials {
            let (username, password) = credentials.current();
            match username {
                "" => add(&mut commands, &["AUTH", &password]), // all that Redis knew before version 6
                name => add(&mut commands, &["AUTH", name, &password]),
            }
        }
        if access.database != 0 {
            add(&mut commands, &["SELECT", &access.database.to_string()]);
        }
        add(&mut commands, &["HELLO"]); // whom it greets needs no permission; before version 6 it is an error
        let replies = connection.send_packed_commands(&commands, 0, commands.len()).await;
        let mut replies = replies.map_err(|error| self.fault(&error))?;
        let greeting = replies.pop().unwrap_or_default();
        for reply in replies {
            if let Value::ServerError(error) = reply {
                let reason = if access.credentials.is_some() { Reason::Auth } else { Reason::Protocol };
                return Err(fault(reason, format!("{self} answered {}", said(&error))).context(CREDENTIALS));
            }
        }
        *self.clustered.lock().unwrap_or_else(PoisonError::into_inner) = Some(is_node_of_a_cluster(&greeting));
        Ok(connection)
    }

    fn fault(&self, error: &RedisError) -> anyhow::Error {
        let reason = if error.is_io_error() { Reason::Connect } else { Reason::Protocol };
        fault(reason, format!("{self}: {error}"))
    }

    fn refusal(&self, error: &ServerError) -> anyhow::Error {
        refusal(error).context(format!("{self}"))
    }

    fn kept(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = &self.address;
        if self.sentinel.is_some() {
            f.write_str("the master of Sentinel at ")?;
            return write!(f, "{host}:{port}");
        }
        if host.contains(':') { write!(f, "Redis at [{host}]:{port}") } else { write!(f, "Redis at {host}:{port}") }
    }
}

/// Errors of a Redis that answers none of our commands.
const UNUSABLE: &[&str] = &["NOAUTH", "WRONGPASS", "LOADING", "MASTERDOWN"];

fn is_node_of_a_cluster(greeting: &Value) -> bool {
    let mode = list(greeting).ok().and_then(|greeting| field(greeting, "mode"));
    mode.is_some_and(|mode| text(mode).ok().flatten() == Some("cluster"))
}

/// Begins to speak the protocol on a connection.
pub(crate) async fn start<S>(stream: S) -> Result<MultiplexedConnection, RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // what it would say of itself on connecting is not for reading; limits of time are the collector's
    let info = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    tokio::spawn(driver); // it ends with the connection
    Ok(connection)
}

/// A host and a port as they are written in URLs.
pub(crate) fn address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), port.parse().ok()?))
}

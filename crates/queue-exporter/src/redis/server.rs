//! One Redis server: its connection, which is reused, and pipelines of commands.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio_rustls::TlsConnector;

use super::commands::Commands;
use super::connection::{Connection, Subscription};
use super::replies::{CREDENTIALS_HINT, command_error, field, list, text};
use super::sentinel::Sentinel;
use super::value::Value;
use crate::connection::{Address, Connected, Credentials, connect};
use crate::read_error::{Reason, read_error};

/// The settings of connections to a server, the same for all nodes of a cluster.
pub(super) struct ServerSettings {
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<TlsConnector>,
    pub(super) database: u32,
}

pub(super) struct Server {
    /// The address of the server, or of the first Sentinel.
    address: Address,
    /// Resolves the address of the server, if set.
    sentinel: Option<Sentinel>,
    connection: Mutex<Option<Connection>>,
    /// Whether the server reported cluster mode when it was last connected to.
    cluster_mode: Mutex<Option<bool>>,
}

impl Server {
    pub(super) fn new(address: Address, sentinel: Option<Sentinel>) -> Self {
        Self { address, sentinel, connection: Mutex::default(), cluster_mode: Mutex::default() }
    }

    /// The same server without a connection.
    pub(super) fn unconnected(&self) -> Self {
        Self::new(self.address.clone(), self.sentinel.clone())
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether it is a node of a cluster, as of the last connect.
    pub(super) fn is_cluster_node(&self) -> bool {
        self.cluster_mode() == Some(true)
    }

    /// Whether it is a standalone server, as of the last connect.
    pub(super) fn is_standalone(&self) -> bool {
        self.cluster_mode() == Some(false)
    }

    fn cluster_mode(&self) -> Option<bool> {
        *self.cluster_mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replies to a pipeline; a reply may be the error of one command. All commands only read, so the pipeline is
    /// sent again if the reused connection turns out to be closed.
    pub(super) async fn query(&self, settings: &ServerSettings, commands: &Commands) -> Result<Vec<Value>> {
        // put back only after it has replied: a connection that hangs is not reused
        let reused = self.connection().take();
        let replies = match reused {
            Some(mut connection) => connection.query(commands).await.ok().map(|replies| (connection, replies)),
            None => None,
        };
        let (connection, replies) = match replies {
            Some(replied) => replied,
            None => {
                let mut connection = self.connect(settings).await?;
                let replies = connection.query(commands).await.with_context(|| self.to_string())?;
                (connection, replies)
            }
        };
        let refused = replies.iter().find_map(|reply| match reply {
            Value::Error(error) if UNUSABLE.contains(&error.code()) => Some(error),
            _ => None,
        });
        if let Some(error) = refused {
            return Err(command_error(error).context(self.to_string()));
        }
        self.connection().replace(connection);
        Ok(replies)
    }

    /// Connects unless connected, which detects cluster mode.
    pub(super) async fn ensure_connected(&self, settings: &ServerSettings) -> Result<()> {
        if self.connection().is_none() {
            let connection = self.connect(settings).await?;
            self.connection().replace(connection);
        }
        Ok(())
    }

    /// Closes the connection.
    pub(super) fn disconnect(&self) {
        self.connection().take();
    }

    async fn open(&self, settings: &ServerSettings) -> Result<Box<dyn Connected>> {
        let address = match &self.sentinel {
            Some(sentinel) => sentinel.primary().await?,
            None => self.address.clone(),
        };
        connect(address, settings.tls.as_ref(), self).await
    }

    /// A new connection with a subscription to patterns of channels.
    pub(super) async fn subscribe(&self, settings: &ServerSettings, patterns: &[String]) -> Result<Subscription> {
        let subscription = self.connect(settings).await?.subscribe(patterns).await;
        subscription.with_context(|| self.to_string())
    }

    async fn connect(&self, settings: &ServerSettings) -> Result<Connection> {
        let mut connection = Connection::new(self.open(settings).await?);
        let mut commands = Commands::default();
        if let Some(credentials) = &settings.credentials {
            let (username, password) = credentials.current();
            match username {
                "" => commands.add(&["AUTH", &password]), // the only form before Redis 6
                name => commands.add(&["AUTH", name, &password]),
            }
        }
        if settings.database != 0 {
            commands.add(&["SELECT", &settings.database.to_string()]);
        }
        commands.add(&["HELLO"]); // needs no permission; an error before Redis 6
        let mut replies = connection.query(&commands).await.with_context(|| self.to_string())?;
        let greeting = replies.pop().unwrap_or_default();
        for reply in replies {
            if let Value::Error(error) = reply {
                let reason = if settings.credentials.is_some() { Reason::Auth } else { Reason::Protocol };
                let text = format!("{self} returned {}", error.text());
                return Err(read_error(reason, text).context(CREDENTIALS_HINT));
            }
        }
        *self.cluster_mode.lock().unwrap_or_else(PoisonError::into_inner) = Some(reports_cluster_mode(&greeting));
        Ok(connection)
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = &self.address;
        if self.sentinel.is_some() {
            return write!(f, "the master of Sentinel at {host}:{port}");
        }
        if host.contains(':') { write!(f, "Redis at [{host}]:{port}") } else { write!(f, "Redis at {host}:{port}") }
    }
}

/// Errors of a Redis that accepts no read command.
const UNUSABLE: &[&str] = &["NOAUTH", "WRONGPASS", "LOADING", "MASTERDOWN"];

fn reports_cluster_mode(greeting: &Value) -> bool {
    let mode = list(greeting).ok().and_then(|greeting| field(greeting, "mode"));
    mode.is_some_and(|mode| text(mode).ok().flatten() == Some("cluster"))
}

//! The client: sends pipelines to the one server, or through the cluster.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Error, Result};
use tokio::time::timeout;

use super::cluster::Cluster;
use super::commands::Commands;
use super::connection::Subscription;
use super::replies::command_error;
use super::server::{Server, ServerSettings};
use super::url::{Target, parse};
use super::value::Value;
use crate::connection::{ConnectionSettings, Credentials};
use crate::read_error::{Reason, read_error};

/// The largest number of commands in one request.
const MAX_COMMANDS: usize = 5000;

pub(crate) struct RedisClient {
    /// The server in use is the first one; in a cluster, any nodes of it.
    servers: Vec<Arc<Server>>,
    settings: Arc<ServerSettings>,
    /// The key prefixes that the user configured.
    prefixes: Vec<String>,
    /// `None` for queue systems that do not work in a cluster.
    cluster: Option<Cluster>,
    /// How long one of several nodes may take.
    node_timeout: Duration,
    /// Whether the user was reported to lack the permission for `INFO`.
    pub(super) info_refused: AtomicBool,
}

impl RedisClient {
    /// A client for a queue system whose keys are on one server.
    pub(crate) fn single(settings: ConnectionSettings) -> Result<Self> {
        Self::new(settings, false)
    }

    /// A client for a queue system that also works in a cluster.
    pub(crate) fn single_or_cluster(settings: ConnectionSettings) -> Result<Self> {
        Self::new(settings, true)
    }

    fn new(settings: ConnectionSettings, clusters: bool) -> Result<Self> {
        let node_timeout = settings.timeout / 4;
        let Target { servers, settings, prefixes } = parse(settings, clusters)?;
        let cluster = clusters.then(|| Cluster::new(node_timeout));
        Ok(Self {
            servers,
            settings: Arc::new(settings),
            prefixes,
            cluster,
            node_timeout,
            info_refused: AtomicBool::new(false),
        })
    }

    /// Another client for the same servers with separate connections, for use at the same time.
    pub(crate) fn second_connection(&self) -> Self {
        Self {
            servers: self.servers.iter().map(|server| Arc::new(server.unconnected())).collect(),
            settings: self.settings.clone(),
            prefixes: self.prefixes.clone(),
            cluster: self.cluster.as_ref().map(|_| Cluster::new(self.node_timeout)),
            node_timeout: self.node_timeout,
            info_refused: AtomicBool::new(false),
        }
    }

    /// Detects a cluster and updates its nodes, as every list of keys does.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.servers().await.map(drop)
    }

    /// A subscription to patterns of channels of the one server, on a separate connection.
    pub(crate) async fn subscribe(&self, patterns: &[String]) -> Result<Subscription> {
        self.servers[0].subscribe(&self.settings, patterns).await
    }

    /// The number of the database.
    pub(crate) fn database(&self) -> u32 {
        self.settings.database
    }

    /// The key prefixes that the user configured; empty if none.
    pub(crate) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.settings.credentials.as_ref()
    }

    /// Every server that has keys. Called at the beginning of a read.
    pub(super) async fn servers(&self) -> Result<Vec<Arc<Server>>> {
        let Some(cluster) = &self.cluster else { return Ok(self.servers.clone()) };
        if !cluster.is_known() && !self.detect_cluster().await? {
            return Ok(self.servers[..1].to_vec());
        }
        cluster.refresh(&self.settings, &self.servers).await
    }

    /// The servers of the last read.
    pub(super) fn known_servers(&self) -> Vec<Arc<Server>> {
        let primaries = self.cluster.as_ref().and_then(Cluster::primaries);
        primaries.unwrap_or_else(|| self.servers[..1].to_vec())
    }

    /// Whether the first server that responds is a node of a cluster.
    async fn detect_cluster(&self) -> Result<bool> {
        if let [server] = &self.servers[..] {
            server.ensure_connected(&self.settings).await?;
            return Ok(server.is_cluster_node());
        }
        let mut last_error = read_error(Reason::Connect, "no node is configured");
        for server in &self.servers {
            let late = |_| Err(read_error(Reason::Timeout, format!("{server}: no response")));
            match timeout(self.node_timeout, server.ensure_connected(&self.settings)).await.unwrap_or_else(late) {
                Ok(()) if server.is_cluster_node() => return Ok(true),
                Ok(()) => {
                    let text = format!("{server} is not a node of a cluster: remove node=… from --queue.url");
                    last_error = read_error(Reason::Protocol, text);
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster.as_ref().is_some_and(Cluster::is_known)
    }

    /// The error if no node serves some slots of the cluster.
    pub(super) fn uncovered_slots(&self) -> Option<Error> {
        self.cluster.as_ref()?.uncovered_slots()
    }

    /// The replies to a pipeline; a reply may be the error of one command. A long pipeline is sent in parts, between which
    /// the server can serve its other clients.
    pub(crate) async fn query(&self, commands: &Commands) -> Result<Vec<Value>> {
        if commands.len() <= MAX_COMMANDS {
            return self.query_part(commands).await;
        }
        let mut replies = Vec::with_capacity(commands.len());
        for start in (0..commands.len()).step_by(MAX_COMMANDS) {
            let mut part = Commands::with_capacity(MAX_COMMANDS);
            (start..commands.len().min(start + MAX_COMMANDS)).for_each(|position| part.add_from(commands, position));
            replies.extend(self.query_part(&part).await?);
        }
        Ok(replies)
    }

    async fn query_part(&self, commands: &Commands) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        match &self.cluster {
            Some(cluster) if cluster.is_known() => cluster.query(&self.settings, commands).await,
            _ => {
                let replies = self.servers[0].query(&self.settings, commands).await?;
                self.refuse_cluster_node(&self.servers[0])?;
                Ok(replies)
            }
        }
    }

    /// The reply to one command.
    pub(crate) async fn query_one<W: AsRef<[u8]>>(&self, command: &[W]) -> Result<Value> {
        let mut commands = Commands::default();
        commands.add(command);
        let reply = self.query(&commands).await?.pop().unwrap_or_default();
        match &reply {
            Value::Error(error) => Err(command_error(error).context(self.servers[0].to_string())),
            _ => Ok(reply),
        }
    }

    /// The reply of one of the servers to a command without a key.
    pub(super) async fn query_server(&self, server: &Server, command: &[&str]) -> Result<Value> {
        match &self.cluster {
            Some(cluster) if cluster.is_known() => cluster.query_node_one(&self.settings, server, command).await,
            _ => self.query_one(command).await,
        }
    }

    /// Refuses replies of a cluster node that was read as a standalone server: it has only a part of the keys.
    fn refuse_cluster_node(&self, server: &Server) -> Result<()> {
        if !server.is_cluster_node() {
            return Ok(());
        }
        let text = match self.cluster {
            Some(_) => "has become a node of a cluster: the next read uses the cluster",
            None => {
                "is a node of a Redis Cluster, which this queue system does not support: set --queue.url to the Redis \
                 that the queue system uses"
            }
        };
        Err(read_error(Reason::Protocol, format!("{server} {text}")))
    }
}

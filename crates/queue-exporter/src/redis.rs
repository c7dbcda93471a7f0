//! A Redis to read: one server, or a cluster of them; commands in pipelines, and what replies say.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::UsageError;
use redis::{Pipeline, ServerError, Value};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Connection;
use crate::cluster::{Cluster, unread};
use crate::credentials::Credentials;
use crate::fault::{Reason, fault};
use crate::sentinel::Sentinel;
use crate::server::{Access, Server, address};

/// The schemes of a Redis.
pub(crate) const SCHEMES: &[&str] = &["redis", "rediss", SENTINEL];

const SENTINEL: &str = "redis-sentinel";

pub(crate) struct Redis {
    /// Where the URL says: the first of them, or any node of a cluster.
    servers: Vec<Arc<Server>>,
    access: Access,
    /// What all keys of a system begin with, where a user has chosen it.
    prefixes: Vec<String>,
    /// `None` for systems that do not work in one.
    cluster: Option<Cluster>,
    patience: Duration,
}

impl Redis {
    /// From `redis://user:password@host:port/database?prefix=…`, `rediss://` for TLS, or
    /// `redis-sentinel://…/database?master=…&sentinel=host:port`, for a system whose keys are on one server.
    pub(crate) fn new(connection: Connection) -> Result<Self> {
        Self::read(connection, false)
    }

    /// The same for a system that works in a cluster as well: any of its nodes is named, and others with
    /// `node=host:port`.
    pub(crate) fn or_cluster(connection: Connection) -> Result<Self> {
        Self::read(connection, true)
    }

    fn read(connection: Connection, clusters: bool) -> Result<Self> {
        let Connection { mut url, username, password_file, tls, timeout } = connection;
        let encrypted = url.scheme() == "rediss";
        let config = tls.config(encrypted)?;
        let credentials = Credentials::optional_name(&mut url, username, password_file)?;
        let host = host(&url)?;
        if encrypted {
            ServerName::try_from(host.as_str()).context("the host of --queue.url is no name for TLS")?;
        }
        let tls = encrypted.then(|| TlsConnector::from(Arc::new(config)));
        let database = match url.path().trim_matches('/') {
            "" => 0,
            path => {
                path.parse().map_err(|_| UsageError::new("--queue.url: the database after the host is no number"))?
            }
        };
        let by_sentinel = url.scheme() == SENTINEL;
        let (mut prefixes, mut master, mut others) = (Vec::new(), None, Vec::new());
        for (key, value) in url.query_pairs() {
            let other = || {
                let what = format!("--queue.url: {key}=… has to be a host:port");
                address(&value).ok_or_else(|| UsageError::new(what))
            };
            match &*key {
                "prefix" if clusters || prefixes.is_empty() => prefixes.push(value.into_owned()),
                "prefix" => bail!(UsageError::new("--queue.url: this queue system has one prefix at most")),
                "master" if by_sentinel => master = Some(value.into_owned()),
                "sentinel" if by_sentinel => others.push(other()?),
                "node" if clusters && !by_sentinel => others.push(other()?),
                _ if by_sentinel => {
                    bail!(UsageError::new("--queue.url knows no parameters but prefix, master and sentinel"))
                }
                _ if clusters => bail!(UsageError::new("--queue.url knows no parameters but prefix and node")),
                _ => bail!(UsageError::new("--queue.url knows no parameter but prefix")),
            }
        }
        let first = (host, url.port().unwrap_or(if by_sentinel { 26379 } else { 6379 }));
        let servers = if by_sentinel {
            let sentinel = Sentinel::new(first.clone(), master, others)?;
            vec![Arc::new(Server::new(first, Some(sentinel)))]
        } else {
            [first].into_iter().chain(others).map(|address| Arc::new(Server::new(address, None))).collect()
        };
        let patience = timeout / 4;
        let cluster = clusters.then(|| Cluster::new(patience));
        Ok(Self { servers, access: Access { credentials, tls, database }, prefixes, cluster, patience })
    }

    /// What keys begin with, where it was given: one of these.
    pub(crate) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// Who is asking.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.access.credentials.as_ref()
    }

    /// Every server that has keys, at the beginning of a read.
    pub(crate) async fn servers(&self) -> Result<Vec<Arc<Server>>> {
        let Some(cluster) = &self.cluster else { return Ok(self.servers.clone()) };
        if !cluster.is_known() && !self.meet().await? {
            return Ok(self.servers[..1].to_vec());
        }
        cluster.primaries(&self.access, &self.servers).await
    }

    /// Whether the first that answers is a node of a cluster.
    async fn meet(&self) -> Result<bool> {
        if let [server] = &self.servers[..] {
            server.meet(&self.access).await?;
            return Ok(server.is_clustered());
        }
        let mut last = fault(Reason::Connect, "no node");
        for server in &self.servers {
            let late = |_| Err(fault(Reason::Timeout, format!("{server}: no answer")));
            match timeout(self.patience, server.meet(&self.access)).await.unwrap_or_else(late) {
                Ok(()) if server.is_clustered() => return Ok(true),
                Ok(()) => last = fault(Reason::Protocol, format!("{server} is no node of a cluster: leave out node=…")),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster.as_ref().is_some_and(Cluster::is_known)
    }

    /// What is wrong when the cluster has no server for some keys.
    pub(crate) fn hole(&self) -> Option<anyhow::Error> {
        self.cluster.as_ref()?.hole()
    }

    /// The replies to some commands, among which may be errors of one command each.
    pub(crate) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        match &self.cluster {
            Some(cluster) if cluster.is_known() => cluster.ask(&self.access, commands).await,
            _ => {
                let replies = self.servers[0].ask(&self.access, commands).await?;
                self.refuse_a_part(&self.servers[0])?;
                Ok(replies)
            }
        }
    }

    /// The reply to one command.
    pub(crate) async fn ask_one<A: redis::ToRedisArgs>(&self, command: &[A]) -> Result<Value> {
        let mut commands = Pipeline::new();
        add(&mut commands, command);
        let reply = self.ask(&commands).await?.pop().unwrap_or_default();
        match &reply {
            Value::ServerError(error) => Err(refusal(error).context(self.servers[0].to_string())),
            _ => Ok(reply),
        }
    }

    /// The reply of one of the servers to a command without a key.
    pub(crate) async fn ask_at(&self, server: &Server, command: &[&str]) -> Result<Value> {
        match &self.cluster {
            Some(cluster) if cluster.is_known() => cluster.ask_node_one(&self.access, server, command).await,
            _ => self.ask_one(command).await,
        }
    }

    /// Refuses what a node of a cluster says as if there were no other.
    fn refuse_a_part(&self, server: &Server) -> Result<()> {
        if !server.is_clustered() {
            return Ok(());
        }
        let text = match self.cluster {
            Some(_) => "is a node of a cluster now", // and is read as one with the next read
            None => {
                "is a node of a Redis Cluster, in which this queue system does not work: name the Redis that it uses"
            }
        };
        Err(fault(Reason::Protocol, format!("{server} {text}")))
    }
}

pub(crate) const CREDENTIALS: &str = "check --queue.username, --queue.password-file and the database";

/// The host of a URL whose scheme has no rules of its own.
pub(crate) fn host(url: &Url) -> Result<String> {
    let host = url.host_str().context("--queue.url has no host")?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// Adds a command, given as its words.
pub(crate) fn add<A: redis::ToRedisArgs>(commands: &mut Pipeline, words: &[A]) {
    let mut command = redis::Cmd::new();
    command.arg(words);
    commands.add_command(command);
}

pub(crate) fn said(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default()).trim_end().to_owned()
}

/// What an error in reply to one command means.
pub(crate) fn refusal(error: &ServerError) -> anyhow::Error {
    if let Some(fault) = unread(error) {
        return fault;
    }
    let text = format!("answered {}", said(error));
    match error.code() {
        "NOAUTH" | "WRONGPASS" => fault(Reason::Auth, text).context(CREDENTIALS),
        "NOPERM" => fault(Reason::Auth, text).context("the user may not do what is needed, see the ACL in the docs"),
        "WRONGTYPE" => fault(Reason::Parse, text),
        _ => fault(Reason::Protocol, text),
    }
}

/// The fault of a node of a cluster that has not replied at all, where others may have.
pub(crate) fn lost(reply: &Value) -> Option<anyhow::Error> {
    match reply {
        Value::ServerError(error) => unread(error),
        _ => None,
    }
}

/// A whole number from 0; `None` where there is none.
pub(crate) fn count(reply: &Value) -> Result<Option<u64>> {
    match reply {
        Value::Nil => Ok(None),
        Value::Int(number) => Ok(Some(u64::try_from(*number)?)),
        Value::BulkString(text) => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number.map(Some).with_context(|| format!("{:?} is no count", String::from_utf8_lossy(text)))
        }
        Value::ServerError(error) => Err(refusal(error)),
        _ => Err(anyhow!("an answer that is no number")),
    }
}

/// A text; `None` where there is none.
pub(crate) fn text(reply: &Value) -> Result<Option<&str>> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(text) => Ok(Some(std::str::from_utf8(text).context("an answer that is not UTF-8")?)),
        Value::SimpleString(text) => Ok(Some(text)),
        Value::ServerError(error) => Err(refusal(error)),
        _ => Err(anyhow!("an answer that is no text")),
    }
}

/// A list, which is empty where there is none.
pub(crate) fn list(reply: &Value) -> Result<&[Value]> {
    match reply {
        Value::Nil => Ok(&[]),
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::ServerError(error) => Err(refusal(error)),
        _ => Err(anyhow!("an answer that is no list")),
    }
}

/// The value of a field in a list of fields and values.
pub(crate) fn field<'a>(list: &'a [Value], name: &str) -> Option<&'a Value> {
    let pairs = list.chunks_exact(2).map(|pair| (&pair[0], &pair[1]));
    pairs.into_iter().find(|(key, _)| text(key).ok().flatten() == Some(name)).map(|(_, value)| value)
}

/// The replies to some commands for each of several things, in turn.
pub(crate) struct Replies(std::vec::IntoIter<Value>);

impl Replies {
    pub(crate) fn new(replies: Vec<Value>) -> Self {
        Self(replies.into_iter())
    }

    pub(crate) fn next<const N: usize>(&mut self) -> [Value; N] {
        std::array::from_fn(|_| self.0.next().unwrap_or_default())
    }
}

/// The names in a list. One that is not UTF-8 becomes another, which is not found and costs only itself.
pub(crate) fn names(reply: &Value) -> Result<Vec<String>> {
    let name = |name: &Value| match name {
        Value::BulkString(name) => Ok(String::from_utf8_lossy(name).into_owned()),
        _ => Err(anyhow!("a name in the list of queues is no text")),
    };
    list(reply)?.iter().map(name).collect()
}

/// A text that stands for itself in a pattern of keys.
pub(crate) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis(url: &str) -> Result<Redis> {
        let url = Url::parse(url).unwrap();
        let timeout = Duration::from_secs(5);
        Redis::or_cluster(Connection { url, username: None, password_file: None, tls: Default::default(), timeout })
    }

    fn said(read: &Redis) -> Vec<String> {
        read.servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_url_says_where_and_what() {
        let read = redis("redis://:p%40ss@[::1]:7000/3?prefix=shop:jobs").unwrap();
        assert_eq!((read.access.database, read.prefixes()), (3, ["shop:jobs".to_owned()].as_slice()));
        assert_eq!(read.credentials().map(|it| it.current().1), Some("p@ss".to_owned()));
        assert_eq!(said(&read), ["Redis at [::1]:7000"]);
        let plain = redis("redis://h").unwrap();
        assert_eq!((plain.access.database, plain.prefixes().len(), plain.credentials().is_none()), (0, 0, true));
        assert_eq!(said(&plain), ["Redis at h:6379"]);
        let sentinel = redis("redis-sentinel://a/2?master=m&sentinel=b:1&sentinel=[::1]:2").unwrap();
        assert_eq!(
            (said(&sentinel), sentinel.access.database),
            (vec!["the master of Sentinel at a:26379".to_owned()], 2)
        );
        let cluster = redis("redis://a?node=b:1&node=[::1]:2").unwrap();
        assert_eq!(said(&cluster), ["Redis at a:6379", "Redis at b:1", "Redis at [::1]:2"]);
        for wrong in [
            "redis://h/x",
            "redis://h/-1",
            "redis://h?db=1",
            "redis://h?master=m",
            "redis://h?node=b",
            "redis-sentinel://a",
            "redis-sentinel://a?master=m&sentinel=b",
            "redis-sentinel://a?master=m&sentinel=b:x",
            "redis-sentinel://a?master=m&node=b:1",
        ] {
            assert!(redis(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_special_in_a_pattern_stands_for_itself() {
        assert_eq!(literal("{bull}:a*b[c]"), "{bull}:a\\*b\\[c\\]");
    }

    #[test]
    fn an_answer_of_another_kind_is_told_and_nothing_is_none() {
        assert_eq!(count(&Value::Nil).unwrap(), None);
        assert_eq!(count(&Value::BulkString(b"12".to_vec())).unwrap(), Some(12));
        for wrong in [Value::Int(-1), Value::BulkString(b"x".to_vec()), Value::Array(Vec::new()), Value::Okay] {
            assert!(count(&wrong).is_err(), "{wrong:?}");
        }
        assert!(text(&Value::BulkString(vec![0xff])).is_err() && list(&Value::Int(1)).is_err());
    }
}

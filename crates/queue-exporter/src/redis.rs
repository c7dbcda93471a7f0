//! A Redis to read: one connection that is kept, commands in pipelines, keys found by their names.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::UsageError;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisError, ServerError, Value};
use reqwest::Url;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::Connection;
use crate::client::tls_fault;
use crate::credentials::Credentials;
use crate::fault::{Reason, fault};
use crate::sentinel::Sentinel;

/// The schemes of a Redis.
pub(crate) const SCHEMES: &[&str] = &["redis", "rediss", SENTINEL];

const SENTINEL: &str = "redis-sentinel";

pub(crate) struct Redis {
    host: String,
    port: u16,
    /// Where host and port are those of one that knows where Redis is.
    sentinel: Option<Sentinel>,
    database: u32,
    /// What all keys of a system begin with, where a user has chosen it.
    prefix: Option<String>,
    credentials: Option<Credentials>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    /// From `redis://user:password@host:port/database?prefix=…`, `rediss://` for TLS, or
    /// `redis-sentinel://…/database?master=…&sentinel=host:port`.
    pub(crate) fn new(connection: Connection) -> Result<Self> {
        let Connection { mut url, username, password_file, tls } = connection;
        let encrypted = url.scheme() == "rediss";
        let config = tls.config(encrypted)?;
        let credentials = Credentials::optional_name(&mut url, username, password_file)?;
        let host = host(&url)?;
        let tls = if encrypted {
            let name = ServerName::try_from(host.clone()).context("the host of --queue.url is no name for TLS")?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        let database = match url.path().trim_matches('/') {
            "" => 0,
            path => {
                path.parse().map_err(|_| UsageError::new("--queue.url: the database after the host is no number"))?
            }
        };
        let by_sentinel = url.scheme() == SENTINEL;
        let (mut prefix, mut master, mut others) = (None, None, Vec::new());
        for (key, value) in url.query_pairs() {
            match &*key {
                "prefix" => prefix = Some(value.into_owned()),
                "master" if by_sentinel => master = Some(value.into_owned()),
                "sentinel" if by_sentinel => others.push(value.into_owned()),
                _ if by_sentinel => {
                    bail!(UsageError::new("--queue.url knows no parameters but prefix, master and sentinel"))
                }
                _ => bail!(UsageError::new("--queue.url knows no parameter but prefix")),
            }
        }
        let port = url.port().unwrap_or(if by_sentinel { 26379 } else { 6379 });
        let sentinel = by_sentinel.then(|| Sentinel::new((host.clone(), port), master, &others)).transpose()?;
        Ok(Self { host, port, sentinel, database, prefix, credentials, tls, connection: Mutex::default() })
    }

    /// What all keys begin with, where it was given.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// Who is asking.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The replies to some commands, among which may be errors of one command each. All commands only
    /// read, so they are sent again when a connection has ended since it was last used.
    pub(crate) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
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
                let mut connection = self.connect().await?;
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

    /// The reply to one command.
    pub(crate) async fn ask_one<A: redis::ToRedisArgs>(&self, command: &[A]) -> Result<Value> {
        let mut commands = Pipeline::new();
        add(&mut commands, command);
        let reply = self.ask(&commands).await?.pop().unwrap_or_default();
        match &reply {
            Value::ServerError(error) => Err(self.refusal(error)),
            _ => Ok(reply),
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        let cannot =
            |reason, error: &dyn std::fmt::Display| fault(reason, format!("cannot connect to {self}: {error}"));
        let (host, port) = match &self.sentinel {
            Some(sentinel) => sentinel.master().await?,
            None => (self.host.clone(), self.port),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| cannot(Reason::Connect, &error))?;
        stream.set_nodelay(true).map_err(|error| cannot(Reason::Connect, &error))?;
        let started = match &self.tls {
            None => start(stream).await,
            Some((connector, name)) => {
                let encrypted = connector.connect(name.clone(), stream).await;
                let failed = |error: std::io::Error| match tls_fault(&error) {
                    Some(text) => cannot(Reason::Tls, &text),
                    None => cannot(Reason::Connect, &error),
                };
                start(encrypted.map_err(failed)?).await
            }
        };
        let mut connection = started.map_err(|error| self.fault(&error))?;
        let mut commands = Pipeline::new();
        if let Some(credentials) = &self.credentials {
            let (username, password) = credentials.current();
            match username {
                "" => add(&mut commands, &["AUTH", &password]), // all that Redis knew before version 6
                name => add(&mut commands, &["AUTH", name, &password]),
            }
        }
        if self.database != 0 {
            add(&mut commands, &["SELECT", &self.database.to_string()]);
        }
        if !commands.is_empty() {
            let replies = connection.send_packed_commands(&commands, 0, commands.len()).await;
            for reply in replies.map_err(|error| self.fault(&error))? {
                if let Value::ServerError(error) = reply {
                    let reason = if self.credentials.is_some() { Reason::Auth } else { Reason::Protocol };
                    return Err(fault(reason, format!("{self} answered {}", said(&error))).context(CREDENTIALS));
                }
            }
        }
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

impl std::fmt::Display for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, sentinel, .. } = self;
        if sentinel.is_some() {
            f.write_str("the master of Sentinel at ")?;
            return write!(f, "{host}:{port}");
        }
        if host.contains(':') { write!(f, "Redis at [{host}]:{port}") } else { write!(f, "Redis at {host}:{port}") }
    }
}

const CREDENTIALS: &str = "check --queue.username, --queue.password-file and the database";

/// Errors of a Redis that answers none of our commands.
const UNUSABLE: &[&str] = &["NOAUTH", "WRONGPASS", "LOADING", "MASTERDOWN"];

/// The host of a URL whose scheme has no rules of its own.
pub(crate) fn host(url: &Url) -> Result<String> {
    let host = url.host_str().context("--queue.url has no host")?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
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

/// Adds a command, given as its words.
pub(crate) fn add<A: redis::ToRedisArgs>(commands: &mut Pipeline, words: &[A]) {
    let mut command = redis::Cmd::new();
    command.arg(words);
    commands.add_command(command);
}

fn said(error: &ServerError) -> String {
    format!("{} {}", error.code(), error.details().unwrap_or_default()).trim_end().to_owned()
}

/// What an error in reply to one command means.
pub(crate) fn refusal(error: &ServerError) -> anyhow::Error {
    let text = format!("answered {}", said(error));
    match error.code() {
        "NOAUTH" | "WRONGPASS" => fault(Reason::Auth, text).context(CREDENTIALS),
        "NOPERM" => fault(Reason::Auth, text).context("the user may not do what is needed, see the ACL in the docs"),
        "WRONGTYPE" => fault(Reason::Parse, text),
        _ => fault(Reason::Protocol, text),
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

/// Keys found by a pattern, for systems that keep no list of their queues. Looking for them goes over all
/// keys, so where that is not quick it takes a twentieth of the time at most: in between, those found are known.
pub(crate) struct Keys {
    pattern: String,
    /// The type of the keys.
    kind: &'static str,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    keys: BTreeSet<String>,
    /// Not to be looked for again before.
    rest: Option<Instant>,
    /// A search under way, which a call that ran out of time leaves to the next.
    cursor: String,
    new: BTreeSet<String>,
    spent: Duration,
}

impl Keys {
    pub(crate) fn new(pattern: String, kind: &'static str) -> Self {
        Self { pattern, kind, found: Mutex::default() }
    }

    /// Every key.
    pub(crate) async fn find(&self, redis: &Redis) -> Result<Vec<String>> {
        loop {
            let cursor = {
                let mut found = self.found();
                if found.rest.is_some_and(|rest| Instant::now() < rest) {
                    return Ok(found.keys.iter().cloned().collect());
                }
                if found.cursor.is_empty() {
                    found.cursor = "0".to_owned();
                }
                found.cursor.clone()
            };
            let began = Instant::now();
            let scan = ["SCAN", &cursor, "MATCH", &self.pattern, "COUNT", "1000", "TYPE", self.kind];
            let reply = redis.ask_one(&scan).await;
            let mut found = self.found();
            found.spent += began.elapsed();
            match reply
                .and_then(|reply| Ok((text(item(&reply, 0)?)?.unwrap_or("0").to_owned(), names(item(&reply, 1)?)?)))
            {
                Ok((next, names)) => {
                    found.new.extend(names);
                    found.cursor = next;
                }
                Err(error) => {
                    (found.cursor, found.new, found.spent) = Default::default();
                    return Err(error);
                }
            }
            if found.cursor == "0" {
                found.keys = std::mem::take(&mut found.new);
                found.rest = Some(Instant::now() + found.spent.saturating_sub(QUICK) * 19);
                (found.cursor, found.spent) = Default::default();
                return Ok(found.keys.iter().cloned().collect());
            }
        }
    }

    /// Forgets a key that is gone.
    pub(crate) fn forget(&self, key: &str) {
        self.found().keys.remove(key);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A search as short as this needs no rest.
const QUICK: Duration = Duration::from_millis(250);

fn item(reply: &Value, at: usize) -> Result<&Value> {
    list(reply)?.get(at).context("an answer that is too short")
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
        Redis::new(Connection { url, username: None, password_file: None, tls: Default::default() })
    }

    #[test]
    fn a_url_says_where_and_what() {
        let read = redis("redis://:p%40ss@[::1]:7000/3?prefix=shop:jobs").unwrap();
        assert_eq!((read.host.as_str(), read.port, read.database, read.prefix()), ("::1", 7000, 3, Some("shop:jobs")));
        assert_eq!(read.credentials.as_ref().map(|it| it.current().1), Some("p@ss".to_owned()));
        assert_eq!(read.to_string(), "Redis at [::1]:7000");
        let plain = redis("redis://h").unwrap();
        assert_eq!((plain.port, plain.database, plain.prefix(), plain.credentials.is_none()), (6379, 0, None, true));
        let sentinel = redis("redis-sentinel://a/2?master=m&sentinel=b:1").unwrap();
        assert_eq!((sentinel.port, sentinel.database), (26379, 2));
        for wrong in ["redis://h/x", "redis://h/-1", "redis://h?db=1", "redis://h?master=m", "redis-sentinel://a"] {
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

//! `--queue.url` of a Redis: servers, database, key prefixes, Sentinel or cluster.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use exporter_common::UsageError;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::sentinel::Sentinel;
use super::server::{Server, ServerSettings};
use crate::connection::{ConnectionSettings, Credentials, parse_address, url_host};

/// The URL schemes of a Redis.
pub(crate) const SCHEMES: &[&str] = &["redis", "rediss", SENTINEL];

const SENTINEL: &str = "redis-sentinel";

/// What a URL and the flags configure.
pub(super) struct Target {
    pub(super) servers: Vec<Arc<Server>>,
    pub(super) settings: ServerSettings,
    pub(super) prefixes: Vec<String>,
}

/// Parses `redis://user:password@host:port/database?prefix=…`, `rediss://` for TLS, or
/// `redis-sentinel://…/database?master=…&sentinel=host:port`. A queue system that works in a cluster (`clusters`) also
/// accepts additional nodes as `node=host:port`, and several prefixes.
pub(super) fn parse(settings: ConnectionSettings, clusters: bool) -> Result<Target> {
    let ConnectionSettings { mut url, username, password_file, tls, .. } = settings;
    let encrypted = url.scheme() == "rediss";
    let config = tls.config(encrypted)?;
    let credentials = Credentials::optional_name(&mut url, username, password_file)?;
    let host = url_host(&url)?;
    if encrypted {
        ServerName::try_from(host.as_str()).context("the host of --queue.url is not a valid TLS server name")?;
    }
    let tls = encrypted.then(|| TlsConnector::from(Arc::new(config)));
    let database = match url.path().trim_matches('/') {
        "" => 0,
        path => {
            path.parse().map_err(|_| UsageError::new("--queue.url: the database after the host is not a number"))?
        }
    };
    let with_sentinel = url.scheme() == SENTINEL;
    let (mut prefixes, mut master, mut others) = (Vec::new(), None, Vec::new());
    for (key, value) in url.query_pairs() {
        let other = || {
            let error = format!("--queue.url: {key}=… is not a host:port");
            parse_address(&value).ok_or_else(|| UsageError::new(error))
        };
        match &*key {
            "prefix" if clusters || prefixes.is_empty() => prefixes.push(value.into_owned()),
            "prefix" => bail!(UsageError::new("--queue.url: this queue system accepts one prefix only")),
            "master" if with_sentinel => master = Some(value.into_owned()),
            "sentinel" if with_sentinel => others.push(other()?),
            "node" if clusters && !with_sentinel => others.push(other()?),
            _ => {
                let known = match (with_sentinel, clusters) {
                    (true, _) => "prefix, master, sentinel",
                    (false, true) => "prefix, node",
                    (false, false) => "prefix",
                };
                bail!(UsageError::new(format!("--queue.url: unknown parameter: valid parameters: {known}")));
            }
        }
    }
    let first = (host, url.port().unwrap_or(if with_sentinel { 26379 } else { 6379 }));
    let servers = if with_sentinel {
        let sentinel = Sentinel::new(first.clone(), master, others)?;
        vec![Arc::new(Server::new(first, Some(sentinel)))]
    } else {
        [first].into_iter().chain(others).map(|address| Arc::new(Server::new(address, None))).collect()
    };
    Ok(Target { servers, settings: ServerSettings { credentials, tls, database }, prefixes })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn target(url: &str) -> Result<Target> {
        let url = url.parse().unwrap();
        let (tls, timeout) = (Default::default(), Duration::from_secs(5));
        parse(ConnectionSettings { url, username: None, password_file: None, tls, query_file: None, timeout }, true)
    }

    fn servers(target: &Target) -> Vec<String> {
        target.servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_url_names_servers_database_and_prefixes() {
        let read = target("redis://:p%40ss@[::1]:7000/3?prefix=shop:jobs").unwrap();
        assert_eq!((read.settings.database, read.prefixes.as_slice()), (3, ["shop:jobs".to_owned()].as_slice()));
        assert_eq!(read.settings.credentials.as_ref().map(|it| it.current().1), Some("p@ss".to_owned()));
        assert_eq!(servers(&read), ["Redis at [::1]:7000"]);
        let plain = target("redis://h").unwrap();
        let credentials = plain.settings.credentials.is_some();
        assert_eq!((plain.settings.database, plain.prefixes.len(), credentials), (0, 0, false));
        assert_eq!(servers(&plain), ["Redis at h:6379"]);
        let sentinel = target("redis-sentinel://a/2?master=m&sentinel=b:1&sentinel=[::1]:2").unwrap();
        let named = vec!["the master of Sentinel at a:26379".to_owned()];
        assert_eq!((servers(&sentinel), sentinel.settings.database), (named, 2));
        let cluster = target("redis://a?node=b:1&node=[::1]:2").unwrap();
        assert_eq!(servers(&cluster), ["Redis at a:6379", "Redis at b:1", "Redis at [::1]:2"]);
    }

    #[test]
    fn an_invalid_url_is_refused() {
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
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}

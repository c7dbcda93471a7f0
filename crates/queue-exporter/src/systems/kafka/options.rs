//! `--queue.url` of Kafka: `kafka://host:port?node=…&group=…`.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use exporter_common::UsageError;
use regex::Regex;
use rustls::pki_types::ServerName;

use super::connection::BrokerSettings;
use super::sasl::{MECHANISMS, Mechanism};
use crate::collector::parse_pattern;
use crate::connection::{Address, ConnectionSettings, Credentials, parse_address, url_host};

pub(super) const SCHEMES: &[&str] = &["kafka", ENCRYPTED];

const ENCRYPTED: &str = "kafka+ssl";

/// What the URL and the flags configure.
pub(super) struct Options {
    /// Brokers to query for the addresses of all others.
    pub(super) bootstrap: Vec<Address>,
    pub(super) settings: BrokerSettings,
    pub(super) groups: GroupFilter,
    /// Whether to fetch the oldest records.
    pub(super) with_age: bool,
}

/// Which groups are read.
#[derive(Default)]
pub(super) struct GroupFilter {
    /// If any, these and no others, without listing all.
    pub(super) names: Vec<String>,
    include: Option<Regex>,
    exclude: Option<Regex>,
}

impl GroupFilter {
    pub(super) fn accepts(&self, group: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(group))
            && self.exclude.as_ref().is_none_or(|exclude| !exclude.is_match(group))
    }
}

pub(super) fn parse(settings: ConnectionSettings) -> Result<Options> {
    let ConnectionSettings { mut url, username, password_file, tls, .. } = settings;
    let encrypted = url.scheme() == ENCRYPTED;
    let config = tls.config(encrypted)?;
    let credentials = Credentials::new(&mut url, username, password_file)?;
    let host = url_host(&url)?;
    if encrypted {
        ServerName::try_from(host.as_str()).context("the host of --queue.url is not a valid TLS server name")?;
    }
    if !matches!(url.path(), "" | "/") {
        bail!(UsageError::new(
            "--queue.url has a path: expected kafka://host:port; topics are selected by --queue.include"
        ));
    }
    let mut bootstrap = vec![(host, url.port().unwrap_or(9092))];
    let (mut mechanism, mut groups, mut with_age) = (None, GroupFilter::default(), true);
    for (key, value) in url.query_pairs() {
        let pattern = || parse_pattern(&value).map_err(|error| UsageError::new(format!("--queue.url: {key}: {error}")));
        match &*key {
            "node" => {
                let error = || UsageError::new("--queue.url: node=… is not a host:port");
                bootstrap.push(parse_address(&value).ok_or_else(error)?);
            }
            "group" => groups.names.push(value.into_owned()),
            "include-group" => groups.include = Some(pattern()?),
            "exclude-group" => groups.exclude = Some(pattern()?),
            "mechanism" => mechanism = Some(find_mechanism(&value)?),
            "age" => {
                with_age = match &*value {
                    "true" => true,
                    "false" => false,
                    _ => bail!(UsageError::new("--queue.url: age: expected true or false")),
                };
            }
            _ => {
                let known = "node, group, include-group, exclude-group, mechanism, age";
                bail!(UsageError::new(format!("--queue.url: unknown parameter: valid parameters: {known}")));
            }
        }
    }
    if mechanism.is_some() && credentials.is_none() {
        bail!(UsageError::new("--queue.url: mechanism requires a user name: set --queue.username"));
    }
    let tls = encrypted.then(|| Arc::new(config).into());
    let settings = BrokerSettings { tls, credentials, mechanism: mechanism.unwrap_or(Mechanism::Plain) };
    Ok(Options { bootstrap, settings, groups, with_age })
}

fn find_mechanism(name: &str) -> Result<Mechanism, UsageError> {
    MECHANISMS.into_iter().find(|mechanism| mechanism.name() == name).ok_or_else(|| {
        let names = MECHANISMS.map(Mechanism::name).join(", ");
        UsageError::new(format!("--queue.url: unknown mechanism: valid mechanisms: {names}"))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(url: &str) -> Result<Options> {
        let url = url.parse().unwrap();
        let (tls, timeout) = (Default::default(), Duration::from_secs(5));
        parse(ConnectionSettings { url, username: None, password_file: None, tls, query_file: None, timeout })
    }

    #[test]
    fn a_url_names_brokers_groups_and_a_mechanism() {
        let read = options("kafka://me:p%40ss@[::1]:9093?node=b:9094&mechanism=SCRAM-SHA-512&age=false").unwrap();
        assert_eq!(read.bootstrap, [("::1".to_owned(), 9093), ("b".to_owned(), 9094)]);
        assert_eq!(read.settings.credentials.as_ref().map(|it| it.current().1), Some("p@ss".to_owned()));
        assert_eq!((read.settings.mechanism, read.with_age), (Mechanism::ScramSha512, false));
        let plain = options("kafka://h?exclude-group=console-.*").unwrap();
        assert_eq!(plain.bootstrap, [("h".to_owned(), 9092)]);
        assert!(plain.settings.credentials.is_none() && plain.settings.tls.is_none() && plain.with_age);
        assert!(plain.groups.accepts("shop") && !plain.groups.accepts("console-consumer-1"));
        let included = options("kafka://h?include-group=shop&group=a&group=b").unwrap().groups;
        assert!(included.accepts("shop") && !included.accepts("shops"));
        assert_eq!(included.names, ["a", "b"]);
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for (wrong, message) in [
            ("kafka://h/topic", "has a path"),
            ("kafka://h?node=b", "node=…"),
            ("kafka://h?topic=a", "unknown parameter"),
            ("kafka://h?include-group=(", "include-group: not a regular expression"),
            ("kafka://h?age=1", "true or false"),
            ("kafka://me:x@h?mechanism=GSSAPI", "unknown mechanism"),
            ("kafka://h?mechanism=PLAIN", "requires a user name"),
        ] {
            let error = options(wrong).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(message), "{wrong}: {error}");
        }
    }
}

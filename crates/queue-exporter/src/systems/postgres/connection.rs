//! One persistent connection to PostgreSQL, on which each read runs its queries in read-only transactions.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use exporter_common::{UsageError, duration};
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::rows::Row;
use super::tls::PostgresTls;
use crate::connection::{ConnectionSettings, Credentials, tls_error, url_host};
use crate::read_error::{Reason, read_error};

pub(super) struct Connection {
    config: Config,
    tls: Option<PostgresTls>,
    credentials: Option<Credentials>,
    /// The server and the database, for messages.
    server: String,
    /// Taken by a query, and returned only if it succeeds: an abandoned query keeps its connection busy.
    client: Mutex<Option<Client>>,
}

/// The largest number of rows of one query, which limits the memory for them.
const MAX_ROWS: usize = 100_000;

impl Connection {
    /// From `postgres://user:password@host:port/database?sslmode=…`, without other parameters.
    pub(super) fn new(settings: ConnectionSettings) -> Result<Self> {
        let ConnectionSettings { mut url, username, password_file, tls, timeout: settings_timeout, .. } = settings;
        let mut host = url_host(&url)?;
        let (mut encrypted, mut socket) = (false, None);
        for (key, value) in url.query_pairs() {
            match (&*key, &*value) {
                ("sslmode", "disable") => encrypted = false,
                ("sslmode", "verify-full") => encrypted = true,
                ("sslmode", _) => {
                    let error = "--queue.url: sslmode: expected disable (the default) or verify-full, which verifies the \
                                 server's certificate";
                    bail!(UsageError::new(error));
                }
                ("host", folder) => socket = Some(folder.to_owned()),
                _ => {
                    let error = "--queue.url: unknown parameter: valid parameters: preset, sslmode, host";
                    bail!(UsageError::new(error));
                }
            }
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(Into::into);
        host = socket.unwrap_or(decoded(&host).context("the host of --queue.url is not UTF-8")?);
        let database: String = decoded(url.path().trim_matches('/')).context("the database is not UTF-8")?;
        let port = url.port().unwrap_or(5432);
        let tls_config = tls.config(encrypted)?;
        if encrypted {
            ServerName::try_from(host.as_str()).context("the host of --queue.url is not a valid TLS server name")?;
        }
        let credentials = Credentials::optional_name(&mut url, username, password_file)?;
        let mut config = Config::new();
        config.host(&host).port(port).application_name("queue-exporter").connect_timeout(settings_timeout);
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        if !database.is_empty() {
            config.dbname(&database);
        }
        let tls = encrypted.then(|| PostgresTls(Arc::new(tls_config).into()));
        let server = format!("PostgreSQL at {host}:{port}");
        Ok(Self { config, tls, credentials, server, client: Mutex::default() })
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The rows of a query with four columns. The server ends it shortly before the time limit.
    pub(super) async fn query(&self, query: &str, limit: Duration) -> Result<Vec<Row>> {
        let late = |_| {
            let text = format!("{}: no response within {}", self.server, duration::human(limit));
            read_error(Reason::Timeout, text)
        };
        timeout(limit, self.query_within(query, limit * 9 / 10)).await.map_err(late)?
    }

    async fn query_within(&self, query: &str, limit: Duration) -> Result<Vec<Row>> {
        let mut slot = self.client.lock().await;
        let client = match slot.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?,
        };
        match self.run(&client, query, limit).await {
            Ok(rows) => {
                *slot = Some(client);
                Ok(rows)
            }
            Err(error) => {
                // an error of the query leaves a transaction to end; any other one ends the connection
                *slot = client.batch_execute("ROLLBACK").await.is_ok().then_some(client);
                Err(error)
            }
        }
    }

    async fn run(&self, client: &Client, query: &str, limit: Duration) -> Result<Vec<Row>> {
        let milliseconds = limit.as_millis().max(1);
        let begin = format!(
            "START TRANSACTION READ ONLY; SET LOCAL statement_timeout = {milliseconds}; SET LOCAL timezone = 'UTC'"
        );
        client.batch_execute(&begin).await.map_err(|error| self.error(&error))?;
        let messages = client.simple_query_raw(query).await.map_err(|error| self.error(&error))?;
        let mut messages = std::pin::pin!(messages);
        let mut rows = Vec::new();
        while let Some(message) = messages.next().await {
            if let SimpleQueryMessage::Row(row) = message.map_err(|error| self.error(&error))? {
                if rows.len() == MAX_ROWS {
                    let text = format!("{}: the query returned more than {MAX_ROWS} rows", self.server);
                    return Err(read_error(Reason::Protocol, text));
                }
                rows.push(std::array::from_fn(|at| row.try_get(at).ok().flatten().map(str::to_owned)));
            }
        }
        client.batch_execute("COMMIT").await.map_err(|error| self.error(&error))?;
        Ok(rows)
    }

    async fn connect(&self) -> Result<Client> {
        let mut config = self.config.clone();
        if let Some(credentials) = &self.credentials {
            let (username, password) = credentials.current();
            if !username.is_empty() {
                config.user(username);
            }
            config.password(password);
        }
        let failed = |error: tokio_postgres::Error| self.error(&error).context("cannot connect");
        let client = match &self.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await.map_err(failed)?;
                tokio::spawn(connection); // it ends when the client is dropped
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                tokio::spawn(connection);
                client
            }
        };
        Ok(client)
    }

    /// The reason and the text of an error.
    fn error(&self, error: &tokio_postgres::Error) -> Error {
        let server = &self.server;
        let Some(database) = error.as_db_error() else {
            let source = std::error::Error::source(error);
            if let Some(text) = source.and_then(tls_error) {
                return read_error(Reason::Tls, format!("{server}: {text}"));
            }
            let cause = source.map_or_else(|| error.to_string(), ToString::to_string);
            return read_error(Reason::Connect, format!("{server}: {cause}"));
        };
        let code = database.code();
        let reason = match code {
            code if *code == SqlState::QUERY_CANCELED => Reason::Timeout,
            code if *code == SqlState::INSUFFICIENT_PRIVILEGE || code.code().starts_with("28") => Reason::Auth,
            _ => Reason::Protocol,
        };
        read_error(reason, format!("{server}: {} ({})", database.message(), code.code()))
    }
}

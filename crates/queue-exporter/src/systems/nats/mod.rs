//! `nats`: streams and consumers of NATS JetStream, from the monitoring endpoint of one server.

mod server;
mod streams;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use exporter_common::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::{StatusCode, Url};
use tokio::time::sleep;

use self::server::Server;
#[cfg(fuzzing)]
pub(crate) use self::server::fuzz as fuzz_server;
#[cfg(fuzzing)]
pub(crate) use self::streams::fuzz;
use self::streams::{Jsz, queues};
use crate::broker::BrokerHealth;
use crate::connection::Credentials;
use crate::connection::HttpClient;
use crate::queue_system::{ListedQueue, Origin, QueueSystem, SystemKind};
use crate::read_error::{Reason, read_error};
use crate::timestamp::now;

pub(super) const KIND: SystemKind = SystemKind {
    name: "nats",
    schemes: &["nats+http", "nats+https", "http", "https"],
    connect: |mut settings| {
        let url = settings.url.as_str();
        let url =
            Url::parse(url.strip_prefix("nats+").unwrap_or(url)).map_err(|_| anyhow!("--queue.url is not a URL"))?;
        settings.url = url;
        Ok(Box::new(Nats {
            client: HttpClient::new(settings)?,
            last_streams: Mutex::default(),
            health: Mutex::default(),
        }))
    },
};

/// A queue is a consumer of a stream. Values of the stream itself have no scope.
struct Nats {
    client: HttpClient,
    /// The streams of the last complete read.
    last_streams: Mutex<Streams>,
    /// The health of the server as of the last list.
    health: Mutex<BrokerHealth>,
}

/// Streams by account and name, and whether they have consumers.
type Streams = BTreeMap<(String, String), bool>;

/// The number of accounts in one response, each with all of its streams.
const ACCOUNTS: usize = 16;

/// How long to wait before reading again if something is missing.
const RETRY_DELAY: Duration = Duration::from_millis(250);

#[async_trait]
impl QueueSystem for Nats {
    fn credentials(&self) -> Option<&Credentials> {
        self.client.credentials()
    }

    fn info_labels(&self) -> &'static [&'static str] {
        &["account"]
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight")
            | (
                "queue_depth"
                | "queue_message_bytes"
                | "queue_max_length"
                | "queue_stream_length"
                | "queue_mirror_lag_messages"
                | "queue_broker_connections"
                | "queue_broker_limit_used_ratio"
                | "queue_broker_slow_consumers_total"
                | "messages_enqueued_total"
                | "messages_delivered_total",
                _,
            ) => Origin::Native,
            ("queue_replicas" | "queue_replicas_in_sync" | "queue_replica_lag_messages", _) => Origin::Derived,
            ("queue_oldest_message_age_seconds" | "queue_consumers", _) => Origin::Derived,
            // the acknowledgement floor also counts terminated messages and exhausted deliveries
            _ => Origin::Unavailable,
        }
    }

    async fn broker(&self) -> Result<BrokerHealth> {
        Ok(self.health.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        stream::try_unfold(Some(Position::default()), |position| self.queues(position))
            .map_ok(stream::iter)
            .try_flatten()
            .boxed()
    }
}

/// The position in the list.
#[derive(Default)]
struct Position {
    /// The server that responds, once it is known.
    server: Option<Server>,
    /// The number of accounts so far.
    offset: usize,
    /// Their streams.
    streams: Streams,
}

impl Nats {
    /// The queues of some accounts, and the position of the next ones.
    async fn queues(&self, position: Option<Position>) -> Result<Option<(Vec<Result<ListedQueue>>, Option<Position>)>> {
        let Some(mut position) = position else { return Ok(None) };
        let (page, server) = self.page(&mut position).await?;
        if page.account_details.len() == ACCOUNTS {
            let queues = queues(page, &server.server_name, now());
            position.server = Some(server);
            return Ok(Some((queues, Some(position))));
        }
        self.complete(position.streams).await?;
        Ok(Some((queues(page, &server.server_name, now()), None)))
    }

    /// The next accounts, and the server that responded.
    async fn page(&self, position: &mut Position) -> Result<(Jsz, Server)> {
        let server = match position.server.take() {
            Some(server) => server,
            None => self.server().await?,
        };
        let mut url = self.client.url(&["jsz"])?;
        url.query_pairs_mut()
            .append_pair("accounts", "true")
            .append_pair("streams", "true")
            .append_pair("consumers", "true")
            .append_pair("config", "true")
            .append_pair("offset", &position.offset.to_string())
            .append_pair("limit", &ACCOUNTS.to_string());
        let reply = self.client.get(url).await?;
        let page: Jsz = reply.json_object()?;
        if page.disabled {
            return Err(read_error(Reason::Protocol, "JetStream is not enabled on this server"));
        }
        if page.server_id != server.server_id {
            return Err(read_error(Reason::Partial, "the server restarted during the read"));
        }
        position.offset += page.account_details.len();
        for account in &page.account_details {
            let streams = account.stream_detail.iter();
            position
                .streams
                .extend(streams.map(|it| ((account.name.clone(), it.name.clone()), !it.consumer_detail.is_empty())));
        }
        Ok((page, server))
    }

    /// Completes the list. If streams are missing since the last read, it is read again: a server that shuts down reports
    /// to be healthy and lists fewer and fewer streams. Deleted streams are missing from both lists, and no others.
    async fn complete(&self, streams: Streams) -> Result<()> {
        let last = || self.last_streams.lock().unwrap_or_else(PoisonError::into_inner);
        if lacks(&streams, &last()) {
            sleep(RETRY_DELAY).await;
            let mut position = Position::default();
            loop {
                let (page, server) =
                    self.page(&mut position).await.context("reading again because streams are missing")?;
                if page.account_details.len() < ACCOUNTS {
                    break;
                }
                position.server = Some(server);
            }
            // a stream created since the last read may already be deleted
            let mut older = streams.clone();
            older.retain(|stream, _| last().contains_key(stream));
            if lacks(&position.streams, &older) {
                return Err(read_error(
                    Reason::Partial,
                    "streams or consumers are vanishing: the server may be shutting down",
                ));
            }
        }
        *last() = streams;
        Ok(())
    }

    /// The server that responds, if it is healthy: a server that starts lists streams without their consumers.
    async fn server(&self) -> Result<Server> {
        let server: Server = self.client.get(self.client.url(&["varz"])?).await?.json_object()?;
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = server.health();
        let mut url = self.client.url(&["healthz"])?;
        // streams that lag behind a leader elsewhere do not affect the streams led by this server
        url.query_pairs_mut().append_pair("js-server-only", "true");
        let reply = self.client.get(url).await?;
        match reply.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR => Err(read_error(
                Reason::Partial,
                "the server reports that it is not healthy: it starts, shuts down, or has lost its cluster",
            )),
            _ => Ok(server), // versions before 2.7 have no health endpoint
        }
    }
}

/// Whether an earlier stream is missing, or all consumers of one.
fn lacks(now: &Streams, before: &Streams) -> bool {
    before.iter().any(|(stream, consumers)| now.get(stream).is_none_or(|now| *consumers && !now))
}

//! `nats`: streams and consumers of NATS JetStream, from the monitoring endpoint of one server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use exporter_common::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::sleep;

use crate::connection::Credentials;
use crate::connection::HttpClient;
use crate::json::Count;
use crate::queue_system::{Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};
use crate::timestamp::{now, parse_utc, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "nats",
    schemes: &["nats+http", "nats+https", "http", "https"],
    connect: |mut settings| {
        let url = settings.url.as_str();
        let url =
            Url::parse(url.strip_prefix("nats+").unwrap_or(url)).map_err(|_| anyhow!("--queue.url is not a URL"))?;
        settings.url = url;
        Ok(Box::new(Nats { client: HttpClient::new(settings)?, last_streams: Mutex::default() }))
    },
};

/// A queue is a consumer of a stream. Values of the stream itself have no scope.
struct Nats {
    client: HttpClient,
    /// The streams of the last complete read.
    last_streams: Mutex<Streams>,
}

/// Streams by account and name, and whether they have consumers.
type Streams = BTreeMap<(String, String), bool>;

/// The number of accounts in one response, each with all of its streams.
const ACCOUNTS: usize = 16;

/// How long to wait before reading again if something is missing.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The account of clients without an account.
const DEFAULT_ACCOUNT: &str = "$G";

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
            | ("queue_depth" | "queue_message_bytes" | "messages_enqueued_total" | "messages_delivered_total", _) => {
                Origin::Native
            }
            ("queue_oldest_message_age_seconds" | "queue_consumers", _) => Origin::Derived,
            // the acknowledgement floor also counts terminated messages and exhausted deliveries
            _ => Origin::Unavailable,
        }
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
        let server = self.client.get(self.client.url(&["varz"])?).await?.json_object()?;
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

/// The server that responds. Its id changes when it restarts.
#[derive(Deserialize)]
struct Server {
    server_id: String,
    server_name: String,
}

#[derive(Deserialize)]
struct Jsz {
    server_id: String,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    account_details: Vec<Account>,
}

#[derive(Deserialize)]
struct Account {
    name: String,
    #[serde(default)]
    stream_detail: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    created: String,
    cluster: Option<Cluster>,
    config: Option<Config>,
    state: State,
    #[serde(default)]
    consumer_detail: Vec<Consumer>,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Config {
    retention: Option<String>,
}

#[derive(Deserialize)]
struct State {
    messages: Count,
    bytes: Count,
    last_seq: Count,
    first_ts: Option<String>,
}

#[derive(Deserialize)]
struct Consumer {
    name: String,
    created: String,
    cluster: Option<Cluster>,
    delivered: Sequence,
    num_ack_pending: Count,
    num_pending: Count,
}

#[derive(Deserialize)]
struct Sequence {
    consumer_seq: Count,
}

fn queues(page: Jsz, server: &str, now: f64) -> Vec<Result<ListedQueue>> {
    let mut queues = Vec::new();
    for Account { name: account, stream_detail } in page.account_details {
        for stream in stream_detail {
            // every replica lists the stream; only the leader's values are exact
            let led_here =
                |cluster: &Option<Cluster>| cluster.as_ref().is_none_or(|it| it.leader.as_deref() == Some(server));
            let scope = |consumer: &str| match account.as_str() {
                DEFAULT_ACCOUNT => consumer.to_owned(),
                account => format!("{account}/{consumer}"),
            };
            let mut add = |consumer: &str, created: &str, statistics: Statistics| {
                let queue = QueueId { name: stream.name.clone(), scope: scope(consumer) };
                let generation = generation(created).with_context(|| format!("{queue}: creation time"));
                let info = Some(vec![Cow::from(account.clone())]);
                let statistics = generation.map(|generation| Statistics { generation, info, ..statistics });
                queues.push(Ok(ListedQueue { queue, statistics: Some(statistics) }));
            };
            let State { messages: Count(messages), bytes: Count(bytes), last_seq: Count(last), first_ts } =
                &stream.state;
            if led_here(&stream.cluster) {
                let enqueued = Counter::single(Some(*last));
                let mut whole = Statistics { enqueued, message_bytes: Some(*bytes), ..Statistics::default() };
                if is_unconsumed(&stream) {
                    whole.ready = Some(*messages);
                    whole.consumers = Some(0);
                    let first = first_ts.as_deref().filter(|_| *messages > 0);
                    whole.oldest_age = first.and_then(parse_utc).and_then(|first| seconds_since(first, now));
                }
                add("", &stream.created, whole);
            }
            for consumer in stream.consumer_detail.iter().filter(|consumer| led_here(&consumer.cluster)) {
                let Count(ready) = consumer.num_pending;
                let first = first_ts.as_deref().filter(|_| ready > 0 && ready == *messages); // no message of the stream was delivered yet
                let statistics = Statistics {
                    ready: Some(ready),
                    in_flight: Some(consumer.num_ack_pending.0),
                    oldest_age: first.and_then(parse_utc).and_then(|first| seconds_since(first, now)),
                    delivered: Counter::single(Some(consumer.delivered.consumer_seq.0)),
                    ..Statistics::default()
                };
                add(&consumer.name, &consumer.created, statistics);
            }
        }
    }
    queues
}

/// Whether a work-queue stream has no consumer. The consumers of a stream with replicas may be on other servers.
fn is_unconsumed(stream: &Stream) -> bool {
    let work = stream.config.as_ref().is_some_and(|config| config.retention.as_deref() == Some("workqueue"));
    work && stream.consumer_detail.is_empty() && stream.cluster.as_ref().is_none_or(|it| it.replicas.is_empty())
}

/// The creation time in milliseconds: it changes when a stream or a consumer is recreated.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since the epoch")]
fn generation(created: &str) -> Result<u64> {
    let created = parse_utc(created).with_context(|| format!("invalid time {created:?}"))?;
    Ok((created * 1000.0) as u64)
}

/// Parses one response.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) -> Vec<Result<ListedQueue>> {
    crate::json::object(data).map(|page: Jsz| queues(page, "a", now())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    /// The response of a standalone server of version 2.9.10.
    const STANDALONE: &[u8] = include_bytes!("../../tests/nats/jsz-2.9.10.json");

    fn read(text: &[u8], server: &str) -> Vec<(QueueId, Statistics)> {
        let queues = queues(object(text).unwrap(), server, parse_utc("2026-11-20T10:58:00Z").unwrap());
        queues.into_iter().map(Result::unwrap).map(|it| (it.queue, it.statistics.unwrap().unwrap())).collect()
    }

    #[test]
    fn a_stream_and_its_consumer_are_read() {
        let read = read(STANDALONE, "NCG5DNW5MXTQTGH7XDHP6UIWLWMTDO7HD3257W6ZDC6K3P6S7FLDXB47");
        let [(stream, whole), (consumer, one)] = &read[..] else { panic!("{read:?}") };
        assert_eq!((stream.name.as_str(), stream.scope.as_str()), ("ORDERS", ""));
        assert_eq!((whole.enqueued.value(), whole.message_bytes, whole.ready), (Some(14), Some(574), None));
        assert_eq!((consumer.name.as_str(), consumer.scope.as_str()), ("ORDERS", "billing"));
        assert_eq!((one.ready, one.in_flight, one.oldest_age), (Some(3), Some(1), None));
        assert_eq!(
            (one.delivered.value(), one.success.value()),
            (Some(11), None),
            "the outcome of deliveries is unknown"
        );
        assert_ne!(whole.generation, one.generation);
    }

    #[test]
    fn the_messages_of_an_unconsumed_work_queue_are_its_depth() {
        let of = |retention: &str, more: &str| {
            let text = format!(
                r#"{{"server_id":"A","account_details":[{{"name":"$G","stream_detail":[{{"name":"S",
                "created":"2026-11-20T10:00:00Z","config":{{"retention":"{retention}"}},
                "state":{{"messages":3,"bytes":9,"last_seq":5,"first_ts":"2026-11-20T10:57:00Z"}}{more}}}]}}]}}"#
            );
            let whole = &read(text.as_bytes(), "a")[0].1;
            (whole.ready, whole.consumers, whole.oldest_age)
        };
        let nothing = (None, None, None);
        assert_eq!(of("workqueue", ""), (Some(3), Some(0), Some(60.0)));
        assert_eq!(of("limits", ""), nothing, "its messages are retained, not waiting");
        let consumer = r#","consumer_detail":[{"name":"c","created":"2026-11-20T10:00:00Z","delivered":{"consumer_seq":0},
            "num_ack_pending":0,"num_pending":3}]"#;
        assert_eq!(of("workqueue", consumer), nothing, "its consumer has the depth");
        let no_replicas = r#","cluster":{"leader":"a"}"#;
        assert_eq!(of("workqueue", no_replicas).0, Some(3));
        let replicas = r#","cluster":{"leader":"a","replicas":[{"name":"b"}]}"#;
        assert_eq!(of("workqueue", replicas), nothing, "its consumers may be on other servers");
    }

    #[test]
    fn a_stream_and_a_consumer_are_exported_by_their_leader_only() {
        let text =
            br#"{"server_id":"A","account_details":[{"name":"SHOP","stream_detail":[{"name":"S","created":"2026-11-20T10:00:00Z",
            "cluster":{"leader":"a"},"state":{"messages":3,"bytes":9,"last_seq":5,"first_ts":"2026-11-20T10:57:00Z"},
            "consumer_detail":[{"name":"c","created":"2026-11-20T10:00:00Z","cluster":{"leader":"b"},
            "delivered":{"consumer_seq":0},"num_ack_pending":0,"num_pending":3}]}]}]}"#;
        let seen = |server| read(text, server).into_iter().map(|(queue, _)| queue.scope).collect::<Vec<_>>();
        assert_eq!((seen("a"), seen("b")), (vec!["SHOP/".to_owned()], vec!["SHOP/c".to_owned()]));
        assert!(seen("c").is_empty());
        assert_eq!(read(text, "b")[0].1.oldest_age, Some(60.0), "no message of the stream was delivered yet");
    }
}

//! The streams and consumers in a response of NATS's `/jsz`.

use std::borrow::Cow;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::json::Count;
use crate::queue_system::{Counter, ListedQueue, QueueId, Statistics};
use crate::timestamp::{parse_utc, seconds_since};

/// The account of clients without an account.
const DEFAULT_ACCOUNT: &str = "$G";

#[derive(Deserialize)]
pub(super) struct Jsz {
    pub(super) server_id: String,
    #[serde(default)]
    pub(super) disabled: bool,
    #[serde(default)]
    pub(super) account_details: Vec<Account>,
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) name: String,
    #[serde(default)]
    pub(super) stream_detail: Vec<Stream>,
}

#[derive(Deserialize)]
pub(super) struct Stream {
    pub(super) name: String,
    created: String,
    cluster: Option<Cluster>,
    config: Option<Config>,
    state: State,
    #[serde(default)]
    pub(super) consumer_detail: Vec<Consumer>,
    mirror: Option<Source>,
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
}

/// A replica other than the leader. `lag` is missing if it is 0.
#[derive(Deserialize)]
struct Replica {
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
    #[serde(default = "no_lag")]
    lag: Count,
}

fn no_lag() -> Count {
    Count(0)
}

/// The stream that a mirror copies, or one source of a stream with several.
#[derive(Deserialize)]
struct Source {
    #[serde(default = "no_lag")]
    lag: Count,
    /// Nanoseconds since the origin was last heard of; negative if never, when the lag is unknown.
    active: Option<i64>,
}

#[derive(Deserialize)]
struct Config {
    retention: Option<String>,
    /// 0 or -1: unlimited.
    max_msgs: Option<i64>,
}

#[derive(Deserialize)]
struct State {
    messages: Count,
    bytes: Count,
    last_seq: Count,
    first_ts: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Consumer {
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

/// The queues that this server leads: every stream, and each of its consumers.
pub(super) fn queues(page: Jsz, server: &str, now: f64) -> Vec<Result<ListedQueue>> {
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
                let mut whole = Statistics {
                    enqueued,
                    message_bytes: Some(*bytes),
                    stream_length: Some(*messages),
                    max_length: max_length(&stream),
                    mirror_lag: mirror_lag(&stream),
                    ..Statistics::default()
                };
                add_replicas(&stream, &mut whole);
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

fn max_length(stream: &Stream) -> Option<u64> {
    u64::try_from(stream.config.as_ref()?.max_msgs?).ok().filter(|max| *max > 0)
}

/// The replicas of a stream with several, as its leader sees them.
fn add_replicas(stream: &Stream, statistics: &mut Statistics) {
    let Some(Cluster { replicas, .. }) = stream.cluster.as_ref().filter(|cluster| !cluster.replicas.is_empty()) else {
        return;
    };
    let in_sync = replicas.iter().filter(|replica| replica.current && !replica.offline).count();
    statistics.replicas = Some(replicas.len() as u64 + 1);
    statistics.replicas_in_sync = Some(in_sync as u64 + 1);
    statistics.replica_lag = replicas.iter().map(|replica| replica.lag.0).max();
}

/// How many messages of its origins a stream lacks; `None` if it has no origin, or one whose state is unknown.
fn mirror_lag(stream: &Stream) -> Option<u64> {
    let origins = stream.mirror.iter().chain(&stream.sources);
    let lags = origins.map(|origin| origin.active.filter(|active| *active >= 0).map(|_| origin.lag.0));
    lags.collect::<Option<Vec<_>>>()?.into_iter().reduce(u64::saturating_add)
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
    crate::json::object(data).map(|page: Jsz| queues(page, "a", crate::timestamp::now())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    /// The response of a standalone server of version 2.9.10.
    const STANDALONE: &[u8] = include_bytes!("../../../tests/nats/jsz-2.9.10.json");

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

    #[test]
    fn replicas_and_mirrors_are_read() {
        let whole = |more: &str| {
            let text = format!(
                r#"{{"server_id":"A","account_details":[{{"name":"$G","stream_detail":[{{"name":"S",
                "created":"2026-11-20T10:00:00Z","config":{{"max_msgs":9}},
                "state":{{"messages":3,"bytes":9,"last_seq":5}}{more}}}]}}]}}"#
            );
            read(text.as_bytes(), "a").remove(0).1
        };
        let alone = whole("");
        assert_eq!((alone.stream_length, alone.max_length, alone.replicas), (Some(3), Some(9), None));
        let replicas = r#","cluster":{"leader":"a","replicas":[{"name":"b","current":true,"active":5},
            {"name":"c","current":false,"offline":true,"active":5,"lag":7}]}"#;
        let replicated = whole(replicas);
        let seen = [replicated.replicas, replicated.replicas_in_sync, replicated.replica_lag];
        assert_eq!(seen, [3, 2, 7].map(Some));
        let mirror = |active: i64| whole(&format!(r#","mirror":{{"name":"O","lag":4,"active":{active}}}"#)).mirror_lag;
        assert_eq!((mirror(5), mirror(-1), alone.mirror_lag), (Some(4), None, None));
        let sources = r#","sources":[{"name":"O","lag":4,"active":1},{"name":"P","active":1}]"#;
        assert_eq!(whole(sources).mirror_lag, Some(4));
    }
}

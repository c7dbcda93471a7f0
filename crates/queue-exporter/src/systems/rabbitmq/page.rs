//! One page of RabbitMQ's list of queues: JSON to statistics.

use std::borrow::Cow;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::optional_number::OptionalNumber;
use crate::json::{Count, object};
use crate::queue_system::{Counter, ListedQueue, QueueId, Statistics};
use crate::read_error::{Reason, read_error};
use crate::timestamp::{now, seconds_since};

pub(crate) type Items = Vec<Result<ListedQueue>>;

/// A page of the list.
#[derive(Default)]
pub(super) struct Page {
    pub(super) items: Items,
    /// The total number of pages and queues.
    pub(super) pages: u64,
    pub(super) queues: u64,
}

/// The reply to `GET api/queues?page=N`.
#[derive(Deserialize)]
pub(super) struct PageReply<'a> {
    filtered_count: Count,
    page_count: Count,
    #[serde(borrow)]
    items: &'a RawValue,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    vhost: String,
    messages_ready: Option<Count>,
    messages_unacknowledged: Option<Count>,
    consumers: Option<Count>,
    memory: Option<Count>,
    message_bytes: Option<Count>,
    /// The time of the oldest message in seconds since the Unix epoch, if its publisher sets it.
    #[serde(default)]
    head_message_timestamp: OptionalNumber,
    #[serde(default)]
    arguments: OptionalNumber,
    #[serde(default)]
    effective_policy_definition: OptionalNumber,
    #[serde(rename = "type")]
    kind: Option<String>,
    durable: Option<bool>,
    node: Option<String>,
    policy: Option<String>,
    state: Option<String>,
    /// The nodes of a quorum queue or a stream, and the online ones.
    members: Option<Vec<IgnoredAny>>,
    online: Option<Vec<IgnoredAny>>,
    message_stats: Option<MessageStats>,
}

#[derive(Deserialize)]
struct MessageStats {
    publish: Option<Count>,
    deliver_get: Option<Count>,
    redeliver: Option<Count>,
    ack: Option<Count>,
    deliver_no_ack: Option<Count>,
    get_no_ack: Option<Count>,
}

#[derive(Deserialize)]
struct Identity {
    name: String,
    vhost: String,
}

impl Page {
    /// `totals_only`: the page was requested with the numbers of messages only, without statistics.
    pub(super) fn parse(reply: PageReply<'_>, generation: u64, totals_only: bool) -> Result<Self> {
        let items = match serde_json::from_str::<Vec<Item>>(reply.items.get()) {
            Ok(items) => items.into_iter().map(|item| Ok(item.listed(generation, totals_only))).collect(),
            // one of them is invalid: parsed one by one, the others are read
            Err(_) => {
                let items: Vec<&RawValue> = serde_json::from_str(reply.items.get()).context("items is not a list")?;
                items.into_iter().map(|item| parse_item(item, generation, totals_only)).collect()
            }
        };
        let (Count(pages), Count(queues)) = (reply.page_count, reply.filtered_count);
        Ok(Self { items, pages, queues })
    }
}

fn parse_item(item: &RawValue, generation: u64, totals_only: bool) -> Result<ListedQueue> {
    let text = item.get().as_bytes();
    let error = match object::<Item>(text) {
        Ok(item) => return Ok(item.listed(generation, totals_only)),
        Err(error) => error.context("its item in the list of queues"),
    };
    match object(text) {
        Ok(Identity { name, vhost }) => {
            Ok(ListedQueue { queue: QueueId { name, scope: vhost }, statistics: Some(Err(error)) })
        }
        Err(_) => Err(error.context("a queue without a name")),
    }
}

/// States of a queue that is currently unavailable.
const UNAVAILABLE: [&str; 5] = ["down", "stopped", "crashed", "terminated", "minority"];

impl Item {
    fn listed(self, generation: u64, totals_only: bool) -> ListedQueue {
        if let (None, Some(state)) = (self.messages_ready, &self.state)
            && UNAVAILABLE.contains(&state.as_str())
        {
            let error =
                read_error(Reason::Partial, format!("the broker has no statistics of it: its state is {state}"));
            let queue = QueueId { name: self.name, scope: self.vhost };
            return ListedQueue { queue, statistics: Some(Err(error)) };
        }
        // until the leader of a quorum queue reports, RabbitMQ sums up the remaining statistics: 0; version 4 adds a state
        let is_quorum = self.kind.as_deref() == Some("quorum");
        let has_state = self.state.is_some() && (totals_only || !is_quorum);
        let has_report = has_state || self.consumers.is_some() || self.memory.is_some();
        // a new leader of a stream reports 0 messages until a majority of the replicas confirms which are committed
        let is_stream = self.kind.as_deref() == Some("stream");
        let has_majority = match (&self.members, &self.online) {
            (Some(members), Some(online)) if is_stream => online.len() > members.len() / 2,
            _ => true,
        };
        let has_messages = has_report && (has_majority || !matches!(self.messages_ready, Some(Count(0))));
        let value = |count: Option<Count>| count.map(|Count(value)| value);
        let counter = |count| Counter::single(value(count));
        let length = |nodes: Option<Vec<_>>| nodes.map(|nodes| nodes.len() as u64);
        let mut statistics = Statistics {
            generation,
            ready: value(self.messages_ready).filter(|_| has_messages),
            in_flight: value(self.messages_unacknowledged).filter(|_| has_messages),
            consumers: value(self.consumers),
            memory_bytes: value(self.memory),
            message_bytes: value(self.message_bytes),
            // the smaller limit applies
            max_length: [self.arguments.0, self.effective_policy_definition.0].into_iter().flatten().min(),
            #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are small")]
            oldest_age: self.head_message_timestamp.0.and_then(|published| seconds_since(published as f64, now())),
            stream_length: value(self.messages_ready).filter(|_| is_stream && has_messages),
            replicas: length(self.members),
            replicas_in_sync: length(self.online),
            info: Some(vec![
                self.kind.map_or("".into(), Cow::from),
                self.durable.map_or("".into(), |durable| Cow::from(if durable { "true" } else { "false" })),
                self.node.map_or("".into(), Cow::from),
                self.policy.map_or("".into(), Cow::from),
            ]),
            ..Statistics::default()
        };
        // a missing key is unknown: it may be lost with a node, and RabbitMQ does not count every protocol
        if let Some(stats) = self.message_stats {
            statistics.success = Counter([stats.ack, stats.deliver_no_ack, stats.get_no_ack].map(value));
            statistics.enqueued = counter(stats.publish);
            statistics.delivered = counter(stats.deliver_get);
            statistics.redelivered = counter(stats.redeliver);
        }
        ListedQueue { queue: QueueId { name: self.name, scope: self.vhost }, statistics: Some(Ok(statistics)) }
    }
}

/// Parses one page.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) -> Items {
    object(data).and_then(|reply| Page::parse(reply, 0, false)).map(|page| page.items).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_error::reason;

    /// A page of a real broker, version 3.10.8.
    const RECORDED: &[u8] = include_bytes!("../../../tests/rabbitmq/queues-3.10.8.json");

    fn page(text: &[u8]) -> Page {
        Page::parse(object(text).unwrap(), 0, false).unwrap()
    }

    fn statistics(page: &Page, name: &str, vhost: &str) -> Statistics {
        let items = page.items.iter().map(|item| item.as_ref().unwrap());
        let mut found = items.filter(|item| item.queue.name == name && item.queue.scope == vhost);
        found.next().unwrap().statistics.as_ref().unwrap().as_ref().unwrap().clone()
    }

    #[test]
    fn a_page_of_a_real_broker_is_read() {
        let page = page(RECORDED);
        assert_eq!((page.items.len(), page.pages, page.queues), (6, 1, 6));
        let expected = Statistics {
            ready: Some(3),
            in_flight: Some(0),
            consumers: Some(0),
            memory_bytes: Some(16296),
            message_bytes: Some(3),
            info: Some(["classic", "true", "rabbit@localhost", ""].map(Cow::from).to_vec()),
            success: Counter([Some(0), Some(0), Some(3)]),
            enqueued: Counter::single(Some(7)),
            delivered: Counter::single(Some(6)),
            redelivered: Counter::single(Some(1)),
            ..Statistics::default()
        };
        assert_eq!(statistics(&page, "orders", "/"), expected);
        assert_eq!(statistics(&page, "orders", "shop/eu").enqueued, Counter::single(Some(3)));
    }

    #[test]
    fn a_missing_value_of_a_real_broker_is_absent() {
        let page = page(RECORDED);
        let untouched = statistics(&page, "sl/ash \"q\" é", "/");
        assert_eq!((untouched.ready, untouched.enqueued.value(), untouched.success.value()), (Some(0), None, None));
        let published_only = statistics(&page, "limited", "/");
        assert_eq!((published_only.max_length, untouched.max_length), (Some(2), None));
        assert_eq!((published_only.enqueued.value(), published_only.success.value()), (Some(4), None));
    }

    /// Pages of real brokers of three versions after the same steps: of ten messages, three were acknowledged, one was
    /// rejected, one is unacknowledged. With the depth of `stream`, which the first version lacks, and of `dlq`.
    const RECORDED_VERSIONS: [(&[u8], Option<u64>, u64); 3] = [
        (include_bytes!("../../../tests/rabbitmq/queues-3.8.9.json"), None, 22),
        (include_bytes!("../../../tests/rabbitmq/queues-4.0.5.json"), Some(10), 28),
        (include_bytes!("../../../tests/rabbitmq/queues-4.3.6.json"), Some(10), 28),
    ];

    #[test]
    fn every_queue_type_is_read_in_every_version() {
        for (text, streamed, dead_letters) in RECORDED_VERSIONS {
            let page = page(text);
            let queues = 7 + usize::from(streamed.is_some());
            assert_eq!((page.items.len(), page.pages, page.queues), (queues, 1, queues as u64));
            for name in ["classic", "quorum", "priority", "autodelete", "a/b \"c\" ü中\\x"] {
                let read = statistics(&page, name, "/");
                assert_eq!((read.ready, read.in_flight), (Some(5), Some(1)), "{name}");
                let counted = [read.success, read.enqueued, read.delivered, read.redelivered].map(Counter::value);
                assert_eq!(counted, [3, 10, 5, 0].map(Some), "{name}");
                // a quorum queue has no time of its first message
                assert_eq!(read.oldest_age.is_some(), name != "quorum", "{name}");
            }
            let dead = statistics(&page, "dlq", "/");
            assert_eq!(dead.ready, Some(dead_letters));
            assert_eq!(dead.enqueued.value(), Some(10), "dead-lettered messages are not published to the queue");
            let limited = statistics(&page, "maxlen", "/");
            assert_eq!((limited.ready, limited.max_length), (Some(0), Some(3)));
            let kind = |name| {
                let info = statistics(&page, name, "/").info.unwrap();
                format!("{} {}", info[0], info[1])
            };
            assert_eq!(["quorum", "autodelete"].map(kind), ["quorum true", "classic false"]);
            if streamed.is_some() {
                assert_eq!(
                    (statistics(&page, "stream", "/").ready, kind("stream")),
                    (streamed, "stream true".to_owned())
                );
            }
        }
    }

    /// AMQP 1.0 clients published 15 messages to one queue and acknowledged six, and acknowledged three of four AMQP 0-9-1
    /// messages in another; MQTT clients published and received ten.
    const NOT_COUNTED: &[u8] = include_bytes!("../../../tests/rabbitmq/queues-4.3.6-amqp-1.0-mqtt.json");

    #[test]
    fn messages_that_the_broker_does_not_count_are_absent_and_not_0() {
        let page = page(NOT_COUNTED);
        let of = |name| {
            let read = statistics(&page, name, "/");
            (read.ready, read.consumers, [read.enqueued, read.delivered, read.success].map(Counter::value))
        };
        assert_eq!(of("amqp1"), (Some(7), Some(0), [None; 3]));
        assert_eq!(of("mixed"), (Some(1), Some(0), [Some(4), None, None]));
        assert_eq!(of("mqtt-subscription-mqsubqos1"), (Some(0), Some(1), [None; 3]));
    }

    /// A page of a cluster of three nodes after one was stopped, with a quorum queue of 20 messages that has a new leader.
    const NODE_DOWN: &[u8] = include_bytes!("../../../tests/rabbitmq/queues-3.10.8-node-down.json");

    #[test]
    fn a_queue_on_a_stopped_node_is_an_error() {
        let page = page(NODE_DOWN);
        let item = |name: &str| {
            let mut items = page.items.iter().map(|item| item.as_ref().unwrap());
            items.find(|item| item.queue.name == name).unwrap().statistics.as_ref().unwrap()
        };
        let error = item("classic2").as_ref().unwrap_err();
        assert_eq!(
            (reason(error), error.to_string().contains("its state is down")),
            (Reason::Partial, true),
            "{error}"
        );
        assert_eq!(
            [statistics(&page, "classic1", "/"), statistics(&page, "mir2", "/")].map(|it| it.ready),
            [21, 20].map(Some)
        );
        // not reported yet: quorum1 is listed with 0 messages and has 20
        for name in ["quorum1", "quorum2", "stream2"] {
            let read = statistics(&page, name, "/");
            assert_eq!((read.ready, read.in_flight), (None, None), "{name}");
        }
        assert_eq!(statistics(&page, "quorum1", "/").enqueued.value(), Some(914));
    }

    #[test]
    fn a_quorum_queue_whose_leader_has_not_reported_has_no_depth() {
        // version 4.3.6 after another node of the cluster was killed: the queue has 20 messages
        let text =
            br#"{"filtered_count":1,"page_count":1,"items":[{"name":"a","vhost":"/","type":"quorum","state":"running",
            "messages_ready":0,"messages_unacknowledged":0,"message_stats":{"publish":20}}]}"#;
        let read = statistics(&page(text), "a", "/");
        assert_eq!((read.ready, read.in_flight, read.enqueued.value()), (None, None, Some(20)));
        let totals = Page::parse(object(text).unwrap(), 0, true).unwrap();
        assert_eq!(statistics(&totals, "a", "/").ready, Some(0), "the broker collects no statistics");
    }

    #[test]
    fn a_stream_without_a_majority_of_its_replicas_has_no_depth_of_0() {
        // version 3.10.8 after another node of the cluster was killed: the stream has 20 messages
        for (online, ready, expected) in
            [(r#"["b"]"#, 0, None), (r#"["b"]"#, 20, Some(20)), (r#"["b","c"]"#, 0, Some(0))]
        {
            let text = format!(
                r#"{{"filtered_count":1,"page_count":1,"items":[{{"name":"a","vhost":"/","type":"stream","state":"running",
                "messages_ready":{ready},"consumers":0,"memory":55544,
                "members":["a","b","c"],"online":{online}}}]}}"#
            );
            let read = statistics(&page(text.as_bytes()), "a", "/");
            assert_eq!((read.ready, read.stream_length), (expected, expected), "{online} {ready}");
        }
    }

    #[test]
    fn one_invalid_item_does_not_affect_others() {
        let text = br#"{"filtered_count":4,"page_count":1,"items":[{"name":"a","vhost":"/","messages_ready":1},
            {"name":"b","vhost":"/","messages_ready":"many"},{"vhost":"/"},[1]]}"#;
        let results: Vec<_> = page(text)
            .items
            .into_iter()
            .map(|item| match item {
                Ok(ListedQueue { queue, statistics: Some(Ok(_)) }) => format!("{} read", queue.name),
                Ok(ListedQueue { queue, .. }) => format!("{} invalid", queue.name),
                Err(_) => "nameless".to_owned(),
            })
            .collect();
        assert_eq!(results, ["a read", "b invalid", "nameless", "nameless"]);
    }

    #[test]
    fn every_spelling_of_a_missing_number_is_accepted() {
        for nothing in ["null", "\"\"", "[]", "{}", "-1", "false", "[{\"a\":1}]", "{\"max-length\":[]}"] {
            let text = format!(
                r#"{{"filtered_count":1,"page_count":1,"items":[{{"name":"a","vhost":"/","head_message_timestamp":{nothing},
                "arguments":{nothing},"effective_policy_definition":{nothing}}}]}}"#
            );
            let read = statistics(&page(text.as_bytes()), "a", "/");
            assert_eq!((read.oldest_age, read.max_length), (None, None), "{nothing}");
        }
        let text = br#"{"filtered_count":1,"page_count":1,"items":[{"name":"a","vhost":"/",
            "head_message_timestamp":1600000000,"arguments":{"x-queue-mode":"lazy","x-max-length":9},
            "effective_policy_definition":{"max-length":7}}]}"#;
        let read = statistics(&page(text), "a", "/");
        assert!(read.oldest_age.unwrap() > 1e8 && read.max_length == Some(7));
    }

    #[test]
    fn a_response_that_is_not_a_page_is_refused() {
        for text in ["{}", r#"{"items":[]}"#, r#"{"filtered_count":1,"page_count":1,"items":[{"na"#, "[]"] {
            assert!(object::<PageReply<'_>>(text.as_bytes()).is_err(), "{text}");
        }
        let not_a_list = object(br#"{"filtered_count":1,"page_count":1,"items":{}}"#).unwrap();
        assert!(Page::parse(not_a_list, 0, false).is_err());
    }
}

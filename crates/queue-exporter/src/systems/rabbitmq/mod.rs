//! `rabbitmq`: the management HTTP API of RabbitMQ, page after page.

mod nodes;
mod optional_number;

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use exporter_common::async_trait;
use futures_util::future::{Either, select};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use self::nodes::{Life, Node, partition};
use self::optional_number::Lenient;
use crate::connection::Credentials;
use crate::connection::{HttpClient, HttpResponse};
use crate::json::Count;
use crate::json::object;
use crate::queue_system::{Counter, ListedQueue, Origin, QueueId, QueueSystem, Statistics, SystemKind};
use crate::read_error::{Reason, read_error};
use crate::timestamp::{now, seconds_since};

pub(super) const KIND: SystemKind = SystemKind {
    name: "rabbitmq",
    schemes: &["http", "https"],
    connect: |mut settings| {
        let path = prefix(settings.url.path()).to_owned();
        settings.url.set_path(&path);
        Ok(Box::new(RabbitMq {
            client: HttpClient::new(settings)?,
            generation: Mutex::default(),
            told: Mutex::default(),
        }))
    },
};

struct RabbitMq {
    client: HttpClient,
    generation: Mutex<Life>,
    /// The queues of the last list of which the broker told something.
    told: Mutex<Told>,
}

#[async_trait]
impl QueueSystem for RabbitMq {
    fn credentials(&self) -> Option<&Credentials> {
        self.client.credentials()
    }

    fn scope_label(&self) -> &'static str {
        "vhost"
    }

    fn info_labels(&self) -> &'static [&'static str] {
        &["type", "durable", "node", "policy"]
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready" | "in_flight") | ("messages_processed_total", "success") => Origin::Native,
            ("queue_oldest_message_age_seconds", _) => Origin::Derived,
            (
                "queue_depth"
                | "queue_consumers"
                | "queue_memory_bytes"
                | "queue_message_bytes"
                | "queue_max_length"
                | "messages_enqueued_total"
                | "messages_delivered_total"
                | "messages_redelivered_total",
                _,
            ) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        stream::try_unfold(Place::Start, |place| self.page(place)).map_ok(stream::iter).try_flatten().boxed()
    }
}

/// How far the list is read.
enum Place {
    Start,
    Page {
        number: u64,
        /// How many queues there were when the page before was read.
        queues: u64,
        /// How often a page was read again.
        again: u64,
        generation: u64,
        told: Told,
    },
    End,
}

/// What the management has before `/api` in its paths; who gives the path of the API means the same.
fn prefix(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("/queues").filter(|path| path.ends_with("/api")).unwrap_or(path);
    path.strip_suffix("/api").unwrap_or(path)
}

pub(crate) type Items = Vec<Result<ListedQueue>>;

/// The most that the API gives. Without `columns`: the broker computes what it leaves out all the same.
const PAGE_SIZE: &str = "500";

/// How much later than the first page the broker may tell of its nodes: the queues do not wait for it longer.
const GRACE: Duration = Duration::from_millis(250);

/// How often a page is read again in one list, before the broker is left in peace.
const PATIENCE: u64 = 3;

impl RabbitMq {
    /// Reads the page at `place`, and says where the next is.
    async fn page(&self, place: Place) -> Result<Option<(Items, Place)>> {
        let (number, queues, again, known, mut told) = match place {
            Place::Start => (1, 0, 0, None, Told::default()),
            Place::Page { number, queues, again, generation, told } => (number, queues, again, Some(generation), told),
            Place::End => return Ok(None),
        };
        let (reply, generation, parted) = match known {
            Some(generation) => (self.queues(number).await?, generation, None),
            None => self.first().await?,
        };
        // a page past the end is an error to the broker, and the end of a list that has become shorter
        let past_the_end = reply.status == StatusCode::BAD_REQUEST && number > 1;
        let page = if past_the_end { Page::default() } else { Page::parse(reply.json_object()?, generation)? };
        let mut items = page.items;
        if number == 1 && items.iter().all(says_nothing) {
            let untold = self.untold(items.is_empty()).await;
            told.of_all_or_none = true;
            items.extend(untold.map(Err));
        }
        items.extend(parted.map(Err));
        told.follow(&mut items, &self.told.lock().unwrap_or_else(PoisonError::into_inner));
        let shorter = page.queues < queues;
        let next = match (shorter, number) {
            // those who were deleted have moved others to the page before
            (true, 2..) if again < PATIENCE => Some((number - 1, again + 1)),
            (true, 2..) => {
                let text = "queues are deleted faster than they can be listed: some may be missing";
                items.push(Err(read_error(Reason::Partial, text)));
                (number < page.pages).then_some((number + 1, again))
            }
            _ => (number < page.pages).then_some((number + 1, again)),
        };
        let place = match next {
            Some((number, again)) => Place::Page { number, queues: page.queues, again, generation, told },
            None => {
                *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
                Place::End
            }
        };
        Ok(Some((items, place)))
    }

    async fn queues(&self, page: u64) -> Result<HttpResponse> {
        let mut url = self.client.url(&["api", "queues"])?;
        url.query_pairs_mut().append_pair("page", &page.to_string()).append_pair("page_size", PAGE_SIZE);
        self.client.get(url).await
    }

    /// The first page, and in which generation the broker is, which is asked at the same time. A broker that does not
    /// tell is in the same as before: then a counter that falls is a new baseline. And what is wrong between nodes.
    async fn first(&self) -> Result<(HttpResponse, u64, Option<anyhow::Error>)> {
        let (nodes, page) = (pin!(self.nodes()), pin!(self.queues(1)));
        let (nodes, page) = match select(nodes, page).await {
            Either::Left((nodes, page)) => (Ok(nodes), page.await),
            Either::Right((page, nodes)) => (timeout(GRACE, nodes).await, page),
        };
        let nodes = nodes.unwrap_or_else(|_| bail!("no answer"));
        let mut generation = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parted = None;
        match nodes {
            Ok(nodes) => {
                parted = partition(&nodes);
                generation.see(nodes);
            }
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "cannot tell whether the broker was restarted");
            }
        }
        Ok((page?, generation.number, parted))
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let mut url = self.client.url(&["api", "nodes"])?;
        url.query_pairs_mut().append_pair("columns", "name,os_pid,uptime,partitions");
        let reply = self.client.get(url).await?;
        Ok(serde_json::from_slice(reply.success_body()?)?)
    }

    /// What is wrong when nothing is told of any queue, though the broker has some: the API hides what a user may
    /// not see, and for some seconds after the broker's start it knows no more than names. Where statistics are
    /// turned off, names are all there is.
    async fn untold(&self, none: bool) -> Option<anyhow::Error> {
        let reply = self.client.get(self.client.url(&["api", "overview"]).ok()?).await.ok()?;
        let overview: Overview = reply.json_object().ok()?;
        if !none {
            let text = "the broker tells nothing of its queues yet, as when it was just started";
            return (overview.disable_stats == Some(false)).then(|| read_error(Reason::Partial, text));
        }
        let Count(queues) = overview.object_totals?.queues.filter(|queues| *queues != Count(0))?;
        let text =
            format!("the broker shows this user none of its {queues} queues: give it permissions on their vhosts");
        Some(read_error(Reason::Auth, text))
    }
}

/// Whether there is nothing but a name.
fn says_nothing(item: &Result<ListedQueue>) -> bool {
    let Ok(ListedQueue { statistics: Some(Ok(statistics)), .. }) = item else { return false };
    statistics.ready.is_none()
}

/// The queues of which a list told more than their names, by the hashes of these. A node that ends takes what it knows
/// of its queues with it: they stay in the list, and for a while, or until it is back, that is all.
#[derive(Default)]
struct Told {
    queues: HashSet<u64>,
    hasher: RandomState,
    /// Nothing is told of any queue, for one reason that is told apart, or by configuration.
    of_all_or_none: bool,
}

impl Told {
    /// Notes what is told now. Of what was told before and is not now, no more than that is known.
    fn follow(&mut self, items: &mut Items, before: &Self) {
        for item in items {
            let Ok(ListedQueue { queue, statistics: Some(statistics) }) = item else { continue };
            let known = before.queues.contains(&before.hasher.hash_one(&*queue));
            let ready = statistics.as_ref().is_ok_and(|statistics| statistics.ready.is_some());
            if ready || known && !self.of_all_or_none {
                self.queues.insert(self.hasher.hash_one(&*queue));
            }
            if !ready && known && !self.of_all_or_none && statistics.is_ok() {
                *statistics = Err(read_error(Reason::Partial, "the broker tells nothing of it any more"));
            }
        }
    }
}

/// A page of the list.
#[derive(Default)]
struct Page {
    items: Items,
    /// How many pages and queues there are in all.
    pages: u64,
    queues: u64,
}

/// The reply to `GET api/queues?page=N`.
#[derive(Deserialize)]
struct PageReply<'a> {
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
    /// When the oldest message was published, in seconds since the epoch, if its publisher says so.
    #[serde(default)]
    head_message_timestamp: Lenient,
    #[serde(default)]
    arguments: Lenient,
    #[serde(default)]
    effective_policy_definition: Lenient,
    #[serde(rename = "type")]
    kind: Option<String>,
    durable: Option<bool>,
    node: Option<String>,
    policy: Option<String>,
    state: Option<String>,
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

#[derive(Deserialize)]
struct Overview {
    disable_stats: Option<bool>,
    object_totals: Option<ObjectTotals>,
}

#[derive(Deserialize)]
struct ObjectTotals {
    queues: Option<Count>,
}

impl Page {
    fn parse(reply: PageReply<'_>, generation: u64) -> Result<Self> {
        let items = match serde_json::from_str::<Vec<Item>>(reply.items.get()) {
            Ok(items) => items.into_iter().map(|item| Ok(item.listed(generation))).collect(),
            // one of them is broken: each for itself
            Err(_) => {
                let items: Vec<&RawValue> = serde_json::from_str(reply.items.get()).context("items is no list")?;
                items.into_iter().map(|item| broken_or_not(item, generation)).collect()
            }
        };
        let (Count(pages), Count(queues)) = (reply.page_count, reply.filtered_count);
        Ok(Self { items, pages, queues })
    }
}

fn broken_or_not(item: &RawValue, generation: u64) -> Result<ListedQueue> {
    let text = item.get().as_bytes();
    let error = match object::<Item>(text) {
        Ok(item) => return Ok(item.listed(generation)),
        Err(error) => error.context("its item in the list of queues"),
    };
    match object(text) {
        Ok(Identity { name, vhost }) => {
            Ok(ListedQueue { queue: QueueId { name, scope: vhost }, statistics: Some(Err(error)) })
        }
        Err(_) => Err(error.context("a queue without a name")),
    }
}

/// States of a queue that is not there at the moment.
const DOWN: [&str; 5] = ["down", "stopped", "crashed", "terminated", "minority"];

impl Item {
    fn listed(self, generation: u64) -> ListedQueue {
        if let (None, Some(state)) = (self.messages_ready, &self.state)
            && DOWN.contains(&state.as_str())
        {
            let fault = read_error(Reason::Partial, format!("it is {state}, and the broker tells nothing of it"));
            let queue = QueueId { name: self.name, scope: self.vhost };
            return ListedQueue { queue, statistics: Some(Err(fault)) };
        }
        // when a quorum queue has a new leader, and that has said nothing yet, what is left of others is summed up: to 0
        let counted = self.state.is_some() || self.consumers.is_some() || self.memory.is_some();
        let value = |count: Option<Count>| count.map(|Count(value)| value);
        let counter = |count| Counter::single(value(count));
        let mut statistics = Statistics {
            generation,
            ready: value(self.messages_ready).filter(|_| counted),
            in_flight: value(self.messages_unacknowledged).filter(|_| counted),
            consumers: value(self.consumers),
            memory_bytes: value(self.memory),
            message_bytes: value(self.message_bytes),
            // the broker heeds the smaller one
            max_length: [self.arguments.0, self.effective_policy_definition.0].into_iter().flatten().min(),
            #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are small")]
            oldest_age: self.head_message_timestamp.0.and_then(|published| seconds_since(published as f64, now())),
            info: Some(vec![
                self.kind.map_or("".into(), Cow::from),
                self.durable.map_or("".into(), |durable| Cow::from(if durable { "true" } else { "false" })),
                self.node.map_or("".into(), Cow::from),
                self.policy.map_or("".into(), Cow::from),
            ]),
            ..Statistics::default()
        };
        // a key that is missing is unknown: it may have been lost with a node, and not every protocol is counted
        if let Some(stats) = self.message_stats {
            statistics.success = Counter([stats.ack, stats.deliver_no_ack, stats.get_no_ack].map(value));
            statistics.enqueued = counter(stats.publish);
            statistics.delivered = counter(stats.deliver_get);
            statistics.redelivered = counter(stats.redeliver);
        }
        ListedQueue { queue: QueueId { name: self.name, scope: self.vhost }, statistics: Some(Ok(statistics)) }
    }
}

/// A page.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) -> Items {
    object(data).and_then(|reply| Page::parse(reply, 0)).map(|page| page.items).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_error::reason;

    /// A page of a real broker, version 3.10.8.
    const RECORDED: &[u8] = include_bytes!("../../../tests/rabbitmq/queues-3.10.8.json");

    fn page(text: &[u8]) -> Page {
        Page::parse(object(text).unwrap(), 0).unwrap()
    }

    fn statistics(page: &Page, name: &str, vhost: &str) -> Statistics {
        let items = page.items.iter().map(|item| item.as_ref().unwrap());
        let mut found = items.filter(|item| item.queue.name == name && item.queue.scope == vhost);
        found.next().unwrap().statistics.as_ref().unwrap().as_ref().unwrap().clone()
    }

    #[test]
    fn the_path_of_the_api_may_be_given_as_well() {
        for path in ["", "/", "/api", "/api/", "/api/queues", "/api/queues/"] {
            assert_eq!(prefix(path), "", "{path}");
        }
        for (path, expected) in [("/mq/api", "/mq"), ("/mq/", "/mq"), ("/queues", "/queues"), ("/myapi", "/myapi")] {
            assert_eq!(prefix(path), expected);
        }
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
    fn what_a_real_broker_does_not_say_is_absent() {
        let page = page(RECORDED);
        let untouched = statistics(&page, "sl/ash \"q\" é", "/");
        assert_eq!((untouched.ready, untouched.enqueued.value(), untouched.success.value()), (Some(0), None, None));
        let published_only = statistics(&page, "limited", "/");
        assert_eq!((published_only.max_length, untouched.max_length), (Some(2), None));
        assert_eq!((published_only.enqueued.value(), published_only.success.value()), (Some(4), None));
    }

    /// The same was done with real brokers of three versions: of ten messages three were acknowledged, one was
    /// rejected for good, one is held. With what lies in `stream`, which the first does not know, and in `dlq`.
    const RECORDED_ALIKE: [(&[u8], Option<u64>, u64); 3] = [
        (include_bytes!("../../../tests/rabbitmq/queues-3.8.9.json"), None, 22),
        (include_bytes!("../../../tests/rabbitmq/queues-4.0.5.json"), Some(10), 28),
        (include_bytes!("../../../tests/rabbitmq/queues-4.3.6.json"), Some(10), 28),
    ];

    #[test]
    fn every_kind_of_queue_is_read_alike_in_every_version() {
        for (text, streamed, dead_letters) in RECORDED_ALIKE {
            let page = page(text);
            let queues = 7 + usize::from(streamed.is_some());
            assert_eq!((page.items.len(), page.pages, page.queues), (queues, 1, queues as u64));
            for name in ["classic", "quorum", "priority", "autodelete", "a/b \"c\" ü中\\x"] {
                let read = statistics(&page, name, "/");
                assert_eq!((read.ready, read.in_flight), (Some(5), Some(1)), "{name}");
                let counted = [read.success, read.enqueued, read.delivered, read.redelivered].map(Counter::value);
                assert_eq!(counted, [3, 10, 5, 0].map(Some), "{name}");
                // a quorum queue does not tell when its first message was published
                assert_eq!(read.oldest_age.is_some(), name != "quorum", "{name}");
            }
            let dead = statistics(&page, "dlq", "/");
            assert_eq!(dead.ready, Some(dead_letters));
            assert_eq!(dead.enqueued.value(), Some(10), "what is dead-lettered into a queue is not published to it");
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

    /// Clients of AMQP 1.0 put 15 messages into a queue and acknowledged six, and three of four that came to another by
    /// AMQP 0-9-1; those of MQTT sent ten, and read them.
    const NOT_COUNTED: &[u8] = include_bytes!("../../../tests/rabbitmq/queues-4.3.6-amqp-1.0-mqtt.json");

    #[test]
    fn what_a_broker_does_not_count_is_absent_and_not_0() {
        let page = page(NOT_COUNTED);
        let of = |name| {
            let read = statistics(&page, name, "/");
            (read.ready, read.consumers, [read.enqueued, read.delivered, read.success].map(Counter::value))
        };
        assert_eq!(of("amqp1"), (Some(7), Some(0), [None; 3]));
        assert_eq!(of("mixed"), (Some(1), Some(0), [Some(4), None, None]));
        assert_eq!(of("mqtt-subscription-mqsubqos1"), (Some(0), Some(1), [None; 3]));
    }

    /// Of a cluster of three of which one was ended; and a quorum queue of 20 messages whose leader is new.
    const NODE_DOWN: &[u8] = include_bytes!("../../../tests/rabbitmq/queues-3.10.8-node-down.json");

    #[test]
    fn of_a_queue_whose_node_is_down_nothing_is_said_as_if_it_were_there() {
        let page = page(NODE_DOWN);
        let item = |name: &str| {
            let mut items = page.items.iter().map(|item| item.as_ref().unwrap());
            items.find(|item| item.queue.name == name).unwrap().statistics.as_ref().unwrap()
        };
        let error = item("classic2").as_ref().unwrap_err();
        assert_eq!((reason(error), error.to_string().contains("it is down")), (Reason::Partial, true), "{error}");
        assert_eq!(
            [statistics(&page, "classic1", "/"), statistics(&page, "mir2", "/")].map(|it| it.ready),
            [21, 20].map(Some)
        );
        // of these nothing is known yet: quorum1 is listed with 0 messages, which are 20
        for name in ["quorum1", "quorum2", "stream2"] {
            let read = statistics(&page, name, "/");
            assert_eq!((read.ready, read.in_flight), (None, None), "{name}");
        }
        assert_eq!(statistics(&page, "quorum1", "/").enqueued.value(), Some(914));
    }

    #[test]
    fn a_queue_that_was_known_and_is_not_is_told_until_it_is_gone() {
        let item = |name: &str, ready: Option<u64>| {
            Ok(ListedQueue {
                queue: QueueId::named(name),
                statistics: Some(Ok(Statistics { ready, ..Statistics::default() })),
            })
        };
        let mut before = Told::default();
        let mut read = |items: Vec<Result<ListedQueue>>, of_all_or_none| {
            let (mut items, mut told) = (items, Told { of_all_or_none, ..Told::default() });
            told.follow(&mut items, &before);
            before = told;
            items.iter().map(|item| item.as_ref().unwrap().statistics.as_ref().unwrap().is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(read(vec![item("a", None), item("b", Some(1))], false), [true, true], "just declared");
        assert_eq!(read(vec![item("a", Some(0)), item("b", None)], false), [true, false]);
        assert_eq!(read(vec![item("a", Some(0)), item("b", None)], false), [true, false]);
        assert_eq!(read(vec![item("a", Some(0))], false), [true]);
        assert_eq!(read(vec![item("a", Some(0)), item("b", None)], false), [true, true], "declared anew");
        assert_eq!(read(vec![item("a", None), item("b", None)], true), [true, true], "statistics are turned off");
        assert_eq!(read(vec![item("a", None), item("b", None)], false), [true, true], "and nothing was known since");
    }

    #[test]
    fn one_broken_item_costs_only_itself() {
        let text = br#"{"filtered_count":4,"page_count":1,"items":[{"name":"a","vhost":"/","messages_ready":1},
            {"name":"b","vhost":"/","messages_ready":"many"},{"vhost":"/"},[1]]}"#;
        let told: Vec<_> = page(text)
            .items
            .into_iter()
            .map(|item| match item {
                Ok(ListedQueue { queue, statistics: Some(Ok(_)) }) => format!("{} read", queue.name),
                Ok(ListedQueue { queue, .. }) => format!("{} broken", queue.name),
                Err(_) => "nameless".to_owned(),
            })
            .collect();
        assert_eq!(told, ["a read", "b broken", "nameless", "nameless"]);
    }

    #[test]
    fn versions_may_write_that_there_is_nothing_as_they_like() {
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
    fn what_is_no_page_is_refused() {
        for text in ["{}", r#"{"items":[]}"#, r#"{"filtered_count":1,"page_count":1,"items":[{"na"#, "[]"] {
            assert!(object::<PageReply<'_>>(text.as_bytes()).is_err(), "{text}");
        }
        let no_list = object(br#"{"filtered_count":1,"page_count":1,"items":{}}"#).unwrap();
        assert!(Page::parse(no_list, 0).is_err());
    }
}

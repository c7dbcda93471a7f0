//! The queue system `kafka` against fake brokers that another implementation of the protocol encodes: what no test cluster
//! offers, and brokers that misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use exporter_common::testing::{Running, assert_lint, value};
use kafka_protocol::messages::ApiKey;

use crate::fake_kafka::{Behavior, Content, FakeKafka, Group, Partition, time_of};
use crate::{SUCCESS, assert_vocabulary, exporter, once};

fn partition(leader: i32, start: i64, end: i64) -> Partition {
    Partition { leader, start, end, replicas: 3, in_sync: 3, value_size: 7, marker: None }
}

/// Two topics on three brokers, and a group on each of the last two.
fn content() -> Content {
    let orders = vec![partition(0, 0, 100), partition(1, 40, 60), partition(2, 0, 0)];
    let mail = vec![Partition { in_sync: 1, ..partition(2, 0, 10) }];
    let internal = vec![partition(0, 0, 5)];
    let committed = |offsets: &[(&str, i32, i64)]| {
        offsets.iter().map(|(topic, partition, offset)| ((*topic).to_owned(), *partition, *offset)).collect()
    };
    let shop = Group {
        name: "shop".to_owned(),
        coordinator: 1,
        state: "Stable",
        committed: committed(&[("orders", 0, 90), ("orders", 1, 20), ("orders", 2, -1), ("mail", 0, 10)]),
        members: vec![vec!["orders".to_owned()], vec!["orders".to_owned()]],
    };
    let billing = Group {
        name: "billing".to_owned(),
        coordinator: 2,
        state: "Dead",
        committed: committed(&[("orders", 0, 100), ("deleted", 0, 3)]),
        members: Vec::new(),
    };
    let topics = [("orders", orders), ("mail", mail), ("__consumer_offsets", internal)];
    Content { topics: topics.map(|(name, it)| (name.to_owned(), it)).to_vec(), groups: vec![shop, billing] }
}

fn queue(name: &str, topic: &str, group: &str) -> String {
    match group {
        "" => format!("{name}{{queue_name=\"{topic}\"}}"),
        _ => format!("{name}{{queue_name=\"{topic}\",scope=\"{group}\"}}"),
    }
}

#[test]
fn groups_members_and_replicas_of_several_brokers_are_read() {
    let fake = FakeKafka::start(3, content(), |_, _| Behavior::Respond);
    let exporter = exporter(&fake.url, []);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{}", exporter.log());
    let read = |name: &str, topic: &str, group: &str| value(&metrics, &queue(name, topic, group));
    // 20 messages of partition 1 were deleted before the group read them
    assert_eq!(read("queue_depth", "orders", "shop"), Some(10.0 + 20.0), "{metrics}");
    assert_eq!(read("queue_depth", "mail", "shop"), Some(0.0), "{metrics}");
    assert_eq!(read("queue_depth", "orders", "billing"), Some(0.0), "{metrics}");
    assert_eq!(read("queue_consumers", "orders", "shop"), Some(2.0), "{metrics}");
    assert_eq!(read("queue_consumers", "mail", "shop"), Some(0.0), "{metrics}");
    assert_eq!(read("queue_consumers", "orders", "billing"), None, "unknown, not 0: {metrics}");
    assert_eq!(read("messages_enqueued_total", "orders", ""), Some(160.0), "{metrics}");
    assert_eq!(read("queue_stream_length", "orders", ""), Some(120.0), "{metrics}");
    assert_eq!(read("queue_partitions", "orders", ""), Some(3.0), "{metrics}");
    assert_eq!(read("queue_partitions_under_replicated", "mail", ""), Some(1.0), "{metrics}");
    assert_eq!(read("queue_replicas_in_sync", "mail", ""), Some(1.0), "{metrics}");
    let age = read("queue_oldest_message_age_seconds", "orders", "shop").unwrap();
    assert_eq!(oldest(age), time_of(40), "{metrics}");
    assert_eq!(value(&metrics, "queue_exporter_queues{outcome=\"hidden\"}"), Some(1.0), "{metrics}");
    assert!(!metrics.contains("__consumer_offsets") && !metrics.contains("deleted"), "{metrics}");
    assert_vocabulary(&metrics);
    assert_lint(&metrics);
}

/// The time in milliseconds of a message of this age; ages here differ by multiples of 10 minutes.
fn oldest(age: f64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let candidates = [40, 90, 39, 41].map(time_of);
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    let apart = |time: &i64| (now - age - *time as f64 / 1000.0).abs();
    candidates.into_iter().min_by(|one, other| apart(one).total_cmp(&apart(other))).unwrap()
}

#[test]
fn a_partition_without_a_leader_costs_its_queues_only() {
    let mut without_leader = content();
    without_leader.topics[0].1[1].leader = -1;
    let fake = FakeKafka::start(3, without_leader, |_, _| Behavior::Respond);
    let (metrics, log) = once(&fake.url, []);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("its leader is missing or failed"), "{log}");
    assert_eq!(value(&metrics, &queue("queue_depth", "orders", "shop")), None, "{metrics}");
    assert_eq!(value(&metrics, &queue("messages_enqueued_total", "orders", "")), None, "{metrics}");
    assert_eq!(value(&metrics, &queue("queue_partitions", "orders", "")), Some(3.0), "{metrics}");
    assert_eq!(value(&metrics, &queue("queue_depth", "orders", "billing")), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, &queue("queue_depth", "mail", "shop")), Some(0.0), "{metrics}");
}

/// Exporters of a cluster whose last broker misbehaves in requests of one kind.
fn misbehaving(api: ApiKey, behavior: Behavior) -> (Arc<FakeKafka>, Running) {
    let behavior = Mutex::new(behavior);
    let fake = FakeKafka::start(3, content(), move |id, request| match request == api && id == 2 {
        true => behavior.lock().unwrap().clone(),
        false => Behavior::Respond,
    });
    let exporter = exporter(&fake.url, ["--queue.timeout=4s"]);
    (fake, exporter)
}

#[test]
fn a_hostile_broker_costs_its_queues_and_success_only() {
    let many = || Behavior::Send(vec![0x7f; 64]); // 2^31 elements are announced
    let zeros = || Behavior::Send(vec![0; 3]);
    let huge = || Behavior::Raw([&[0x7f, 0xff, 0xff, 0xff][..], &[7; 100]].concat());
    let other = || Behavior::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let stray = || Behavior::Raw([&8_u32.to_be_bytes()[..], &[9; 8]].concat());
    for api in
        [ApiKey::ListGroups, ApiKey::OffsetFetch, ApiKey::DescribeGroups, ApiKey::ListOffsets, ApiKey::ApiVersions]
    {
        for behavior in [many(), zeros(), huge(), other(), stray(), Behavior::Hang, Behavior::Close] {
            let (_fake, exporter) = misbehaving(api, behavior);
            for _ in 0..2 {
                let metrics = exporter.scrape();
                assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{api:?}: {metrics}");
                // the group of another broker, in a topic on other brokers
                let mail = value(&metrics, &queue("queue_partitions", "mail", ""));
                assert_eq!(mail, Some(1.0), "{api:?}: {} {metrics}", exporter.log());
                let is_read = metrics.contains(&queue("queue_consumers", "orders", "shop"));
                assert!(is_read || matches!(api, ApiKey::ListOffsets | ApiKey::ApiVersions), "{api:?}: {metrics}");
            }
        }
    }
}

#[test]
fn a_hostile_broker_costs_ages_but_not_depths() {
    for behavior in [Behavior::Send(vec![0x7f; 64]), Behavior::Send(vec![0; 3]), Behavior::Hang, Behavior::Close] {
        let mut content = content();
        content.topics[1].1[0].end = 15;
        let behavior = Mutex::new(behavior);
        let fake = FakeKafka::start(3, content, move |id, request| match request == ApiKey::Fetch && id == 2 {
            true => behavior.lock().unwrap().clone(),
            false => Behavior::Respond,
        });
        let (metrics, log) = once(&fake.url, ["--queue.timeout=4s"]);
        assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
        assert!(log.contains("the time of the oldest message could not be read"), "{log}");
        assert_eq!(value(&metrics, &queue("queue_depth", "mail", "shop")), Some(5.0), "{metrics}");
        assert_eq!(value(&metrics, &queue("queue_oldest_message_age_seconds", "mail", "shop")), None, "{metrics}");
        let orders = value(&metrics, &queue("queue_oldest_message_age_seconds", "orders", "shop"));
        assert!(orders.is_some(), "{metrics}");
    }
}

/// A topic with this many partitions on one broker, whose batches exceed the size that is requested of each, and a group.
fn large_batches(partitions: i32) -> Content {
    let partition = Partition { value_size: 5000, ..partition(0, 0, 100) };
    let shop = Group {
        name: "shop".to_owned(),
        state: "Dead",
        committed: (0..partitions).map(|index| ("orders".to_owned(), index, 90 - i64::from(index) % 51)).collect(),
        ..Group::default()
    };
    let topics = vec![("orders".to_owned(), (0..partitions).map(|_| partition).collect())];
    Content { topics, groups: vec![shop] }
}

#[test]
fn batches_that_a_broker_does_not_send_with_others_are_requested_alone() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = fetches.clone();
    let fake = FakeKafka::start(1, large_batches(51), move |_, api| {
        counted.fetch_add(usize::from(api == ApiKey::Fetch), Ordering::Relaxed);
        Behavior::Respond
    });
    let (metrics, log) = once(&fake.url, []);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
    let age = value(&metrics, &queue("queue_oldest_message_age_seconds", "orders", "shop")).unwrap();
    assert_eq!(oldest(age), time_of(40), "{metrics}");
    // one request for all partitions returns the first; each of the others needs its own
    assert_eq!(fetches.load(Ordering::Relaxed), 1 + 50);
}

#[test]
fn a_record_after_the_marker_at_the_end_of_a_segment_is_found() {
    let mut content = large_batches(51);
    content.topics[0].1[50].marker = Some(40);
    let fake = FakeKafka::start(1, content, |_, _| Behavior::Respond);
    let (metrics, log) = once(&fake.url, []);
    assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
    let age = value(&metrics, &queue("queue_oldest_message_age_seconds", "orders", "shop")).unwrap();
    assert_eq!(oldest(age), time_of(41), "{metrics}");
}

#[test]
fn the_number_of_batches_that_are_requested_alone_is_limited() {
    let fake = FakeKafka::start(1, large_batches(2100), |_, _| Behavior::Respond);
    let (metrics, log) = once(&fake.url, []);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("more than 2,000 batches exceed 1 KiB"), "{log}");
    assert!(value(&metrics, &queue("queue_depth", "orders", "shop")).is_some(), "{metrics}");
    assert_eq!(value(&metrics, &queue("queue_oldest_message_age_seconds", "orders", "shop")), None, "{metrics}");
}

#[test]
fn the_number_of_batches_that_are_requested_alone_is_limited_for_all_queues_together() {
    let topic = |index: i32| format!("topic{index}");
    let partition = large_batches(1).topics[0].1[0];
    let shop = Group {
        name: "shop".to_owned(),
        state: "Dead",
        committed: (0..5100).map(|index| (topic(index), 0, 90)).collect(),
        ..Group::default()
    };
    // with 5,100 topics, more queues than one batch
    let topics = (0..5100).map(|index| (topic(index), vec![partition])).collect();
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = fetches.clone();
    let fake = FakeKafka::start(1, Content { topics, groups: vec![shop] }, move |_, api| {
        counted.fetch_add(usize::from(api == ApiKey::Fetch), Ordering::Relaxed);
        Behavior::Respond
    });
    let (metrics, log) = once(&fake.url, ["--queue.timeout=60s", "--scrape.timeout=60s"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("more than 2,000 batches exceed 1 KiB"), "{log}");
    // 4,900 and 200 queues of the group, with 200 partitions in one request
    assert_eq!(fetches.load(Ordering::Relaxed), 25 + 1 + 2000);
}

#[test]
fn the_beginning_of_a_batch_that_exceeds_a_response_is_read() {
    // 10 MB with the record in the first 8 MB, and 18 MB without it: then the time is the batch's
    for (value_size, offset) in [(5_000_000, 40), (9_000_000, 39)] {
        let mut content = large_batches(51);
        content.topics[0].1[50].value_size = value_size;
        let fake = FakeKafka::start(1, content, |_, _| Behavior::Respond);
        let (metrics, log) = once(&fake.url, ["--queue.timeout=60s", "--scrape.timeout=60s"]);
        assert_eq!(value(&metrics, SUCCESS), Some(1.0), "{log}");
        let age = value(&metrics, &queue("queue_oldest_message_age_seconds", "orders", "shop")).unwrap();
        assert_eq!(oldest(age), time_of(offset), "{metrics}");
    }
}

#[test]
fn a_broker_that_hangs_when_batches_are_requested_alone_costs_ages_but_not_depths() {
    let fetches = AtomicUsize::new(0);
    let fake = FakeKafka::start(1, large_batches(51), move |_, api| {
        let is_later = api == ApiKey::Fetch && fetches.fetch_add(1, Ordering::Relaxed) > 20;
        if is_later { Behavior::Hang } else { Behavior::Respond }
    });
    let (metrics, log) = once(&fake.url, ["--queue.timeout=4s"]);
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert!(log.contains("there was no time for them"), "{log}");
    assert!(value(&metrics, &queue("queue_depth", "orders", "shop")).is_some(), "{metrics}");
    assert_eq!(value(&metrics, &queue("queue_oldest_message_age_seconds", "orders", "shop")), None, "{metrics}");
}

#[test]
fn the_number_of_groups_is_limited() {
    let group = |index| Group { name: format!("group{index}"), state: "Dead", ..Group::default() };
    let content = Content { groups: (0..=50_000).map(group).collect(), ..large_batches(1) };
    let fake = FakeKafka::start(1, content, |_, api| match api {
        ApiKey::OffsetFetch => Behavior::Close,
        _ => Behavior::Respond,
    });
    let (metrics, log) = once(&fake.url, []);
    assert!(log.contains("more than 50000 groups"), "{log}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, &queue("messages_enqueued_total", "orders", "")), Some(100.0), "{metrics}");
}

#[test]
fn the_size_of_all_responses_is_limited() {
    let group = |index| Group { name: format!("group{index}"), state: "Dead", ..Group::default() };
    let content = Content { groups: (0..20).map(group).collect(), ..large_batches(1) };
    let fake = FakeKafka::start(1, content, |_, api| match api {
        ApiKey::OffsetFetch => Behavior::Send(vec![0; 7 << 20]),
        _ => Behavior::Respond,
    });
    let (metrics, log) = once(&fake.url, ["--queue.timeout=60s", "--scrape.timeout=60s"]);
    assert!(log.contains("the responses of all brokers exceed 64 MB"), "{log}");
    assert_eq!(value(&metrics, SUCCESS), Some(0.0), "{metrics}");
    assert_eq!(value(&metrics, &queue("messages_enqueued_total", "orders", "")), Some(100.0), "{metrics}");
}

#[test]
fn a_first_broker_that_is_not_kafka_is_reported() {
    for (sent, message, reason) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "not a broker of Kafka", "protocol"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "kafka+ssl://", "protocol"),
        (b"", "the broker closed the connection", "connect"),
    ] {
        let sent = sent.to_vec();
        let fake = FakeKafka::start(1, content(), move |_, _| Behavior::Raw(sent.clone()));
        let (metrics, log) = once(&fake.url, []);
        assert!(log.contains(message), "{log}");
        let errors = format!("queue_exporter_source_errors_total{{reason=\"{reason}\"}}");
        assert_eq!(value(&metrics, &errors), Some(1.0), "{metrics}");
        assert!(!metrics.contains("queue_depth{"), "{metrics}");
    }
}

#[test]
fn an_idle_connection_that_a_broker_closed_is_opened_again() {
    let requests = AtomicUsize::new(0);
    // the second request for metadata is on the connection of the first scrape
    let fake = FakeKafka::start(1, Content::default(), move |_, api| {
        let is_second = api == ApiKey::Metadata && requests.fetch_add(1, Ordering::Relaxed) == 1;
        if is_second { Behavior::Close } else { Behavior::Respond }
    });
    let exporter = exporter(&fake.url, []);
    for _ in 0..3 {
        assert_eq!(value(&exporter.scrape(), SUCCESS), Some(1.0), "{}", exporter.log());
    }
}

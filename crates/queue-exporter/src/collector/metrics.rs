//! Statistics as metric families: the name and the help text of every metric of queues.

use exporter_common::{Family, Value};

use crate::broker;
use crate::queue_system::{Counter, Origin, QueueId, QueueSystem, Statistics};

type Field<T> = fn(&Statistics) -> T;

/// The gauges: name, help, value.
const GAUGES: &[(&str, &str, Field<Option<Value>>)] = &[
    ("queue_depth", "Number of messages ready to be consumed and not yet delivered.", |queue| {
        queue.ready.map(Value::from)
    }),
    ("queue_oldest_message_age_seconds", "Age of the oldest ready message in the queue, in seconds.", |queue| {
        queue.oldest_age.map(Value::from)
    }),
    (
        "queue_oldest_in_flight_age_seconds",
        "Time since the oldest message in flight was enqueued or delivered, in seconds.",
        |queue| queue.oldest_in_flight_age.map(Value::from),
    ),
    ("queue_consumers", "Number of consumers of the queue.", |queue| queue.consumers.map(Value::from)),
    ("queue_consumers_busy", "Number of consumers of the queue that are processing a message.", |queue| {
        queue.consumers_busy.map(Value::from)
    }),
    ("queue_memory_bytes", "Memory that the queue system reports for the queue, in bytes.", |queue| {
        queue.memory_bytes.map(Value::from)
    }),
    ("queue_message_bytes", "Size of all message bodies in the queue, in bytes.", |queue| {
        queue.message_bytes.map(Value::from)
    }),
    ("queue_max_length", "Maximum number of messages in the queue.", |queue| queue.max_length.map(Value::from)),
    ("queue_stream_length", "Number of messages in the stream, including processed ones.", |queue| {
        queue.stream_length.map(Value::from)
    }),
    ("queue_partitions", "Number of partitions of the topic.", |queue| queue.partitions.map(Value::from)),
    (
        "queue_partitions_under_replicated",
        "Number of partitions of the topic with fewer in-sync replicas than configured.",
        |queue| queue.partitions_under_replicated.map(Value::from),
    ),
    ("queue_replicas", "Number of configured replicas of the queue, the leader included.", |queue| {
        queue.replicas.map(Value::from)
    }),
    ("queue_replicas_in_sync", "Number of replicas of the queue that are online and complete.", |queue| {
        queue.replicas_in_sync.map(Value::from)
    }),
    (
        "queue_replica_lag_messages",
        "Number of messages or operations that the slowest replica of the queue lacks.",
        |queue| queue.replica_lag.map(Value::from),
    ),
    (
        "queue_mirror_lag_messages",
        "Number of messages that a mirror or sourced stream has not yet copied from its origins.",
        |queue| queue.mirror_lag.map(Value::from),
    ),
    ("queue_paused", "Whether the queue is paused, so that its messages are not delivered (1 = yes).", |queue| {
        queue.paused.map(|paused| Value::from(u64::from(paused)))
    }),
];

/// The states of `queue_messages`.
pub(super) const STATES: &[(&str, Field<Option<u64>>)] = &[
    ("ready", |queue| queue.ready),
    ("in_flight", |queue| queue.in_flight),
    ("delayed", |queue| queue.delayed),
    ("retry", |queue| queue.retry),
    ("dead", |queue| queue.dead),
    ("blocked", |queue| queue.blocked),
    ("completed", |queue| queue.completed),
    ("canceled", |queue| queue.canceled),
];

/// The counters: name, help, value of the label `status` if any, value.
const COUNTERS: &[(&str, &str, Option<&str>, Field<Counter>)] = &[
    ("messages_processed_total", PROCESSED, Some("success"), |queue| queue.success),
    ("messages_processed_total", PROCESSED, Some("failure"), |queue| queue.failure),
    ("messages_enqueued_total", "Total number of messages put into the queue.", None, |queue| queue.enqueued),
    ("messages_delivered_total", "Total number of deliveries to consumers, redeliveries included.", None, |queue| {
        queue.delivered
    }),
    ("messages_redelivered_total", "Total number of redeliveries to consumers.", None, |queue| queue.redelivered),
    (
        "messages_dead_lettered_total",
        "Total number of messages that failed permanently and were removed from the queue.",
        None,
        |queue| queue.dead_lettered,
    ),
];

const PROCESSED: &str = "Total number of messages that left the queue because they were processed, by status.";

const PROCESSING: &str = "message_processing_seconds";

/// The families of some queues of the system named `backend`.
pub(super) fn families(
    system: &dyn QueueSystem,
    backend: &'static str,
    queues: &[(QueueId, Statistics)],
) -> Vec<Family> {
    // empty labels are left out, so each combination of labels has separate families
    let combinations = [(true, true), (true, false), (false, true), (false, false)];
    let labels_of = |queue: &QueueId| (!queue.name.is_empty(), !queue.scope.is_empty());
    let mut families = Vec::new();
    for wanted in combinations {
        let queues: Vec<_> = queues.iter().filter(|(queue, _)| labels_of(queue) == wanted).collect();
        if !queues.is_empty() {
            let labels = [wanted.0.then_some("queue_name"), wanted.1.then_some(system.scope_label())];
            let labels: Vec<_> = labels.into_iter().flatten().collect();
            add_families(&labels, system, backend, &queues, &mut families);
        }
    }
    families.retain(|family| !family.is_empty());
    families
}

/// Adds the families of queues that all have the labels `identity`.
fn add_families(
    identity: &[&'static str],
    system: &dyn QueueSystem,
    backend: &str,
    queues: &[&(QueueId, Statistics)],
    families: &mut Vec<Family>,
) {
    let names = |more: &[&'static str]| -> Vec<_> { identity.iter().chain(more).copied().collect() };
    let series = |mut family: Family, more: &[&str], value: &dyn Fn(&Statistics) -> Option<Value>| {
        let mut labels = Vec::with_capacity(3);
        for (queue, statistics) in queues {
            if let Some(value) = value(statistics) {
                labels.clear();
                labels.extend([queue.name.as_str(), queue.scope.as_str()].into_iter().filter(|text| !text.is_empty()));
                labels.extend(more);
                family.push(&labels, value);
            }
        }
        family
    };
    for (name, help, field) in GAUGES {
        families.push(series(Family::gauge(*name, *help, &names(&[])), &[], field));
    }
    for (state, field) in STATES {
        let help = "Number of messages in the queue, by state.";
        let family = Family::gauge("queue_messages", help, &names(&["state"]));
        let if_other_states = |queue: &Statistics| {
            let others = STATES.iter().filter(|(state, _)| *state != "ready");
            others.filter_map(|(_, field)| field(queue)).next().and(field(queue)).map(Value::from)
        };
        families.push(series(family, &[state], &if_other_states));
    }
    for (name, help, status, field) in COUNTERS {
        let labels: &[_] = if status.is_some() { &["status"] } else { &[] };
        let family = Family::counter(*name, *help, &names(labels));
        families.push(series(family, status.as_slice(), &|queue| field(queue).value().map(Value::from)));
    }
    let help = "Processing time of messages in seconds.";
    let family = Family::histogram(PROCESSING, help, &names(&[]));
    families.push(series(family, &[], &|queue| queue.processing.clone().map(Value::from)));
    let labels: Vec<_> = ["backend"].into_iter().chain(system.info_labels().iter().copied()).collect();
    let mut info = Family::info("queue_info", "Information about the queue; the value is 1.", &names(&labels));
    for (queue, statistics) in queues {
        if let Some(facts) = &statistics.info {
            let identity = [queue.name.as_str(), queue.scope.as_str()].into_iter().filter(|text| !text.is_empty());
            let facts = facts.iter().map(|fact| &**fact);
            info.push(&identity.chain([backend]).chain(facts).collect::<Vec<_>>(), 1.0);
        }
    }
    families.push(info);
}

/// The origin of each metric's values, which distinguishes missing data from data that the system cannot provide.
pub(super) fn origins(system: &dyn QueueSystem) -> Vec<Family> {
    let family = |labels: &[&'static str]| {
        let help = "Origin of a metric's values: native, derived from data of the queue system, counted from events, or \
                    unavailable; the value is 1.";
        Family::gauge("queue_exporter_metric_origin", help, labels)
    };
    let origin = |metric: &str, detail: &str| match system.origin(metric, detail) {
        Origin::Native => "native",
        Origin::Derived => "derived",
        Origin::Events => "events",
        Origin::Unavailable => "unavailable",
    };
    let mut whole = family(&["metric", "origin"]);
    let mut by_state = family(&["metric", "origin", "state"]);
    let mut by_status = family(&["metric", "origin", "status"]);
    let broker = broker::METRICS.iter().map(|metric| metric.name);
    for name in GAUGES.iter().map(|(name, ..)| *name).chain([PROCESSING]).chain(broker) {
        whole.push(&[name, origin(name, "")], 1.0);
    }
    for (state, _) in STATES {
        by_state.push(&["queue_messages", origin("queue_messages", state), *state], 1.0);
    }
    for (name, _, status, _) in COUNTERS {
        match *status {
            Some(status) => by_status.push(&[name, origin(name, status), status], 1.0),
            None => whole.push(&[name, origin(name, "")], 1.0),
        }
    }
    vec![whole, by_state, by_status]
}

/// The number of times events were lost before they were counted.
pub(super) fn event_gaps(gaps: u64) -> Family {
    let help = "Total number of times events of a queue were lost before the exporter read them.";
    Family::counter("queue_exporter_event_gaps_total", help, &[]).value(gaps)
}

/// The number of listed queues by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) exported: u64,
    pub(super) filtered: u64,
    pub(super) over_limit: u64,
    pub(super) error: u64,
    pub(super) hidden: u64,
}

impl Outcomes {
    /// The number of listed queues so far.
    pub(super) fn listed(self) -> u64 {
        self.exported + self.filtered + self.over_limit + self.error
    }

    pub(super) fn family(self) -> Family {
        let help = "Number of queues in the last read, by outcome: exported, filtered, over_limit, error, or hidden from \
                    the user.";
        Family::gauge("queue_exporter_queues", help, &["outcome"])
            .with(&["exported"], self.exported)
            .with(&["filtered"], self.filtered)
            .with(&["over_limit"], self.over_limit)
            .with(&["error"], self.error)
            .with(&["hidden"], self.hidden)
    }
}

/// The exporter's version and the queue system.
pub(super) fn info(system: &str) -> Family {
    Family::info(
        "queue_exporter_info",
        "Version of the exporter and the queue system that it reads; the value is 1.",
        &["version", "queue_system"],
    )
    .with(&[env!("CARGO_PKG_VERSION"), system], 1.0)
}

#[cfg(test)]
mod tests {
    use exporter_common::{Histogram, to_text};

    use super::*;
    use crate::collector::broker_metrics::BrokerCounters;

    /// A system that provides every metric and all labels.
    struct Everything;

    #[exporter_common::async_trait]
    impl QueueSystem for Everything {
        fn info_labels(&self) -> &'static [&'static str] {
            &["type", "durable", "node", "policy"]
        }

        fn origin(&self, _: &str, _: &str) -> Origin {
            Origin::Native
        }

        fn list(&self) -> futures_util::stream::BoxStream<'_, anyhow::Result<crate::queue_system::ListedQueue>> {
            Box::pin(futures_util::stream::empty())
        }
    }

    #[test]
    fn a_golden_file_contains_every_metric_of_queues() {
        let some = Some(1);
        let mut statistics = Statistics {
            ready: some,
            in_flight: some,
            delayed: some,
            retry: some,
            dead: some,
            blocked: some,
            completed: some,
            canceled: some,
            oldest_age: Some(1.5),
            oldest_in_flight_age: Some(1.5),
            consumers: some,
            consumers_busy: some,
            memory_bytes: some,
            message_bytes: some,
            max_length: some,
            stream_length: some,
            partitions: some,
            partitions_under_replicated: some,
            replicas: some,
            replicas_in_sync: some,
            replica_lag: some,
            mirror_lag: some,
            paused: Some(true),
            info: Some(vec!["".into(); Everything.info_labels().len()]),
            processing: Some(Histogram::new([(0.5, 1)], Some(0.25), 1)),
            ..Statistics::default()
        };
        for counter in statistics.counters_mut() {
            *counter = Counter::single(some);
        }
        let queue = QueueId { name: "orders".to_owned(), scope: "workers".to_owned() };
        let mut families = families(&Everything, "everything", &[(queue, statistics)]);
        families.push(event_gaps(0));
        let mut health = broker::BrokerHealth::default();
        for metric in broker::METRICS {
            health.add_count(metric, metric.labels, some);
        }
        families.extend(BrokerCounters::default().families(&health));
        exporter_common::testing::assert_golden(
            &to_text(families),
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/everything.prom"),
        );
    }

    #[test]
    fn the_documentation_contains_every_metric_state_and_system() {
        let page = include_str!("../../../../docs/queue-exporter.md");
        let names = GAUGES.iter().map(|it| it.0).chain(COUNTERS.iter().map(|it| it.0));
        let own = [
            PROCESSING,
            "queue_messages",
            "queue_info",
            "queue_exporter_queues",
            "queue_exporter_metric_origin",
            "queue_exporter_pattern_matches",
            "queue_exporter_source_errors_total",
            "queue_exporter_event_gaps_total",
        ];
        for name in names.chain(own).chain(broker::METRICS.iter().map(|metric| metric.name)) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
        for (state, _) in STATES {
            assert!(page.contains(&format!("`{state}`")), "{state}");
        }
        for system in crate::systems::SYSTEMS {
            assert!(page.contains(&format!("`{}`", system.name)), "{}", system.name);
        }
    }
}

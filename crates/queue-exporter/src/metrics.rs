//! Statistics as metric families: every name this exporter gives to what it reads.

use exporter_common::{Family, Value};

use crate::system::{Counter, Queue, Statistics};

type Field<T> = fn(&Statistics) -> T;

/// The gauges: name, help, value.
const GAUGES: &[(&str, &str, Field<Option<u64>>)] = &[
    ("queue_depth", "Messages ready to be consumed and not yet delivered, as the queue system counts them.", |queue| {
        queue.ready
    }),
    ("queue_consumers", "Consumers of the queue, as the queue system counts them.", |queue| queue.consumers),
    ("queue_memory_bytes", "Memory that the queue takes in the queue system, by its own account.", |queue| {
        queue.memory_bytes
    }),
    ("queue_message_bytes", "Bodies of all messages in the queue, as the queue system adds them up.", |queue| {
        queue.message_bytes
    }),
];

/// The states of `queue_messages`, for systems that tell more of a message than that it is ready.
const STATES: &[(&str, Field<Option<u64>>)] = &[("ready", |queue| queue.ready), ("in_flight", |queue| queue.in_flight)];

/// The counters: name, help, label `status` where there is one, value.
const COUNTERS: &[(&str, &str, Option<&str>, Field<Counter>)] = &[
    ("messages_processed_total", PROCESSED, Some("success"), |queue| queue.success),
    ("messages_processed_total", PROCESSED, Some("failure"), |queue| queue.failure),
    ("messages_enqueued_total", "Messages put into the queue, as the queue system counts them.", None, |queue| {
        queue.enqueued
    }),
    (
        "messages_delivered_total",
        "Messages handed to consumers, again included, as the queue system counts them.",
        None,
        |queue| queue.delivered,
    ),
    (
        "messages_redelivered_total",
        "Messages handed to a consumer not for the first time, as the queue system counts them.",
        None,
        |queue| queue.redelivered,
    ),
];

const PROCESSED: &str =
    "Messages that left the queue because they were processed, well or badly, as the queue system counts them.";

/// The families of some queues. The label of a queue's scope is left out where the system has none.
pub(crate) fn families(scope_label: Option<&'static str>, queues: &[(Queue, Statistics)]) -> Vec<Family> {
    let names =
        |more: Option<&'static str>| -> Vec<_> { ["queue_name"].into_iter().chain(scope_label).chain(more).collect() };
    let series = |mut family: Family, label: Option<&str>, value: &dyn Fn(&Statistics) -> Option<Value>| {
        let mut labels = Vec::with_capacity(3);
        for (queue, statistics) in queues {
            if let Some(value) = value(statistics) {
                labels.clear();
                labels.push(queue.name.as_str());
                labels.extend(scope_label.map(|_| queue.scope.as_str()));
                labels.extend(label);
                family.push(&labels, value);
            }
        }
        family
    };
    let mut families = Vec::new();
    for (name, help, field) in GAUGES {
        let family = Family::gauge(*name, *help, &names(None));
        families.push(series(family, None, &|queue| field(queue).map(Value::from)));
    }
    for (state, field) in STATES {
        let help = "Messages in the queue by state, as the queue system counts them.";
        let family = Family::gauge("queue_messages", help, &names(Some("state")));
        let more_than_ready = |queue: &Statistics| queue.in_flight.and(field(queue)).map(Value::from);
        families.push(series(family, Some(state), &more_than_ready));
    }
    for (name, help, status, field) in COUNTERS {
        let family = Family::counter(*name, *help, &names(status.map(|_| "status")));
        families.push(series(family, *status, &|queue| field(queue).value().map(Value::from)));
    }
    let help = "How long messages were processed, as the queue system measured it.";
    let family = Family::histogram("message_processing_seconds", help, &names(None));
    families.push(series(family, None, &|queue| queue.processing.clone().map(Value::from)));
    families.retain(|family| !family.is_empty());
    families
}

/// What became of the queues that were listed, so that none is missing unseen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) exported: u64,
    pub(crate) filtered: u64,
    pub(crate) error: u64,
}

impl Outcomes {
    pub(crate) fn family(self) -> Family {
        let help = "Queues of the last read by what became of them: exported, left out by --queue.include or \
                    --queue.exclude, or not read for an error.";
        Family::gauge("queue_exporter_queues", help, &["outcome"])
            .with(&["exported"], self.exported)
            .with(&["filtered"], self.filtered)
            .with(&["error"], self.error)
    }
}

/// What this exporter is and what it reads.
pub(crate) fn info(system: &str) -> Family {
    Family::info(
        "queue_exporter_info",
        "This exporter's version, and the queue system it reads.",
        &["version", "queue_system"],
    )
    .with(&[env!("CARGO_PKG_VERSION"), system], 1.0)
}

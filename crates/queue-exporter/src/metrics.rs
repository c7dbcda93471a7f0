//! Statistics as metric families: every name this exporter gives to what it reads.

use exporter_common::{Family, Value};

use crate::system::{Counter, Origin, Queue, Statistics, System};

type Field<T> = fn(&Statistics) -> T;

/// The gauges: name, help, value.
const GAUGES: &[(&str, &str, Field<Option<Value>>)] = &[
    ("queue_depth", "Messages ready to be consumed and not yet delivered, as the queue system counts them.", |queue| {
        queue.ready.map(Value::from)
    }),
    ("queue_oldest_message_age_seconds", "How long the oldest message that is ready has been in the queue.", |queue| {
        queue.oldest.map(Value::from)
    }),
    (
        "queue_oldest_in_flight_age_seconds",
        "How long ago the oldest message that is in flight was put into the queue or delivered.",
        |queue| queue.oldest_in_flight.map(Value::from),
    ),
    ("queue_consumers", "Consumers of the queue, as the queue system counts them.", |queue| {
        queue.consumers.map(Value::from)
    }),
    ("queue_consumers_busy", "Consumers of the queue that are processing a message.", |queue| {
        queue.consumers_busy.map(Value::from)
    }),
    ("queue_memory_bytes", "Memory that the queue takes in the queue system, by its own account.", |queue| {
        queue.memory_bytes.map(Value::from)
    }),
    ("queue_message_bytes", "Bodies of all messages in the queue, as the queue system adds them up.", |queue| {
        queue.message_bytes.map(Value::from)
    }),
    ("queue_max_length", "How many messages the queue may hold, by its own limit.", |queue| {
        queue.max_length.map(Value::from)
    }),
    ("queue_paused", "Whether the queue is paused: what is in it is not delivered.", |queue| {
        queue.paused.map(|paused| Value::from(u64::from(paused)))
    }),
];

/// The states of `queue_messages`.
const STATES: &[(&str, Field<Option<u64>>)] = &[
    ("ready", |queue| queue.ready),
    ("in_flight", |queue| queue.in_flight),
    ("delayed", |queue| queue.delayed),
    ("retry", |queue| queue.retry),
    ("dead", |queue| queue.dead),
    ("blocked", |queue| queue.blocked),
    ("completed", |queue| queue.completed),
];

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
    (
        "messages_dead_lettered_total",
        "Messages taken out of the queue as not to be processed, as the queue system counts them.",
        None,
        |queue| queue.dead_lettered,
    ),
];

const PROCESSED: &str =
    "Messages that left the queue because they were processed, well or badly, as the queue system counts them.";

const PROCESSING: &str = "message_processing_seconds";

/// Queues with what is to be exported of them.
pub(crate) type Read = Vec<(Queue, Statistics)>;

/// The families of some queues of a system whose name is `backend`.
pub(crate) fn families(system: &dyn System, backend: &'static str, queues: &Read) -> Vec<Family> {
    // a label that is empty is left out, so each shape has families of its own
    let shapes = [(true, true), (true, false), (false, true), (false, false)];
    let shape = |queue: &Queue| (!queue.name.is_empty(), !queue.scope.is_empty());
    let mut families = Vec::new();
    for wanted in shapes {
        let queues: Vec<_> = queues.iter().filter(|(queue, _)| shape(queue) == wanted).collect();
        if !queues.is_empty() {
            let labels = [wanted.0.then_some("queue_name"), wanted.1.then_some(system.scope_label())];
            of_one_shape(&labels.into_iter().flatten().collect::<Vec<_>>(), system, backend, &queues, &mut families);
        }
    }
    families.retain(|family| !family.is_empty());
    families
}

fn of_one_shape(
    identity: &[&'static str],
    system: &dyn System,
    backend: &str,
    queues: &[&(Queue, Statistics)],
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
        let help = "Messages in the queue by state, as the queue system counts them.";
        let family = Family::gauge("queue_messages", help, &names(&["state"]));
        let more_than_ready = |queue: &Statistics| {
            let others = STATES.iter().filter(|(state, _)| *state != "ready");
            others.filter_map(|(_, field)| field(queue)).next().and(field(queue)).map(Value::from)
        };
        families.push(series(family, &[state], &more_than_ready));
    }
    for (name, help, status, field) in COUNTERS {
        let labels: &[_] = if status.is_some() { &["status"] } else { &[] };
        let family = Family::counter(*name, *help, &names(labels));
        families.push(series(family, status.as_slice(), &|queue| field(queue).value().map(Value::from)));
    }
    let help = "How long messages were processed, as the queue system measured it.";
    let family = Family::histogram(PROCESSING, help, &names(&[]));
    families.push(series(family, &[], &|queue| queue.processing.clone().map(Value::from)));
    let labels: Vec<_> = ["backend"].into_iter().chain(system.info_labels().iter().copied()).collect();
    let mut info = Family::info("queue_info", "What a queue is, as the queue system tells it.", &names(&labels));
    for (queue, statistics) in queues {
        if let Some(facts) = &statistics.info {
            let identity = [queue.name.as_str(), queue.scope.as_str()].into_iter().filter(|text| !text.is_empty());
            let facts = facts.iter().map(|fact| &**fact);
            info.push(&identity.chain([backend]).chain(facts).collect::<Vec<_>>(), 1.0);
        }
    }
    families.push(info);
}

/// Where the values of each metric come from, so that no data can be told from none that there is.
pub(crate) fn origins(system: &dyn System) -> Vec<Family> {
    let family = |labels: &[&'static str]| {
        let help = "Where a metric's values come from: native, derived from what the queue system keeps, counted \
                    from events, or unavailable.";
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
    for name in GAUGES.iter().map(|(name, ..)| *name).chain([PROCESSING]) {
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

/// How often events were lost that counters are made of.
pub(crate) fn event_gaps(gaps: u64) -> Family {
    let help = "Times that events of a queue were lost before they were read, since the start; counters made of events \
                lack them.";
    Family::counter("queue_exporter_event_gaps_total", help, &[]).value(gaps)
}

/// What became of the queues that were listed, so that none is missing unseen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) exported: u64,
    pub(crate) filtered: u64,
    pub(crate) over_limit: u64,
    pub(crate) error: u64,
}

impl Outcomes {
    pub(crate) fn family(self) -> Family {
        let help = "Queues of the last read by what became of them: exported, left out by --queue.include or \
                    --queue.exclude, over the limit of --queue.max-queues and summed up as _other, or not read for an \
                    error.";
        Family::gauge("queue_exporter_queues", help, &["outcome"])
            .with(&["exported"], self.exported)
            .with(&["filtered"], self.filtered)
            .with(&["over_limit"], self.over_limit)
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

#[cfg(test)]
mod tests {
    use exporter_common::{Histogram, to_text};

    use super::*;

    /// A system that has everything, with the labels of all.
    struct Everything;

    #[exporter_common::async_trait]
    impl System for Everything {
        fn info_labels(&self) -> &'static [&'static str] {
            &["type", "durable", "node", "policy"]
        }

        fn origin(&self, _: &str, _: &str) -> Origin {
            Origin::Native
        }

        fn list(&self) -> futures_util::stream::BoxStream<'_, anyhow::Result<crate::system::Listed>> {
            Box::pin(futures_util::stream::empty())
        }
    }

    #[test]
    fn what_a_queue_system_can_say_is_in_one_golden_file() {
        let some = Some(1);
        let mut statistics = Statistics {
            ready: some,
            in_flight: some,
            delayed: some,
            retry: some,
            dead: some,
            blocked: some,
            completed: some,
            oldest: Some(1.5),
            oldest_in_flight: Some(1.5),
            consumers: some,
            consumers_busy: some,
            memory_bytes: some,
            message_bytes: some,
            max_length: some,
            paused: Some(true),
            info: Some(vec!["".into(); Everything.info_labels().len()]),
            processing: Some(Histogram { buckets: vec![(0.5, 1)], sum: Some(0.25), count: 1 }),
            ..Statistics::default()
        };
        for counter in statistics.counters_mut() {
            *counter = Counter::whole(some);
        }
        let queue = Queue { name: "orders".to_owned(), scope: "workers".to_owned() };
        let mut families = families(&Everything, "everything", &vec![(queue, statistics)]);
        families.push(event_gaps(0));
        exporter_common::testing::assert_golden(
            &to_text(families),
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/everything.prom"),
        );
    }

    #[test]
    fn every_metric_is_on_the_page_of_this_exporter() {
        let page = include_str!("../../../docs/queue-exporter.md");
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
        for name in names.chain(own) {
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

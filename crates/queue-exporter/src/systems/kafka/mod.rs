//! `kafka`: topics of Kafka and the lag of their consumer groups.

mod budgets;
mod cluster;
mod connection;
mod errors;
mod groups;
mod messages;
mod options;
mod partitions;
mod progress;
mod records;
mod sasl;
mod statistics;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use exporter_common::async_trait;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use self::budgets::{Budgets, MAX_METADATA};
use self::cluster::{Brokers, Cluster, Limits};
use self::connection::Budget;
use self::errors::check;
use self::groups::{GroupReader, GroupTopic};
use self::messages::TopicPartitions;
use self::options::{GroupFilter, Options, SCHEMES};
use self::partitions::{Offsets, Topics};
use self::progress::ProgressMemory;
use super::listing::list_from;
use crate::connection::Credentials;
use crate::queue_system::{Batch, ListedQueue, Origin, QueueId, QueueSystem, SystemKind};
use crate::timestamp::now;

pub(super) const KIND: SystemKind = SystemKind {
    name: "kafka",
    schemes: SCHEMES,
    connect: |settings| {
        let time = Mutex::new((Instant::now(), settings.timeout));
        let Options { bootstrap, settings, groups, with_age } = options::parse(settings)?;
        Ok(Box::new(Kafka {
            cluster: Cluster::new(bootstrap, settings),
            groups,
            with_age,
            lists_offsets: AtomicBool::new(false),
            time,
            snapshot: Mutex::default(),
            hidden: AtomicU64::new(0),
            progress: Mutex::default(),
        }))
    },
};

/// A topic is a queue without a scope, and one for each group that has committed offsets in it.
struct Kafka {
    cluster: Cluster,
    groups: GroupFilter,
    with_age: bool,
    /// Whether a broker has returned committed offsets of partitions that were not requested, as Kafka does.
    lists_offsets: AtomicBool,
    /// The start of the last list, and the time for it.
    time: Mutex<(Instant, Duration)>,
    snapshot: Mutex<Arc<Snapshot>>,
    /// Topics of groups that are not in the metadata.
    hidden: AtomicU64,
    progress: Mutex<ProgressMemory>,
}

/// The last list. Committed offsets are read before the offsets of partitions: otherwise a group could be ahead of them.
#[derive(Default)]
struct Snapshot {
    brokers: Brokers,
    topics: Topics,
    groups: BTreeMap<QueueId, GroupTopic>,
    budgets: Budgets,
}

#[async_trait]
impl QueueSystem for Kafka {
    fn credentials(&self) -> Option<&Credentials> {
        self.cluster.credentials()
    }

    fn origin(&self, metric: &str, detail: &str) -> Origin {
        match (metric, detail) {
            ("queue_messages", "ready") | ("queue_depth" | "queue_stream_length", _) => Origin::Derived,
            ("queue_oldest_message_age_seconds", _) if self.with_age => Origin::Derived,
            ("queue_consumers" | "messages_enqueued_total", _) => Origin::Derived,
            ("messages_processed_total", "success") => Origin::Derived,
            ("queue_partitions" | "queue_partitions_under_replicated", _) => Origin::Native,
            ("queue_replicas" | "queue_replicas_in_sync", _) => Origin::Native,
            _ => Origin::Unavailable,
        }
    }

    fn batch(&self) -> Batch {
        Batch { size: 5000, concurrency: 1 }
    }

    fn limit(&self, time: Duration) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), time);
    }

    fn list(&self) -> BoxStream<'_, Result<ListedQueue>> {
        list_from(self.read_list())
    }

    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        let snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (start, time) = self.time();
        // the collector waits for half of the time that is left
        let until = Instant::now() + time.saturating_sub(start.elapsed()) * 2 / 5;
        let limits = Limits { until, budget: &snapshot.budgets.offsets };
        let names: BTreeSet<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        let offsets = self.cluster.offsets(&snapshot.brokers, &snapshot.topics, &names, limits).await;
        let times = match self.with_age {
            true => {
                let positions = positions(&snapshot, queues, &offsets);
                let Snapshot { brokers, topics, budgets, .. } = &*snapshot;
                Some(self.cluster.record_times(brokers, topics, budgets, &positions, until).await)
            }
            false => None,
        };
        let now = now();
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |queue: &QueueId| {
            let ranges = offsets.get(&queue.name);
            let statistics = match snapshot.groups.get(queue) {
                Some(group) => {
                    let processed =
                        |committed: &mut dyn Iterator<Item = (i32, i64, i64)>| progress.update(queue, committed);
                    Some(statistics::of_group(&queue.name, group, ranges, times.as_ref(), now, processed))
                }
                None => {
                    let topic = snapshot.topics.get(&queue.name).zip(ranges);
                    topic.map(|(partitions, ranges)| Ok(statistics::of_topic(partitions, ranges)))
                }
            };
            ListedQueue { queue: queue.clone(), statistics }
        };
        Ok(queues.iter().map(read).collect())
    }

    fn hidden_queues(&self) -> u64 {
        self.hidden.load(Ordering::Relaxed)
    }
}

impl Kafka {
    fn time(&self) -> (Instant, Duration) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics, and the groups with committed offsets or members in them.
    async fn read_list(&self) -> Result<Vec<Result<ListedQueue>>> {
        let (start, time) = self.time();
        let limits = Limits { until: start + time / 2, budget: &Budget::new(MAX_METADATA) };
        let (metadata, brokers) = self.cluster.metadata(limits).await?;
        let mut listed = Vec::new();
        let (mut topics, mut failed, mut internal) = (Topics::new(), BTreeMap::new(), BTreeSet::new());
        for topic in metadata.topics {
            if topic.is_internal {
                internal.insert(topic.name);
            } else if topic.error == 0 {
                topics.insert(topic.name, topic.partitions);
            } else {
                failed.insert(topic.name, topic.error);
            }
        }
        let partitions = |partitions: &[messages::Partition]| partitions.iter().map(|it| it.index).collect();
        let all: Arc<[TopicPartitions]> = topics.iter().map(|(name, it)| (name.clone(), partitions(it))).collect();
        let reader = GroupReader { cluster: &self.cluster, filter: &self.groups, lists_offsets: &self.lists_offsets };
        let mut groups = reader.read_groups(&brokers, &all, limits).await;
        listed.extend(groups.errors.drain(..).map(Err));
        let mut groups = groups.into_queues();
        groups.retain(|queue, _| !internal.contains(&queue.name));
        let hidden = groups.keys().filter(|it| !topics.contains_key(&it.name) && !failed.contains_key(&it.name));
        self.hidden.store(hidden.count() as u64, Ordering::Relaxed);
        let of_topics = topics.keys().chain(failed.keys()).map(QueueId::named);
        for queue in of_topics.chain(groups.keys().cloned()) {
            if let Some(code) = failed.get(&queue.name) {
                listed.push(Ok(ListedQueue { queue, statistics: check(*code).err().map(Err) }));
            } else if topics.contains_key(&queue.name) {
                listed.push(Ok(ListedQueue { queue, statistics: None }));
            }
        }
        let snapshot = Snapshot { brokers, topics, groups, budgets: Budgets::default() };
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        Ok(listed)
    }
}

/// Where the oldest messages of groups are.
fn positions<'a>(
    snapshot: &Snapshot,
    queues: &'a [QueueId],
    offsets: &Offsets,
) -> BTreeSet<partitions::RecordPosition<'a>> {
    let mut positions = BTreeSet::new();
    for queue in queues {
        let known = snapshot.groups.get(queue).zip(offsets.get(&queue.name));
        if let Some(Ok(waiting)) = known.map(|(group, ranges)| statistics::waiting(group, ranges)) {
            statistics::oldest_positions(&queue.name, &waiting, &mut positions);
        }
    }
    positions
}

/// Parses one response as each that the system reads.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    messages::fuzz(data);
    sasl::fuzz(data);
    let _ = records::find_record(data, 5);
}

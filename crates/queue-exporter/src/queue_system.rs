//! The interface of a queue system: it lists its queues and returns their statistics.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use exporter_common::{Histogram, async_trait};
use futures_util::stream::BoxStream;

use crate::broker::BrokerHealth;
use crate::connection::{ConnectionSettings, Credentials};

/// A queue system by name.
#[derive(Clone, Copy)]
pub(crate) struct SystemKind {
    /// The value of `--queue.system`.
    pub(crate) name: &'static str,
    /// URL schemes of this system. Without `--queue.system`, the first system in the list with the scheme of
    /// `--queue.url` is used.
    pub(crate) schemes: &'static [&'static str],
    pub(crate) connect: fn(ConnectionSettings) -> Result<Box<dyn QueueSystem>>,
}

/// A queue system that lists its queues. It knows nothing of metrics, filters or deadlines: the collector limits the
/// time of each listed queue and of each call of [`QueueSystem::read`].
#[async_trait]
pub(crate) trait QueueSystem: Send + Sync + 'static {
    /// The label for [`QueueId::scope`].
    fn scope_label(&self) -> &'static str {
        "scope"
    }

    /// The labels of `queue_info`, in the order of [`Statistics::info`].
    fn info_labels(&self) -> &'static [&'static str] {
        &[]
    }

    /// The origin of a metric's values; `detail` is the status or the state, if the metric has one.
    fn origin(&self, metric: &str, detail: &str) -> Origin;

    /// The credentials, whose password file is reloaded before each list.
    fn credentials(&self) -> Option<&Credentials> {
        None
    }

    /// How many queues one call of [`QueueSystem::read`] takes.
    fn batch(&self) -> Batch {
        Batch { size: 1, concurrency: 16 }
    }

    /// Called before each list with the time that it may take.
    fn limit(&self, _time: Duration) {}

    /// The queues, as they are read. An error means that some are missing from the list; the read continues if the
    /// stream does.
    fn list(&self) -> BoxStream<'_, Result<ListedQueue>>;

    /// The statistics of queues that were listed without them: usually one item for each queue, without statistics if
    /// the queue is missing, for example deleted since it was listed.
    async fn read(&self, queues: &[QueueId]) -> Result<Vec<ListedQueue>> {
        Ok(queues.iter().map(|queue| ListedQueue { queue: queue.clone(), statistics: None }).collect())
    }

    /// How often events were lost before they were counted; `None` if no counter is made of events.
    fn event_gaps(&self) -> Option<u64> {
        None
    }

    /// The health of the broker. Read after the queues.
    async fn broker(&self) -> Result<BrokerHealth> {
        Ok(BrokerHealth::default())
    }

    /// The number of existing queues that the last list lacked, as the queue system reports it.
    fn hidden_queues(&self) -> u64 {
        0
    }

    /// Called after a complete list with the number of its queues, to look for queues that it lacks.
    async fn listed(&self, _queues: u64) {}

    /// Work between reads, for the life of the process, for the queues with selected names.
    async fn run(&self, _is_selected: &Selects<'_>) {
        std::future::pending().await
    }
}

/// Whether the name of a queue is selected by the flags.
pub(crate) type Selects<'a> = dyn for<'name> Fn(&'name str) -> bool + Send + Sync + 'a;

/// How queues are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Queues in one call.
    pub(crate) size: usize,
    /// Concurrent calls.
    pub(crate) concurrency: usize,
}

/// The origin of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The queue system has the value.
    Native,
    /// The exporter computes it from data of the queue system.
    Derived,
    /// The exporter counts events of the queue system.
    Events,
    /// The queue system cannot provide it.
    Unavailable,
}

/// The identity of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueId {
    /// Empty for totals of the whole queue system.
    pub(crate) name: String,
    /// The namespace of the name (RabbitMQ's virtual host), or one of several readers (a consumer group). Empty if the
    /// system has neither.
    pub(crate) scope: String,
}

impl QueueId {
    /// A queue without a scope.
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), scope: String::new() }
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope.as_str() {
            "" if self.name.is_empty() => f.write_str("all queues"),
            "" => write!(f, "queue {:?}", self.name),
            scope => write!(f, "queue {:?} of {scope:?}", self.name),
        }
    }
}

/// A queue as it was listed or read.
#[derive(Debug)]
pub(crate) struct ListedQueue {
    pub(crate) queue: QueueId,
    /// The statistics or their error; `None` until they are read.
    pub(crate) statistics: Option<Result<Statistics>>,
}

/// The statistics of one queue. A value that the queue system does not provide is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Statistics {
    /// Identifies the start of the counters: a number other than in the last read means that they restarted from 0.
    pub(crate) generation: u64,
    /// Ready to be consumed, not yet delivered.
    pub(crate) ready: Option<u64>,
    /// Delivered, and neither acknowledged nor returned.
    pub(crate) in_flight: Option<u64>,
    /// Scheduled for later.
    pub(crate) delayed: Option<u64>,
    /// Failed, to be retried later.
    pub(crate) retry: Option<u64>,
    /// Failed permanently, and kept.
    pub(crate) dead: Option<u64>,
    /// Waiting for other messages to be processed.
    pub(crate) blocked: Option<u64>,
    /// Processed, and kept.
    pub(crate) completed: Option<u64>,
    /// Canceled, and kept.
    pub(crate) canceled: Option<u64>,
    /// Seconds that the oldest ready message has waited.
    pub(crate) oldest_age: Option<f64>,
    /// Seconds that the oldest message in flight has been in flight.
    pub(crate) oldest_in_flight_age: Option<f64>,
    pub(crate) consumers: Option<u64>,
    pub(crate) consumers_busy: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) message_bytes: Option<u64>,
    pub(crate) max_length: Option<u64>,
    /// Messages of a stream, including consumed ones.
    pub(crate) stream_length: Option<u64>,
    /// Parts of a topic with separate offsets.
    pub(crate) partitions: Option<u64>,
    /// Partitions that lack an in-sync replica.
    pub(crate) partitions_under_replicated: Option<u64>,
    /// Configured copies of the queue, the leader included.
    pub(crate) replicas: Option<u64>,
    /// Copies that are online and have all messages.
    pub(crate) replicas_in_sync: Option<u64>,
    /// Messages or operations that the slowest copy lacks.
    pub(crate) replica_lag: Option<u64>,
    /// Messages of the origin that a mirror lacks.
    pub(crate) mirror_lag: Option<u64>,
    pub(crate) paused: Option<bool>,
    /// The values of [`QueueSystem::info_labels`].
    pub(crate) info: Option<Vec<Cow<'static, str>>>,
    pub(crate) success: Counter,
    pub(crate) failure: Counter,
    pub(crate) enqueued: Counter,
    pub(crate) delivered: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) processing: Option<Histogram>,
    /// The reason if the counters lack some events: the queue is exported, and the read is not successful.
    pub(crate) gap: Option<&'static str>,
}

/// A counter in the parts that the queue system counts separately. Each part may restart or vanish alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter(pub(crate) [Option<u64>; PARTS]);

/// RabbitMQ has three counters of messages that leave a queue for good; no system has more.
pub(crate) const PARTS: usize = 3;

impl Counter {
    /// A counter that the queue system keeps as one number.
    pub(crate) fn single(value: Option<u64>) -> Self {
        Self([value, None, None])
    }

    /// The sum of the known parts; `None` if no part is known.
    pub(crate) fn value(self) -> Option<u64> {
        self.0.into_iter().flatten().reduce(u64::saturating_add)
    }
}

impl Statistics {
    /// The number of counters.
    pub(crate) const COUNTERS: usize = 6;

    /// Every counter, always in the same order.
    pub(crate) fn counters_mut(&mut self) -> [&mut Counter; Self::COUNTERS] {
        [
            &mut self.success,
            &mut self.failure,
            &mut self.enqueued,
            &mut self.delivered,
            &mut self.redelivered,
            &mut self.dead_lettered,
        ]
    }
}

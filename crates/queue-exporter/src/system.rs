//! What a queue system is to this exporter: it lists its queues, and gives the statistics of some.

use std::borrow::Cow;
use std::fmt;

use anyhow::Result;
use exporter_common::{Histogram, async_trait};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::credentials::Credentials;

/// A queue system that can be asked for its queues. It knows nothing of metrics, of deadlines (each
/// queue it lists and each call of [`System::read`] has the timeout of a call), or of filters.
#[async_trait]
pub(crate) trait System: Send + Sync + 'static {
    /// The label for [`Queue::scope`].
    fn scope_label(&self) -> &'static str {
        "scope"
    }

    /// The labels of `queue_info`, in the order of [`Statistics::info`].
    fn info_labels(&self) -> &'static [&'static str] {
        &[]
    }

    /// Where the values of a metric come from; `detail` is its status or state, where it has one.
    fn origin(&self, metric: &str, detail: &str) -> Origin;

    /// Who is asking. The password is read again before each list.
    fn credentials(&self) -> Option<&Credentials> {
        None
    }

    /// How many queues one call of [`System::read`] is given.
    fn batch(&self) -> Batch {
        Batch { size: 1, at_once: 16 }
    }

    /// The queues, as they are read. An error means that some are missing from the list; where the
    /// stream goes on after it, so does the read.
    fn list(&self) -> BoxStream<'_, Result<Listed>>;

    /// The statistics of queues whose list does not carry them: for most queues one item each, without
    /// statistics where it is not there, perhaps deleted since it was listed.
    async fn read(&self, queues: &[Queue]) -> Result<Vec<Listed>> {
        Ok(queues.iter().map(|queue| Listed { queue: queue.clone(), statistics: None }).collect())
    }

    /// How often events were lost that counters are made of; `None` where they are not made of events.
    fn event_gaps(&self) -> Option<u64> {
        None
    }
}

/// A list that is read in one go, and whose entries are made one by one: they are large, and names are not.
pub(crate) fn in_one_go<'a, L>(list: impl Future<Output = Result<L>> + Send + 'a) -> BoxStream<'a, Result<Listed>>
where
    L: IntoIterator<Item = Listed, IntoIter: Send + 'a> + Send + 'a,
{
    stream::once(list).map_ok(|list| stream::iter(list.into_iter().map(Ok))).try_flatten().boxed()
}

/// How queues are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// How many with one call.
    pub(crate) size: usize,
    /// How many calls at once.
    pub(crate) at_once: usize,
}

/// Where the values of a metric come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The queue system keeps them.
    Native,
    /// They are computed from what it keeps.
    Derived,
    /// They are counted here from what it says has happened.
    Events,
    /// There are none.
    Unavailable,
}

/// What makes a queue this queue and no other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Queue {
    /// Empty for what a system says of all of its queues together.
    pub(crate) name: String,
    /// What the name is unique in (RabbitMQ's virtual host), or who of several reads it (a group of
    /// consumers). Empty where there is nothing.
    pub(crate) scope: String,
}

impl Queue {
    /// A queue whose name says all.
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), scope: String::new() }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope.as_str() {
            "" => write!(f, "queue {:?}", self.name),
            scope => write!(f, "queue {:?} of {scope:?}", self.name),
        }
    }
}

/// A queue as it was listed or read.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) queue: Queue,
    /// Its statistics, or what is wrong with them, where they are known.
    pub(crate) statistics: Option<Result<Statistics>>,
}

/// What a queue system says of one queue. What it does not say is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Statistics {
    /// Which life of its source the counters come from: another number than last time means that
    /// they are known to have begun anew.
    pub(crate) life: u64,
    /// Ready to be consumed, not yet delivered.
    pub(crate) ready: Option<u64>,
    /// Delivered, and neither acknowledged nor given back.
    pub(crate) in_flight: Option<u64>,
    /// To become ready at a time of their own.
    pub(crate) delayed: Option<u64>,
    /// Failed, to be tried again later.
    pub(crate) retry: Option<u64>,
    /// Failed, not to be tried again, and kept.
    pub(crate) dead: Option<u64>,
    /// Waiting for other messages to be processed.
    pub(crate) blocked: Option<u64>,
    /// Processed, and kept.
    pub(crate) completed: Option<u64>,
    /// Seconds that the oldest ready message has waited.
    pub(crate) oldest: Option<f64>,
    /// Seconds that the oldest message in flight has been so.
    pub(crate) oldest_in_flight: Option<f64>,
    pub(crate) consumers: Option<u64>,
    pub(crate) consumers_busy: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) message_bytes: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) paused: Option<bool>,
    /// The values of [`System::info_labels`].
    pub(crate) info: Option<Vec<Cow<'static, str>>>,
    pub(crate) success: Counter,
    pub(crate) failure: Counter,
    pub(crate) enqueued: Counter,
    pub(crate) delivered: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) processing: Option<Histogram>,
}

/// A counter in the parts that its source counts apart, each of which may be reset or vanish alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter(pub(crate) [Option<u64>; PARTS]);

/// RabbitMQ counts three ways for a message to leave a queue for good; nothing has more.
pub(crate) const PARTS: usize = 3;

impl Counter {
    /// A counter that its source keeps as one number.
    pub(crate) fn whole(value: Option<u64>) -> Self {
        Self([value, None, None])
    }

    /// The sum of the parts that are known; `None` where none is.
    pub(crate) fn value(self) -> Option<u64> {
        self.0.into_iter().flatten().reduce(u64::saturating_add)
    }
}

impl Statistics {
    /// How many counters there are.
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

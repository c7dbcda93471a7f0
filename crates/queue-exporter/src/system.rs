//! What a queue system is to this exporter: it lists its queues, and gives the statistics of one.

use std::fmt;

use anyhow::Result;
use exporter_common::{Histogram, async_trait};
use futures_util::stream::BoxStream;

/// A queue system that can be asked for its queues. It knows nothing of metrics, of deadlines (each
/// queue it lists and each call of [`System::statistics`] has the timeout of a call), or of filters.
#[async_trait]
pub(crate) trait System: Send + Sync + 'static {
    /// The label for [`Queue::scope`], where queue names are not unique without it.
    fn scope_label(&self) -> Option<&'static str> {
        None
    }

    /// The queues, as they are read. An error means that some are missing from the list; where the
    /// stream goes on after it, so does the read.
    fn list(&self) -> BoxStream<'_, Result<Listed>>;

    /// The statistics of one queue, for systems whose list does not carry them. `None`: it is not there,
    /// perhaps deleted since it was listed.
    async fn statistics(&self, _queue: &Queue) -> Result<Option<Statistics>> {
        Ok(None)
    }
}

/// What makes a queue this queue and no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// What the name is unique in: RabbitMQ's virtual host. Empty where there is nothing.
    pub(crate) scope: String,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope.as_str() {
            "" => write!(f, "queue {:?}", self.name),
            scope => write!(f, "queue {:?} of {scope:?}", self.name),
        }
    }
}

/// A queue as the list has it.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) queue: Queue,
    /// Its statistics, or what is wrong with them, where the list carries them.
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
    pub(crate) consumers: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) message_bytes: Option<u64>,
    pub(crate) success: Counter,
    pub(crate) failure: Counter,
    pub(crate) enqueued: Counter,
    pub(crate) delivered: Counter,
    pub(crate) redelivered: Counter,
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
    pub(crate) const COUNTERS: usize = 5;

    /// Every counter, always in the same order.
    pub(crate) fn counters_mut(&mut self) -> [&mut Counter; Self::COUNTERS] {
        [&mut self.success, &mut self.failure, &mut self.enqueued, &mut self.delivered, &mut self.redelivered]
    }
}

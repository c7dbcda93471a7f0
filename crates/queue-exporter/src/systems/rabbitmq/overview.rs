//! RabbitMQ's overview: whether it collects statistics, and the number of existing queues.

use serde::Deserialize;

use crate::json::Count;

/// The response to `GET api/overview`.
#[derive(Deserialize)]
pub(super) struct Overview {
    pub(super) disable_stats: Option<bool>,
    object_totals: Option<ObjectTotals>,
}

#[derive(Deserialize)]
struct ObjectTotals {
    queues: Option<Count>,
}

impl Overview {
    /// The number of existing queues, visible or not.
    pub(super) fn queues(self) -> Option<u64> {
        self.object_totals?.queues.map(|Count(queues)| queues)
    }
}

//! RabbitMQ's overview: whether it collects statistics, the number of existing queues, and messages without a queue.

use serde::Deserialize;

use crate::broker::{BrokerHealth, CONNECTIONS, UNROUTABLE};
use crate::json::Count;

/// The response to `GET api/overview`.
#[derive(Deserialize)]
pub(super) struct Overview {
    pub(super) disable_stats: Option<bool>,
    object_totals: Option<ObjectTotals>,
    message_stats: Option<MessageStats>,
}

#[derive(Deserialize)]
struct ObjectTotals {
    queues: Option<Count>,
    connections: Option<Count>,
}

/// The messages of all virtual hosts that the user can see. An idle broker has none of them.
#[derive(Deserialize)]
struct MessageStats {
    drop_unroutable: Option<Count>,
    return_unroutable: Option<Count>,
}

impl Overview {
    /// The number of existing queues, visible or not.
    pub(super) fn queues(&self) -> Option<u64> {
        count(self.object_totals.as_ref()?.queues)
    }

    pub(super) fn add_health(&self, health: &mut BrokerHealth) {
        health.add_count(&CONNECTIONS, &[""], self.object_totals.as_ref().and_then(|totals| count(totals.connections)));
        if let Some(stats) = &self.message_stats {
            health.add_count(&UNROUTABLE, &["dropped"], count(stats.drop_unroutable));
            health.add_count(&UNROUTABLE, &["returned"], count(stats.return_unroutable));
        }
    }
}

fn count(value: Option<Count>) -> Option<u64> {
    value.map(|Count(value)| value)
}

/// Parses one response.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let overview = crate::json::object::<Overview>(data);
    let _ = overview.map(|overview| (overview.queues(), overview.add_health(&mut BrokerHealth::default())));
}

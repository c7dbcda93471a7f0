//! The metrics of a broker's health: alarms, limits, lost messages, workers.

/// A metric of the broker.
#[derive(Debug)]
pub(crate) struct BrokerMetric {
    /// A counter's name ends in `_total`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [&'static str],
}

/// Every metric of a broker. Empty labels are omitted.
pub(crate) const METRICS: &[&BrokerMetric] =
    &[&ALARM, &LIMIT_USED, &CONNECTIONS, &CONNECTIONS_BLOCKED, &UNROUTABLE, &EVICTED_KEYS, &SLOW_CONSUMERS, &WORKERS];

/// `alarm`: `memory`, `disk`, `replication`, `draining`.
pub(crate) const ALARM: BrokerMetric = BrokerMetric {
    name: "queue_broker_alarm",
    help: "Whether an alarm of the broker's node is active, during which it blocks or refuses publishers (1 = yes).",
    labels: &["alarm", "node"],
};

/// `resource`: `memory`, `disk`, `connections`, `file_descriptors`, `sockets`, `processes`.
pub(crate) const LIMIT_USED: BrokerMetric = BrokerMetric {
    name: "queue_broker_limit_used_ratio",
    help: "Used share of a limit of the broker's node, from 0 to 1; for disks, the required divided by the free space.",
    labels: &["node", "resource"],
};

pub(crate) const CONNECTIONS: BrokerMetric = BrokerMetric {
    name: "queue_broker_connections",
    help: "Number of client connections of the broker.",
    labels: &["node"],
};

pub(crate) const CONNECTIONS_BLOCKED: BrokerMetric = BrokerMetric {
    name: "queue_broker_connections_blocked",
    help: "Number of client connections from which the broker accepts no messages because of an alarm.",
    labels: &["node"],
};

/// `outcome`: `dropped`, `returned`.
pub(crate) const UNROUTABLE: BrokerMetric = BrokerMetric {
    name: "queue_broker_unroutable_messages_total",
    help: "Total number of published messages that reached no queue: dropped, or returned to the publisher.",
    labels: &["outcome"],
};

pub(crate) const EVICTED_KEYS: BrokerMetric = BrokerMetric {
    name: "queue_broker_evicted_keys_total",
    help: "Total number of keys that the broker deleted to stay below its memory limit.",
    labels: &["node"],
};

pub(crate) const SLOW_CONSUMERS: BrokerMetric = BrokerMetric {
    name: "queue_broker_slow_consumers_total",
    help: "Total number of clients that the broker disconnected because they read too slowly.",
    labels: &["node"],
};

/// `state`: `alive`, `lost`.
pub(crate) const WORKERS: BrokerMetric = BrokerMetric {
    name: "queue_workers",
    help: "Number of registered worker processes that are alive, or that stopped without unregistering (lost).",
    labels: &["state"],
};

/// The health of a broker as it was read. What a broker does not report is missing.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrokerHealth(Vec<BrokerSample>);

/// One value of a broker.
#[derive(Clone, Debug)]
pub(crate) struct BrokerSample {
    pub(crate) metric: &'static BrokerMetric,
    /// The values of the metric's labels.
    pub(crate) labels: Vec<String>,
    pub(crate) value: f64,
}

impl BrokerHealth {
    /// Adds a value, unless it is unknown.
    pub(crate) fn add(&mut self, metric: &'static BrokerMetric, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            self.0.push(BrokerSample { metric, labels, value });
        }
    }

    /// Adds a count, unless it is unknown.
    pub(crate) fn add_count(&mut self, metric: &'static BrokerMetric, labels: &[&str], count: Option<u64>) {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        self.add(metric, labels, count.map(|count| count as f64));
    }

    /// Adds whether an alarm is active, unless that is unknown.
    pub(crate) fn add_alarm(&mut self, alarm: &str, node: &str, active: Option<bool>) {
        self.add_count(&ALARM, &[alarm, node], active.map(u64::from));
    }

    /// Adds the used share of a limit, unless there is none.
    pub(crate) fn add_limit(&mut self, resource: &str, node: &str, used: Option<u64>, limit: Option<u64>) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
        let ratio = used.zip(limit).filter(|(_, limit)| *limit > 0).map(|(used, limit)| used as f64 / limit as f64);
        self.add(&LIMIT_USED, &[node, resource], ratio);
    }

    pub(crate) fn samples(&self) -> &[BrokerSample] {
        &self.0
    }
}

//! A NATS server and its health, from `/varz`.

use serde::Deserialize;

use crate::broker::{BrokerHealth, CONNECTIONS, SLOW_CONSUMERS};
use crate::json::Count;

/// The server that responds. Its id changes when it restarts.
#[derive(Deserialize)]
pub(super) struct Server {
    pub(super) server_id: String,
    pub(super) server_name: String,
    connections: Option<Count>,
    /// -1 is unlimited.
    max_connections: Option<i64>,
    slow_consumers: Option<Count>,
    jetstream: Option<JetStream>,
}

#[derive(Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
    stats: Option<JetStreamStats>,
}

/// In bytes; -1 is unlimited.
#[derive(Deserialize)]
struct JetStreamConfig {
    max_memory: Option<i64>,
    max_storage: Option<i64>,
}

#[derive(Deserialize)]
struct JetStreamStats {
    memory: Option<Count>,
    storage: Option<Count>,
}

impl Server {
    /// The limits of the server: a full JetStream refuses messages.
    pub(super) fn health(&self) -> BrokerHealth {
        let value = |count: &Option<Count>| count.map(|Count(value)| value);
        let limit = |limit: Option<i64>| limit.and_then(|limit| u64::try_from(limit).ok());
        let mut health = BrokerHealth::default();
        let connections = value(&self.connections);
        health.add_count(&CONNECTIONS, &[""], connections);
        health.add_limit("connections", "", connections, limit(self.max_connections));
        health.add_count(&SLOW_CONSUMERS, &[""], value(&self.slow_consumers));
        if let Some(JetStream { config: Some(config), stats: Some(stats) }) = &self.jetstream {
            health.add_limit("memory", "", value(&stats.memory), limit(config.max_memory));
            health.add_limit("disk", "", value(&stats.storage), limit(config.max_storage));
        }
        health
    }
}

/// Parses one response.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let _ = crate::json::object(data).map(|server: Server| server.health());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_slow_consumers_are_read() {
        let text = br#"{"server_id":"A","server_name":"a","connections":3,"max_connections":60,"slow_consumers":2,
            "jetstream":{"config":{"max_memory":100,"max_storage":-1},"stats":{"memory":25,"storage":7}}}"#;
        let health = crate::json::object::<Server>(text).unwrap().health();
        let samples: Vec<_> = health.samples().iter().map(|it| (it.labels.join(""), it.value)).collect();
        let expected = [("", 3.0), ("connections", 0.05), ("", 2.0), ("memory", 0.25)];
        assert_eq!(samples, expected.map(|(labels, value)| (labels.to_owned(), value)));
        let core = crate::json::object::<Server>(br#"{"server_id":"A","server_name":"a","jetstream":{}}"#).unwrap();
        assert!(core.health().samples().is_empty());
    }
}

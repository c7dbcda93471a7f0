//! The health of Redis servers, from `INFO`.

use std::sync::atomic::Ordering;

use anyhow::Result;

use super::client::RedisClient;
use super::replies::text;
use crate::broker::{ALARM, BrokerHealth, CONNECTIONS, EVICTED_KEYS, LIMIT_USED, SLOW_CONSUMERS};
use crate::read_error::{Reason, reason};

/// The metrics that `INFO` provides.
pub(crate) const HEALTH: [&str; 5] =
    [ALARM.name, LIMIT_USED.name, CONNECTIONS.name, EVICTED_KEYS.name, SLOW_CONSUMERS.name];

impl RedisClient {
    /// The health of the server or of the primaries of the cluster. Without permission for `INFO`, which is optional, it is
    /// unknown, and the log reports that once. A node that does not respond is missing; the list of keys reports its error.
    pub(crate) async fn health(&self) -> Result<BrokerHealth> {
        let mut health = BrokerHealth::default();
        let mut refused = false;
        for server in self.known_servers() {
            let (host, port) = server.address();
            let node = if self.is_cluster() { format!("{host}:{port}") } else { String::new() };
            match self.query_server(&server, &["INFO"]).await {
                Ok(reply) => {
                    add_info(text(&reply)?.unwrap_or_default(), &node, &mut health);
                }
                Err(error) if reason(&error) == Reason::Auth => refused = true,
                Err(error) if self.is_cluster() => {
                    tracing::debug!(error = format!("{error:#}"), "cannot read the server's health");
                }
                Err(error) => return Err(error),
            }
        }
        if refused && !self.info_refused.load(Ordering::Relaxed) {
            tracing::warn!(
                "the Redis user has no permission for INFO: queue_broker_alarm and the other metrics of the server's health \
                 are missing: add +info to the user"
            );
        }
        self.info_refused.store(refused, Ordering::Relaxed);
        Ok(health)
    }
}

/// Adds the health from the reply to `INFO`.
fn add_info(info: &str, node: &str, health: &mut BrokerHealth) {
    let word = |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| word(name).and_then(|value| value.parse::<u64>().ok());
    let used = number("used_memory").map(|used| {
        // buffers of replicas and of the append-only file do not count
        used.saturating_sub(number("mem_not_counted_for_evict").unwrap_or(0))
    });
    let limit = number("maxmemory");
    let refuses_writes = used.zip(limit).zip(word("maxmemory_policy")).map(|((used, limit), policy)| {
        limit > 0 && used >= limit && !policy.starts_with("allkeys") // evicting any key always frees memory
    });
    health.add_alarm("memory", node, refuses_writes);
    health.add_limit("memory", node, used, limit);
    let saves = ["rdb_last_bgsave_status", "aof_last_write_status"].map(word).into_iter().flatten();
    health.add_alarm("disk", node, saves.map(|status| status != "ok").reduce(|one, other| one || other));
    health.add_alarm("replication", node, word("master_link_status").map(|status| status != "up"));
    let connections = number("connected_clients");
    health.add_count(&CONNECTIONS, &[node], connections);
    health.add_limit("connections", node, connections, number("maxclients"));
    health.add_count(&EVICTED_KEYS, &[node], number("evicted_keys"));
    health.add_count(&SLOW_CONSUMERS, &[node], number("client_output_buffer_limit_disconnections"));
}

/// Parses one reply.
#[cfg(fuzzing)]
pub(crate) fn fuzz(info: &str) {
    add_info(info, "", &mut BrokerHealth::default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(info: &str) -> Vec<String> {
        let mut health = BrokerHealth::default();
        add_info(info, "", &mut health);
        let sample = |it: &crate::broker::BrokerSample| {
            let name = it.metric.name.trim_start_matches("queue_broker_");
            format!("{name} {} {}", it.labels.join(""), it.value)
        };
        health.samples().iter().map(sample).collect()
    }

    #[test]
    fn a_full_server_that_evicts_no_keys_has_an_alarm() {
        let full =
            "# Memory\r\nused_memory:1100\r\nmaxmemory:1000\r\nmem_not_counted_for_evict:50\r\nmaxmemory_policy:";
        let alarm = |text: &str| samples(text)[0].clone();
        assert_eq!(alarm(&format!("{full}noeviction\r\n")), "alarm memory 1");
        assert_eq!(alarm(&format!("{full}allkeys-lru\r\n")), "alarm memory 0");
        assert_eq!(samples(&format!("{full}noeviction\r\n"))[1], "limit_used_ratio memory 1.05");
        let unlimited = "used_memory:1100\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n";
        assert_eq!(samples(unlimited), ["alarm memory 0"]);
    }

    #[test]
    fn failed_saves_and_lost_masters_are_alarms() {
        let info = "rdb_last_bgsave_status:err\r\naof_last_write_status:ok\r\nmaster_link_status:down\r\n\
                    connected_clients:5\r\nmaxclients:50\r\nevicted_keys:7\r\n";
        let expected = [
            "alarm disk 1",
            "alarm replication 1",
            "connections  5",
            "limit_used_ratio connections 0.1",
            "evicted_keys_total  7",
        ];
        assert_eq!(samples(info), expected);
        assert!(samples("").is_empty() && samples("evicted_keys:many\r\n:").is_empty());
    }
}

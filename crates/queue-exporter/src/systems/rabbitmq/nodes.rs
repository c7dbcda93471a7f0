//! RabbitMQ's nodes: restarts, partitions, alarms and limits.

use serde::Deserialize;

use super::optional_number::OptionalNumber;
use crate::broker::BrokerHealth;
use crate::json::Count;
use crate::read_error::{Reason, read_error};

/// Detects restarts of the process that keeps the counters in memory: a new process counts from 0.
#[derive(Default)]
pub(super) struct RestartDetector {
    /// The number of restarts.
    pub(super) generation: u64,
    node: Option<Node>,
}

/// The columns of `GET api/nodes` that [`Node`] needs.
pub(super) const COLUMNS: &str = "name,os_pid,uptime,partitions,mem_alarm,disk_free_alarm,mem_used,mem_limit,disk_free,\
                                  disk_free_limit,fd_used,fd_total,sockets_used,sockets_total,proc_used,proc_total";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    name: String,
    os_pid: Option<String>,
    /// Milliseconds.
    uptime: Option<Count>,
    /// The running nodes that it cannot reach.
    partitions: Option<Vec<String>>,
    mem_alarm: Option<bool>,
    disk_free_alarm: Option<bool>,
    // used and allowed; a version or a stopped node lacks some of them
    mem_used: OptionalNumber,
    mem_limit: OptionalNumber,
    disk_free: OptionalNumber,
    disk_free_limit: OptionalNumber,
    fd_used: OptionalNumber,
    fd_total: OptionalNumber,
    sockets_used: OptionalNumber,
    sockets_total: OptionalNumber,
    proc_used: OptionalNumber,
    proc_total: OptionalNumber,
}

impl RestartDetector {
    /// Compares the nodes with the nodes of the last read.
    pub(super) fn update(&mut self, nodes: Vec<Node>) {
        // in a cluster, one node may restart while the others keep their counters
        let Ok([node]) = <[Node; 1]>::try_from(nodes) else {
            self.node = None;
            return;
        };
        let Some(Count(uptime)) = node.uptime else {
            return; // just started: it reports its uptime some seconds later
        };
        if let Some(last) = &self.node {
            let uptime_decreased = last.uptime.is_some_and(|Count(last)| uptime < last);
            // in a container, the process id is the same after each start
            if node.name != last.name || node.os_pid != last.os_pid || uptime_decreased {
                self.generation += 1;
            }
        }
        self.node = Some(node);
    }
}

/// Adds the alarms and limits of all nodes. While an alarm is active on one node, RabbitMQ blocks every connection that
/// publishes, to any node.
pub(super) fn add_health(nodes: &[Node], health: &mut BrokerHealth) {
    for node in nodes {
        health.add_alarm("memory", &node.name, node.mem_alarm);
        health.add_alarm("disk", &node.name, node.disk_free_alarm);
        for (resource, used, limit) in [
            ("memory", node.mem_used, node.mem_limit),
            ("disk", node.disk_free_limit, node.disk_free),
            ("file_descriptors", node.fd_used, node.fd_total),
            ("sockets", node.sockets_used, node.sockets_total),
            ("processes", node.proc_used, node.proc_total),
        ] {
            health.add_limit(resource, &node.name, used.0, limit.0);
        }
    }
}

/// Whether an alarm is active on a node; `None` if no node reports alarms.
pub(super) fn has_alarm(nodes: &[Node]) -> Option<bool> {
    let alarms = nodes.iter().flat_map(|node| [node.mem_alarm, node.disk_free_alarm]);
    alarms.flatten().reduce(|one, other| one || other)
}

/// The error if the cluster is partitioned: statistics of queues on other nodes are then outdated or sums of two.
pub(super) fn partition(nodes: &[Node]) -> Option<anyhow::Error> {
    let node = nodes.iter().find(|node| node.partitions.as_ref().is_some_and(|others| !others.is_empty()))?;
    let text = format!("the cluster is partitioned, as {} reports: statistics of queues are not reliable", node.name);
    Some(read_error(Reason::Partial, text))
}

/// Parses one response of `GET api/nodes`.
#[cfg(fuzzing)]
pub(super) fn fuzz(data: &[u8]) {
    let Ok(nodes) = serde_json::from_slice::<Vec<Node>>(data) else { return };
    add_health(&nodes, &mut BrokerHealth::default());
    let _ = (has_alarm(&nodes), partition(&nodes));
    RestartDetector::default().update(nodes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(seen: &[&[(&str, &str, Option<u64>)]]) -> Vec<u64> {
        let mut detector = RestartDetector::default();
        let node = |&(name, pid, uptime): &(&str, &str, Option<u64>)| Node {
            name: name.to_owned(),
            os_pid: Some(pid.to_owned()),
            uptime: uptime.map(Count),
            ..Node::default()
        };
        let mut one = |nodes: &&[_]| {
            detector.update(nodes.iter().map(node).collect());
            detector.generation
        };
        seen.iter().map(&mut one).collect()
    }

    #[test]
    fn a_restart_is_detected_by_the_process_id_or_the_uptime() {
        let [old, later] = [("a", "10", Some(1000)), ("a", "10", Some(2000))];
        assert_eq!(generations(&[&[old], &[later], &[later]]), [0, 0, 0]);
        assert_eq!(generations(&[&[later], &[("a", "10", Some(50))]]), [0, 1]);
        assert_eq!(generations(&[&[old], &[("a", "11", Some(5000))]]), [0, 1]);
        assert_eq!(generations(&[&[later], &[("a", "11", None)], &[("a", "11", Some(50))]]), [0, 0, 1]);
        assert_eq!(generations(&[&[old], &[]]), [0, 0]);
    }

    #[test]
    fn restarts_in_a_cluster_are_not_detected() {
        let cluster: &[_] = &[("a", "10", Some(1000)), ("b", "11", Some(1000))];
        assert_eq!(generations(&[cluster, &[("a", "10", Some(2000)), ("b", "99", Some(1))]]), [0, 0]);
    }

    #[test]
    fn a_partition_is_reported() {
        let text_of =
            |text: &str| partition(&serde_json::from_str::<Vec<Node>>(text).unwrap()).map(|error| error.to_string());
        assert_eq!(
            text_of(r#"[{"name":"a","running":true},{"name":"b","partitions":[],"os_pid":"1","uptime":5}]"#),
            None
        );
        let text = text_of(r#"[{"name":"a","partitions":[]},{"name":"b","partitions":["a"]}]"#).unwrap();
        assert!(text.contains("partitioned, as b reports"), "{text}");
    }

    #[test]
    fn alarms_and_limits_of_every_node_are_read() {
        let text = r#"[{"name":"a","mem_alarm":true,"disk_free_alarm":false,"mem_used":30,"mem_limit":40,
            "disk_free":1000,"disk_free_limit":50,"fd_used":"unknown","fd_total":1024},{"name":"b","running":false}]"#;
        let nodes: Vec<Node> = serde_json::from_str(text).unwrap();
        let mut health = BrokerHealth::default();
        add_health(&nodes, &mut health);
        let samples: Vec<_> = health.samples().iter().map(|it| (it.labels.join(" "), it.value)).collect();
        let expected = [("memory a", 1.0), ("disk a", 0.0), ("a memory", 0.75), ("a disk", 0.05)];
        assert_eq!(samples, expected.map(|(labels, value)| (labels.to_owned(), value)));
        assert_eq!((has_alarm(&nodes), has_alarm(&nodes[1..])), (Some(true), None));
    }
}

//! RabbitMQ's nodes: restarts, partitions and alarms.

use serde::Deserialize;

use crate::json::Count;
use crate::queue_system::BrokerAlarm;
use crate::read_error::{Reason, read_error};

/// Detects restarts of the process that keeps the counters in memory: a new process counts from 0.
#[derive(Default)]
pub(super) struct RestartDetector {
    /// The number of restarts.
    pub(super) generation: u64,
    node: Option<Node>,
}

/// The columns of `GET api/nodes` that [`Node`] needs.
pub(super) const COLUMNS: &str = "name,os_pid,uptime,partitions,mem_alarm,disk_free_alarm";

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    name: String,
    os_pid: Option<String>,
    /// Milliseconds.
    uptime: Option<Count>,
    /// The running nodes that it cannot reach.
    partitions: Option<Vec<String>>,
    mem_alarm: Option<bool>,
    disk_free_alarm: Option<bool>,
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

/// The alarms of all nodes. While one is active, RabbitMQ blocks every connection that publishes.
pub(super) fn alarms(nodes: &[Node]) -> Vec<BrokerAlarm> {
    let alarm = |node: &Node, alarm, active: Option<bool>| {
        active.map(|active| BrokerAlarm { node: node.name.clone(), alarm, active })
    };
    let of_node = |node| [alarm(node, "memory", node.mem_alarm), alarm(node, "disk", node.disk_free_alarm)];
    nodes.iter().flat_map(of_node).flatten().collect()
}

/// The error if the cluster is partitioned: statistics of queues on other nodes are then outdated or sums of two.
pub(super) fn partition(nodes: &[Node]) -> Option<anyhow::Error> {
    let node = nodes.iter().find(|node| node.partitions.as_ref().is_some_and(|others| !others.is_empty()))?;
    let text = format!("the cluster is partitioned, as {} reports: statistics of queues are not reliable", node.name);
    Some(read_error(Reason::Partial, text))
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
            partitions: None,
            mem_alarm: None,
            disk_free_alarm: None,
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
    fn alarms_of_every_node_are_read() {
        let text = r#"[{"name":"a","mem_alarm":true,"disk_free_alarm":false},{"name":"b","running":false}]"#;
        let alarms = alarms(&serde_json::from_str::<Vec<Node>>(text).unwrap());
        let alarms: Vec<_> = alarms.iter().map(|alarm| (alarm.node.as_str(), alarm.alarm, alarm.active)).collect();
        assert_eq!(alarms, [("a", "memory", true), ("a", "disk", false)]);
    }
}

//! What RabbitMQ tells of its nodes: whether it was restarted, and whether they have lost each other.

use serde::Deserialize;

use crate::json::Count;
use crate::read_error::{Reason, read_error};

/// Which process counts. Counters are kept in its memory, so a new one has counted from 0.
#[derive(Default)]
pub(super) struct Life {
    pub(super) number: u64,
    node: Option<Node>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    name: String,
    os_pid: Option<String>,
    /// Milliseconds.
    uptime: Option<Count>,
    /// The nodes that it has lost though they run.
    partitions: Option<Vec<String>>,
}

impl Life {
    /// Notes the nodes that there are now.
    pub(super) fn see(&mut self, nodes: Vec<Node>) {
        // of several nodes one may restart while the others go on: their sums tell nothing
        let Ok([node]) = <[Node; 1]>::try_from(nodes) else {
            self.node = None;
            return;
        };
        let Some(Count(uptime)) = node.uptime else {
            return; // it has just been started; it says more in some seconds
        };
        if let Some(last) = &self.node {
            let restarted = last.uptime.is_some_and(|Count(last)| uptime < last);
            // where the broker has a container of its own its number is always the same
            if node.name != last.name || node.os_pid != last.os_pid || restarted {
                self.number += 1;
            }
        }
        self.node = Some(node);
    }
}

/// What is wrong where nodes have lost each other: what each then says of the others' queues is old or a sum of two.
pub(super) fn partition(nodes: &[Node]) -> Option<anyhow::Error> {
    let parted = nodes.iter().find(|node| node.partitions.as_ref().is_some_and(|others| !others.is_empty()))?;
    let text = format!("the cluster is partitioned, by what {} says: its queues are not what they seem", parted.name);
    Some(read_error(Reason::Partial, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generations(seen: &[&[(&str, &str, Option<u64>)]]) -> Vec<u64> {
        let mut generation = Life::default();
        let node = |&(name, pid, uptime): &(&str, &str, Option<u64>)| Node {
            name: name.to_owned(),
            os_pid: Some(pid.to_owned()),
            uptime: uptime.map(Count),
            partitions: None,
        };
        let mut one = |nodes: &&[_]| {
            generation.see(nodes.iter().map(node).collect());
            generation.number
        };
        seen.iter().map(&mut one).collect()
    }

    #[test]
    fn a_restarted_broker_is_told_by_its_process_or_its_uptime() {
        let [old, later] = [("a", "10", Some(1000)), ("a", "10", Some(2000))];
        assert_eq!(generations(&[&[old], &[later], &[later]]), [0, 0, 0]);
        assert_eq!(generations(&[&[later], &[("a", "10", Some(50))]]), [0, 1]);
        assert_eq!(generations(&[&[old], &[("a", "11", Some(5000))]]), [0, 1]);
        assert_eq!(generations(&[&[later], &[("a", "11", None)], &[("a", "11", Some(50))]]), [0, 0, 1]);
        assert_eq!(generations(&[&[old], &[]]), [0, 0]);
    }

    #[test]
    fn of_several_nodes_none_tells_of_the_sums() {
        let cluster: &[_] = &[("a", "10", Some(1000)), ("b", "11", Some(1000))];
        assert_eq!(generations(&[cluster, &[("a", "10", Some(2000)), ("b", "99", Some(1))]]), [0, 0]);
    }

    #[test]
    fn nodes_that_have_lost_each_other_are_told() {
        let parted =
            |text: &str| partition(&serde_json::from_str::<Vec<Node>>(text).unwrap()).map(|error| error.to_string());
        assert_eq!(
            parted(r#"[{"name":"a","running":true},{"name":"b","partitions":[],"os_pid":"1","uptime":5}]"#),
            None
        );
        let text = parted(r#"[{"name":"a","partitions":[]},{"name":"b","partitions":["a"]}]"#).unwrap();
        assert!(text.contains("partitioned, by what b says"), "{text}");
    }
}

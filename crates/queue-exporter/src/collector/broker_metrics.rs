//! The health of a broker as metric families.

use std::collections::HashMap;

use exporter_common::Family;

use crate::broker::{BrokerHealth, BrokerMetric, METRICS};

/// Keeps the counters of a broker monotonic: the last value of each series plus the sum of all increases.
#[derive(Default)]
pub(super) struct BrokerCounters(HashMap<(&'static str, Vec<String>), MonotonicValue>);

#[derive(Clone, Copy)]
struct MonotonicValue {
    last: f64,
    total: f64,
}

/// The largest number of remembered series. Nodes of a broker may change their names.
const MAX_SERIES: usize = 10_000;

impl BrokerCounters {
    /// The families of a broker's health. A counter that decreases was restarted, and counts from the lower value.
    pub(super) fn families(&mut self, health: &BrokerHealth) -> Vec<Family> {
        if self.0.len() > MAX_SERIES {
            self.0.clear();
        }
        let mut families = Vec::new();
        for metric in METRICS {
            // series with and without a node have different labels
            for with_node in [true, false] {
                families.extend(self.family(metric, health, with_node));
            }
        }
        families.retain(|family| !family.is_empty());
        families
    }

    fn family(&mut self, metric: &'static BrokerMetric, health: &BrokerHealth, with_node: bool) -> Option<Family> {
        let node = metric.labels.iter().position(|label| *label == "node");
        if node.is_none() && with_node {
            return None;
        }
        let is_counter = metric.name.ends_with("_total");
        let is_shown = |at: &usize| with_node || Some(*at) != node;
        let names: Vec<_> = (0..metric.labels.len()).filter(is_shown).map(|at| metric.labels[at]).collect();
        let mut family = match is_counter {
            true => Family::counter(metric.name, metric.help, &names),
            false => Family::gauge(metric.name, metric.help, &names),
        };
        for sample in health.samples().iter().filter(|sample| sample.metric.name == metric.name) {
            if node.is_some_and(|node| sample.labels[node].is_empty() == with_node) {
                continue;
            }
            let value = if is_counter { self.total(metric, &sample.labels, sample.value) } else { sample.value };
            let labels: Vec<_> = (0..sample.labels.len()).filter(is_shown).map(|at| &sample.labels[at]).collect();
            family.push(&labels, value);
        }
        Some(family)
    }

    fn total(&mut self, metric: &BrokerMetric, labels: &[String], value: f64) -> f64 {
        let first = MonotonicValue { last: value, total: value };
        let known = self.0.entry((metric.name, labels.to_vec())).or_insert(first);
        known.total += (value - known.last).max(0.0);
        known.last = value;
        known.total
    }
}

#[cfg(test)]
mod tests {
    use exporter_common::to_text;

    use super::*;
    use crate::broker::{SLOW_CONSUMERS, UNROUTABLE, WORKERS};

    #[test]
    fn counters_of_a_broker_never_decrease_and_empty_nodes_are_omitted() {
        let mut counters = BrokerCounters::default();
        let mut read = |dropped: u64| {
            let mut health = BrokerHealth::default();
            health.add_count(&UNROUTABLE, &["dropped"], Some(dropped));
            health.add_count(&SLOW_CONSUMERS, &[""], Some(dropped));
            health.add_count(&WORKERS, &["alive"], None);
            health.add_alarm("memory", "a", Some(true));
            health.add_limit("memory", "", Some(1), Some(4));
            health.add_limit("disk", "", Some(1), Some(0));
            let text = to_text(counters.families(&health));
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        };
        read(5);
        read(2);
        let expected = [
            "queue_broker_alarm{alarm=\"memory\",node=\"a\"} 1",
            "queue_broker_limit_used_ratio{resource=\"memory\"} 0.25",
            "queue_broker_slow_consumers_total 6",
            "queue_broker_unroutable_messages_total{outcome=\"dropped\"} 6",
        ];
        assert_eq!(read(3), expected);
    }
}

//! Invariants of consecutive scrapes, whatever happens to the queue system.

use std::cell::RefCell;
use std::collections::HashMap;

use exporter_common::testing::value;

use crate::SUCCESS;

/// The last counters of one exporter.
#[derive(Default)]
pub(crate) struct Watch(RefCell<HashMap<String, f64>>);

impl Watch {
    /// Fails if a counter has decreased since any earlier scrape, or if queues are exported without a list.
    pub(crate) fn see(&self, metrics: &str) {
        self.see_counters(metrics);
        let depths = metrics.lines().filter(|line| line.starts_with("queue_depth{")).count();
        let listed = metrics.contains("queue_exporter_queues{");
        assert!(value(metrics, SUCCESS) == Some(0.0) || listed, "{metrics}");
        assert!(listed || depths == 0, "{metrics}");
    }

    /// Fails if a counter has decreased since any earlier scrape.
    pub(crate) fn see_counters(&self, metrics: &str) {
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            if ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)) {
                let value: f64 = value.parse().unwrap();
                let last = self.0.borrow_mut().insert(series.to_owned(), value).unwrap_or(0.0);
                assert!(last <= value, "{series} decreased from {last} to {value}");
            }
        }
    }
}

//! What has to be true of every scrape in turn, whatever happens to the queue system.

use std::cell::RefCell;
use std::collections::HashMap;

use exporter_common::testing::value;

use crate::SUCCESS;

/// The counters of one exporter as last seen.
#[derive(Default)]
pub(crate) struct Watch(RefCell<HashMap<String, f64>>);

impl Watch {
    /// Fails when a counter is less than it was in any scrape before, or a list that was not read has queues.
    pub(crate) fn see(&self, metrics: &str) {
        self.see_counters(metrics);
        // who could not read everything does not say so, and who says so has read something
        let depths = metrics.lines().filter(|line| line.starts_with("queue_depth{")).count();
        let listed = metrics.contains("queue_exporter_queues{");
        assert!(value(metrics, SUCCESS) == Some(0.0) || listed, "{metrics}");
        assert!(listed || depths == 0, "{metrics}");
    }

    /// Fails when a counter is less than it was in any scrape before.
    pub(crate) fn see_counters(&self, metrics: &str) {
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            if ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end)) {
                let value: f64 = value.parse().unwrap();
                let last = self.0.borrow_mut().insert(series.to_owned(), value).unwrap_or(0.0);
                assert!(last <= value, "{series} fell from {last} to {value}");
            }
        }
    }
}

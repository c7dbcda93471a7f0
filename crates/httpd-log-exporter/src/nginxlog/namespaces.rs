//! All namespaces of a configuration, and which log belongs to which of them.

use std::time::Instant;

use anyhow::{Result, anyhow};

use super::config::NginxlogConfig;
use super::counts::Budget;
use super::namespace::Namespace;
use super::quantiles;
use crate::format::Format;
use crate::metrics::health::LineResult;

/// All namespaces of a configuration.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(super) namespaces: Vec<Namespace>,
    /// The namespace of each log.
    of_log: Vec<usize>,
    pub(super) budget: Budget,
    started: Instant,
    /// The number of the interval in which the current lines are read.
    interval: u64,
}

impl Namespaces {
    /// Creates the counters of a configuration.
    pub(crate) fn new(config: &NginxlogConfig, max_series: usize) -> Result<Self> {
        let mut budget = Budget::new(max_series);
        let mut namespaces = Vec::new();
        for namespace in &config.namespaces {
            let created = Namespace::new(namespace, &mut budget);
            let (origin, line, name) = (&config.origin, namespace.line, namespace.name.escape_debug());
            namespaces.push(created.map_err(|error| anyhow!("{origin}: line {line}: namespace {name}: {error}"))?);
        }
        let logs = config.namespaces.iter().enumerate();
        let of_log = logs.flat_map(|(index, namespace)| namespace.sources.iter().map(move |_| index)).collect();
        Ok(Self { namespaces, of_log, budget, started: Instant::now(), interval: 0 })
    }

    /// The number of requests.
    #[cfg(fuzzing)]
    pub(crate) fn requests(&self) -> u64 {
        self.namespaces.iter().flat_map(|namespace| namespace.requests.iter()).map(|(_, requests)| requests).sum()
    }

    /// The format of a log.
    pub(crate) fn format(&mut self, log: usize) -> &mut Format {
        &mut self.namespaces[self.of_log[log]].format
    }

    /// Whether a syslog message with a tag is counted.
    pub(crate) fn is_wanted(&self, log: usize, tag: &[u8]) -> bool {
        let tags = &self.namespaces[self.of_log[log]].tags;
        tags.is_empty() || tags.iter().any(|wanted| wanted.as_bytes() == tag)
    }

    /// Whether messages with some tags are not counted.
    pub(crate) fn has_tags(&self) -> bool {
        self.namespaces.iter().any(|namespace| !namespace.tags.is_empty())
    }

    /// Sets the time of the lines that follow.
    pub(crate) fn set_time(&mut self) {
        self.interval = self.current_interval();
    }

    /// The number of the current interval of the summaries.
    pub(super) fn current_interval(&self) -> u64 {
        self.started.elapsed().as_secs() / quantiles::INTERVAL
    }

    /// Counts a line of a log; `None` if it does not match the format.
    pub(crate) fn count(&mut self, log: usize, line: &[u8]) -> Option<LineResult> {
        self.namespaces[self.of_log[log]].count(line, self.interval, &mut self.budget)
    }

    /// Counts a line that cannot be parsed.
    pub(crate) fn count_too_long(&mut self, log: usize) {
        self.namespaces[self.of_log[log]].parse_errors += 1;
    }
}

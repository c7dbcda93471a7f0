//! The collector: reads a queue system and turns statistics into metrics with monotonic counters.

mod broker_metrics;
pub(crate) mod counter_memory;
mod deadline;
mod metrics;
mod queue_collector;
mod queue_filter;
mod queue_limit;
mod report;

pub(crate) use queue_collector::QueueCollector;
pub(crate) use queue_filter::{QueueFilter, parse_pattern};

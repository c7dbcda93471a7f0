//! What the exporter counts, and the metrics it exports from the counts.

pub(crate) mod combinations;
pub(crate) mod counts;
pub(crate) mod families;
pub(crate) mod health;
pub(crate) mod histogram;
pub(crate) mod registry;
pub(crate) mod saved_metrics;
pub(crate) mod vhosts;

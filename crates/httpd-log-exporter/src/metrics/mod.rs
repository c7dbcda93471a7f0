//! What the exporter counts, and the metrics it exports from the counts.

pub(crate) mod combinations;
pub(crate) mod counts;
pub(crate) mod drop_rule;
pub(crate) mod families;
pub(crate) mod field_metric;
pub(crate) mod field_total;
pub(crate) mod health;
mod health_families;
pub(crate) mod histogram;
pub(crate) mod label;
pub(crate) mod label_sets;
pub(crate) mod line_rules;
pub(crate) mod names;
pub(crate) mod pattern;
pub(crate) mod registry;
pub(crate) mod route;
pub(crate) mod rules;
pub(crate) mod rules_file;
pub(crate) mod saved_metrics;

//! Configurations of prometheus-nginxlog-exporter, and its metrics.
//!
//! `setting` is the tree of settings that YAML and HCL (`hcl`) become, and `config` gives them their meaning. Each namespace
//! counts the lines of its logs: `relabel` makes labels from fields (with the regular expressions of Go that `go_regex` translates), `counts` has the counters, `quantiles` the summaries,
//! and `families` the names of the metrics.

pub(crate) mod config;
mod counts;
mod families;
mod go_regex;
mod hcl;
mod namespace;
mod namespaces;
mod quantiles;
mod relabel;
mod saved;
mod setting;

pub(crate) use self::config::NginxlogConfig;
pub(crate) use self::families::families;
pub(crate) use self::namespaces::Namespaces;
pub(crate) use self::saved::SavedNamespace;

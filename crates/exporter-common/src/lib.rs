//! The library of the exporters: flags, scrapes, exposition formats, the HTTP server, test support.
//!
//! A complete exporter (`cargo run --example hello-exporter -- --greeting.file README.md`):
//!
//! ```no_run
#![doc = include_str!("../examples/hello-exporter.rs")]
//! ```
//!
//! It has the flags of every Prometheus exporter and their environment variables, `--once`, `--check`
//! and `healthcheck`. It serves `/metrics`, `/`, `/-/healthy` and `/-/ready`, respects Prometheus's
//! scrape timeout, and exports the success and the duration of every collector.

pub mod config;
mod exposition;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
pub mod log;
mod process;
mod program;
mod registry;
mod scrape;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;

/// The documentation tests compile the code of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-an-exporter.md")]
struct Guide;

pub use anyhow;
pub use async_trait::async_trait;
pub use clap;
pub use config::{duration, reload, yaml};
pub use exposition::family::{Family, Histogram, InvalidFamily, Kind, Summary, Value};
pub use exposition::sample_format::float_to_text;
pub use exposition::text::to_text;
pub use flags::{CollectFlags, UsageError};
pub use program::{Program, Purpose, Startup, Subcommand};
pub use registry::Registry;
pub use scrape::collector::{Collector, Faults, Scrape};
pub use scrape::source::{Collection, Source};

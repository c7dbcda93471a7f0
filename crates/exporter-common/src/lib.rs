//! What the exporters share: flags, the scrape, exposition formats, serving, test support.
//!
//! A complete exporter (`cargo run --example hello-exporter -- --greeting.file README.md`):
//!
//! ```no_run
#![doc = include_str!("../examples/hello-exporter.rs")]
//! ```
//!
//! It has the flags of every Prometheus exporter and their environment variables, `--once`, `--check`
//! and `healthcheck`; it answers `/metrics`, `/`, `/-/healthy` and `/-/ready`, keeps the deadline that
//! Prometheus announces, and says of every collector whether it succeeded and how long it took.

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

/// The code of the guide is compiled by the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-an-exporter.md")]
struct Guide;

pub use async_trait::async_trait;
pub use config::{duration, reload, yaml};
pub use exposition::family::{Family, Histogram, Kind, Summary, Value};
pub use exposition::sample_format::float_to_text;
pub use exposition::text::to_text;
pub use flags::{CollectFlags, UsageError};
pub use program::{Program, Purpose, Startup, Subcommand};
pub use registry::Registry;
pub use scrape::collector::{Collector, Faults, Scrape};
pub use scrape::source::{Collection, Source};

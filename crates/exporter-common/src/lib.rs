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

mod answer;
mod changes;
mod collector;
pub mod config;
mod connection;
mod escaping;
mod exposition;
mod family;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod landing;
mod lines;
mod listen;
pub mod log;
mod negotiate;
mod notify;
mod openmetrics;
mod process;
mod program;
mod protobuf;
mod registry;
mod serve;
mod site;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod tls;
mod web;

/// The code of the guide is compiled by the documentation's tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-an-exporter.md")]
struct Guide;

pub use async_trait::async_trait;
pub use collector::{Collector, Faults, Scrape};
pub use config::{duration, reload, yaml};
pub use family::{Family, Histogram, Kind, Summary, Value};
pub use flags::CollectFlags;
pub use lines::float_to_text;
pub use program::{Program, Purpose, Startup, Subcommand, UsageError};
pub use registry::Registry;
pub use source::{Collection, Source};
pub use text::to_text;

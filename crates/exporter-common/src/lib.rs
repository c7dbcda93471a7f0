//! A library for Prometheus exporters: flags, scrapes, exposition formats, the HTTP server, test support.
//!
//! A complete exporter (`cargo run --example hello-exporter -- --greeting.file README.md`):
//!
//! ```no_run
#![doc = include_str!("../examples/hello-exporter.rs")]
//! ```
//!
//! It has the flags of every Prometheus exporter and their environment variables, `--once`, `--check`,
//! `healthcheck`, `completions` and `man`. It serves `/metrics`, `/`, `/-/healthy` and `/-/ready`, respects Prometheus's
//! scrape timeout, and exports the success and the duration of every collector.
//!
//! - A [`Collector`] reads a source and adds each [`Family`] to a [`Scrape`]. A [`Source`] is a collector with the schedule
//!   of its reads and, if it needs them, background work and reloads.
//! - A [`Program`] is an exporter from `main` to its exit status. A [`Service`] is an exporter in a process that has its own
//!   runtime: on listeners, or mounted in axum, hyper or warp.
//! - A [`Prober`] reads one of many targets for a request to `/probe`.
//!
//! # Stability
//!
//! A minor version may add fields, variants, flags and metrics: structs and enums that may grow are `#[non_exhaustive]`.
//! Types of other crates are part of the interface only where they are its purpose:
//!
//! - [`clap`] 4, whose derived flags a [`Program`] takes;
//! - [`macro@async_trait`], because a collector is a trait object with an asynchronous method;
//! - [`anyhow`] 1, because an error of a collector is logged and no code branches on it;
//! - `http` 1, `http-body` 1 and `bytes` 1, which all HTTP servers share, for [`Service::respond`];
//! - with the feature `prometheus`, the crate `prometheus` 0.14; with the feature `tls`, rustls 0.23 in the module `tls`.
//!   These are not stable: a new version of them makes a new incompatible version of this library.
//!
//! All but the types of HTTP are re-exported, so that a program needs no dependency on them.
//!
//! tokio 1 runs everything, but is not in the interface: listeners are made from sockets of the standard library. Log
//! events of collectors go through `tracing` 0.1.
//!
//! # Features
//!
//! All that an exporter should have is on by default: `basic-auth`, `gzip`, `http2`, `landing-page`, `manual`,
//! `protobuf`, `systemd`, `tls`, `yaml`.
//! `prometheus` and `testing` are off.
//!
//! # Systems
//!
//! The library is made for Unix, and tested on Linux. It compiles for macOS.

#[cfg(not(unix))]
compile_error!("this library needs Unix: it uses Unix signals, sockets and file types");

pub mod config;
mod exposition;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod help;
mod http;
pub mod log;
#[cfg_attr(not(feature = "manual"), path = "no_manual.rs")]
mod manual;
mod process;
mod program;
#[cfg(feature = "prometheus")]
mod registry;
mod scrape;
mod service;
mod signals;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

/// The documentation tests compile the code of the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/write-an-exporter.md")]
struct Guide;

pub use anyhow;
pub use async_trait::async_trait;
pub use clap;
#[cfg(feature = "yaml")]
pub use config::yaml;
pub use config::{duration, reload};
pub use exposition::family::{Exemplar, Family, Histogram, InvalidFamily, Kind, Summary, Value};
pub use exposition::native_histogram::NativeHistogram;
#[cfg(feature = "protobuf")]
pub use exposition::protobuf::to_protobuf;
pub use exposition::sample_format::float_to_text;
pub use exposition::text::to_text;
#[doc(hidden)] // for the demo, which is not an exporter
pub use flags::with_negative_values;
pub use flags::{CollectFlags, ProbeFlags, UsageError};
pub use http::listen::Listener;
pub use program::{Program, Purpose, Startup, Subcommand};
#[cfg(feature = "prometheus")]
pub use prometheus;
#[cfg(feature = "prometheus")]
pub use registry::Registry;
pub use scrape::blocking::blocking;
pub use scrape::collector::{Collector, Faults, Part, Scrape};
pub use scrape::probe::{Probe, ProbeRequest, Prober, TargetPattern};
pub use scrape::source::{Collection, Source};
pub use service::{Body, Service, ServiceBuilder, Sources};

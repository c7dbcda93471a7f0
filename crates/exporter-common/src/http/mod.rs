//! The HTTP server: listeners, connections and their limits, routes, authentication, health.

mod admission;
#[cfg_attr(not(feature = "basic-auth"), path = "no_authentication.rs")]
mod authentication;
mod connection;
pub(crate) mod connection_limits;
pub(crate) mod exporter_info;
mod fair_queue;
#[cfg_attr(not(feature = "gzip"), path = "no_gzip.rs")]
mod gzip;
#[cfg_attr(not(feature = "prometheus"), path = "no_handler_metrics.rs")]
pub(crate) mod handler_metrics;
#[cfg(feature = "tls")]
mod handshake;
pub(crate) mod healthcheck;
#[cfg_attr(not(feature = "landing-page"), path = "no_landing.rs")]
pub(crate) mod landing;
pub(crate) mod listen;
#[cfg(feature = "tls")]
mod local_tls;
mod monitored_stream;
mod rate_limit;
mod refusal;
mod response_body;
pub(crate) mod router;
pub(crate) mod serve;
#[cfg_attr(not(feature = "systemd"), path = "no_systemd.rs")]
pub(crate) mod systemd;
pub(crate) mod web_settings;

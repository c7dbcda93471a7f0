//! The HTTP server: listeners, connections and their limits, routes, authentication, health.

mod admission;
mod authentication;
mod connection;
mod connection_limits;
mod gzip;
pub(crate) mod handler_metrics;
pub(crate) mod healthcheck;
pub(crate) mod landing;
pub(crate) mod listen;
mod rate_limit;
mod response_body;
mod router;
pub(crate) mod serve;
mod systemd;
pub(crate) mod web_settings;

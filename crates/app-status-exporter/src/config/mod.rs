//! `--config.file` and the environment variables of the classic sidecar.

mod collisions;
pub(crate) mod environment;
mod metric;
mod module;
mod parse;
mod proxy;
mod request;
mod secrets;
#[cfg(test)]
mod tests;

pub(crate) use module::{load, names, parse};

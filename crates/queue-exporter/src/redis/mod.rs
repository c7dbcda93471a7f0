//! A client for Redis: a single server, the primary behind Sentinel, or a cluster; it only reads.

mod client;
mod cluster;
mod commands;
mod health;
mod key_scanner;
mod replies;
mod sentinel;
mod server;
mod slots;
mod transport;
mod url;

pub(crate) use client::RedisClient;
pub(crate) use commands::{add_command, escape_glob};
pub(crate) use health::HEALTH;
#[cfg(fuzzing)]
pub(crate) use health::fuzz as fuzz_health;
pub(crate) use key_scanner::KeyScanner;
pub(crate) use replies::{Replies, command_error, count, field, list, names, node_error, text};
pub(crate) use url::SCHEMES;

//! A client for Redis: a single server, the primary behind Sentinel, or a cluster; it only reads.

mod client;
mod cluster;
mod commands;
mod connection;
mod health;
mod key_scanner;
mod replies;
mod sentinel;
mod server;
mod slots;
mod url;
mod value;

pub(crate) use client::RedisClient;
pub(crate) use commands::{Commands, escape_glob};
pub(crate) use health::HEALTH;
#[cfg(fuzzing)]
pub(crate) use health::fuzz as fuzz_health;
pub(crate) use key_scanner::KeyScanner;
pub(crate) use replies::{Replies, command_error, count, field, list, names, node_error, text};
pub(crate) use url::SCHEMES;
pub(crate) use value::Value;
#[cfg(any(test, fuzzing))]
pub(crate) use value::decode;

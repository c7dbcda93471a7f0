//! Configuration files and values: YAML with strict fields, durations, calendar, small files, reloading.

pub mod calendar;
pub mod duration;
#[cfg(feature = "yaml")]
pub mod fields;
#[cfg(feature = "yaml")]
#[cfg_attr(not(feature = "basic-auth"), path = "no_password_hash.rs")]
pub(crate) mod password_hash;
pub mod reload;
pub mod small_file;
#[cfg(feature = "yaml")]
pub(crate) mod web_config;
#[cfg(feature = "yaml")]
pub mod yaml;

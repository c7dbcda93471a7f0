//! The settings of the connection to a queue system, from the flags.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;

use super::tls::TlsFlags;

pub(crate) struct ConnectionSettings {
    pub(crate) url: Url,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) tls: TlsFlags,
    /// A file with a query, for queue systems that are databases.
    pub(crate) query_file: Option<PathBuf>,
    /// How long one request may take.
    pub(crate) timeout: Duration,
}

/// The host of a URL, without the brackets of an IPv6 address.
pub(crate) fn url_host(url: &Url) -> Result<String> {
    let host = url.host_str().context("--queue.url has no host")?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

//! Without the feature `systemd`: no socket activation, no notifications.

use anyhow::{Result, bail};

use super::listen::Listener;

/// No sockets: the feature is missing.
pub(crate) fn listeners() -> Result<Vec<Listener>> {
    bail!("--web.systemd-socket: this exporter is built without the feature systemd")
}

/// Does nothing.
pub(crate) async fn ready() {}

/// Does nothing.
pub(crate) async fn stopping() {}

/// Does nothing.
pub(crate) async fn watchdog() {}

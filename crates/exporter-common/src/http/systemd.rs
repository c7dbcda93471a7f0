//! Socket activation, see sd_listen_fds(3), and the state of a service of `Type=notify`, see sd_notify(3).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sd_notify::NotifyState;

use super::listen::Listener;

/// A hung systemd delays neither the handling of signals nor the shutdown longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sockets of systemd's socket activation.
pub(crate) fn listeners() -> Result<Vec<Listener>> {
    let sockets = sd_listen_fds::get().context("socket activation")?;
    ensure!(!sockets.is_empty(), "no socket activation file descriptors found");
    sockets.into_iter().map(|(_, socket)| Listener::from_fd(socket.into_std())).collect()
}

/// Notifies systemd that the service is ready.
pub(crate) async fn ready() {
    let _ = tokio::time::timeout(PATIENCE, notify(NotifyState::Ready)).await;
}

/// Notifies systemd that the service is stopping.
pub(crate) async fn stopping() {
    let _ = tokio::time::timeout(PATIENCE, notify(NotifyState::Stopping)).await;
}

/// Keeps systemd's watchdog from restarting the service, as long as the serving thread is not stuck. Returns
/// immediately if the watchdog is off.
pub(crate) async fn watchdog() {
    let Some(timeout) = sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero()) else { return };
    loop {
        notify(NotifyState::Watchdog).await;
        tokio::time::sleep(timeout / 2).await; // as sd_watchdog_enabled(3) recommends
    }
}

/// Notifies systemd of a change. Without systemd this does nothing.
///
/// The socket of a hung systemd blocks, so a thread that may wait sends the message.
async fn notify(state: NotifyState<'static>) {
    let sent = tokio::task::spawn_blocking(move || sd_notify::notify(&[state])).await;
    if let Ok(Err(error)) = sent {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

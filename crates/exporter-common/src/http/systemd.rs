//! Notifies systemd of the state of a service of `Type=notify`, see sd_notify(3).

use sd_notify::NotifyState;

/// Notifies systemd of a change. Without systemd this does nothing.
///
/// The socket of a hung systemd blocks, so a thread that may wait sends the message.
pub(crate) async fn notify(state: NotifyState<'static>) {
    let sent = tokio::task::spawn_blocking(move || sd_notify::notify(&[state])).await;
    if let Ok(Err(error)) = sent {
        tracing::warn!(%error, "cannot notify systemd");
    }
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

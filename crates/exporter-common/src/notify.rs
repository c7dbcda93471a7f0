//! What systemd is told of a service of `Type=notify`: sd_notify(3).

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Tells systemd of a change: `READY=1`, `STOPPING=1`. Without systemd nobody is told.
pub(crate) fn tell(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(%error, state, "cannot notify systemd");
    }
}

/// Tells systemd's watchdog again and again that the thread that serves is not stuck; ends at once where
/// there is no watchdog.
pub(crate) async fn watchdog() {
    let variable = |name| std::env::var(name).ok();
    let Some(interval) = interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id()) else {
        return;
    };
    loop {
        tell("WATCHDOG=1");
        tokio::time::sleep(interval).await;
    }
}

/// Half of the time after which the watchdog bites, as sd_watchdog_enabled(3) advises, if it watches this process.
fn interval(micros: Option<String>, watched: Option<String>, own: u32) -> Option<Duration> {
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    let this = watched.is_none_or(|pid| pid.parse() == Ok(own));
    this.then(|| Duration::from_micros(micros) / 2)
}

/// Sends one datagram: to a path, or on Linux to an abstract name written `@name`.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?; // the thread that serves waits for nobody
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return sender.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    sender.send_to(state.as_bytes(), socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_of_this_process_is_told_twice_in_its_time() {
        let interval = |micros: &str, pid: Option<&str>| interval(Some(micros.into()), pid.map(str::to_owned), 7);
        assert_eq!(interval("30000000", Some("7")), Some(Duration::from_secs(15)));
        assert_eq!(interval("30000000", None), Some(Duration::from_secs(15)));
        for (micros, pid) in [("30000000", Some("8")), ("0", None), ("soon", None)] {
            assert_eq!(interval(micros, pid), None, "{micros} {pid:?}");
        }
        assert_eq!(super::interval(None, None, 7), None);
    }

    #[test]
    fn systemd_hears_what_it_is_told_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut heard = [0; 16];
        let length = systemd.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        assert!(send(OsStr::new("/nowhere"), "READY=1").is_err());
    }
}

//! Sources without a place to come back to: standard input, FIFOs, syslog.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::input::{syslog, syslog_tcp};
use crate::lines::{Line, LineSplitter};
use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::follow::BUFFER;

/// A stream that is read as long as the process lives.
#[derive(Debug)]
pub(crate) enum InputStream {
    Stdin,
    Fifo(PathBuf),
    Udp(UdpSocket),
    Tcp(TcpListener),
    Unix(UnixDatagram, PathBuf),
}

/// How long to wait before what failed is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

impl InputStream {
    /// Binds an address for syslog over UDP.
    pub(crate) fn udp(address: &str) -> Result<Self> {
        let socket = UdpSocket::bind(address).with_context(|| format!("cannot listen on syslog+udp://{address}"))?;
        let at = socket.local_addr().context("cannot tell the address")?;
        tracing::info!(address = %at, "receiving syslog over UDP");
        Ok(Self::Udp(socket))
    }

    /// Listens on an address for syslog over TCP.
    pub(crate) fn tcp(address: &str) -> Result<Self> {
        let listener =
            TcpListener::bind(address).with_context(|| format!("cannot listen on syslog+tcp://{address}"))?;
        let at = listener.local_addr().context("cannot tell the address")?;
        tracing::info!(address = %at, "receiving syslog over TCP");
        Ok(Self::Tcp(listener))
    }

    /// Makes a socket for syslog of servers on this host. One that nobody listens at any more is
    /// replaced.
    pub(crate) fn unix(path: &Path) -> Result<Self> {
        let what = || format!("cannot listen on syslog+unix:{}", path.display());
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket {
            let there = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
            match there {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).with_context(what)?;
                }
                _ => bail!("{}: another process listens there", what()),
            }
        }
        let socket = UnixDatagram::bind(path).with_context(what)?;
        // the server's workers have another user
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).with_context(what)?;
        tracing::info!(path = %path.display(), "receiving syslog");
        Ok(Self::Unix(socket, path.to_path_buf()))
    }

    /// Where its socket is in the file system.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(_, path) => Some(path.clone()),
            _ => None,
        }
    }

    /// The number of its socket for UDP, by which the kernel counts what it drops.
    pub(crate) fn udp_inode(&self) -> Option<u64> {
        let Self::Udp(socket) = self else { return None };
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// Reads for as long as the process lives, on a thread of its own: nothing else can wait for a
    /// writer that never comes.
    pub(crate) fn start(self, index: usize, registry: SharedRegistry) -> Result<()> {
        thread::Builder::new()
            .name("stream".to_owned())
            .spawn(move || self.read(index, &registry))
            .context("cannot start a thread")?;
        Ok(())
    }

    /// Reads standard input or a FIFO to its end.
    pub(crate) fn read_to_end(&self, index: usize, registry: &SharedRegistry) -> io::Result<()> {
        match self {
            Self::Stdin => lines(io::stdin().lock(), index, registry),
            Self::Fifo(path) => lines(File::open(path)?, index, registry),
            Self::Udp(_) | Self::Tcp(_) | Self::Unix(..) => Ok(()), // has no end
        }
    }

    fn read(&self, index: usize, registry: &SharedRegistry) {
        let fault = |fault: Option<String>| registry.lock().logs[index].fault = fault;
        match self {
            Self::Stdin => {
                let ended = self
                    .read_to_end(index, registry)
                    .map_or_else(|error| error.to_string(), |()| "it has ended".to_owned());
                fault(Some(format!("standard input: {ended}")));
            }
            Self::Fifo(path) => loop {
                match self.read_to_end(index, registry) {
                    Ok(()) => fault(None), // its writer has gone; the next one opens it again
                    Err(error) => {
                        registry.lock().logs[index].open_errors += 1;
                        fault(Some(permission::explain(path, &error, "read")));
                        thread::sleep(RETRY);
                    }
                }
            },
            Self::Udp(socket) => messages(|buffer| socket.recv(buffer), index, registry),
            Self::Tcp(listener) => syslog_tcp::serve(listener, index, registry),
            Self::Unix(socket, _) => messages(|buffer| socket.recv(buffer), index, registry),
        }
    }
}

/// Counts lines until there are no more.
fn lines(mut source: impl Read, index: usize, registry: &SharedRegistry) -> io::Result<()> {
    let mut lines = LineSplitter::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut registry = registry.lock();
        lines.feed(&buffer[..read], |line| registry.count_line(index, line));
        registry.record_time(index, crate::lines::last(&buffer[..read]));
        registry.logs[index].read_bytes += read as u64;
    }
    lines.finish(|line| registry.lock().count_line(index, line));
    Ok(())
}

/// Counts the line of each message, for ever.
fn messages(mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>, index: usize, registry: &SharedRegistry) {
    let mut buffer = vec![0; 64 * 1024]; // no message is longer
    loop {
        match receive(&mut buffer) {
            Ok(read) => {
                let line = syslog::line(&buffer[..read]);
                let mut registry = registry.lock();
                if !line.is_empty() {
                    registry.count_message(index, Line::Whole(line));
                }
                let log = &mut registry.logs[index];
                (log.read_bytes, log.fault) = (log.read_bytes + read as u64, None);
            }
            Err(error) => {
                let mut registry = registry.lock();
                registry.logs[index].read_errors += 1;
                registry.logs[index].fault = Some(format!("cannot receive syslog: {error}"));
                drop(registry);
                thread::sleep(RETRY);
            }
        }
    }
}

/// How many messages the kernel dropped since a socket was made, because nobody read them in time. `None` where it
/// does not say.
pub(crate) fn dropped(inode: u64) -> Option<u64> {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"].map(std::fs::read_to_string);
    tables.iter().flatten().find_map(|table| drops(table, inode))
}

/// The last column of the socket's line; the number of the socket is the tenth.
fn drops(table: &str, inode: u64) -> Option<u64> {
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line.get(9).and_then(|number| number.parse().ok()) == Some(inode))?;
    line.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_messages_stand_in_the_last_column_of_the_sockets_line() {
        const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  273: 0100007F:15CC 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0
 1274: 0100007F:15CD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 17
";
        assert_eq!((drops(TABLE, 4711), drops(TABLE, 4712), drops(TABLE, 1)), (Some(0), Some(17), None));
    }

    #[test]
    fn messages_that_nobody_reads_are_dropped_and_counted() {
        let stream = InputStream::udp("127.0.0.1:0").unwrap();
        let InputStream::Udp(socket) = &stream else { panic!() };
        let Some(inode) = stream.udp_inode() else { return }; // no Linux
        assert_eq!(dropped(inode), Some(0));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2000 {
            sender.send_to(&[b'x'; 8000], socket.local_addr().unwrap()).unwrap();
        }
        assert!(dropped(inode) > Some(0));
    }
}

//! Inputs without read positions: standard input, FIFOs and syslog sockets.

use std::fs::{File, FileType};
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::compression;
use crate::container::Parts;
use crate::input::syslog;
use crate::input::syslog_tcp;
use crate::lines::{Line, LineSplitter, MAX_LINE};
use crate::metrics::registry::SharedRegistry;
use crate::permission;
use crate::tail::follow::BUFFER;

/// A stream, which is read until the process exits.
#[derive(Debug)]
pub(crate) enum InputStream {
    Stdin,
    Fifo(PathBuf),
    Udp(UdpSocket),
    Tcp(TcpListener),
    Unix(UnixDatagram, PathBuf),
}

/// The pause before a failed operation is retried.
const RETRY: Duration = Duration::from_secs(1);

impl InputStream {
    /// Binds a UDP socket for syslog.
    pub(crate) fn udp(address: &str) -> Result<Self> {
        let socket = UdpSocket::bind(address).with_context(|| format!("cannot listen on syslog+udp://{address}"))?;
        let at = socket.local_addr().context("cannot read the local address")?;
        tracing::info!(address = %at, "receiving syslog over UDP");
        Ok(Self::Udp(socket))
    }

    /// Listens on a TCP socket for syslog.
    pub(crate) fn tcp(address: &str) -> Result<Self> {
        let listener =
            TcpListener::bind(address).with_context(|| format!("cannot listen on syslog+tcp://{address}"))?;
        let at = listener.local_addr().context("cannot read the local address")?;
        tracing::info!(address = %at, "receiving syslog over TCP");
        Ok(Self::Tcp(listener))
    }

    /// Binds a Unix datagram socket for syslog of servers on this host. It replaces a stale socket file.
    pub(crate) fn unix(path: &Path) -> Result<Self> {
        let what = || format!("cannot listen on syslog+unix:{}", path.display());
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket {
            let connected = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
            match connected {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).with_context(what)?;
                }
                _ => bail!("{}: another process is listening there", what()),
            }
        }
        let socket = UnixDatagram::bind(path).with_context(what)?;
        // the server's workers run as another user
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).with_context(what)?;
        tracing::info!(path = %path.display(), "receiving syslog");
        Ok(Self::Unix(socket, path.to_path_buf()))
    }

    /// The path of its socket file.
    pub(crate) fn socket_path(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(_, path) => Some(path.clone()),
            _ => None,
        }
    }

    /// The inode of its UDP socket, which identifies the socket in /proc/net/udp.
    pub(crate) fn udp_inode(&self) -> Option<u64> {
        let Self::Udp(socket) = self else { return None };
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// Starts a thread that reads until the process exits: opening a FIFO blocks until a writer opens it.
    pub(crate) fn start(self, index: usize, registry: SharedRegistry) -> Result<()> {
        thread::Builder::new()
            .name("stream".to_owned())
            .spawn(move || self.read(index, &registry))
            .context("cannot start a thread")?;
        Ok(())
    }

    /// Reads standard input or a FIFO, which may be compressed, to end of file.
    pub(crate) fn read_to_end(&self, index: usize, registry: &SharedRegistry) -> io::Result<()> {
        match self {
            Self::Stdin => count_lines(compression::plain(io::stdin().lock())?, &[], index, registry),
            Self::Fifo(path) => {
                let fifo = File::open(path)?;
                check_fifo(fifo.metadata()?.file_type())?;
                count_lines(compression::plain(fifo)?, &[], index, registry)
            }
            Self::Udp(_) | Self::Tcp(_) | Self::Unix(..) => Ok(()), // endless
        }
    }

    fn read(&self, index: usize, registry: &SharedRegistry) {
        let fault = |fault: Option<String>| registry.lock().logs[index].fault = fault;
        match self {
            Self::Stdin => {
                let cause = self
                    .read_to_end(index, registry)
                    .map_or_else(|error| error.to_string(), |()| "end of file".to_owned());
                fault(Some(format!("standard input: {cause}")));
            }
            Self::Fifo(path) => loop {
                // the path may lead to something else than at startup
                let checked = std::fs::metadata(path).and_then(|metadata| check_fifo(metadata.file_type()));
                let read = checked.and_then(|()| {
                    fault(None); // before the open, which blocks until a writer opens it
                    self.read_to_end(index, registry)
                });
                match read {
                    Ok(()) => {} // the last writer closed it
                    Err(error) => {
                        registry.lock().logs[index].open_errors += 1;
                        fault(Some(permission::explain(path, &error, "read")));
                        thread::sleep(RETRY);
                    }
                }
            },
            Self::Udp(socket) => count_messages(|buffer| socket.recv(buffer), index, registry),
            Self::Tcp(listener) => syslog_tcp::serve(listener, index, registry, RETRY),
            Self::Unix(socket, _) => count_messages(|buffer| socket.recv(buffer), index, registry),
        }
    }
}

/// Refuses everything but a FIFO: a regular file would be read from its beginning again and again.
fn check_fifo(file_type: FileType) -> io::Result<()> {
    let kind = match file_type {
        kind if kind.is_fifo() => return Ok(()),
        kind if kind.is_file() => "a regular file",
        kind if kind.is_dir() => "a directory",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!("the FIFO was replaced by {kind}: restore the FIFO, or restart the exporter")))
}

/// Counts lines until end of file. A file has paths.
pub(crate) fn count_lines(
    mut source: impl Read,
    paths: &[&Path],
    index: usize,
    registry: &SharedRegistry,
) -> io::Result<()> {
    let (mut lines, mut parts, mut header) = (LineSplitter::default(), Parts::default(), None);
    let mut buffer = vec![0; BUFFER];
    let lock = || {
        let mut registry = registry.lock();
        registry.set_log(paths.iter().copied()); // another file may have been read in between
        registry
    };
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        lock().read(index, &mut lines, &mut parts, &mut header, &buffer[..read]);
    }
    lock().finish(index, &mut lines, &mut parts, header.as_ref());
    Ok(())
}

/// Counts the line of each message, forever.
fn count_messages(mut receive: impl FnMut(&mut [u8]) -> io::Result<usize>, index: usize, registry: &SharedRegistry) {
    // a Unix datagram can be as large as the sender's buffer; one byte more than the limit shows that it was exceeded
    let mut buffer = vec![0; MAX_LINE + 1];
    loop {
        match receive(&mut buffer) {
            Ok(read) => {
                let (line, tag) = (syslog::line(&buffer[..read]), syslog::tag(&buffer[..read]));
                let mut registry = registry.lock();
                if read > MAX_LINE {
                    registry.count_message(index, Line::TooLong, tag);
                } else if !line.is_empty() {
                    registry.count_message(index, Line::Whole(line), tag);
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

/// The number of datagrams that the kernel dropped because the socket's buffer was full; `None` if unknown.
pub(crate) fn dropped_messages(inode: u64) -> Option<u64> {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"].map(std::fs::read_to_string);
    tables.iter().flatten().find_map(|table| drops(table, inode))
}

/// The column `drops`, the last one, of the line whose tenth column is the inode.
fn drops(table: &str, inode: u64) -> Option<u64> {
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line.get(9).and_then(|number| number.parse().ok()) == Some(inode))?;
    line.last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_drops_is_in_the_last_column() {
        const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  273: 0100007F:15CC 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0
 1274: 0100007F:15CD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 17
";
        assert_eq!((drops(TABLE, 4711), drops(TABLE, 4712), drops(TABLE, 1)), (Some(0), Some(17), None));
    }

    #[test]
    fn a_datagram_beyond_the_limit_is_too_long_and_a_smaller_one_is_complete() {
        let format: crate::format::Format = "common".parse().unwrap();
        let counts = crate::metrics::counts::RequestCounts::new(&format, &[], Vec::new(), 100);
        let registry = crate::metrics::registry::Registry::new(format, counts, ["syslog".to_owned()]);
        let registry = SharedRegistry::new(registry);
        let line = r#"<190>Nov 20 09:00:00 a nginx: ::1 - - [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5"#;
        let long = line.replacen("GET /", &format!("GET /{}", "x".repeat(100_000)), 1);
        let mut datagrams = vec![line.as_bytes().to_vec(), long.into_bytes(), vec![b'x'; MAX_LINE + 1]].into_iter();
        let receive = move |buffer: &mut [u8]| {
            let datagram = datagrams.next().ok_or(ErrorKind::NotConnected)?;
            let read = datagram.len().min(buffer.len()); // the kernel drops the rest
            buffer[..read].copy_from_slice(&datagram[..read]);
            Ok(read)
        };
        std::thread::spawn({
            let registry = registry.clone();
            let mut receive = receive;
            move || count_messages(&mut receive, 0, &registry)
        });
        exporter_common::testing::eventually("three datagrams are counted", || {
            (registry.lock().logs[0].lines.iter().sum::<u64>() == 3).then_some(())
        });
        assert_eq!(registry.lock().logs[0].lines, [2, 0, 1, 0, 0]);
    }

    #[test]
    fn a_message_has_no_names_of_a_file_that_was_read_before_it() {
        let format: crate::format::Format = "common".parse().unwrap();
        let counts = crate::metrics::counts::RequestCounts::new(&format, &[], Vec::new(), 100).with_labels(vec!["pod"]);
        let mut registry = crate::metrics::registry::Registry::new(format, counts, ["syslog".to_owned()]);
        let labels = vec!["pod=@pod".parse().unwrap()];
        let rules = crate::metrics::rules::Rules { labels, ..Default::default() };
        registry.rules = Some(crate::metrics::line_rules::LineRules::new(&rules, &[]));
        registry.set_log([Path::new("/pods/shop_web-1_0/nginx/0.log")]);
        let line = br#"::1 - - [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 5"#;
        registry.count_message(0, Line::Whole(line), b"");
        let counted = registry.counts.series().filter(|series| series.cell.requests > 0);
        assert_eq!(counted.flat_map(|series| series.labels.fields()).collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn unread_messages_are_dropped_and_counted() {
        let stream = InputStream::udp("127.0.0.1:0").unwrap();
        let InputStream::Udp(socket) = &stream else { panic!() };
        let Some(inode) = stream.udp_inode() else { return }; // not Linux
        assert_eq!(dropped_messages(inode), Some(0));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2000 {
            sender.send_to(&[b'x'; 8000], socket.local_addr().unwrap()).unwrap();
        }
        assert!(dropped_messages(inode) > Some(0));
    }
}

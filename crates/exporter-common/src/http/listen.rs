//! Listens on TCP addresses, Unix sockets, and sockets from systemd.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
#[cfg(feature = "systemd")]
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
#[cfg(target_os = "linux")]
use std::time::Duration;

#[cfg(feature = "systemd")]
use anyhow::ensure;
use anyhow::{Context, Result, anyhow};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, lookup_host};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// `host:port`; all addresses if the host is missing.
    Tcp { host: Option<String>, port: u16 },
    /// `unix:/path`.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(PathBuf::from(path))),
                false => Err(format!("'{text}' is not unix:/path")),
            };
        }
        let fault = || format!("'{text}' is not host:port, :port, [v6]:port or unix:/path");
        let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
        let port = port.parse().map_err(|_| format!("'{port}' is not a port from 0 to 65535"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map(|_| v6).map_err(|_| fault())?,
            None if host.contains([':', '[', ']', '/']) => return Err(fault()),
            None => host,
        };
        Ok(Self::Tcp { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: Some(v6), port } if v6.contains(':') => write!(f, "[{v6}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{}:{port}", host.as_deref().unwrap_or_default()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The byte stream of a client.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ClientStream for S {}

/// The socket of a client.
pub(crate) trait ClientSocket: ClientStream + AsFd {}

impl<S: ClientStream + AsFd> ClientSocket for S {}

/// The limit of unsent bytes that the kernel takes from this process for one client. Without it, the kernel holds
/// several megabytes for every client that does not read.
#[cfg(target_os = "linux")]
const MAX_UNSENT_IN_KERNEL: u32 = 64 * 1024;
/// The sizes of the kernel's buffers for one client, which it doubles. Without limits they grow to several megabytes.
const RECEIVE_BUFFER: usize = 32 * 1024;
const SEND_BUFFER: usize = 128 * 1024;
/// The time limit for a client to acknowledge sent bytes, also after the connection is closed here.
#[cfg(target_os = "linux")]
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(20);

/// A socket that clients connect to, for [`Service::serve`](crate::Service::serve).
///
/// ```
/// use scrapewright::Listener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let listener = Listener::bind("localhost:0").await?;
/// assert!(listener.address()?.starts_with("127.0.0.1:"));
/// // a listener of tokio is converted by its method into_std
/// let listener = Listener::try_from(std::net::TcpListener::bind("127.0.0.1:0")?)?;
/// # Ok(())
/// # }
/// ```
pub struct Listener(Socket);

/// A listening socket.
enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, path: PathBuf, _made: Option<SocketFile> },
}

impl TryFrom<std::net::TcpListener> for Listener {
    type Error = std::io::Error;

    /// # Errors
    /// The socket cannot be made non-blocking.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    fn try_from(listener: std::net::TcpListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(Socket::Tcp(TcpListener::from_std(listener)?)))
    }
}

impl TryFrom<std::os::unix::net::UnixListener> for Listener {
    type Error = std::io::Error;

    /// # Errors
    /// The socket cannot be made non-blocking.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    fn try_from(listener: std::os::unix::net::UnixListener) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let path = listener.local_addr()?.as_pathname().unwrap_or(Path::new("")).to_owned();
        let listener = UnixListener::from_std(listener)?;
        Ok(Self(Socket::Unix { listener, path, _made: None })) // its owner removes the file
    }
}

/// A Unix socket file that this process created, and removes at shutdown.
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Listener {
    /// Listens on `host:port`, `:port`, `[v6]:port` or `unix:/path`.
    ///
    /// # Errors
    /// The address is invalid, or the system refuses it.
    pub async fn bind(address: &str) -> Result<Self> {
        Self::bind_to(&address.parse().map_err(anyhow::Error::msg)?).await
    }

    pub(crate) async fn bind_to(address: &ListenAddress) -> Result<Self> {
        let bound = match address {
            ListenAddress::Tcp { host, port } => tcp(host.as_deref(), *port).await.map(Socket::Tcp),
            ListenAddress::Unix(path) => unix(path).await,
        };
        bound.map(Self).map_err(|error| anyhow!("cannot listen on {address}: {error}"))
    }

    /// A socket of systemd's socket activation.
    #[cfg(feature = "systemd")]
    pub(super) fn from_fd(fd: OwnedFd) -> Result<Self> {
        let tcp = std::net::TcpListener::from(fd);
        if tcp.local_addr().is_ok() {
            return Ok(tcp.try_into()?);
        }
        let unix = std::os::unix::net::UnixListener::from(OwnedFd::from(tcp));
        ensure!(unix.local_addr().is_ok(), "a file descriptor from systemd is not a stream socket");
        Ok(unix.try_into()?)
    }

    /// The address: `127.0.0.1:9100` or `unix:/path`.
    ///
    /// # Errors
    /// The system does not return it.
    pub fn address(&self) -> Result<String> {
        Ok(match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().context("cannot determine the listen address")?.to_string(),
            Socket::Unix { path, .. } => format!("unix:{}", path.display()),
        })
    }

    /// Accepts a client, and returns its address if it has one.
    pub(crate) async fn accept(&self) -> std::io::Result<(Box<dyn ClientSocket>, Option<IpAddr>)> {
        match &self.0 {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = limit(&stream); // a connection without limits is better than none
                Ok((Box::new(stream), Some(peer.ip().to_canonical())))
            }
            Socket::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), None)),
        }
    }
}

/// Limits what the kernel holds for a client.
fn limit(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(ACKNOWLEDGE_TIMEOUT))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(MAX_UNSENT_IN_KERNEL)?;
    Ok(())
}

/// Without a host, listens on all IPv6 and IPv4 addresses, or on IPv4 if IPv6 is unavailable.
async fn tcp(host: Option<&str>, port: u16) -> std::io::Result<TcpListener> {
    let Some(host) = host else {
        return match TcpListener::bind(("::", port)).await {
            Err(error) if error.kind() != ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
            bound => bound,
        };
    };
    let mut candidates: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    candidates.sort_by_key(SocketAddr::is_ipv6); // localhost is 127.0.0.1, as for Go programs
    TcpListener::bind(&candidates[..]).await
}

/// Replaces the stale socket of a killed process.
async fn unix(path: &Path) -> std::io::Result<Socket> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket
        && let Err(error) = tokio::net::UnixStream::connect(path).await
        && error.kind() == ErrorKind::ConnectionRefused
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let path = path.to_owned();
    let made = SocketFile { inode: std::fs::symlink_metadata(&path)?.ino(), path: path.clone() };
    Ok(Socket::Unix { listener, path, _made: Some(made) })
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // another process may have replaced the file
        if std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path); // the next start tries again
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_as_in_go_programs() {
        for (text, host, port) in [
            (":9100", None, 9100),
            ("127.0.0.1:0", Some("127.0.0.1"), 0),
            ("localhost:8000", Some("localhost"), 8000),
            ("[::1]:80", Some("::1"), 80),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address, ListenAddress::Tcp { host: host.map(str::to_owned), port }, "{text}");
            assert_eq!(address.to_string(), text);
        }
        let socket: ListenAddress = "unix:/run/x.sock".parse().unwrap();
        assert_eq!(socket, ListenAddress::Unix("/run/x.sock".into()));
        assert_eq!(socket.to_string(), "unix:/run/x.sock");
        for text in
            ["", "9100", "host", "::1:80", "host:", "host:70000", "[::1]", "[x]:1", "http://host:1", "unix:", "unix:x"]
        {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}

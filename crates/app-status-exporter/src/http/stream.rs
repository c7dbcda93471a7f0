//! Addresses of sockets that send a page without HTTP: `tcp://host:port` and `socket:/run/app.sock`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The address of a socket.
#[derive(Clone, Debug)]
pub(crate) enum StreamAddress {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for StreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(f, "socket:{}", path.display()),
        }
    }
}

impl StreamAddress {
    /// The address of a URL with one of the two schemes; `None` for other schemes. The error does not repeat the URL.
    pub(super) fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        if let Some(path) = text.strip_prefix("socket:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Some(match path.starts_with('/') && path.len() > 1 {
                true => Ok(Self::Unix(path.into())),
                false => Err("the path of a socket must be absolute"),
            });
        }
        text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tcp:")).then(|| Self::tcp(text))
    }

    fn tcp(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "not a host and port")?;
        let (Some(host), Some(port)) = (url.host_str().filter(|host| !host.is_empty()), url.port()) else {
            return Err("a tcp URL requires a host and a port");
        };
        let more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
        if more || !url.username().is_empty() || url.password().is_some() {
            return Err("a tcp URL has only a host and a port");
        }
        Ok(Self::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port })
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp { host, port } => Ok(Box::pin(TcpStream::connect((host.as_str(), *port)).await?)),
            #[cfg(unix)]
            Self::Unix(path) => Ok(Box::pin(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A connection to a socket.
pub(super) type Stream = std::pin::Pin<Box<dyn Connection + Send>>;

/// What a connection can do.
pub(super) trait Connection: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Connection for T {}

/// Sends a request, as a line, and closes the sending half, as `socat` does: some applications respond only then.
pub(super) async fn send(stream: &mut Stream, request: &str) -> io::Result<()> {
    let end = if request.ends_with('\n') { "" } else { "\n" };
    stream.write_all(format!("{request}{end}").as_bytes()).await?;
    stream.shutdown().await
}

/// Reads at most `limit` + 1 bytes, and counts those that have arrived.
pub(super) async fn receive(stream: Stream, limit: usize, arrived: &AtomicUsize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut stream = stream.take(limit as u64 + 1);
    while stream.read_buf(&mut content).await? > 0 {
        arrived.store(content.len(), Ordering::Relaxed);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_an_absolute_path() {
        for (text, expected) in [
            ("tcp://127.0.0.1:9191", Some("tcp://127.0.0.1:9191")),
            ("tcp://[::1]:9191/", Some("tcp://[::1]:9191")),
            ("tcp://app.example.org:80", Some("tcp://app.example.org:80")),
            ("socket:/run/app.sock", Some("socket:/run/app.sock")),
            ("socket:///run/app.sock", Some("socket:/run/app.sock")),
            ("TCP://app:80", Some("tcp://app:80")),
            ("tcp://app", None),
            ("tcp:9191", None),
            ("tcp://:9191", None),
            ("tcp://user@app:1", None),
            ("tcp://:secret@app:1", None),
            ("tcp://app:1/path", None),
            ("tcp://app:1?x", None),
            ("tcp://app:99999", None),
            ("socket:", None),
            ("socket:/", None),
            ("socket:app.sock", None),
        ] {
            let address = StreamAddress::parse(text).unwrap();
            assert_eq!(address.ok().map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
        assert!(StreamAddress::parse("unix:/run/app.sock").is_none());
    }
}

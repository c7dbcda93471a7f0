//! The rightful client: scrapes as Prometheus does, and keeps the times.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::site::login;

/// Prometheus's scrape timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of scrapes over one connection.
const PER_CONNECTION: usize = 4;

/// A client that scrapes over persistent connections.
pub(crate) struct Scraper {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    request: String,
    connection: Option<BufReader<Connection>>,
}

/// The results of all scrapes.
#[derive(Default)]
pub(crate) struct Scrapes {
    /// The times of complete responses with status 200.
    pub(crate) taken: Vec<Duration>,
    /// Why the others failed.
    pub(crate) failed: Vec<String>,
}

enum Connection {
    Plain(TimedStream),
    Tls(Box<StreamOwned<ClientConnection, TimedStream>>),
}

/// A stream with a deadline for the whole scrape.
struct TimedStream {
    stream: TcpStream,
    deadline: Instant,
}

impl Scraper {
    pub(crate) fn new(address: SocketAddr, page: &str, tls: Option<Arc<ClientConfig>>) -> Self {
        let request = format!(
            "GET {page} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Prometheus/3.5.0\r\nAccept: application/openmetrics-text;\
             version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\nAccept-Encoding: gzip\r\n\
             {}X-Prometheus-Scrape-Timeout-Seconds: {}\r\n\r\n",
            login("secret"),
            TIMEOUT.as_secs()
        );
        Self { address, tls, request, connection: None }
    }

    /// Scrapes in an interval until it is stopped.
    pub(crate) fn scrape_until(mut self, interval: Duration, stop: &AtomicBool) -> Scrapes {
        let mut scrapes = Scrapes::default();
        for number in 0.. {
            let started = Instant::now();
            if number % PER_CONNECTION == 0 {
                self.connection = None;
            }
            match self.scrape() {
                Ok(()) => scrapes.taken.push(started.elapsed()),
                Err(error) => scrapes.failed.push(format!("after {:.1?}: {error}", started.elapsed())),
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(interval.saturating_sub(started.elapsed()));
        }
        scrapes
    }

    /// One scrape. As Go's client does, it is repeated if the server had closed the persistent connection.
    pub(crate) fn scrape(&mut self) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        if let Some(mut connection) = self.connection.take() {
            connection.get_mut().socket().deadline = deadline;
            if connection.get_mut().write_all(self.request.as_bytes()).is_ok()
                && matches!(connection.fill_buf(), Ok(bytes) if !bytes.is_empty())
            {
                return self.receive(connection);
            }
        }
        let mut connection = BufReader::new(self.connect(deadline)?);
        connection.get_mut().write_all(self.request.as_bytes())?;
        self.receive(connection)
    }

    fn connect(&self, deadline: Instant) -> Result<Connection> {
        let stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        let stream = TimedStream { stream, deadline };
        Ok(match &self.tls {
            None => Connection::Plain(stream),
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(Error::other)?;
                let client = ClientConnection::new(config.clone(), name).map_err(Error::other)?;
                Connection::Tls(Box::new(StreamOwned::new(client, stream)))
            }
        })
    }

    /// Receives a complete response.
    fn receive(&mut self, mut connection: BufReader<Connection>) -> Result<()> {
        let status = line(&mut connection)?;
        let (mut length, mut closes) = (None, false);
        loop {
            let header = line(&mut connection)?.to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            closes |= header == "connection: close";
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = Some(value.parse::<usize>().map_err(Error::other)?);
            }
        }
        let mut body = vec![0; length.unwrap_or_default()];
        connection.read_exact(&mut body)?;
        while length.is_none() {
            let size = usize::from_str_radix(&line(&mut connection)?, 16).map_err(Error::other)?;
            let mut chunk = vec![0; size + 2];
            connection.read_exact(&mut chunk)?;
            if size == 0 {
                break;
            }
        }
        if status != "HTTP/1.1 200 OK" {
            return Err(Error::other(format!("{status}: {}", String::from_utf8_lossy(&body).trim())));
        }
        self.connection = (!closes).then_some(connection);
        Ok(())
    }
}

fn line(connection: &mut BufReader<Connection>) -> Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

impl Scrapes {
    pub(crate) fn all(&self) -> usize {
        self.taken.len() + self.failed.len()
    }

    /// The time within which 99 % of the scrapes were complete; none if more of them failed.
    pub(crate) fn p99(&self) -> Option<Duration> {
        let mut taken = self.taken.clone();
        taken.sort_unstable();
        taken.get((self.all() * 99).div_ceil(100) - 1).copied()
    }
}

impl TimedStream {
    fn left(&self) -> Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.flush()
    }
}

impl Connection {
    fn socket(&mut self) -> &mut TimedStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

//! `healthcheck`: requests `/-/healthy` from the running exporter, for containers without curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::listen::ListenAddress;
#[cfg(feature = "tls")]
use super::local_tls::LocalTls;
use super::web_settings::WebConfiguration;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds if the exporter returns 200 at one of its addresses, over TLS if its configuration enables it.
pub(crate) fn check(addresses: &[ListenAddress], config: Option<&Path>) -> Result<()> {
    let peers = match WebConfiguration::load(config).and_then(|web| Peer::of(&web)) {
        Ok(peer) => vec![peer],
        // the exporter may still use an earlier, valid configuration, with or without TLS
        Err(_) => Peer::all()?,
    };
    let mut result = Ok(());
    for (address, peer) in addresses.iter().flat_map(|address| peers.iter().map(move |peer| (address, peer))) {
        let response = connect(address).and_then(|stream| request(stream, peer));
        result = response.with_context(|| format!("no healthy exporter at {address}"));
        if result.is_ok() {
            break;
        }
    }
    result
}

trait ReadWrite: Read + Write {}

impl<S: Read + Write> ReadWrite for S {}

fn connect(address: &ListenAddress) -> Result<Box<dyn ReadWrite>> {
    let (host, port) = match address {
        ListenAddress::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            return Ok(Box::new(stream));
        }
        ListenAddress::Tcp { host, port } => (host.as_deref(), *port),
    };
    // an exporter that listens on all addresses is reachable on loopback
    let host = match host {
        None | Some("0.0.0.0" | "::") => "localhost",
        Some(host) => host,
    };
    let candidates = (host, port).to_socket_addrs().with_context(|| format!("cannot resolve {host}"))?;
    let stream = candidates
        .map(|candidate| TcpStream::connect_timeout(&candidate, TIMEOUT))
        .reduce(Result::or)
        .with_context(|| format!("no address found for {host}"))??;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(Box::new(stream))
}

fn request(stream: Box<dyn ReadWrite>, peer: &Peer) -> Result<()> {
    let status = match peer {
        Peer::Plain => status(stream),
        #[cfg(feature = "tls")]
        Peer::Tls(tls) => {
            let status = status(tls.connect(stream)?);
            match &status {
                Err(error) if tls.serves(error) => return Ok(()),
                Err(error) if LocalTls::is_plain(error) => {
                    bail!("the exporter uses plain HTTP: it was started without TLS or with another --web.config.file")
                }
                _ => status,
            }
        }
    }
    .context("no response")?;
    match &status[8..] {
        b" 200" => Ok(()),
        b" 400" if matches!(peer, Peer::Plain) => bail!("the exporter uses TLS: set the same --web.config.file"),
        _ => bail!("unexpected response: {}", String::from_utf8_lossy(&status)),
    }
}

/// The protocol and status of the response.
fn status(mut stream: impl Read + Write) -> std::io::Result<[u8; 12]> {
    stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status)
}

/// How to connect to the exporter.
enum Peer {
    Plain,
    #[cfg(feature = "tls")]
    Tls(LocalTls),
}

impl Peer {
    fn of(web: &WebConfiguration) -> Result<Self> {
        match &web.current().tls {
            None => Ok(Self::Plain),
            #[cfg(feature = "tls")]
            Some(_) => Ok(Self::Tls(LocalTls::new(web.current().clients_must_show_certificates)?)),
            #[cfg(not(feature = "tls"))]
            Some(tls) => match **tls {},
        }
    }

    /// Every way to connect.
    fn all() -> Result<Vec<Self>> {
        Ok(vec![
            #[cfg(feature = "tls")]
            Self::Tls(LocalTls::new(true)?),
            Self::Plain,
        ])
    }
}

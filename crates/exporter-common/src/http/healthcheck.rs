//! `healthcheck`: requests `/-/healthy` from the running exporter, for containers without curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::listen::ListenAddress;
use super::web_settings::WebConfiguration;
use crate::tls::AnyServer;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Succeeds if the exporter returns 200 at one of its addresses, over TLS if its configuration enables it.
pub(crate) fn check(addresses: &[ListenAddress], config: Option<&Path>) -> Result<()> {
    let peers = match WebConfiguration::load(config).and_then(|web| Peer::of(&web)) {
        Ok(peer) => vec![peer],
        // the exporter may still use an earlier, valid configuration, with or without TLS
        Err(_) => vec![Peer::tls(true)?, Peer::Plain],
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
        Peer::Tls { client, wants_certificate } => {
            let connection = client.connect()?;
            match status(rustls::StreamOwned::new(connection, stream)) {
                // the exporter serves, but requires a client certificate
                Err(error) if *wants_certificate && is_alert(&error) => return Ok(()),
                Err(error) if is_not_tls(&error) => {
                    bail!("the exporter uses plain HTTP: it was started without TLS or with another --web.config.file")
                }
                status => status,
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

/// Whether the exporter refused the connection with a TLS alert.
fn is_alert(error: &std::io::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::AlertReceived(_)))
}

/// Whether the exporter's response is not TLS.
fn is_not_tls(error: &std::io::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::InvalidMessage(_)))
}

fn of_tls(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// How to connect to the exporter.
enum Peer {
    Plain,
    /// Over TLS. A server that requires a client certificate refuses the connection, which shows that it serves.
    Tls {
        client: Client,
        wants_certificate: bool,
    },
}

/// A client that accepts any certificate, since the server is this exporter on this host.
struct Client(Arc<ClientConfig>);

impl Peer {
    fn of(web: &WebConfiguration) -> Result<Self> {
        let settings = web.current();
        match settings.tls {
            Some(_) => Self::tls(settings.clients_must_show_certificates),
            None => Ok(Self::Plain),
        }
    }

    fn tls(wants_certificate: bool) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_no_client_auth();
        Ok(Self::Tls { client: Client(Arc::new(config)), wants_certificate })
    }
}

impl Client {
    fn connect(&self) -> Result<ClientConnection> {
        Ok(ClientConnection::new(self.0.clone(), ServerName::try_from("localhost")?)?)
    }
}

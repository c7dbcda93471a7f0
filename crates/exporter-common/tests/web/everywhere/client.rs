//! Clients: TLS with rustls, and plain sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use exporter_common::testing::{PATIENCE, Running};
use rustls::crypto::{SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedCipherSuite};

use super::pki::Pki;

/// A TLS client.
pub(crate) struct Client<'a> {
    pub(crate) pki: &'a Pki,
    /// The base name of the client certificate's files, if it has one.
    pub(crate) certificate: Option<&'a str>,
    pub(crate) suites: Vec<SupportedCipherSuite>,
    pub(crate) groups: Vec<&'static dyn SupportedKxGroup>,
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(pki: &'a Pki) -> Self {
        let provider = ring::default_provider();
        Self { pki, certificate: None, suites: provider.cipher_suites, groups: provider.kx_groups, alpn: Vec::new() }
    }

    pub(crate) fn with(pki: &'a Pki, certificate: &'a str) -> Self {
        Self { certificate: Some(certificate), ..Self::new(pki) }
    }

    /// A connection after the handshake, or the alert.
    pub(crate) fn connect(&self, exporter: &Running) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.pki.path("ca.crt")).unwrap()).unwrap();
        let provider = rustls::crypto::CryptoProvider {
            cipher_suites: self.suites.clone(),
            kx_groups: self.groups.clone(),
            ..ring::default_provider()
        };
        let builder =
            ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(rustls::ALL_VERSIONS);
        let builder = builder.unwrap().with_root_certificates(roots);
        let mut config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(self.pki.path(&format!("{name}.crt"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(self.pki.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.clone();
        let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, tcp(exporter));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
        }
        Ok(stream)
    }

    /// Sends a GET request: the status and the body, or the alert.
    pub(crate) fn get(&self, exporter: &Running, path: &str, headers: &str) -> Result<(u16, String), String> {
        let mut stream = self.connect(exporter)?;
        request(&mut stream, path, headers).map_err(|error| error.to_string())
    }

    /// The status of the landing page, or the alert.
    pub(crate) fn status(&self, exporter: &Running) -> Result<u16, String> {
        self.get(exporter, "/", "").map(|(status, _)| status)
    }
}

/// A connection without TLS.
pub(crate) fn tcp(exporter: &Running) -> TcpStream {
    let stream = TcpStream::connect(exporter.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a GET request: the status and the complete response. The connection stays open.
pub(crate) fn request(stream: &mut (impl Read + Write), path: &str, headers: &str) -> std::io::Result<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")?;
    stream.flush()?;
    let mut response = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::Error::other(format!(
                "the response is incomplete: {}",
                String::from_utf8_lossy(&response)
            )));
        }
        response.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&response);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), text.into_owned()));
        }
    }
}

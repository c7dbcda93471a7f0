//! The exporter's own client: how `healthcheck` speaks to the server of the same configuration.

use std::sync::Arc;

use anyhow::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

use super::Web;

/// How the exporter of a configuration is spoken to.
pub(crate) enum Peer {
    Plain,
    /// Over TLS; a server that wants a certificate refuses us, which shows that it serves.
    Tls {
        client: Client,
        wants_certificate: bool,
    },
}

/// A client that believes any certificate: it is its own server's, on this host.
pub(crate) struct Client(Arc<ClientConfig>);

impl Web {
    /// How the exporter of this configuration is spoken to.
    pub(crate) fn peer(&self) -> Result<Peer> {
        let settings = self.lock().settings.clone();
        match settings.tls {
            Some(_) => Peer::tls(settings.clients_must_show_certificates),
            None => Ok(Peer::Plain),
        }
    }
}

impl Peer {
    pub(crate) fn tls(wants_certificate: bool) -> Result<Self> {
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
    pub(crate) fn connect(&self) -> Result<ClientConnection> {
        Ok(ClientConnection::new(self.0.clone(), ServerName::try_from("localhost")?)?)
    }
}

#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // who signed does not matter either
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

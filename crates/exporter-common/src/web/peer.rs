//! The exporter's own client: how `healthcheck` speaks to the server of the same configuration.

use std::sync::Arc;

use anyhow::Result;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::Web;
use crate::tls::AnyServer;

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

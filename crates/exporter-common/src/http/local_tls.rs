//! A TLS client of this exporter on this host, for `healthcheck`.

use std::io::{Error, Read, Write};
use std::sync::Arc;

use anyhow::Result;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::tls::AnyServer;

/// A client that accepts any certificate.
pub(super) struct LocalTls {
    client: Arc<ClientConfig>,
    wants_certificate: bool,
}

impl LocalTls {
    /// A client of a server that may require client certificates.
    pub(super) fn new(wants_certificate: bool) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
            .with_no_client_auth();
        Ok(Self { client: Arc::new(client), wants_certificate })
    }

    pub(super) fn connect<S: Read + Write>(&self, stream: S) -> Result<StreamOwned<ClientConnection, S>> {
        let connection = ClientConnection::new(self.client.clone(), ServerName::try_from("localhost")?)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Whether the exporter serves, although the connection failed: it refuses clients without a certificate.
    pub(super) fn serves(&self, error: &Error) -> bool {
        self.wants_certificate && matches!(of_tls(error), Some(rustls::Error::AlertReceived(_)))
    }

    /// Whether the exporter's response is not TLS.
    pub(super) fn is_plain(error: &Error) -> bool {
        matches!(of_tls(error), Some(rustls::Error::InvalidMessage(_)))
    }
}

fn of_tls(error: &Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

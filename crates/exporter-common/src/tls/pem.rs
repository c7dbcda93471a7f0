//! Certificates, keys and CA certificates from PEM.
//!
//! ```
//! use std::sync::Arc;
//!
//! use scrapewright::tls::rustls::{ClientConfig, crypto::ring};
//! use scrapewright::tls::{AnyServer, TrustedServer, pem};
//!
//! # fn config(ca: Option<&[u8]>, certificate: &[u8], key: &[u8]) -> scrapewright::anyhow::Result<ClientConfig> {
//! let provider = Arc::new(ring::default_provider());
//! let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
//! let builder = match ca {
//!     Some(ca) => builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustedServer::new(ca, provider)?)),
//!     None => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))), // insecure
//! };
//! let config = builder.with_client_auth_cert(pem::certificates(certificate)?, pem::private_key(key)?)?;
//! # Ok(config)
//! # }
//! ```

use anyhow::{Context, Result, anyhow, ensure};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::explain::explain_certificate_error;

/// The certificates in a PEM text.
///
/// # Errors
/// The text is not PEM, or has no certificate.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().context("invalid PEM")?;
    ensure!(!certificates.is_empty(), "no certificate found");
    Ok(certificates)
}

/// The valid certificates in a PEM text. Others are skipped, as Go does.
pub(super) fn valid_certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).flatten().collect()
}

/// The private key in a PEM text.
///
/// # Errors
/// The text has no private key. The message has no details, since it must not repeat parts of a key.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).ok().context("no private key found")
}

/// The CA certificates in a PEM text.
///
/// # Errors
/// The text is not PEM, has no certificate, or has one that cannot be a CA certificate.
pub fn ca_certificates(pem: &[u8]) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots
            .add(certificate)
            .map_err(|error| anyhow!("invalid CA certificate: {}", explain_certificate_error(&error)))?;
    }
    Ok(roots)
}

/// The CA certificates of the system; it may have none.
pub fn system_ca_certificates() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

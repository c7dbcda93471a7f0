//! Verifies client certificates as Go does.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::x509;
use crate::config::web_config::ClientAuth;

/// The requirements for client certificates. A client that sends a certificate must always prove that it has its key.
#[derive(Debug)]
struct ClientCertificateVerifier {
    required: bool,
    /// Whether a certificate must be signed by a CA certificate.
    verified: bool,
    ca_certificates: Vec<CertificateDer<'static>>,
    /// The verifier of webpki; `None` without a CA certificate, when no certificate is accepted.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// If not empty, the certificate must have one of these names.
    allowed: Vec<String>,
    provider: Arc<CryptoProvider>,
}

/// The verifier for a client_auth_type; `None` if no certificate is requested.
pub(super) fn verifier(
    auth: ClientAuth,
    ca_certificates: Vec<CertificateDer<'static>>,
    allowed: Vec<String>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    let (required, verified) = match auth {
        ClientAuth::NoClientCert => return Ok(None),
        ClientAuth::RequestClientCert => (false, false),
        ClientAuth::RequireAnyClientCert => (true, false),
        ClientAuth::VerifyClientCertIfGiven => (false, true),
        ClientAuth::RequireAndVerifyClientCert => (true, true),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(ca_certificates.iter().cloned());
    let chain = if verified && !roots.is_empty() {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        Some(builder.build().context("client_ca")?)
    } else {
        None
    };
    Ok(Some(Arc::new(ClientCertificateVerifier {
        // the list of allowed names must not be bypassed by sending no certificate
        required: required || !allowed.is_empty(),
        verified,
        ca_certificates,
        chain,
        allowed,
        provider: provider.clone(),
    })))
}

impl ClientCertificateVerifier {
    /// Whether a self-signed certificate is itself a CA certificate, which Go accepts and webpki refuses.
    fn is_ca_certificate(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<bool, Error> {
        if !self.ca_certificates.contains(certificate) {
            return Ok(false);
        }
        let certificate = x509::certificate(certificate).ok_or(CertificateError::BadEncoding)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < certificate.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > certificate.not_after {
            return Err(CertificateError::Expired.into());
        }
        if !certificate.for_clients {
            return Err(CertificateError::InvalidPurpose.into());
        }
        Ok(true)
    }
}

impl ClientCertVerifier for ClientCertificateVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.verified && !self.is_ca_certificate(end_entity, now)? {
            let chain = self.chain.as_ref().ok_or(CertificateError::UnknownIssuer)?;
            chain.verify_client_cert(end_entity, intermediates, now).map_err(|error| match error {
                // webpki has another error for a self-signed certificate of an unknown CA
                Error::InvalidCertificate(CertificateError::Other(_)) => CertificateError::UnknownIssuer.into(),
                error => error,
            })?;
        }
        if !self.allowed.is_empty() {
            let names = x509::certificate(end_entity).ok_or(CertificateError::BadEncoding)?.names;
            if !names.iter().any(|name| self.allowed.contains(name)) {
                return Err(CertificateError::NotValidForName.into()); // the alert is "bad certificate", as Go's
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

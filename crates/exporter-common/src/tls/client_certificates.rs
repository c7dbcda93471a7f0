//! Certificates of clients, checked as Go checks them.

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

/// What is asked of a client. Whatever is asked, one that sends a certificate must prove that it has its key.
#[derive(Debug)]
struct ClientCertificateVerifier {
    required: bool,
    /// Whether a certificate must lead to an authority.
    verified: bool,
    authorities: Vec<CertificateDer<'static>>,
    /// The check by webpki; none when there is no authority, and nothing can pass.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    /// Of the certificate's names one must be among these, if there are any.
    allowed: Vec<String>,
    provider: Arc<CryptoProvider>,
}

/// The check for a way of asking; none when clients are not asked.
pub(super) fn verifier(
    auth: ClientAuth,
    authorities: Vec<CertificateDer<'static>>,
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
    roots.add_parsable_certificates(authorities.iter().cloned());
    let chain = if verified && !roots.is_empty() {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        Some(builder.build().context("client_ca")?)
    } else {
        None
    };
    Ok(Some(Arc::new(ClientCertificateVerifier {
        // a list of allowed names is kept by sending no certificate as little as by sending a wrong one
        required: required || !allowed.is_empty(),
        verified,
        authorities,
        chain,
        allowed,
        provider: provider.clone(),
    })))
}

impl ClientCertificateVerifier {
    /// A self-signed certificate that is itself an authority, which webpki refuses and Go accepts.
    fn is_authority(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<bool, Error> {
        if !self.authorities.contains(certificate) {
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
        if self.verified && !self.is_authority(end_entity, now)? {
            let chain = self.chain.as_ref().ok_or(CertificateError::UnknownIssuer)?;
            chain.verify_client_cert(end_entity, intermediates, now).map_err(|error| match error {
                // a self-signed authority that is none of ours, which webpki has a name of its own for
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

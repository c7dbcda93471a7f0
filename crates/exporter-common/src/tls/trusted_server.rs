//! Verifies servers by CA certificates. A server's own self-signed certificate may be one of them.

use std::sync::Arc;

use anyhow::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::{pem, x509};

/// Accepts servers with a certificate of a CA, and servers whose certificate is itself among the CA certificates, as
/// OpenSSL, Go and Python do. webpki rejects the latter if they are marked as CA, which is the default of
/// `openssl req -x509`.
#[derive(Debug)]
pub struct TrustedServer {
    trusted: Vec<CertificateDer<'static>>,
    webpki: Arc<WebPkiServerVerifier>,
}

impl TrustedServer {
    /// Trusts the CA certificates in a PEM text.
    ///
    /// # Errors
    /// The text is not PEM, has no certificate, or has an invalid one.
    pub fn new(ca: &[u8], provider: Arc<CryptoProvider>) -> Result<Self> {
        let roots = Arc::new(pem::ca_certificates(ca)?);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider).build()?;
        Ok(Self { trusted: pem::certificates(ca)?, webpki })
    }
}

impl ServerCertVerifier for TrustedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.trusted.contains(end_entity) {
            return self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        let certificate = x509::certificate(end_entity).ok_or(CertificateError::BadEncoding)?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < certificate.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > certificate.not_after {
            return Err(CertificateError::Expired.into());
        }
        if !certificate.for_servers {
            return Err(CertificateError::InvalidPurpose.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::ring;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn verify(change: impl FnOnce(&mut CertificateParams), name: &'static str) -> Result<(), Error> {
        let mut params = CertificateParams::new(vec!["app.internal".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let verifier = TrustedServer::new(certificate.pem().as_bytes(), Arc::new(ring::default_provider())).unwrap();
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        verifier.verify_server_cert(certificate.der(), &[], &name, &[], now).map(|_| ())
    }

    #[test]
    fn a_trusted_self_signed_certificate_is_accepted_whether_it_is_a_ca_or_not() {
        assert_eq!(verify(|_| {}, "app.internal"), Ok(()));
        assert_eq!(verify(|params| params.is_ca = IsCa::NoCa, "app.internal"), Ok(()));
        let server_auth = vec![ExtendedKeyUsagePurpose::ServerAuth];
        assert_eq!(verify(|params| params.extended_key_usages = server_auth, "app.internal"), Ok(()));
    }

    #[test]
    fn its_name_dates_and_purpose_must_be_valid() {
        assert!(verify(|_| {}, "other.internal").is_err());
        assert_eq!(
            verify(|params| params.not_after = date_time_ymd(2020, 1, 1), "app.internal"),
            Err(CertificateError::Expired.into())
        );
        assert_eq!(
            verify(|params| params.not_before = date_time_ymd(2040, 1, 1), "app.internal"),
            Err(CertificateError::NotValidYet.into())
        );
        let client_auth = vec![ExtendedKeyUsagePurpose::ClientAuth];
        assert_eq!(
            verify(|params| params.extended_key_usages = client_auth, "app.internal"),
            Err(CertificateError::InvalidPurpose.into())
        );
    }

    #[test]
    fn another_self_signed_certificate_is_rejected() {
        let certificate = || rcgen::generate_simple_self_signed(vec!["app.internal".to_owned()]).unwrap().cert;
        let verifier = TrustedServer::new(certificate().pem().as_bytes(), Arc::new(ring::default_provider())).unwrap();
        let name = ServerName::try_from("app.internal").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        assert!(verifier.verify_server_cert(certificate().der(), &[], &name, &[], now).is_err());
    }
}

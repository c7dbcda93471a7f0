//! TLS of the connection to the queue system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use exporter_common::UsageError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::small_file;

/// `--queue.tls-…`
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TlsFlags {
    /// PEM file with the CA certificates to trust for https and rediss, instead of those of the system
    #[arg(long = "queue.tls-ca-file", value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// PEM file with the client certificate; requires --queue.tls-key-file
    #[arg(long = "queue.tls-cert-file", value_name = "FILE")]
    cert_file: Option<PathBuf>,

    /// PEM file with the private key of the client certificate
    #[arg(long = "queue.tls-key-file", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl TlsFlags {
    /// The configuration of an encrypted connection, or a minimal one for a plain connection: the CA certificates of a
    /// system take more memory than the rest of this program.
    pub(crate) fn config(&self, encrypted: bool) -> Result<ClientConfig> {
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let error = "--queue.tls-cert-file and --queue.tls-key-file require each other: set both";
                bail!(UsageError::new(error));
            }
        };
        if !encrypted && (self.ca_file.is_some() || identity.is_some()) {
            let error = "--queue.tls-… needs an encrypted connection: use https:// or rediss:// in --queue.url";
            bail!(UsageError::new(error));
        }
        let roots = match &self.ca_file {
            Some(file) => ca_certificates(file)?,
            None if encrypted => system_ca_certificates()?,
            None => RootCertStore::empty(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?
            .with_root_certificates(roots);
        let Some((cert, key)) = identity else {
            return Ok(config.with_no_client_auth());
        };
        let private_key = PrivateKeyDer::from_pem_slice(&small_file::read("--queue.tls-key-file", key)?)
            .with_context(|| format!("no private key in --queue.tls-key-file {}", key.display()))?;
        config
            .with_client_auth_cert(certificates(cert, "--queue.tls-cert-file")?, private_key)
            .with_context(|| format!("cannot use {} with the key in {}", cert.display(), key.display()))
    }
}

fn ca_certificates(file: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, "--queue.tls-ca-file")? {
        roots
            .add(certificate)
            .with_context(|| format!("a certificate in {} is not a CA certificate", file.display()))?;
    }
    Ok(roots)
}

fn system_ca_certificates() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    ensure!(added > 0, "no CA certificates found on this system: set --queue.tls-ca-file");
    Ok(roots)
}

fn certificates(file: &Path, flag: &str) -> Result<Vec<CertificateDer<'static>>> {
    let text = small_file::read(flag, file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates =
        certificates.with_context(|| format!("cannot read certificates from {flag} {}", file.display()))?;
    ensure!(!certificates.is_empty(), "no certificate in {flag} {}", file.display());
    Ok(certificates)
}

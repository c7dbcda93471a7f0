//! TLS of the connection to the queue system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use exporter_common::UsageError;
use exporter_common::config::small_file;
use exporter_common::tls::{TrustedServer, explain_certificate_error, pem};
use rustls::{ClientConfig, RootCertStore};

/// `--queue.tls-…`
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TlsFlags {
    /// PEM file with the CA certificates to trust for encrypted connections, instead of the system's CA certificates
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
            let error = "--queue.tls-… needs an encrypted connection: use https:// or rediss:// in --queue.url, kafka+ssl:// for kafka, or ?sslmode=verify-full for postgres";
            bail!(UsageError::new(error));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?;
        let config = match &self.ca_file {
            Some(file) => {
                let trusted = load(|pem| TrustedServer::new(pem, provider), "--queue.tls-ca-file", file)?;
                config.dangerous().with_custom_certificate_verifier(Arc::new(trusted))
            }
            None => {
                let roots = if encrypted { pem::system_ca_certificates() } else { RootCertStore::empty() };
                if encrypted && roots.is_empty() {
                    bail!("no CA certificates found on this system: set --queue.tls-ca-file");
                }
                config.with_root_certificates(roots)
            }
        };
        let Some((cert, key)) = identity else {
            return Ok(config.with_no_client_auth());
        };
        let chain = load(pem::certificates, "--queue.tls-cert-file", cert)?;
        let private_key = load(pem::private_key, "--queue.tls-key-file", key)?;
        config.with_client_auth_cert(chain, private_key).map_err(|error| {
            let why = explain_certificate_error(&error);
            anyhow!("cannot use {} with the key in {}: {why}", cert.display(), key.display())
        })
    }
}

/// Reads the file of a flag and parses its PEM.
fn load<T>(parse: impl FnOnce(&[u8]) -> Result<T>, flag: &str, file: &Path) -> Result<T> {
    let pem = small_file::read(file).map_err(anyhow::Error::from);
    pem.and_then(|pem| parse(&pem)).with_context(|| format!("cannot read {flag} {}", file.display()))
}

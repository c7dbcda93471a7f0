//! The server's TLS configuration, from the web configuration file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use rustls::crypto::ring::{self, cipher_suite as suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::{client_certificates, explain_certificate_error, pem, x509};
use crate::config::small_file;
use crate::config::web_config::{ClientAuth, PemSource, TlsConfig, TlsVersion};

/// The cipher suites of TLS 1.2, in the order of Go's preference.
const TLS12_SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The cipher suites of TLS 1.3, which are always enabled, as in Go.
const TLS13_SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
];

const GROUPS: &[(&str, &dyn SupportedKxGroup)] =
    &[("X25519", kx_group::X25519), ("CurveP256", kx_group::SECP256R1), ("CurveP384", kx_group::SECP384R1)];

/// A server's TLS.
pub(crate) struct Server {
    /// The configuration of rustls.
    pub(crate) config: ServerConfig,
    /// When the first certificate of the chain expires, in seconds since the epoch.
    pub(crate) expiry: Option<i64>,
    /// To log.
    pub(crate) warnings: Vec<String>,
}

/// The time before the expiry of a certificate from which it is logged.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// The configuration of rustls, and warnings to log.
///
/// # Errors
/// A file cannot be read, a key does not match its certificate, or no TLS version or cipher suite remains.
pub(crate) fn server(tls: &TlsConfig, http2: bool) -> Result<Server> {
    let mut warnings = Vec::new();
    let versions = versions(tls, &mut warnings)?;
    let cipher_suites = cipher_suites(tls, &versions, &mut warnings)?;
    if http2 && tls.min_version < TlsVersion::Tls13 && !tls.cipher_suites.is_empty() {
        ensure!(
            tls.cipher_suites.iter().any(|name| name.ends_with("WITH_AES_128_GCM_SHA256")),
            "TLSConfig.CipherSuites is missing an HTTP/2-required AES_128_GCM_SHA256 cipher (need at least one of \
             TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256): add one, or set http2 \
             to false"
        );
    }
    let kx_groups = groups(tls, &mut warnings)?;
    let provider = Arc::new(CryptoProvider { cipher_suites, kx_groups, ..ring::default_provider() });

    let ca_certificates = ca_certificates(tls, &mut warnings)?;
    let allowed = tls.client_allowed_sans.clone();
    if !allowed.is_empty() && tls.client_auth == ClientAuth::NoClientCert {
        warnings.push("client_allowed_sans has no effect without a client_auth_type".to_owned());
    }
    let clients = client_certificates::verifier(tls.client_auth, ca_certificates, allowed, &provider)?;

    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let chain = pem::certificates(tls.cert.read()?.as_bytes())
        .with_context(|| format!("failed to load X509KeyPair: {:?}", tls.cert))?;
    let expiry = expiry(&chain, &mut warnings);
    let key = pem::private_key(tls.key.read()?.as_bytes())
        .with_context(|| format!("failed to load X509KeyPair: {:?}", tls.key))?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| anyhow!("failed to load X509KeyPair: {}", explain_certificate_error(&error)))?;
    config.ignore_client_order = true;
    if http2 && cfg!(feature = "http2") {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Server { config, expiry, warnings })
}

/// When the first certificate of a chain expires. Warns about certificates that clients refuse.
fn expiry(chain: &[CertificateDer<'_>], warnings: &mut Vec<String>) -> Option<i64> {
    let certificates: Vec<_> = chain.iter().filter_map(|der| x509::certificate(der)).collect();
    if certificates.iter().any(|certificate| certificate.is_old) {
        warnings
            .push("the certificate has X.509 version 1, which many clients refuse: create one of version 3".to_owned());
    }
    let expiry = certificates.iter().map(|certificate| certificate.not_after).min()?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(expiry.max(0).unsigned_abs());
    let time = humantime::format_rfc3339_seconds(at);
    match at.duration_since(SystemTime::now()) {
        Err(_) => warnings.push(format!("the certificate expired at {time}: renew it")),
        Ok(left) if left < EXPIRES_SOON => warnings.push(format!("the certificate expires at {time}: renew it")),
        Ok(_) => {}
    }
    Some(expiry)
}

fn versions(tls: &TlsConfig, warnings: &mut Vec<String>) -> Result<Vec<&'static SupportedProtocolVersion>> {
    let served = [(TlsVersion::Tls12, &version::TLS12), (TlsVersion::Tls13, &version::TLS13)];
    let served = served.into_iter().filter(|(version, _)| (tls.min_version..=tls.max_version).contains(version));
    let versions: Vec<_> = served.map(|(_, version)| version).collect();
    let (min, max) = (tls.min_version.name(), tls.max_version.name());
    ensure!(
        tls.max_version >= TlsVersion::Tls12,
        "no TLS version remains: this program serves TLS12 and TLS13, and max_version is {max}: raise or remove it"
    );
    ensure!(
        !versions.is_empty(),
        "no TLS version remains: min_version ({min}) is above max_version ({max}): lower min_version, or raise max_version"
    );
    if tls.min_version < TlsVersion::Tls12 {
        warnings.push("min_version: TLS10 and TLS11 are not served; the lowest version is TLS12".to_owned());
    }
    Ok(versions)
}

fn cipher_suites(
    tls: &TlsConfig,
    versions: &[&'static SupportedProtocolVersion],
    warnings: &mut Vec<String>,
) -> Result<Vec<SupportedCipherSuite>> {
    let named = |name: &str| tls.cipher_suites.iter().any(|wanted| wanted == name);
    let all = tls.cipher_suites.is_empty();
    let tls12 = TLS12_SUITES.iter().filter(|(name, _)| all || named(name));
    let suites: Vec<_> = tls12.chain(TLS13_SUITES).map(|(_, suite)| *suite).collect();
    let usable = |version: &&&SupportedProtocolVersion| suites.iter().any(|suite| suite.version() == **version);
    let unserved: Vec<_> =
        tls.cipher_suites.iter().map(String::as_str).filter(|name| name.ends_with("_CBC_SHA")).collect();
    let unserved = unserved.join(", ");
    ensure!(
        versions.iter().any(|version| usable(&version)),
        "no cipher suite remains: TLS12 is the only version, and of its suites named here ({}) none can be served",
        tls.cipher_suites.join(", ")
    );
    if !unserved.is_empty() {
        warnings.push(format!("cipher_suites: not served: {unserved}"));
    }
    if !versions.iter().all(|version| usable(&version)) {
        warnings.push("cipher_suites: none for TLS12 can be served, only TLS13 remains".to_owned());
    }
    Ok(suites)
}

fn groups(tls: &TlsConfig, warnings: &mut Vec<String>) -> Result<Vec<&'static dyn SupportedKxGroup>> {
    let named = |name: &str| tls.curves.is_empty() || tls.curves.iter().any(|wanted| wanted == name);
    let groups: Vec<_> = GROUPS.iter().filter(|(name, _)| named(name)).map(|(_, group)| *group).collect();
    ensure!(!groups.is_empty(), "no curve remains: CurveP521 is not supported: add X25519, CurveP256 or CurveP384");
    if tls.curves.iter().any(|name| name == "CurveP521") {
        warnings.push("curve_preferences: not served: CurveP521".to_owned());
    }
    Ok(groups)
}

/// The CA certificates for clients: from the configuration, or else from the system.
fn ca_certificates(tls: &TlsConfig, warnings: &mut Vec<String>) -> Result<Vec<CertificateDer<'static>>> {
    let verified =
        matches!(tls.client_auth, ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert);
    let ca_certificates: Vec<_> = match &tls.client_ca {
        Some(pem) => pem::valid_certificates(pem.read()?.as_bytes()),
        None if verified => rustls_native_certs::load_native_certs().certs,
        None => Vec::new(),
    };
    if verified && ca_certificates.is_empty() {
        warnings.push("client_ca contains no certificate: all client certificates will be refused".to_owned());
    }
    Ok(ca_certificates)
}

impl PemSource {
    fn read(&self) -> Result<String> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File { key, path } => small_file::read_to_string(path)
                .map_err(|error| anyhow!("failed to read {key} ({}): {}", path.display(), small_file::reason(&error))),
        }
    }
}

/// Keeps the protocols that are negotiated, which cannot change at run time.
pub(crate) fn keep_protocols(tls: &mut ServerConfig, before: &ServerConfig) {
    tls.alpn_protocols.clone_from(&before.alpn_protocols);
}

//! The web configuration file: the YAML that every Prometheus exporter reads, with the same keys, defaults and rules.
//!
//! Source: web/tls_config.go and docs/web-configuration.md of exporter-toolkit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::duration;
use super::fields::{self, Fields};
use super::password_hash;
use super::yaml::{self, Node, YamlError};

/// The web configuration.
#[derive(Debug)]
pub(crate) struct WebConfig {
    /// The TLS settings; `None` for plain HTTP.
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) http2: bool,
    pub(crate) headers: HeaderMap,
    /// Users and the bcrypt hashes of their passwords.
    pub(crate) users: BTreeMap<String, String>,
    pub(crate) rate_limit: Option<RateLimitConfig>,
}

/// The block `tls_server_config`.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "read with the feature tls"))]
pub(crate) struct TlsConfig {
    pub(crate) cert: PemSource,
    pub(crate) key: PemSource,
    pub(crate) client_ca: Option<PemSource>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) client_allowed_sans: Vec<String>,
    pub(crate) min_version: TlsVersion,
    pub(crate) max_version: TlsVersion,
    /// Names of known cipher suites; empty for the defaults.
    pub(crate) cipher_suites: Vec<String>,
    /// Names of known curves; empty for the defaults.
    pub(crate) curves: Vec<String>,
}

/// A limit of requests: a burst, and one more request in every interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateLimitConfig {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

/// PEM text, from a file or inline.
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "read with the feature tls"))]
pub(crate) enum PemSource {
    File { key: &'static str, path: PathBuf },
    Inline(String),
}

impl std::fmt::Debug for PemSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => path.fmt(f),
            Self::Inline(_) => f.write_str("<inline>"), // it may be a private key
        }
    }
}

/// The requirements for client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    NoClientCert,
    RequestClientCert,
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

/// TLS versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl TlsVersion {
    const ALL: [Self; 4] = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS10",
            Self::Tls11 => "TLS11",
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

/// The cipher suites that Go considers secure. Those with CBC are accepted but not served.
const CIPHER_SUITES: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

const CURVES: &[&str] = &["CurveP256", "CurveP384", "CurveP521", "X25519"];

/// The configurable headers, with their valid values if they are restricted.
const HEADERS: &[(&str, &[&str])] = &[
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// Parses a configuration. `folder` is the base of relative paths.
///
/// # Errors
/// The first error in the text.
pub(crate) fn parse(text: &str, folder: &Path) -> Result<WebConfig> {
    let mut fields = Fields::of(yaml::parse(text)?, "the file")?;
    let tls = fields.take("tls_server_config").map(|node| tls(node, folder)).transpose()?.flatten();
    let (http2, headers) = http_server(fields.take("http_server_config"))?;
    let users = users(fields.entries("basic_auth_users")?)?;
    let rate_limit = fields.take("rate_limit").map(rate_limit).transpose()?.flatten();
    fields.end()?;
    Ok(WebConfig { tls, http2, headers, users, rate_limit })
}

fn tls(node: Node, folder: &Path) -> Result<Option<TlsConfig>> {
    let mut fields = Fields::of(node, "tls_server_config")?;
    let [cert, key, client_ca] = [("cert", "cert_file"), ("key", "key_file"), ("client_ca", "client_ca_file")]
        .map(|(inline, file)| pem(&mut fields, inline, file, folder));
    let (cert, key, client_ca) = (cert?, key?, client_ca?);
    let client_auth = fields.text("client_auth_type")?.unwrap_or_default();
    let client_allowed_sans = fields.texts("client_allowed_sans")?;
    let min_version = version(&mut fields, "min_version", TlsVersion::Tls12)?;
    let max_version = version(&mut fields, "max_version", TlsVersion::Tls13)?;
    let cipher_suites = fields.texts("cipher_suites")?;
    let curves = fields.texts("curve_preferences")?;
    fields.bool("prefer_server_cipher_suites")?; // without effect, as in current Go
    fields.end()?;
    if let Some(unknown) = cipher_suites.iter().find(|name| !CIPHER_SUITES.contains(&name.as_str())) {
        bail!("unknown cipher: {unknown}: the known ones are {}", CIPHER_SUITES.join(", "));
    }
    if let Some(unknown) = curves.iter().find(|name| !CURVES.contains(&name.as_str())) {
        bail!("unknown curve: {unknown}: the known ones are {}", CURVES.join(", "));
    }
    if cert.is_none() && key.is_none() && client_ca.is_none() && client_auth.is_empty() {
        return Ok(None);
    }
    let cert = cert.context("missing one of cert or cert_file")?;
    let key = key.context("missing one of key or key_file")?;
    let client_auth = match client_auth.as_str() {
        "" | "NoClientCert" => ClientAuth::NoClientCert,
        "RequestClientCert" => ClientAuth::RequestClientCert,
        "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAnyClientCert,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyClientCertIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerifyClientCert,
        other => bail!(
            "invalid ClientAuth: {other}: client_auth_type is NoClientCert, RequestClientCert, RequireAnyClientCert, \
             VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        ),
    };
    if client_ca.is_some() && client_auth == ClientAuth::NoClientCert {
        bail!("client CA's have been configured without a Client Auth Policy: set client_auth_type");
    }
    Ok(Some(TlsConfig {
        cert,
        key,
        client_ca,
        client_auth,
        client_allowed_sans,
        min_version,
        max_version,
        cipher_suites,
        curves,
    }))
}

/// Whether HTTP/2 is offered, and the headers of every response.
fn http_server(node: Option<Node>) -> Result<(bool, HeaderMap)> {
    let mut headers = HeaderMap::new();
    let Some(node) = node else { return Ok((true, headers)) };
    let mut fields = Fields::of(node, "http_server_config")?;
    let http2 = fields.bool("http2")?.unwrap_or(true);
    let configured = fields.entries("headers")?;
    fields.end()?;
    for (name, node) in configured {
        let Some((_, values)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            let known = HEADERS.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
            bail!("HTTP header {name:?} can not be configured: the known ones are {known}");
        };
        let (_, value) = fields::text(node, &name)?;
        if value.is_empty() {
            continue; // counts as missing
        }
        if !values.is_empty() && !values.contains(&value.as_str()) {
            bail!("invalid value for {name}. Expected one of: {values:?}");
        }
        let value = HeaderValue::from_str(&value).with_context(|| format!("invalid value for {name}"))?;
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    Ok((http2, headers))
}

fn users(entries: Vec<(String, Node)>) -> Result<BTreeMap<String, String>> {
    let mut users = BTreeMap::new();
    for (user, node) in entries {
        let (_, hash) = fields::text(node, &user)?;
        password_hash::check_hash(&hash).with_context(|| format!("basic_auth_users: {user}"))?;
        users.insert(user, hash);
    }
    Ok(users)
}

/// The limit of requests, if one is set.
fn rate_limit(node: Node) -> Result<Option<RateLimitConfig>> {
    let mut fields = Fields::of(node, "rate_limit")?;
    let line = fields.line;
    let (interval, burst) = (fields.text("interval")?, fields.text("burst")?);
    fields.end()?;
    let fault = |key, text: &str, expected| YamlError::new(line, format!("{key}: {text:?} is not {expected}"));
    let burst = match burst.as_deref() {
        None | Some("") => 0,
        Some(text) => text.parse::<i64>().map_err(|_| fault("burst", text, "a whole number"))?,
    };
    let interval = match interval.as_deref() {
        None | Some("") => Duration::ZERO,
        Some(text) => {
            duration::parse_go(text).ok_or_else(|| fault("interval", text, "a duration: write 1s or 500ms"))?
        }
    };
    let burst = u32::try_from(burst.max(0)).unwrap_or(u32::MAX); // a larger burst makes no difference
    Ok((!interval.is_zero()).then_some(RateLimitConfig { interval, burst }))
}

/// A TLS version, or its default.
fn version(fields: &mut Fields, key: &'static str, default: TlsVersion) -> Result<TlsVersion> {
    let text = fields.text(key)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(default);
    }
    let named = TlsVersion::ALL.into_iter().find(|version| version.name() == text);
    named.with_context(|| format!("unknown TLS version: {text}: {key} is TLS12 or TLS13"))
}

/// PEM text under either of two keys; the file wins.
fn pem(fields: &mut Fields, inline: &'static str, file: &'static str, folder: &Path) -> Result<Option<PemSource>> {
    let (text, path) = (fields.text(inline)?, fields.text(file)?.unwrap_or_default());
    if !path.is_empty() {
        return Ok(Some(PemSource::File { key: file, path: folder.join(path) }));
    }
    Ok(text.filter(|text| !text.is_empty()).map(PemSource::Inline))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

    fn read(text: &str) -> Result<WebConfig> {
        parse(text, Path::new("/etc/web"))
    }

    #[test]
    fn an_empty_file_enables_nothing() {
        for text in ["", "# nothing\n", "{}", "tls_server_config:\nhttp_server_config: {}\nbasic_auth_users:\n"] {
            let config = read(text).unwrap();
            assert!(config.tls.is_none() && config.http2 && config.headers.is_empty() && config.users.is_empty());
        }
    }

    #[test]
    fn an_invalid_configuration_is_rejected_as_by_exporter_toolkit() {
        for (text, fault) in [
            (
                "tls_server_config: {cert_filse: a}",
                "line 1: unknown key cert_filse in tls_server_config; did you mean cert_file?",
            ),
            ("a: 1", "line 1: unknown key a in the file; known keys are"),
            ("a", "line 1: the file: expected a map"),
            (
                "tls_server_config:\n  key_file: a\n  key_file: b",
                "line 3: duplicate key \"key_file\", first set on line 2",
            ),
            ("tls_server_config: {key_file: k}", "missing one of cert or cert_file"),
            ("tls_server_config: {cert: '', key: k}", "missing one of cert or cert_file"),
            ("tls_server_config: {cert_file: c}", "missing one of key or key_file"),
            ("tls_server_config: {cert: c, key: ''}", "missing one of key or key_file"),
            ("tls_server_config: {cert: '', client_auth_type: x}", "missing one of cert or cert_file"),
            ("tls_server_config: {cert: c, key: k, client_auth_type: x}", "invalid ClientAuth: x"),
            (
                "tls_server_config: {cert: c, key: k, client_ca: a}",
                "client CA's have been configured without a Client Auth Policy",
            ),
            ("tls_server_config: {cert: c, key: k, cipher_suites: [TLS_X]}", "unknown cipher: TLS_X"),
            ("tls_server_config: {cert: c, key: k, curve_preferences: [CurveP2]}", "unknown curve: CurveP2"),
            ("tls_server_config: {cert: c, key: k, min_version: TLS14}", "unknown TLS version: TLS14"),
            (
                "tls_server_config: {prefer_server_cipher_suites: maybe}",
                "line 1: prefer_server_cipher_suites: expected true or false",
            ),
            (
                "http_server_config: {headers: {X-Frame-Options: DENY}}",
                "invalid value for X-Frame-Options. Expected one",
            ),
            ("http_server_config: {headers: {X-Content-Type-Options: x}}", "invalid value for X-Content-Type-Options"),
            ("http_server_config: {headers: {Server: x}}", "HTTP header \"Server\" can not be configured"),
            (
                "basic_auth_users: {alice: secret}",
                "basic_auth_users: alice: crypto/bcrypt: hashedSecret too short to be a bcrypted password",
            ),
            ("rate_limit: {interval: soon}", "line 1: interval: \"soon\" is not a duration"),
            ("rate_limit: {interval: 0, burst: many}", "line 1: burst: \"many\" is not a whole number"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.starts_with(fault), "{text}: {error}");
        }
    }

    #[test]
    fn every_setting_is_parsed() {
        let config = read(&format!(
            "tls_server_config:\n  cert_file: cert.pem\n  key_file: /k.pem\n  client_ca: PEM\n  \
             client_auth_type: RequireClientCert\n  client_allowed_sans: [a, b]\n  min_version: TLS13\n  \
             cipher_suites: [TLS_AES_128_GCM_SHA256]\n  curve_preferences: [X25519]\n  \
             prefer_server_cipher_suites: false\nhttp_server_config:\n  http2: false\n  headers:\n    \
             X-XSS-Protection: 1\n    X-Frame-Options: deny\nbasic_auth_users:\n  alice: {HASH}\n  1: {HASH}\n\
             rate_limit: {{interval: 0s, burst: 5}}\n"
        ))
        .unwrap();
        let tls = config.tls.unwrap();
        assert!(matches!(&tls.cert, PemSource::File { path, .. } if path == Path::new("/etc/web/cert.pem")));
        assert!(matches!(&tls.key, PemSource::File { path, .. } if path == Path::new("/k.pem")));
        assert!(matches!(&tls.client_ca, Some(PemSource::Inline(text)) if text == "PEM"));
        assert_eq!(tls.client_auth, ClientAuth::RequireAnyClientCert);
        assert_eq!((tls.min_version, tls.max_version), (TlsVersion::Tls13, TlsVersion::Tls13));
        assert_eq!((tls.client_allowed_sans.len(), tls.cipher_suites.len(), tls.curves.len()), (2, 1, 1));
        assert!(!config.http2);
        assert_eq!(config.headers["x-xss-protection"], "1");
        assert_eq!(config.users.keys().collect::<Vec<_>>(), ["1", "alice"]);
    }

    #[test]
    fn requests_are_limited_if_an_interval_is_set() {
        for (text, limit) in [
            ("", None),
            ("rate_limit: {burst: 5}", None),
            ("rate_limit: {interval: 0s, burst: 5}", None),
            ("rate_limit: {interval: -1s, burst: 5}", None),
            ("rate_limit: {interval: 1s, burst: 5}", Some((1_000_000_000, 5))),
            ("rate_limit: {interval: 250, burst: -5}", Some((250, 0))),
            ("rate_limit: {interval: \"1m\"}", Some((60_000_000_000, 0))),
        ] {
            let expected = limit.map(|(nanos, burst)| RateLimitConfig { interval: Duration::from_nanos(nanos), burst });
            assert_eq!(read(text).unwrap().rate_limit, expected, "{text}");
        }
    }

    #[test]
    fn every_known_cipher_suite_and_curve_is_accepted() {
        let text = format!(
            "tls_server_config: {{cert: c, key: k, cipher_suites: [{}], curve_preferences: [{}], min_version: TLS10}}",
            CIPHER_SUITES.join(", "),
            CURVES.join(", ")
        );
        let tls = read(&text).unwrap().tls.unwrap();
        assert_eq!((tls.cipher_suites.len(), tls.curves.len(), tls.min_version), (13, 4, TlsVersion::Tls10));
    }
}

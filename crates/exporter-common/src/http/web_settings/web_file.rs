//! Reads the web configuration file and the files that it names.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};

use super::settings::WebSettings;
use crate::config::reload::Files;
use crate::config::web_config::{self, ClientAuth, PemSource, WebConfig};
use crate::config::{password_hash, small_file};
use crate::http::rate_limit::RateLimit;
use crate::tls::server::{self, Server};

/// Loads the settings, and returns the files they were loaded from.
pub(super) fn read(path: &Path) -> Result<(WebSettings, Files)> {
    let mut seen = Files::snapshot([path.to_owned()]);
    let name = || path.display().to_string();
    let text = small_file::read_to_string(path)
        .map_err(|error| anyhow!("{}", small_file::reason(&error)))
        .with_context(name)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let WebConfig { tls, http2, headers, users, rate_limit } = web_config::parse(&text, folder).with_context(name)?;
    let files = tls.iter().flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]).flatten();
    for pem in files {
        if let PemSource::File { path, .. } = pem {
            seen.add(path);
        }
    }
    let rate_limit = rate_limit.map(|limit| RateLimit::new(limit.interval, limit.burst));
    let mut settings = WebSettings { http2, headers, rate_limit, ..WebSettings::default() };
    settings.warnings.extend(password_hash::warnings(&users));
    settings.users = users;
    if let Some(tls) = tls {
        let Server { config, expiry, warnings } = server::server(&tls, http2).with_context(name)?;
        settings.warnings.extend(warnings);
        settings.certificate_expiry = expiry;
        settings.clients_must_show_certificates =
            matches!(tls.client_auth, ClientAuth::RequireAnyClientCert | ClientAuth::RequireAndVerifyClientCert)
                || (tls.client_auth != ClientAuth::NoClientCert && !tls.client_allowed_sans.is_empty());
        settings.tls = Some(Arc::new(config));
    }
    Ok((settings, seen))
}

#[cfg(fuzzing)]
pub(crate) fn fuzz_config(text: &str) {
    // no file is read: the base folder does not exist
    if let Ok(WebConfig { tls: Some(tls), http2, .. }) = web_config::parse(text, Path::new("/nonexistent"))
        && [&tls.cert, &tls.key].iter().all(|pem| matches!(pem, PemSource::Inline(_)))
    {
        let _ = server::server(&tls, http2);
    }
}

#[cfg(fuzzing)]
pub(crate) fn fuzz_certificate(der: &[u8]) {
    let _ = crate::tls::x509::certificate(der);
}

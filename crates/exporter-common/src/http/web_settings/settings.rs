//! The settings of the web configuration file, and which of them a reload cannot change.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use crate::http::rate_limit::RateLimit;
use crate::tls::{ServerTls, server};

/// The settings of the web configuration file.
#[derive(Default)]
pub(crate) struct WebSettings {
    /// The TLS settings; `None` for plain HTTP.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// The headers of every response.
    pub(crate) headers: HeaderMap,
    /// Users and their password hashes; authentication is off if empty.
    pub(crate) users: BTreeMap<String, String>,
    /// Whether clients must present a certificate.
    #[cfg_attr(not(feature = "yaml"), expect(dead_code, reason = "read with the feature tls"))]
    pub(crate) clients_must_show_certificates: bool,
    /// The rate limit of requests, if one is set.
    pub(crate) rate_limit: Option<RateLimit>,
    /// When the first certificate of the server's chain expires, in seconds since the epoch.
    pub(super) certificate_expiry: Option<i64>,
    pub(super) http2: bool,
    pub(super) warnings: Vec<String>,
}

impl WebSettings {
    /// Logs settings that are allowed, but probably wrong.
    pub(super) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!(warning, "web configuration");
        }
    }

    /// Restores the settings that cannot change at run time: TLS and HTTP/2.
    pub(super) fn keep_unchangeable(&mut self, before: &WebSettings) {
        match (&mut self.tls, &before.tls) {
            (tls @ Some(_), None) => {
                tracing::warn!(
                    "the web configuration enables TLS: restart the exporter, which serves plain HTTP until then"
                );
                *tls = None;
            }
            (tls @ None, Some(_)) => {
                tracing::warn!("the web configuration disables TLS: restart the exporter, which serves TLS until then");
                tls.clone_from(&before.tls);
            }
            (Some(tls), Some(tls_before)) if self.http2 != before.http2 => {
                tracing::warn!(
                    "the web configuration changes http2: restart the exporter, which uses the previous setting until then"
                );
                server::keep_protocols(Arc::make_mut(tls), tls_before);
                self.http2 = before.http2;
            }
            _ => {}
        }
    }
}

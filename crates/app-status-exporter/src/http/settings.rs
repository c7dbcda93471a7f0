//! The settings of requests: headers, authentication, TLS and proxies.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};

/// The settings of the requests for pages.
#[derive(Default)]
pub(crate) struct RequestSettings {
    pub(crate) headers: HeaderMap,
    /// The body of a POST request, or what is sent to a socket without HTTP; `None` sends a GET request, or nothing.
    pub(crate) body: Option<String>,
    /// The accepted status codes; empty accepts 2xx and 503.
    pub(crate) valid_status_codes: Vec<u16>,
    /// The size limit of a page in bytes.
    pub(crate) body_limit: Option<usize>,
    pub(crate) authentication: Authentication,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) proxy: ProxySettings,
    pub(crate) no_redirects: bool,
}

impl RequestSettings {
    /// Whether only the body and the size limit are set.
    pub(super) fn is_plain(&self) -> bool {
        self.headers.is_empty()
            && self.valid_status_codes.is_empty()
            && matches!(self.authentication, Authentication::None)
            && self.tls.is_none()
            && !self.proxy.is_any()
            && !self.no_redirects
    }
}

/// How requests are authenticated.
#[derive(Default)]
pub(crate) enum Authentication {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Header(HeaderValue),
    OAuth2(Box<OAuth2Settings>),
}

/// OAuth 2.0 with client credentials.
pub(crate) struct OAuth2Settings {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) token_url: Url,
    /// Scopes and additional parameters.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) proxy: ProxySettings,
}

/// TLS settings; certificates and keys are PEM.
#[derive(Default)]
pub(crate) struct TlsSettings {
    pub(crate) ca: Option<Vec<u8>>,
    /// The client certificate and its key.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) server_name: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) tls12: bool,
    pub(crate) tls13: bool,
}

/// The proxies of requests. By default there are none.
#[derive(Default)]
pub(crate) struct ProxySettings {
    /// For plain HTTP.
    pub(crate) http: Option<Url>,
    /// For TLS, through a tunnel.
    pub(crate) https: Option<Url>,
    /// Hosts to connect to directly, in the format of `no_proxy`.
    pub(crate) direct: String,
    /// The headers of the request for a tunnel.
    pub(crate) connect_headers: HeaderMap,
}

impl ProxySettings {
    pub(crate) fn is_any(&self) -> bool {
        self.http.is_some() || self.https.is_some()
    }
}

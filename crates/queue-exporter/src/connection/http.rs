//! An HTTP client: GET with credentials and limits, and errors that name the URL.

use std::error::Error;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use exporter_common::tls::explain_server_error;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::credentials::Credentials;
use super::settings::ConnectionSettings;
use super::tls::TlsFlags;
use crate::json::{is_object, object};
use crate::read_error::{Reason, read_error};

/// A client for all paths below one URL, on connections that are reused.
pub(crate) struct HttpClient {
    http: reqwest::Client,
    /// Without credentials, so that it may be logged.
    base: Url,
    credentials: Option<Credentials>,
}

/// A response with its whole body.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    body: Vec<u8>,
    url: Url,
}

/// The largest body: a page of 500 RabbitMQ queues takes 1 MB, a list of 10,000 names 0.5 MB.
const MAX_BODY: usize = 16 << 20;

/// How long an idle connection is reused. Servers close idle connections, which may coincide with the next request:
/// RabbitMQ and Node.js after 5 s, gunicorn after 2 s. This reuses them within a read, not for the next read.
const IDLE_TIMEOUT: Duration = Duration::from_millis(500);

/// The usual mistake is the port of the broker's own protocol.
const NOT_HTTP: &str =
    "the server does not speak HTTP: RabbitMQ's management API is on port 15672, NATS's monitoring on 8222";

/// Characters that need no escape in a path segment.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl HttpClient {
    pub(crate) fn new(settings: ConnectionSettings) -> Result<Self> {
        let ConnectionSettings { mut url, username, password_file, tls, .. } = settings;
        let credentials = Credentials::new(&mut url, username, password_file)?;
        Ok(Self { http: http_connections(&tls, &url)?, base: url, credentials })
    }

    /// The URL below the base with these names as path segments, which are escaped.
    pub(crate) fn url(&self, names: &[&str]) -> Result<Url> {
        let mut path = self.base.path().trim_end_matches('/').to_owned();
        for name in names {
            // a URL cannot contain these segments: they refer to the current and the parent folder
            ensure!(!matches!(*name, "" | "." | ".."), "its name cannot be written in a URL");
            path.push('/');
            path.extend(utf8_percent_encode(name, UNRESERVED));
        }
        let mut url = self.base.clone();
        url.set_path(&path);
        Ok(url)
    }

    /// The configured URL.
    pub(crate) fn base(&self) -> Url {
        self.base.clone()
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Sends a GET request and returns the response, whatever its status.
    pub(crate) async fn get(&self, url: Url) -> Result<HttpResponse> {
        let mut request = self.http.get(url.clone());
        if let Some(credentials) = &self.credentials {
            let (username, password) = credentials.current();
            request = request.basic_auth(username, Some(password));
        }
        let failed = |error| request_error(error).context(format!("cannot get {}", source(&url)));
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let body = limited_body(response).await.with_context(|| format!("cannot read {}", source(&url)))?;
        Ok(HttpResponse { status, body, url })
    }
}

/// Connections for requests to the server of a URL.
pub(crate) fn http_connections(tls: &TlsFlags, url: &Url) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.config(url.scheme() == "https")?)
        // the credentials are for this server only
        .redirect(reqwest::redirect::Policy::none())
        // a proxy from the environment would receive the credentials
        .no_proxy()
        .pool_max_idle_per_host(16) // the number of concurrent requests
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("queue-exporter/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot set up HTTP")
}

/// The whole body of a response, unless it is too large.
pub(crate) async fn limited_body(mut response: reqwest::Response) -> Result<Vec<u8>> {
    let too_large = || read_error(Reason::Protocol, format!("the response exceeds {} MB", MAX_BODY >> 20));
    let announced = response.content_length().unwrap_or(0);
    ensure!(announced <= MAX_BODY as u64, too_large());
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    while let Some(chunk) = response.chunk().await.map_err(request_error)? {
        ensure!(body.len() + chunk.len() <= MAX_BODY, too_large());
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The reason and the text of a failed request.
pub(crate) fn request_error(error: reqwest::Error) -> anyhow::Error {
    let error = error.without_url();
    let inner = innermost(&error);
    // for a failed connection, only the source of reqwest's error gives the cause
    let text = if error.is_connect() || error.is_request() { inner.to_string() } else { error.to_string() };
    let (reason, text) = match &error {
        _ if let Some(text) = tls_error(inner) => (Reason::Tls, text),
        _ if text.starts_with("invalid HTTP ") => (Reason::Protocol, format!("{NOT_HTTP} ({text})")),
        error if error.is_timeout() => (Reason::Timeout, text),
        // the server closed the connection after the request and before the response
        error if error.is_request() || inner.is::<std::io::Error>() => (Reason::Connect, text),
        _ => (Reason::Protocol, text),
    };
    read_error(reason, text)
}

impl HttpResponse {
    /// The body of a successful response.
    pub(crate) fn success_body(&self) -> Result<&[u8]> {
        let Self { status, body, url } = self;
        if status.is_success() {
            return Ok(body);
        }
        let source = source(url);
        match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let text = format!("{source} returned {status}: check --queue.username and --queue.password-file");
                Err(read_error(Reason::Auth, text))
            }
            status if status.is_redirection() => {
                let text =
                    format!("{source} returned {status}: redirects are not followed: set --queue.url to the final URL");
                Err(read_error(Reason::Protocol, text))
            }
            status => Err(read_error(Reason::Protocol, format!("{source} returned {status}"))),
        }
    }

    /// The JSON object in the body of a successful response. If the body is not an object, the error contains the hint.
    pub(crate) fn json_object_or<'a, T: Deserialize<'a>>(&'a self, hint: &str) -> Result<T> {
        ensure!(
            is_object(self.success_body()?),
            "unexpected response from {}: not a JSON object: {hint}",
            source(&self.url)
        );
        self.json_object()
    }

    /// The JSON object in the body of a successful response.
    pub(crate) fn json_object<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        object(self.success_body()?).with_context(|| format!("unexpected response from {}", source(&self.url)))
    }
}

/// The URL without its query, which may contain a secret.
fn source(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The TLS error inside an I/O error, if that is the cause.
pub(crate) fn tls_error(error: &(dyn Error + 'static)) -> Option<String> {
    explain_server_error(
        error,
        "set --queue.tls-ca-file to the CA certificate of the server, or to the certificate itself",
    )
}

fn innermost<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_name_is_one_path_segment() {
        let url = Url::parse("http://me:secret@host/api/?token=t").unwrap();
        let (tls, timeout) = (Default::default(), Duration::from_secs(5));
        let settings = ConnectionSettings { url, username: None, password_file: None, tls, query_file: None, timeout };
        let client = HttpClient::new(settings).unwrap();
        for (name, path) in [
            ("orders", "/api/orders"),
            ("a/b c", "/api/a%2Fb%20c"),
            ("\"ü\"?#%", "/api/%22%C3%BC%22%3F%23%25"),
            ("a\n\t\\", "/api/a%0A%09%5C"),
            ("...", "/api/..."),
        ] {
            assert_eq!(client.url(&[name]).unwrap().as_str(), format!("http://host{path}?token=t"));
        }
        for name in ["", ".", ".."] {
            assert!(client.url(&[name]).is_err(), "{name}");
        }
    }
}

//! Requests a page of the application, limited in time and size.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use exporter_common::duration::human;
use reqwest::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};

use super::body::{read_file, read_response, read_stream};
use super::client::{ClientOptions, client, root_cause};
use super::file::FileReads;
use super::oauth2::TokenSource;
use super::settings::{Authentication, RequestSettings};
use super::url::AppUrl;
use crate::metrics::failures::{FailureReason, ReadError};

/// The default size limit of a page, which bounds the memory of a read.
const BODY_LIMIT: usize = 4 << 20;

/// A page, before it is parsed.
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    /// The status code, if it is not a success.
    pub(crate) error_status: Option<StatusCode>,
}

/// Requests the pages of one application, and keeps connections between reads.
pub(crate) struct PageClient {
    client: Client,
    headers: HeaderMap,
    tokens: Option<TokenSource>,
    body: Option<String>,
    valid_status_codes: Vec<u16>,
    body_limit: usize,
    file_reads: FileReads,
    pages: Vec<AppUrl>,
    /// The URLs of the pages for messages.
    display_urls: Vec<String>,
}

impl PageClient {
    /// Prepares the requests for the pages, relative to a URL. Does not connect.
    pub(crate) fn new(
        url: &AppUrl,
        pages: &[String],
        settings: RequestSettings,
        file_reads: FileReads,
    ) -> anyhow::Result<Self> {
        let mut pages =
            pages.iter().map(|page| url.join(page)).collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
        let display_urls = pages.iter().map(AppUrl::redacted).collect();
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(settings.headers.clone());
        let (https, socket) = match url {
            AppUrl::Http(url) => (url.scheme() == "https", None),
            AppUrl::Socket { socket, .. } => (false, Some(socket.as_path())),
            AppUrl::Stream { .. } => {
                ensure!(
                    settings.is_plain(),
                    "{} has no HTTP: remove http_client_config, headers and valid_status_codes from the configuration",
                    url.redacted()
                );
                (false, None)
            }
            AppUrl::File(_) => (false, None),
        };
        let mut resolve = None;
        if let Some(name) = settings.tls.as_ref().and_then(|tls| tls.server_name.as_deref())
            && https
        {
            ensure!(!settings.proxy.is_any(), "server_name and a proxy are mutually exclusive");
            resolve = rename_host(&mut pages, name, &mut headers)?;
        }
        let client = client(ClientOptions {
            https: https || settings.proxy.http.as_ref().is_some_and(|proxy| proxy.scheme() == "https"),
            tls: settings.tls.as_ref(),
            proxy: &settings.proxy,
            socket,
            redirects: !settings.no_redirects,
            // One per page, so that a repeated request does not use another connection that is about to close. A POST
            // request is never repeated, so it must not use a kept connection.
            idle_connections: if settings.body.is_none() { pages.len() } else { 0 },
            resolve,
        });
        let client = client.with_context(|| format!("cannot prepare requests to {}", url.redacted()))?;
        let mut tokens = None;
        match settings.authentication {
            Authentication::None => {}
            Authentication::Header(value) => {
                headers.insert(AUTHORIZATION, value);
            }
            Authentication::Basic { username, password } => {
                let request = client.get("http://localhost/").basic_auth(username, Some(password)).build()?;
                headers.extend(request.headers().get(AUTHORIZATION).cloned().map(|value| (AUTHORIZATION, value)));
            }
            Authentication::OAuth2(oauth2) => tokens = Some(TokenSource::new(*oauth2)?),
        }
        Ok(Self {
            client,
            headers,
            tokens,
            body: settings.body,
            valid_status_codes: settings.valid_status_codes,
            body_limit: settings.body_limit.unwrap_or(BODY_LIMIT),
            file_reads,
            pages,
            display_urls,
        })
    }

    /// The number of pages.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The path of a page, made unique by a number if two pages differ only in their query.
    pub(crate) fn page_name(&self, page: usize) -> String {
        let path = self.pages[page].path();
        match self.pages[..page].iter().filter(|other| other.path() == path).count() {
            0 => path,
            earlier => format!("{path} ({})", earlier + 1),
        }
    }

    /// The URL of a page for messages.
    pub(crate) fn display_url(&self, page: usize) -> &str {
        &self.display_urls[page]
    }

    /// Requests a page and reads all of it.
    pub(crate) async fn fetch(&self, page: usize, limit: Duration) -> Result<Page, ReadError> {
        let arrived = AtomicUsize::new(0); // from a socket without HTTP
        let fetch = async {
            match &self.pages[page] {
                AppUrl::Http(url) | AppUrl::Socket { url, .. } => self.get(url).await,
                AppUrl::Stream { address, request } => {
                    read_stream(address, request.as_deref().or(self.body.as_deref()), self.body_limit, &arrived)
                        .await
                        .map(|body| Page { body, error_status: None })
                }
                AppUrl::File(path) => read_file(&self.file_reads, path, self.body_limit)
                    .await
                    .map(|body| Page { body, error_status: None }),
            }
        };
        tokio::time::timeout(limit, fetch).await.unwrap_or_else(|_| {
            let hint = match arrived.load(Ordering::Relaxed) {
                0 => String::new(),
                bytes => format!(": {bytes} bytes have arrived, but the other side did not close the connection"),
            };
            Err(ReadError::new(FailureReason::Timeout, format!("no complete response within {}{hint}", human(limit))))
        })
    }

    async fn get(&self, url: &Url) -> Result<Page, ReadError> {
        let response = self.send(url).await?;
        let status = response.status();
        let accepted = match self.valid_status_codes[..] {
            // an unhealthy application responds with 503, and its page is then the most useful
            [] => status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE,
            ref valid => valid.contains(&status.as_u16()),
        };
        if !accepted {
            if let (StatusCode::UNAUTHORIZED, Some(tokens)) = (status, &self.tokens) {
                tokens.discard().await;
            }
            return Err(ReadError::new(FailureReason::Status, format!("response status {status}")));
        }
        let body = read_response(response, self.body_limit).await?;
        Ok(Page { body, error_status: (!status.is_success()).then_some(status) })
    }

    async fn send(&self, url: &Url) -> Result<Response, ReadError> {
        let mut headers = self.headers.clone();
        if let Some(tokens) = &self.tokens {
            headers.insert(AUTHORIZATION, tokens.header().await?);
        }
        let send = || {
            let request = match &self.body {
                None => self.client.get(url.clone()),
                Some(body) => self.client.post(url.clone()).body(body.clone()),
            };
            request.headers(headers.clone()).send()
        };
        let response = match send().await {
            // the application may close a kept connection at the moment of its next use
            Err(error) if error.is_request() && !error.is_connect() && self.body.is_none() => send().await,
            response => response,
        };
        response.map_err(|error| match error {
            error if error.is_connect() => {
                ReadError::new(FailureReason::Connect, format!("cannot connect: {}", root_cause(&error)))
            }
            error if error.is_redirect() => ReadError::new(FailureReason::Redirect, root_cause(&error)),
            error => ReadError::new(FailureReason::Answer, format!("no valid response: {}", root_cause(&error))),
        })
    }
}

/// Replaces the host of the pages with the name in the server's certificate. Returns the host and port to connect to.
fn rename_host(pages: &mut [AppUrl], name: &str, headers: &mut HeaderMap) -> anyhow::Result<Option<(String, u16)>> {
    let mut resolve = None;
    for page in pages {
        let AppUrl::Http(url) = page else { continue };
        let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(443));
        let authority = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
        headers.insert(HOST, HeaderValue::try_from(authority)?);
        resolve = Some((host.trim_matches(['[', ']']).to_owned(), port));
        let renamed = url.set_host(Some(name)).is_ok() && url.domain().is_some();
        ensure!(renamed, "tls_config: server_name: {name:?} is not a host name");
    }
    Ok(resolve)
}

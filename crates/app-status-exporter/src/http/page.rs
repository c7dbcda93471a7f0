//! One request for a page of the application, bounded in time and size. Its errors say what went wrong.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use exporter_common::duration::human;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, HOST, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};

use crate::config::{Authentication, RequestSettings};
use crate::http::client::{ClientOptions, client, root_cause};
use crate::http::oauth2::Tokens;
use crate::http::url::AppUrl;
use crate::metrics::failures::{FailureReason, ReadError};

/// The largest page that is read unless the configuration says otherwise. Its memory is what a scrape costs at most.
const BODY_LIMIT: usize = 4 << 20;

/// The pages of one application, and the connection to it that is kept from one fetch to the next.
pub(crate) struct PageClient {
    client: Client,
    headers: HeaderMap,
    tokens: Option<Tokens>,
    body: Option<String>,
    valid_status_codes: Vec<u16>,
    body_limit: usize,
    pages: Vec<AppUrl>,
    /// The pages' URLs for people.
    display_urls: Vec<String>,
}

impl PageClient {
    /// Connects to nothing yet.
    pub(crate) fn new(url: &AppUrl, pages: &[String], request: RequestSettings) -> anyhow::Result<Self> {
        let display_url = url.redacted();
        let mut pages =
            pages.iter().map(|page| url.join(page)).collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
        let display_urls = pages.iter().map(AppUrl::redacted).collect();
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(request.headers);
        let (mut tokens, mut resolve, mut https, mut socket) = (None, None, false, None);
        match url {
            AppUrl::Http(url) => https = url.scheme() == "https",
            AppUrl::Socket { socket: path, .. } => socket = Some(path.as_path()),
            AppUrl::File(_) => {}
        }
        if let Some(name) = request.tls.as_ref().and_then(|tls| tls.server_name.as_deref())
            && https
        {
            anyhow::ensure!(!request.proxy.is_any(), "server_name and a proxy exclude each other");
            for page in &mut pages {
                let AppUrl::Http(url) = page else { continue };
                let (host, port) =
                    (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(443));
                let authority = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
                headers.insert(HOST, HeaderValue::try_from(authority)?);
                resolve = Some((host.trim_matches(['[', ']']).to_owned(), port));
                let named = url.set_host(Some(name)).is_ok() && url.domain().is_some();
                anyhow::ensure!(named, "tls_config: server_name {name:?} is no name of a host");
            }
        }
        let client = client(ClientOptions {
            https: https || request.proxy.http.as_ref().is_some_and(|proxy| proxy.scheme() == "https"),
            tls: request.tls.as_ref(),
            proxy: &request.proxy,
            socket,
            redirects: !request.no_redirects,
            // One for each page: a request that is repeated finds none that is just being closed like its first. One
            // that may not be repeated must not meet any.
            keeps: if request.body.is_none() { pages.len() } else { 0 },
            resolve,
        });
        let client = client.with_context(|| format!("cannot prepare requests to {display_url}"))?;
        match request.authentication {
            Authentication::None => {}
            Authentication::Header(value) => {
                headers.insert(AUTHORIZATION, value);
            }
            Authentication::Basic { username, password } => {
                let made = client.get("http://localhost/").basic_auth(username, Some(password)).build()?;
                headers.extend(made.headers().get(AUTHORIZATION).cloned().map(|value| (AUTHORIZATION, value)));
            }
            Authentication::OAuth2(oauth2) => tokens = Some(Tokens::new(*oauth2)?),
        }
        Ok(Self {
            client,
            headers,
            tokens,
            body: request.body,
            valid_status_codes: request.valid_status_codes,
            body_limit: request.body_limit.unwrap_or(BODY_LIMIT),
            pages,
            display_urls,
        })
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// A page's URL for people.
    pub(crate) fn display_url(&self, page: usize) -> &str {
        &self.display_urls[page]
    }

    /// A whole page, and the status it came with, if that is not what it should be.
    pub(crate) async fn fetch(&self, page: usize, limit: Duration) -> Result<(Vec<u8>, Option<StatusCode>), ReadError> {
        let fetch = async {
            match &self.pages[page] {
                AppUrl::Http(url) | AppUrl::Socket { url, .. } => self.get(url).await,
                AppUrl::File(path) => read(path, self.body_limit).await.map(|page| (page, None)),
            }
        };
        match tokio::time::timeout(limit, fetch).await {
            Ok(page) => page,
            Err(_) => Err(ReadError::new(FailureReason::Timeout, format!("no whole answer within {}", human(limit)))),
        }
    }

    async fn get(&self, url: &Url) -> Result<(Vec<u8>, Option<StatusCode>), ReadError> {
        let response = self.answer(url).await?;
        let status = response.status();
        let read = match self.valid_status_codes[..] {
            // 503 is how an application says that it is not well, which is when people look
            [] => status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE,
            ref valid => valid.contains(&status.as_u16()),
        };
        if !read {
            if let (StatusCode::UNAUTHORIZED, Some(tokens)) = (status, &self.tokens) {
                tokens.forget().await;
            }
            return Err(ReadError::new(FailureReason::Status, format!("it answers {status}")));
        }
        let encoding = response.headers().get(CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let what = format!("the page is encoded as {encoding:?}, which was not asked for");
            return Err(ReadError::new(FailureReason::Answer, what));
        }
        let page = limited(response, self.body_limit).await?;
        Ok((page, (!status.is_success()).then_some(status)))
    }

    async fn answer(&self, url: &Url) -> Result<Response, ReadError> {
        let mut headers = self.headers.clone();
        if let Some(tokens) = &self.tokens {
            headers.insert(AUTHORIZATION, tokens.header().await?);
        }
        let ask = || {
            let request = match &self.body {
                None => self.client.get(url.clone()),
                Some(body) => self.client.post(url.clone()).body(body.clone()),
            };
            request.headers(headers.clone()).send()
        };
        let answer = match ask().await {
            // an application may close a kept connection in the moment it is used again
            Err(error) if error.is_request() && !error.is_connect() && self.body.is_none() => ask().await,
            answer => answer,
        };
        answer.map_err(|error| match error {
            error if error.is_connect() => {
                ReadError::new(FailureReason::Connect, format!("cannot connect: {}", root_cause(&error)))
            }
            error if error.is_redirect() => ReadError::new(FailureReason::Redirect, root_cause(&error)),
            error => ReadError::new(FailureReason::Answer, format!("no answer: {}", root_cause(&error))),
        })
    }
}

/// The body of an answer, of which no more than the limit is read.
pub(crate) async fn limited(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let announced = usize::try_from(response.content_length().unwrap_or_default()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large(limit));
    }
    let mut page = Vec::with_capacity(announced);
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(page),
            Ok(Some(chunk)) if page.len() + chunk.len() > limit => return Err(too_large(limit)),
            Ok(Some(chunk)) => page.extend_from_slice(&chunk),
            Err(error) => {
                return Err(ReadError::new(
                    FailureReason::Answer,
                    format!("the answer broke off: {}", root_cause(&error)),
                ));
            }
        }
    }
}

async fn read(path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut page = Vec::new();
        std::fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut page)?;
        std::io::Result::Ok(page)
    });
    let page = read.await.map_err(std::io::Error::other).flatten();
    let page = page.map_err(|error| ReadError::new(FailureReason::Connect, format!("cannot read: {error}")))?;
    if page.len() > limit { Err(too_large(limit)) } else { Ok(page) }
}

fn too_large(limit: usize) -> ReadError {
    let size = if limit.is_multiple_of(1 << 20) { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
    ReadError::new(FailureReason::TooLarge, format!("the page is larger than {size}"))
}

//! One GET of the status page, bounded in time and size. Its errors say what went wrong.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use exporter_common::duration::human;
use reqwest::header::{ACCEPT, CONTENT_ENCODING};
use reqwest::{Client, Response, StatusCode, redirect};
use rustls::crypto::ring;

use crate::url::AppUrl;

/// The largest page that is read. Its memory is what a scrape costs at most.
const BODY_LIMIT: usize = 4 << 20;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// A status page, and the connection to it that is kept from one fetch to the next.
pub(crate) struct Page {
    client: Client,
    url: AppUrl,
    place: String,
}

impl Page {
    /// Connects to nothing yet.
    pub(crate) fn new(url: AppUrl) -> Result<Self> {
        let place = url.place();
        let client = client(url.0.scheme()).with_context(|| format!("cannot prepare requests to {place}"))?;
        Ok(Self { client, url, place })
    }

    /// The URL for people.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The whole page, and the status it came with: 2xx or 503.
    pub(crate) async fn fetch(&self, limit: Duration) -> Result<(StatusCode, Vec<u8>)> {
        let fetch = async {
            let response = self.answer().await?;
            let status = response.status();
            // 503 is how an application says that it is not well, which is when people look
            ensure!(status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE, "it answers {status}");
            let encoding = response.headers().get(CONTENT_ENCODING);
            if let Some(encoding) = encoding.filter(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
                bail!("the page is encoded as {encoding:?}, which was not asked for");
            }
            Ok((status, body(response).await?))
        };
        match tokio::time::timeout(limit, fetch).await {
            Ok(page) => page,
            Err(_) => bail!("no whole answer within {}", human(limit)),
        }
    }

    async fn answer(&self) -> Result<Response> {
        let get = || self.client.get(self.url.0.clone()).header(ACCEPT, "application/json").send();
        let answer = match get().await {
            // an application may close a kept connection in the moment it is used again
            Err(error) if error.is_request() && !error.is_connect() => get().await,
            answer => answer,
        };
        answer.map_err(|error| match error {
            error if error.is_connect() => anyhow::anyhow!("cannot connect: {}", cause(&error)),
            error if error.is_redirect() => anyhow::anyhow!("{}", cause(&error)),
            error => anyhow::anyhow!("no answer: {}", cause(&error)),
        })
    }
}

/// The body, of which no more than the limit is read.
async fn body(mut response: Response) -> Result<Vec<u8>> {
    let too_large = || format!("the page is larger than {} MiB", BODY_LIMIT >> 20);
    let announced = response.content_length().unwrap_or_default();
    ensure!(announced <= BODY_LIMIT as u64, too_large());
    let mut page = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| anyhow::anyhow!("the answer broke off: {}", cause(&error)))?
    {
        ensure!(page.len() + chunk.len() <= BODY_LIMIT, too_large());
        page.extend_from_slice(&chunk);
    }
    Ok(page)
}

fn client(scheme: &str) -> Result<Client> {
    let builder = Client::builder()
        // what runs beside the application must not look for it behind a proxy
        .no_proxy()
        .redirect(redirect::Policy::custom(follow))
        .user_agent(concat!("app-status-exporter/", env!("CARGO_PKG_VERSION")));
    let builder = if scheme == "https" {
        let _ = ring::default_provider().install_default(); // fails when there is one already
        builder
    } else {
        // without TLS the certificates of the system would only cost memory
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        builder.tls_backend_preconfigured(tls)
    };
    Ok(builder.build()?)
}

/// Redirects are followed as long as they stay at the application.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let (to, from) = (attempt.url(), attempt.previous().first());
    if from.is_some_and(|from| from.origin() != to.origin()) {
        let fault = format!("it redirects to another place, {}", AppUrl(to.clone()).place());
        return attempt.error(fault);
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(format!("it redirects more than {REDIRECTS} times"));
    }
    attempt.follow()
}

/// The innermost reason; the layers around it say only that there is one, and the URL with its credentials.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

//! HTTP client and `demo healthcheck`.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use reqwest::{Client, Url};

/// Fails unless the URL returns a 2xx status.
pub(crate) async fn healthcheck(url: &str) -> Result<()> {
    let url = self::url(url).map_err(|why| anyhow!("{url}: {why}"))?;
    let response = client(Duration::from_secs(2))?.get(url.clone()).send().await;
    let response = response.map_err(|error| anyhow!("cannot request {url}: {}", cause(&error)))?;
    ensure!(response.status().is_success(), "{url} returned status {}", response.status());
    Ok(())
}

/// Parses the URL of a flag.
pub(crate) fn url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    url.ok_or("expected a URL, for example http://127.0.0.1:8080/")
}

/// The innermost cause of a failed request. The layers above it only repeat the URL.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Creates a client with a timeout that does not follow redirects.
pub(crate) fn client(timeout: Duration) -> Result<Client> {
    // reqwest needs a TLS provider even if no request uses TLS. A second installation fails, which is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("demo/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot create an HTTP client")
}

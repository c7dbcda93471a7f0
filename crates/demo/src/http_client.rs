//! HTTP client and `demo healthcheck`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Client;

/// Fails unless the URL returns a 2xx status.
pub(crate) async fn healthcheck(url: &str) -> Result<()> {
    let response =
        client(Duration::from_secs(2))?.get(url).send().await.with_context(|| format!("cannot request {url}"))?;
    ensure!(response.status().is_success(), "{url} returned status {}", response.status());
    Ok(())
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

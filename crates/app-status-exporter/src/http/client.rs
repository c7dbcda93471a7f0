//! Builds HTTP clients with TLS, a proxy, a Unix socket, and redirects within one origin.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use exporter_common::tls::{AnyServer, TrustedServer, explain_certificate_error, explain_server_error, pem};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, NoProxy, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, version};

use super::settings::{ProxySettings, TlsSettings};
use super::url::redacted;

/// The maximum number of redirects.
const MAX_REDIRECTS: usize = 5;

/// The options of a client.
pub(super) struct ClientOptions<'a> {
    /// Whether TLS is used. Without it, the CA certificates of the system are not loaded.
    pub(super) https: bool,
    pub(super) tls: Option<&'a TlsSettings>,
    pub(super) proxy: &'a ProxySettings,
    pub(super) socket: Option<&'a Path>,
    pub(super) redirects: bool,
    /// The number of idle connections to keep.
    pub(super) idle_connections: usize,
    /// The host and port to connect to, if they differ from the URL.
    pub(super) resolve: Option<(String, u16)>,
}

/// Builds a client.
pub(super) fn client(options: ClientOptions<'_>) -> Result<Client> {
    let redirects = if options.redirects { redirect::Policy::custom(follow) } else { redirect::Policy::none() };
    let mut builder =
        Client::builder().redirect(redirects).user_agent(concat!("app-status-exporter/", env!("CARGO_PKG_VERSION")));
    builder = builder.pool_max_idle_per_host(options.idle_connections);
    if let Some((host, port)) = options.resolve {
        builder = builder.dns_resolver(Arc::new(FixedHostResolver { host, port }));
    }
    builder = proxied(builder, options.proxy)?;
    builder = match (options.tls, options.https) {
        (Some(tls), _) => builder.tls_backend_preconfigured(config(tls)?),
        (None, true) => {
            let _ = ring::default_provider().install_default(); // fails if one is installed already
            builder
        }
        (None, false) => builder.tls_backend_preconfigured(
            ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        ),
    };
    #[cfg(unix)]
    if let Some(socket) = options.socket {
        builder = builder.unix_socket(socket);
    }
    #[cfg(not(unix))]
    anyhow::ensure!(options.socket.is_none(), "Unix sockets are not supported on this platform");
    Ok(builder.build()?)
}

fn proxied(builder: ClientBuilder, proxy: &ProxySettings) -> Result<ClientBuilder> {
    // a sidecar must not use a proxy of the environment, unless the configuration says so
    let mut builder = builder.no_proxy();
    let direct = || NoProxy::from_string(&proxy.direct);
    if let Some(url) = &proxy.http {
        builder = builder.proxy(reqwest::Proxy::http(url.clone())?.no_proxy(direct()));
    }
    if let Some(url) = &proxy.https {
        let headers = proxy.connect_headers.clone();
        builder = builder.proxy(reqwest::Proxy::https(url.clone())?.headers(headers).no_proxy(direct()));
    }
    Ok(builder)
}

fn config(tls: &TlsSettings) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions: Vec<_> = [(tls.tls12, &version::TLS12), (tls.tls13, &version::TLS13)]
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, version)| *version)
        .collect();
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions)?;
    let builder = match &tls.ca {
        _ if tls.insecure => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        Some(ca) => {
            let verifier = TrustedServer::new(ca, provider).context("tls_config: CA certificate")?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        None => builder.with_root_certificates(pem::system_ca_certificates()),
    };
    let Some((certificate, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = pem::certificates(certificate).context("tls_config: certificate")?;
    let key = pem::private_key(key).context("tls_config: key")?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| anyhow!("tls_config: cert and key: {}", explain_certificate_error(&error)))
}

/// Follows redirects within one origin. Another origin receives no request, so it receives no credentials.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let (to, from) = (attempt.url(), attempt.previous().first());
    if from.is_some_and(|from| from.origin() != to.origin()) {
        let message = format!("redirect to another origin refused: {}", redacted(to));
        return attempt.error(message);
    }
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
    }
    attempt.follow()
}

/// The innermost cause. The outer layers add no information, and show the URL with its credentials.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let trust =
        "set ca_file in tls_config of --config.file to the CA certificate of the server, or set insecure_skip_verify";
    explain_server_error(cause, trust).unwrap_or_else(|| cause.to_string())
}

/// Resolves every name to one host. The name in the URL is then only the name in its certificate.
struct FixedHostResolver {
    host: String,
    port: u16,
}

impl Resolve for FixedHostResolver {
    fn resolve(&self, _: Name) -> Resolving {
        let (host, port) = (self.host.clone(), self.port);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

//! HTTP clients as a configuration asks for them: TLS, proxy, socket, and redirects that stay where they are.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, NoProxy, redirect};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, version};

use crate::config::{ProxySettings, TlsSettings};
use crate::http::url::redacted;

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// What a client is to do.
pub(crate) struct ClientOptions<'a> {
    /// Whether it speaks TLS: without it the certificates of the system would only cost memory.
    pub(crate) https: bool,
    pub(crate) tls: Option<&'a TlsSettings>,
    pub(crate) proxy: &'a ProxySettings,
    pub(crate) socket: Option<&'a Path>,
    pub(crate) redirects: bool,
    /// How many connections are kept for the next requests.
    pub(crate) keeps: usize,
    /// The host and port that stand behind the name in the URL, where that is another one.
    pub(crate) resolve: Option<(String, u16)>,
}

/// Makes a client.
pub(crate) fn client(options: ClientOptions<'_>) -> Result<Client> {
    let redirects = if options.redirects { redirect::Policy::custom(follow) } else { redirect::Policy::none() };
    let mut builder =
        Client::builder().redirect(redirects).user_agent(concat!("app-status-exporter/", env!("CARGO_PKG_VERSION")));
    builder = builder.pool_max_idle_per_host(options.keeps);
    if let Some((host, port)) = options.resolve {
        builder = builder.dns_resolver(Arc::new(FixedHostResolver { host, port }));
    }
    builder = proxied(builder, options.proxy)?;
    builder = match (options.tls, options.https) {
        (Some(tls), _) => builder.tls_backend_preconfigured(config(tls)?),
        (None, true) => {
            let _ = ring::default_provider().install_default(); // fails when there is one already
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
    ensure!(options.socket.is_none(), "there are no Unix sockets here");
    Ok(builder.build()?)
}

fn proxied(builder: ClientBuilder, proxy: &ProxySettings) -> Result<ClientBuilder> {
    // what runs beside the application must not look for it behind a proxy unless it is told to
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
    let builder = if tls.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    } else {
        builder.with_root_certificates(roots(tls)?)
    };
    let Some((certificate, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.context("tls_config: the certificate is no PEM")?;
    // what is wrong with a key is not said in detail
    let key = PrivateKeyDer::from_pem_slice(key).ok().context("tls_config: there is no private key in PEM")?;
    builder.with_client_auth_cert(chain, key).context("tls_config: certificate and key")
}

fn roots(tls: &TlsSettings) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(ca) => {
            for certificate in CertificateDer::pem_slice_iter(ca) {
                roots
                    .add(certificate.context("tls_config: the authority is no PEM")?)
                    .context("tls_config: the authority")?;
            }
            ensure!(!roots.is_empty(), "tls_config: there is no certificate in the authority's PEM");
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    Ok(roots)
}

/// Redirects are followed as long as they stay at the application: to another host no header goes along, since
/// nothing goes there at all.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let (to, from) = (attempt.url(), attempt.previous().first());
    if from.is_some_and(|from| from.origin() != to.origin()) {
        let fault = format!("it redirects to another place, {}", redacted(to));
        return attempt.error(fault);
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(format!("it redirects more than {REDIRECTS} times"));
    }
    attempt.follow()
}

/// The innermost reason; the layers around it say only that there is one, and the URL with its credentials.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let what = cause.to_string();
    if what.ends_with("UnknownIssuer") {
        return format!(
            "{what}; in tls_config of --config.file ca_file names its authority, insecure_skip_verify takes any"
        );
    }
    what
}

/// Finds one host under whatever name: the name in the URL is then the one that its certificate is for.
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

/// `insecure_skip_verify`.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

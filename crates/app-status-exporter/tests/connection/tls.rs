//! Requests over TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::{Config, is_up, stderr, up};
use crate::app::{App, raw};

/// The connection and request of a client.
#[derive(Debug)]
pub(super) struct Received {
    /// The requested server name.
    name: String,
    /// The number of client certificates.
    certificates: usize,
    pub(super) request: String,
}

/// Serves one connection over TLS.
pub(super) fn serve_tls(config: rustls::ServerConfig, response: String) -> (u16, thread::JoinHandle<Option<Received>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        let mut request = vec![0; 4096];
        let len = stream.read(&mut request).ok()?;
        assert!(len > 0);
        stream.write_all(response.as_bytes()).ok()?;
        let _ = stream.flush();
        let certificates = tls.peer_certificates().map_or(0, <[_]>::len);
        let request = String::from_utf8_lossy(&request[..len]).to_lowercase();
        Some(Received { name: tls.server_name().unwrap_or_default().to_owned(), certificates, request })
    });
    (port, serving)
}

pub(super) fn page_and_close() -> String {
    raw("200 OK", "Connection: close\r\n", "{\"up\": 1}")
}

/// The configuration of a server with a new self-signed certificate, which it also accepts from clients. Writes the
/// certificate to cert.pem and key.pem.
pub(super) fn certified(folder: &Path, name: &str) -> rustls::ServerConfig {
    certified_with(folder, rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap())
}

fn certified_with(folder: &Path, params: rcgen::CertificateParams) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

#[test]
fn tls_uses_the_configured_ca_client_certificate_and_server_name() {
    for (tls, works, name, certificates) in [
        ("{ca_file: cert.pem, server_name: app.internal}", true, "app.internal", 0),
        (
            "{ca_file: cert.pem, server_name: app.internal, cert_file: cert.pem, key_file: key.pem}",
            true,
            "app.internal",
            1,
        ),
        ("{insecure_skip_verify: true}", true, "", 0),
        ("{ca_file: cert.pem}", false, "", 0),
        ("{server_name: app.internal}", false, "", 0),
    ] {
        let config = Config::new(&format!("    http_client_config: {{tls_config: {tls}}}\n"));
        let (port, serving) = serve_tls(certified(config.0.path(), "app.internal"), page_and_close());
        let output = config.once(&format!("https://127.0.0.1:{port}/status"));
        assert_eq!(is_up(&output), works, "{tls} {}", stderr(&output));
        let received = serving.join().unwrap();
        if works {
            let received = received.unwrap();
            assert_eq!((received.name.as_str(), received.certificates), (name, certificates), "{tls}");
        } else {
            assert!(stderr(&output).contains("cannot connect: "), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_self_signed_certificate_that_is_marked_as_ca_is_accepted_as_ca_file() {
    for (name, works) in [("localhost", true), ("other.internal", false)] {
        let config = Config::new("    http_client_config: {tls_config: {ca_file: cert.pem}}\n");
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained); // the default of openssl req -x509
        let (port, serving) = serve_tls(certified_with(config.0.path(), params), page_and_close());
        let output = config.once(&format!("https://localhost:{port}/status"));
        assert_eq!(is_up(&output), works, "{name}: {}", stderr(&output));
        assert_eq!(serving.join().unwrap().is_some(), works);
    }
}

#[test]
fn an_unknown_ca_is_reported_with_a_hint() {
    let config = Config::new("");
    let (port, serving) = serve_tls(certified(config.0.path(), "localhost"), page_and_close());
    let output = config.once(&format!("https://localhost:{port}/status"));
    let hint = "no trusted CA signed it: set ca_file in tls_config of --config.file";
    assert!(stderr(&output).contains(hint), "{}", stderr(&output));
    assert!(serving.join().unwrap().is_none());
}

#[test]
fn over_tls_a_redirect_to_another_host_is_not_followed() {
    let other = App::start(up());
    let config = Config::new(
        "    headers: {X-Api-Key: s3cret}\n    http_client_config: {bearer_token: s3cret, tls_config: {insecure_skip_verify: true}}\n",
    );
    // the same host without TLS is another origin
    for target in [other.url(), other.url().replace("127.0.0.1", "localhost")] {
        let redirect = raw("302 Found", &format!("Connection: close\r\nLocation: {target}\r\n"), "");
        let (port, serving) = serve_tls(certified(config.0.path(), "app.internal"), redirect);
        let output = config.once(&format!("https://localhost:{port}/status"));
        assert!(stderr(&output).contains("redirect to another origin refused: http://"), "{}", stderr(&output));
        assert!(serving.join().unwrap().unwrap().request.contains("x-api-key: s3cret"));
    }
    assert_eq!(other.connections(), 0);
}

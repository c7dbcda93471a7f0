//! TLS: versions, cipher suites, curves, HTTP/2, client certificates.

use std::io::{Read, Write};

use exporter_common::testing::eventually;
use rustls::crypto::ring::{cipher_suite as suite, kx_group};

use super::client::{Client, tcp};
use super::pki::{Pki, TLS};
use super::{run, start, start_with};

#[test]
fn tls_works_with_files_and_inline_certificates() {
    let pki = Pki::new();
    let inline =
        format!("tls_server_config:\n  cert: |\n{}  key: |\n{}", pki.inline("server.crt"), pki.inline("server.key"));
    for config in [TLS, &inline] {
        let exporter = start(&pki, config);
        let (status, response) = Client::new(&pki).get(&exporter, "/metrics", "").unwrap();
        assert_eq!(status, 200);
        assert!(response.contains("_exporter_build_info{"), "{response}");
        assert!(response.contains("\nexporter_config_last_reload_successful 1\n"), "{response}");
    }
}

#[test]
fn plain_http_to_a_tls_port_gets_an_explanation() {
    let pki = Pki::new();
    let exporter = start(&pki, TLS);
    let mut plain = tcp(&exporter);
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut response = String::new();
    plain.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"), "{response}");
    assert_eq!(Client::new(&pki).status(&exporter), Ok(200));
}

#[test]
fn tls_to_a_plain_http_port_is_logged() {
    let pki = Pki::new();
    let exporter = start_with(&pki, "", &["--log.level=debug"]);
    assert!(Client::new(&pki).status(&exporter).is_err());
    eventually("it is logged", || exporter.log().contains("the client may use TLS").then_some(()));
    assert_eq!(exporter.get("/", &[]).status, 200);
}

#[test]
fn http2_is_offered_unless_it_is_turned_off() {
    let pki = Pki::new();
    for (more, protocol) in [("", &b"h2"[..]), ("http_server_config:\n  http2: false\n", b"http/1.1")] {
        let exporter = start(&pki, &format!("{TLS}{more}"));
        let client = Client { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..Client::new(&pki) };
        let stream = client.connect(&exporter).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(protocol), "{more}");
    }
    let no_http2 = format!(
        "{TLS}  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n\
         http_server_config: {{http2: false}}\n"
    );
    assert_eq!(Client::new(&pki).status(&start(&pki, &no_http2)), Ok(200));
}

#[test]
fn only_the_configured_cipher_suites_are_served() {
    let pki = Pki::new();
    let some = "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, \
                TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA]";
    for prefer in ["true", "false"] {
        let exporter = start(&pki, &format!("{TLS}  prefer_server_cipher_suites: {prefer}\n  {some}\n"));
        let negotiated = |suites| {
            let stream = Client { suites, ..Client::new(&pki) }.connect(&exporter)?;
            Ok(stream.conn.negotiated_cipher_suite().unwrap().suite())
        };
        let (aes128, aes256) =
            (suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384);
        assert_eq!(negotiated(vec![aes128]), Ok(aes128.suite()));
        assert_eq!(negotiated(vec![aes256]), Ok(aes256.suite()));
        assert_eq!(negotiated(vec![aes256, aes128]), Ok(aes128.suite()), "the server's order counts");
        let refused: Result<_, String> = negotiated(vec![suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]);
        assert!(refused.unwrap_err().contains("HandshakeFailure"));
    }
}

#[test]
fn every_cipher_suite_and_curve_is_accepted() {
    let pki = Pki::new();
    let kinds = ["ECDSA", "RSA"].map(|kind| {
        ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256", "AES_128_CBC_SHA", "AES_256_CBC_SHA"]
            .map(|suite| format!("TLS_ECDHE_{kind}_WITH_{suite}"))
            .join(", ")
    });
    let exporter = start(
        &pki,
        &format!(
            "{TLS}  cipher_suites: [{}, TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]\n  \
             client_auth_type: VerifyClientCertIfGiven\n  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]\n",
            kinds.join(", ")
        ),
    );
    assert_eq!(Client::new(&pki).status(&exporter), Ok(200));
}

#[test]
fn only_the_configured_curves_are_served() {
    let pki = Pki::new();
    let exporter = start(&pki, &format!("{TLS}  min_version: TLS13\n  curve_preferences: [CurveP384]\n"));
    let with = |group| Client { groups: vec![group], ..Client::new(&pki) }.status(&exporter);
    assert_eq!(with(kx_group::SECP384R1), Ok(200));
    assert!(with(kx_group::X25519).unwrap_err().contains("HandshakeFailure"));
}

#[test]
fn client_certificates_are_checked_by_client_auth_type() {
    let pki = Pki::new();
    // no certificate, self-signed in the CA file, self-signed elsewhere, signed by the CA
    let cases = [
        ("NoClientCert", "", [true, true, true, true]),
        ("RequestClientCert", "", [true, true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true, true]),
        ("RequireClientCert", "", [false, true, true, true]),
        ("VerifyClientCertIfGiven", "both.crt", [true, true, false, true]),
        ("RequireAndVerifyClientCert", "both.crt", [false, true, false, true]),
        ("RequireAndVerifyClientCert", "self.crt", [false, true, false, false]),
        // none of them is signed by a CA of the system
        ("RequireAndVerifyClientCert", "", [false, false, false, false]),
    ];
    pki.write("both.crt", &(pki.text("self.crt") + &pki.text("ca.crt")));
    for (mode, authorities, expected) in cases {
        let more = if authorities.is_empty() { String::new() } else { format!("  client_ca_file: {authorities}\n") };
        for version in ["TLS12", "TLS13"] {
            let exporter = start(&pki, &format!("{TLS}  client_auth_type: {mode}\n  max_version: {version}\n{more}"));
            for (certificate, expected) in [None, Some("self"), Some("other"), Some("leaf")].into_iter().zip(expected) {
                let status = Client { certificate, ..Client::new(&pki) }.status(&exporter);
                assert_eq!(
                    status.as_ref().ok(),
                    expected.then_some(&200),
                    "{mode} {version} {certificate:?}: {status:?}"
                );
                if let (Err(alert), Some("other")) = (&status, certificate) {
                    assert!(alert.contains("UnknownCA"), "{alert}");
                }
            }
        }
    }
}

#[test]
fn one_name_of_a_client_must_be_allowed() {
    let pki = Pki::new();
    for mode in ["RequireAnyClientCert", "RequestClientCert", "VerifyClientCertIfGiven"] {
        let more = if mode.starts_with("Verify") { "  client_ca_file: self.crt\n" } else { "" };
        let config = format!("{TLS}  client_auth_type: {mode}\n  client_allowed_sans: [no.test, self.test]\n{more}");
        let exporter = start(&pki, &config);
        assert_eq!(Client::with(&pki, "self").status(&exporter), Ok(200));
        assert!(Client::new(&pki).status(&exporter).is_err(), "no certificate, no name");
        if mode == "RequireAnyClientCert" {
            let alert = Client::with(&pki, "other").status(&exporter).unwrap_err();
            assert!(alert.contains("BadCertificate"), "{alert}");
        }
    }
}

#[test]
fn the_healthcheck_uses_tls() {
    let pki = Pki::new();
    for more in
        ["", "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n", "  max_version: TLS12\n"]
    {
        let exporter = start(&pki, &format!("{TLS}{more}"));
        let check = |arguments: &[&str]| {
            let address = exporter.url.replace("http://", "--web.listen-address=");
            let output = run(&[&["healthcheck", &address], arguments].concat());
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let config = format!("--web.config.file={}", pki.path("web.yml").display());
        assert_eq!(check(&[&config]), (Some(0), String::new()), "{more}");
        let plain = check(&[]);
        assert!(
            plain.0 == Some(1) && plain.1.contains("the exporter uses TLS: set the same --web.config.file"),
            "{plain:?}"
        );
        pki.write("web.yml", "broken");
        assert_eq!(check(&[&config]), (Some(0), String::new()), "the last valid configuration is in effect: {more}");
    }
}

#[test]
fn the_healthcheck_reports_that_the_exporter_uses_plain_http() {
    let pki = Pki::new();
    let exporter = start(&pki, "");
    let config = format!("--web.config.file={}", pki.write("tls.yml", TLS).display());
    let output = run(&["healthcheck", &config, &exporter.url.replace("http://", "--web.listen-address=")]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("the exporter uses plain HTTP"), "{error}");
}

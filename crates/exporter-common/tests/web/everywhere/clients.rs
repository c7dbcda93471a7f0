//! OpenSSL and curl as clients, with different certificates.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use exporter_common::testing::{self, Running};

use super::pki::{Pki, TLS};
use super::start;

/// Creates a self-signed certificate with OpenSSL.
fn make(openssl: &Path, pki: &Pki, name: &str, key: &[&str], names: &str) {
    let made = Command::new(openssl)
        .args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost"])
        .args(key)
        .args(["-addext", &format!("subjectAltName={names}")])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")])
        .current_dir(pki.folder())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The flags for a client certificate, if the client has one.
fn shown(pki: &Pki, flags: [&str; 2], certificate: Option<&str>) -> Vec<PathBuf> {
    let Some(name) = certificate else { return Vec::new() };
    let [cert, key] = flags;
    vec![cert.into(), pki.path(&format!("{name}.crt")), key.into(), pki.path(&format!("{name}.key"))]
}

/// Whether curl gets 200.
fn curl_is_served(curl: &Path, pki: &Pki, exporter: &Running, certificate: Option<&str>) -> bool {
    let output = Command::new(curl)
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"])
        .arg(pki.path("ca.crt"))
        .args(shown(pki, ["--cert", "--key"], certificate))
        .arg(exporter.url.replace("http://", "https://") + "/")
        .output()
        .unwrap();
    output.status.success() && output.stdout == b"200"
}

/// Whether OpenSSL's client gets 200.
fn openssl_is_served(openssl: &Path, pki: &Pki, exporter: &Running, certificate: Option<&str>) -> bool {
    let mut client = Command::new(openssl)
        .args(["s_client", "-quiet", "-verify_return_error", "-CAfile"])
        .arg(pki.path("ca.crt"))
        .args(["-connect", exporter.url.strip_prefix("http://").unwrap()])
        .args(shown(pki, ["-cert", "-key"], certificate))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = client.stdin.take().unwrap().write_all(b"GET / HTTP/1.0\r\n\r\n"); // it may have been refused
    client.wait_with_output().unwrap().stdout.starts_with(b"HTTP/1.0 200 ")
}

#[test]
fn each_client_auth_type_accepts_and_rejects_certificates() {
    let (Some(curl), Some(openssl)) = (testing::real("curl"), testing::real("openssl")) else { return };
    let pki = Pki::new();
    // no certificate, one signed by the CA, one that is self-signed
    for (mode, authorities, expected) in [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", "  client_ca_file: ca.crt\n", [true, true, false]),
        ("RequireAndVerifyClientCert", "  client_ca_file: ca.crt\n", [false, true, false]),
    ] {
        let exporter = start(&pki, &format!("{TLS}  client_auth_type: {mode}\n{authorities}"));
        for (certificate, expected) in [None, Some("leaf"), Some("other")].into_iter().zip(expected) {
            let served = openssl_is_served(&openssl, &pki, &exporter, certificate);
            assert_eq!(served, expected, "OpenSSL, {mode}, {certificate:?}");
            // OpenSSL sends any certificate; curl may not send one that the server's hints do not name
            if mode != "VerifyClientCertIfGiven" || certificate != Some("other") {
                let served = curl_is_served(&curl, &pki, &exporter, certificate);
                assert_eq!(served, expected, "curl, {mode}, {certificate:?}");
            }
        }
    }
}

#[test]
fn a_client_is_allowed_by_any_type_of_name() {
    let (Some(curl), Some(openssl)) = (testing::real("curl"), testing::real("openssl")) else { return };
    let pki = Pki::new();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    make(&openssl, &pki, "names", &key, "DNS:a.test,email:b@c.test,IP:192.0.2.7,IP:2001:db8::7,URI:spiffe://d/e");
    for (name, allowed) in [
        ("a.test", true),
        ("b@c.test", true),
        ("192.0.2.7", true),
        ("\"2001:db8::7\"", true),
        ("spiffe://d/e", true),
        ("localhost", false), // the common name is none of them
        ("\"*.test\"", false),
    ] {
        let more = format!("  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [{name}]\n");
        let exporter = start(&pki, &format!("{TLS}{more}"));
        assert_eq!(curl_is_served(&curl, &pki, &exporter, Some("names")), allowed, "{name}");
        assert!(!curl_is_served(&curl, &pki, &exporter, Some("leaf")), "{name}");
        assert!(!curl_is_served(&curl, &pki, &exporter, None), "{name}");
    }
}

#[test]
fn openssl_connects_with_the_configured_versions() {
    let Some(openssl) = testing::real("openssl") else { return };
    let pki = Pki::new();
    let exporter = start(&pki, TLS);
    let address = exporter.url.strip_prefix("http://").unwrap();
    for (arguments, served) in [
        (&["-tls1_3"][..], true),
        (&["-tls1_2"], true),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"], false),
    ] {
        let mut command = Command::new(&openssl);
        command.args(["s_client", "-connect", address, "-verify_return_error", "-CAfile"]).arg(pki.path("ca.crt"));
        let output = command.args(arguments).stdin(std::process::Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), served, "{arguments:?}: {text}");
    }
}

#[test]
fn curl_scrapes_by_http2_and_with_an_rsa_certificate() {
    let (Some(curl), Some(openssl)) = (testing::real("curl"), testing::real("openssl")) else { return };
    let pki = Pki::new();
    make(&openssl, &pki, "rsa", &["-newkey", "rsa:2048"], "IP:127.0.0.1");
    let exporter = start(&pki, "tls_server_config:\n  cert_file: rsa.crt\n  key_file: rsa.key\n");
    let url = exporter.url.replace("http://", "https://") + "/metrics";
    for (arguments, version) in [
        (&["--http2"][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"], "2"),
    ] {
        let mut command = Command::new(&curl);
        command.args(["-sS", "--compressed", "-w", "HTTP/%{http_version}", "--cacert"]).arg(pki.path("rsa.crt"));
        let output = command.args(arguments).arg(&url).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            text.contains("_exporter_build_info{") && text.ends_with(&format!("HTTP/{version}")),
            "{arguments:?}: {text}"
        );
    }
}

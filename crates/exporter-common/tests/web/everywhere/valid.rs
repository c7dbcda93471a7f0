//! Valid and invalid configurations, with `--check` and at the start: the test cases of exporter-toolkit.

use exporter_common::testing::Running;

use super::pki::{Pki, TLS};
use super::{run, start};

/// Runs `--check` and starts with a configuration. Both must report the same error.
fn refused(pki: &Pki, config: &str, what: &str) {
    let file = format!("--web.config.file={}", pki.write("web.yml", config).display());
    for arguments in [&[&*file, "--check"][..], &[&*file, "--web.listen-address=127.0.0.1:0"]] {
        let output = run(arguments);
        let log = String::from_utf8_lossy(&output.stderr).replace("\\\"", "\""); // the log quotes what --check does not
        assert_eq!(output.status.code(), Some(1), "{config}\n{log}");
        let faults: Vec<_> = log.lines().filter(|line| !line.contains("level=WARN")).collect();
        assert!(faults.len() == 1 && faults[0].contains(what) && faults[0].contains("web.yml"), "{config}\n{log}");
    }
}

fn accepted(pki: &Pki, config: &str) -> String {
    let file = format!("--web.config.file={}", pki.write("web.yml", config).display());
    let output = run(&[&file, "--check"]);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{config}\n{log}");
    log
}

#[test]
fn a_missing_file_is_reported() {
    let output = run(&["--web.config.file=/nonexistent/web.yml", "--check"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("/nonexistent/web.yml: no such file"), "{log}");
    let folder = run(&["--web.config.file=/", "--check"]);
    assert!(String::from_utf8_lossy(&folder.stderr).contains("/: is a directory"));
}

/// Configurations that exporter-toolkit and this library reject, and the error.
pub(crate) fn refused_by_all() -> Vec<(String, &'static str)> {
    let tls = |more: &str| format!("{TLS}  {more}\n");
    let header = |line: &str| format!("http_server_config:\n  headers:\n    {line}\n");
    vec![
        ("asdf: [\n".to_owned(), "line "),
        ("tls_server_config:\n  cert_filse: server.crt\n".to_owned(), "line 2: unknown key cert_filse"),
        (tls("cert_file: server.crt"), "line 4: duplicate key \"cert_file\""),
        (
            "tls_server_config:\n  cert_file: ''\n  key_file: server.key\n".to_owned(),
            "missing one of cert or cert_file",
        ),
        ("tls_server_config:\n  cert: ''\n  key_file: server.key\n".to_owned(), "missing one of cert or cert_file"),
        ("tls_server_config:\n  cert_file: server.crt\n  key_file: ''\n".to_owned(), "missing one of key or key_file"),
        ("tls_server_config:\n  cert_file: server.crt\n  key: ''\n".to_owned(), "missing one of key or key_file"),
        (
            "tls_server_config:\n  cert_file: ''\n  key_file: ''\n  client_auth_type: x\n".to_owned(),
            "missing one of cert",
        ),
        ("tls_server_config:\n  cert_file: no.crt\n  key_file: server.key\n".to_owned(), "no such file"),
        ("tls_server_config:\n  cert_file: server.crt\n  key_file: no.key\n".to_owned(), "no such file"),
        ("tls_server_config:\n  cert_file: no.crt\n  key_file: no.key\n".to_owned(), "no such file"),
        (tls("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: no.crt"), "no such file"),
        (tls("client_ca_file: ca.crt"), "client CA's have been configured without a Client Auth Policy"),
        (tls("client_auth_type: Sometimes"), "invalid ClientAuth: Sometimes"),
        (tls("cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048]"), "unknown cipher"),
        (tls("curve_preferences: [CurveP257]"), "unknown curve"),
        (tls("min_version: TLS111"), "unknown TLS version: TLS111: min_version is TLS12 or TLS13"),
        ("basic_auth_users:\n  alice: password\n".to_owned(), "hashedSecret too short to be a bcrypted password"),
        (header("X-Content-Type-Options: oops"), "invalid value for"),
        (header("X-Frame-Options: oops"), "invalid value for"),
        (header("Server: mine"), "HTTP header \"Server\" can not be configured"),
        // certificates and keys
        (
            "tls_server_config:\n  cert_file: server.crt\n  key_file: second.key\n".to_owned(),
            "failed to load X509KeyPair: the key does not belong to the certificate: use the key",
        ),
        (
            "tls_server_config:\n  cert_file: server.key\n  key_file: server.key\n".to_owned(),
            "failed to load X509KeyPair",
        ),
        (
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.crt\n".to_owned(),
            "failed to load X509KeyPair",
        ),
    ]
}

/// Configurations that `promtool check web-config` accepts and an exporter cannot serve.
pub(crate) fn refused_at_the_start() -> Vec<(String, &'static str)> {
    let tls = |more: &str| format!("{TLS}  {more}\n");
    vec![
        // cipher suites without HTTP/2 support
        (
            tls("max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]"),
            "TLSConfig.CipherSuites is missing an HTTP/2-required",
        ),
        // not supported by rustls
        (tls("max_version: TLS11"), "TLS12 and TLS13, and max_version is TLS11: raise or remove it"),
        (tls("min_version: TLS13\n  max_version: TLS12"), "min_version (TLS13) is above max_version (TLS12): lower"),
        (tls("curve_preferences: [CurveP521]"), "no curve remains"),
        (
            format!(
                "{TLS}  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n\
                 http_server_config: {{http2: false}}\n"
            ),
            "no cipher suite remains",
        ),
    ]
}

/// Configurations that exporter-toolkit and this library accept.
pub(crate) fn accepted_by_all() -> Vec<String> {
    let hash = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
    let tls = |more: &str| format!("{TLS}{more}");
    vec![
        String::new(),
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n".to_owned(),
        TLS.to_owned(),
        tls("  prefer_server_cipher_suites: false\nhttp_server_config: {http2: false}\n"),
        tls("  min_version: TLS10\n  max_version: TLS13\n"),
        tls("  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]\n"),
        tls("  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA]\n"),
        tls("  client_auth_type: RequestClientCert\n"),
        tls("  client_auth_type: RequireAnyClientCert\n"),
        tls("  client_auth_type: RequireClientCert\n"),
        tls("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n"),
        tls("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"),
        tls("  client_auth_type: RequireAndVerifyClientCert\n"),
        tls("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: server.key\n"),
        tls("  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n\
             http_server_config: {http2: false}\n"),
        format!("basic_auth_users: {{alice: {hash}, 1: {hash}}}\n"),
        "http_server_config: {headers: {X-XSS-Protection: 1, X-Frame-Options: sameorigin}}\n".to_owned(),
    ]
}

#[test]
fn configurations_that_exporter_toolkit_rejects_are_rejected() {
    let pki = Pki::new();
    for (config, what) in refused_by_all().into_iter().chain(refused_at_the_start()) {
        refused(&pki, &config, what);
    }
    refused(&pki, "rate_limit: {interval: soon}\n", "interval: \"soon\" is not a duration");
}

#[test]
fn configurations_that_exporter_toolkit_accepts_are_accepted() {
    let pki = Pki::new();
    for config in accepted_by_all() {
        accepted(&pki, &config);
    }
}

#[test]
fn unsupported_settings_are_warnings_if_others_remain() {
    let pki = Pki::new();
    for (more, warning) in [
        ("min_version: TLS10", "TLS10 and TLS11 are not served"),
        ("curve_preferences: [CurveP521, X25519]", "not served: CurveP521"),
        (
            "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]",
            "not served: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        ),
        ("client_allowed_sans: [a]", "client_allowed_sans has no effect"),
        (
            "client_auth_type: RequireAndVerifyClientCert\n  client_ca: garbage",
            "all client certificates will be refused",
        ),
    ] {
        let log = accepted(&pki, &format!("{TLS}  {more}\n"));
        assert!(log.contains("level=WARN") && log.contains(warning), "{more}: {log}");
    }
    let log =
        accepted(&pki, "basic_auth_users:\n  slow: $2b$16$aaaaaaaaaaaaaaaaaaaaaeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    assert!(log.contains("level=WARN") && log.contains("bcrypt cost 16"), "{log}");
}

#[test]
fn an_empty_file_serves_plain_http() {
    let pki = Pki::new();
    for config in ["", "tls_server_config:\nhttp_server_config:\nrate_limit:\n  interval: 0\n"] {
        let exporter = start(&pki, config);
        for _ in 0..11 {
            assert_eq!(exporter.get("/", &[]).status, 200);
        }
    }
}

#[test]
fn requests_above_the_limit_are_refused_except_for_health() {
    let pki = Pki::new();
    let statuses = |exporter: &Running| (0..11).map(|_| exporter.get("/", &[]).status).collect::<Vec<_>>();
    for (limit, allowed) in
        [("{interval: 1h, burst: 3}", 3), ("{interval: \"1h\", burst: 0}", 0), ("{interval: 0}", 11)]
    {
        let exporter = start(&pki, &format!("rate_limit: {limit}\n"));
        let statuses = statuses(&exporter);
        assert!(statuses[..allowed].iter().all(|status| *status == 200), "{limit}: {statuses:?}");
        assert!(statuses[allowed..].iter().all(|status| *status == 429), "{limit}: {statuses:?}");
        assert_eq!(exporter.get("/-/healthy", &[]).status, 200, "{limit}");
        if allowed < 11 {
            assert_eq!(exporter.get("/metrics", &[]).body, "Too Many Requests\n");
        }
    }
    // the limit applies before authentication
    let hash = bcrypt::hash_with_salt("secret", 4, [3; 16]).unwrap();
    let exporter = start(&pki, &format!("rate_limit: {{interval: 1h}}\nbasic_auth_users:\n  alice: {hash}\n"));
    assert_eq!(exporter.get("/", &[]).status, 429);
}

#[test]
fn every_configurable_header_is_sent_also_with_refused_requests() {
    let pki = Pki::new();
    let hash = bcrypt::hash_with_salt("secret", 4, [3; 16]).unwrap();
    let exporter = start(
        &pki,
        &format!(
            "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=31536000; includeSubDomains\n    \
             X-Content-Type-Options: nosniff\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n    \
             Content-Security-Policy: default-src 'self'\nbasic_auth_users:\n  alice: {hash}\n"
        ),
    );
    for (headers, status) in [(&[("Authorization", "Basic YWxpY2U6c2VjcmV0")][..], 200), (&[], 401)] {
        let response = exporter.get("/", headers);
        assert_eq!(response.status, status);
        for (name, value) in [
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "deny"),
            ("X-XSS-Protection", "1"),
            ("Content-Security-Policy", "default-src 'self'"),
        ] {
            let values: Vec<_> = response.headers.get_all(name).iter().collect();
            assert_eq!(values, [value], "{name} of {status}");
        }
    }
}

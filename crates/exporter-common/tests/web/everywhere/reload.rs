//! Reloads of the web configuration.

use exporter_common::testing::{eventually, value};

use super::client::{Client, request, tcp};
use super::pki::{Pki, TLS};
use super::start;

#[test]
fn client_certificates_are_no_longer_requested_after_a_reload() {
    let pki = Pki::new();
    let exporter = start(&pki, &format!("{TLS}  client_auth_type: RequireAnyClientCert\n"));
    let mut kept = Client::with(&pki, "self").connect(&exporter).unwrap();
    assert_eq!(request(&mut kept, "/", "").unwrap().0, 200);
    assert!(Client::new(&pki).status(&exporter).is_err());
    pki.write("web.yml", TLS);
    eventually("client certificates are optional", || (Client::new(&pki).status(&exporter) == Ok(200)).then_some(()));
    assert_eq!(request(&mut kept, "/", "").unwrap().0, 200, "the connection stays open");
}

#[test]
fn a_renewed_certificate_is_served_to_new_connections() {
    let pki = Pki::new();
    let exporter = start(&pki, TLS);
    let served = || {
        let stream = Client::new(&pki).connect(&exporter).ok()?;
        Some(stream.conn.peer_certificates().unwrap()[0].to_vec())
    };
    let mut kept = Client::new(&pki).connect(&exporter).unwrap();
    assert_eq!(request(&mut kept, "/", "").unwrap().0, 200);
    let first = served().unwrap();
    // certificate and key do not match for a moment
    pki.write("server.crt", &pki.text("second.crt"));
    eventually("the mismatch is logged", || {
        exporter.log().contains("cannot load the web configuration").then_some(served())
    });
    assert_eq!(served().unwrap(), first, "the last good pair stays");
    pki.write("server.key", &pki.text("second.key"));
    eventually("it serves the new one", || served().filter(|certificate| *certificate != first));
    assert_eq!(request(&mut kept, "/", "").unwrap().0, 200, "the connection stays open");
}

#[test]
fn an_invalid_configuration_keeps_the_last_valid_one_and_is_logged_once() {
    let pki = Pki::new();
    let header = |value: &str| format!("http_server_config:\n  headers:\n    X-Frame-Options: {value}\n");
    let exporter = start(&pki, &header("deny"));
    let state = "exporter_config_last_reload_successful";
    let at = "exporter_config_last_reload_success_timestamp_seconds";
    let good = exporter.scrape();
    assert_eq!(value(&good, state), Some(1.0));
    pki.write("web.yml", &header("sometimes"));
    let bad = exporter.scrape_until("it fails to load", |metrics| value(metrics, state) == Some(0.0));
    assert_eq!(value(&bad, at), value(&good, at));
    exporter.signal("HUP");
    eventually("SIGHUP is logged", || exporter.log().contains("SIGHUP: reloading").then_some(()));
    let response = exporter.get("/", &[]);
    assert_eq!((response.status, response.headers["x-frame-options"].as_bytes()), (200, &b"deny"[..]));
    pki.write("web.yml", &header("sameorigin"));
    exporter.scrape_until("it loads again", |metrics| value(metrics, state) == Some(1.0));
    assert_eq!(exporter.get("/", &[]).headers["x-frame-options"], "sameorigin");
    let log = exporter.log();
    assert_eq!(log.matches("cannot load the web configuration").count(), 1, "{log}");
    assert!(log.contains("invalid value for X-Frame-Options"), "{log}");
}

#[test]
fn users_change_immediately_on_sighup_also_on_open_connections() {
    let pki = Pki::new();
    let exporter = start(&pki, "");
    let mut open = tcp(&exporter);
    assert_eq!(request(&mut open, "/", "").unwrap().0, 200);
    let hash = bcrypt::hash_with_salt("secret", 4, [3; 16]).unwrap();
    pki.write("web.yml", &format!("basic_auth_users: {{alice: {hash}}}\n"));
    exporter.signal("HUP");
    eventually("credentials are required", || (request(&mut open, "/", "").unwrap().0 == 401).then_some(()));
}

#[test]
fn settings_that_need_a_restart_are_logged_and_the_others_take_effect() {
    let pki = Pki::new();
    let header = "http_server_config:\n  http2: false\n  headers: {X-Frame-Options: deny}\n";
    let plain = start(&pki, "");
    pki.write("web.yml", &format!("{TLS}{header}"));
    eventually("the header is sent", || plain.get("/", &[]).headers.get("x-frame-options").map(drop));
    assert!(plain.log().contains("enables TLS: restart"), "{}", plain.log());

    let tls = start(&pki, TLS);
    let client = Client { alpn: vec![b"h2".to_vec()], ..Client::new(&pki) };
    pki.write("web.yml", &format!("{TLS}{header}"));
    eventually("it is logged", || {
        assert_eq!(Client::new(&pki).status(&tls), Ok(200));
        tls.log().contains("changes http2: restart").then_some(())
    });
    assert!(client.connect(&tls).is_ok(), "h2 is still offered");
    pki.write("web.yml", header);
    eventually("it is logged", || {
        assert_eq!(Client::new(&pki).status(&tls), Ok(200));
        tls.log().contains("disables TLS: restart").then_some(())
    });
}

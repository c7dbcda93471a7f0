//! Prometheus 2 and 3 as clients with a certificate and basic auth.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use exporter_common::testing::{self, eventually, free_port};

use super::client::request;
use super::pki::{Pki, TLS};
use super::start;

#[test]
fn prometheus_scrapes_with_a_certificate_and_basic_auth() {
    for program in ["prometheus", "prometheus-3"] {
        let Some(prometheus) = testing::real(program) else { continue };
        let pki = Pki::new();
        let hash = bcrypt::hash_with_salt("secret", 10, [5; 16]).unwrap();
        let exporter = start(
            &pki,
            &format!(
                "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  \
                 client_allowed_sans: [leaf.test]\nbasic_auth_users:\n  prometheus: {hash}\n"
            ),
        );
        let target = exporter.url.strip_prefix("http://").unwrap();
        let config = pki.write(
            "prometheus.yml",
            &format!(
                "scrape_configs:\n- job_name: exporter\n  scheme: https\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
                 basic_auth: {{username: prometheus, password: secret}}\n  tls_config: {{ca_file: ca.crt, cert_file: \
                 leaf.crt, key_file: leaf.key}}\n  static_configs: [{{targets: ['{target}']}}]\n"
            ),
        );
        let free = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut server = Command::new(prometheus)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", pki.path("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = eventually("it has scraped", || {
            assert!(server.try_wait().unwrap().is_none(), "{program} exited");
            let (_, response) =
                request(&mut TcpStream::connect(free).ok()?, "/api/v1/query?query=exporter_scrape_success", "").ok()?;
            response.contains("\"collector\":\"").then_some(response)
        });
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(found.contains("\"job\":\"exporter\""), "{found}");
    }
}

//! Scrapes with TLS, basic auth and gzip, compared with node_exporter with the same web configuration.

use std::fs;
use std::io::BufReader;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::{Server, binary, measure, row, send_request};

type Connection = BufReader<StreamOwned<ClientConnection, TcpStream>>;

const COLLECTORS: [&str; 4] = ["cpu", "loadavg", "stat", "pressure"];
const ROUNDS: usize = 5;
const SCRAPES: usize = 2000;
const HANDSHAKES: usize = 100;

/// A certificate, a user, and the web configuration of both programs.
struct Web {
    folder: TempDir,
    client: Arc<ClientConfig>,
    request: String,
}

/// Time, CPU and memory of scrapes over a persistent connection, and with a new connection each.
pub(crate) fn scrapes(peer: Option<&PathBuf>) {
    let web = Web::new();
    let flags = COLLECTORS.map(|name| format!("--collector.{name}"));
    let file = format!("--web.config.file={}", web.folder.path().join("web.yml").display());
    let mut arguments = vec!["--collector.disable-defaults", "--web.disable-exporter-metrics", &file];
    arguments.extend(flags.iter().map(String::as_str));
    let programs = [Some(&binary("cpu-exporter")), peer];
    let servers: Vec<_> = programs.into_iter().flatten().map(|program| Server::start(program, &arguments)).collect();
    let mut connections: Vec<_> = servers.iter().map(|server| web.connect(server)).collect();
    for connection in &mut connections {
        send_request(connection, web.request.as_bytes()); // the only time that a password is checked by bcrypt
    }
    let mut rounds = vec![Vec::new(); servers.len()];
    for _ in 0..ROUNDS {
        // alternating, so that the load of the machine affects both
        for ((server, connection), rounds) in servers.iter().zip(&mut connections).zip(&mut rounds) {
            let (time, cpu) = measure(server, connection, web.request.as_bytes(), SCRAPES);
            let before = server.cpu_seconds();
            let started = Instant::now();
            for _ in 0..HANDSHAKES {
                send_request(&mut web.connect(server), web.request.as_bytes());
            }
            let each = 1000.0 / HANDSHAKES as f64;
            let new = (started.elapsed().as_secs_f64() * each, (server.cpu_seconds() - before) * each);
            rounds.push([time, cpu, new.0, new.1]);
        }
    }
    let middle = |rounds: &[[f64; 4]], pick: usize| {
        let mut values: Vec<_> = rounds.iter().map(|round| round[pick]).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let names = ["median time per scrape", "CPU time per scrape"];
    let new = ["mean time per scrape with a TLS handshake", "CPU time per scrape with a TLS handshake"];
    for (pick, measure) in names.into_iter().chain(new).enumerate() {
        let budget = if pick < names.len() { "ratio ≤ 0.5" } else { "" };
        let ours = middle(&rounds[0], pick);
        let compared = rounds.get(1).map_or("node_exporter is not on the PATH".to_owned(), |theirs| {
            let theirs = middle(theirs, pick);
            format!("node_exporter {theirs:.3} ms; ratio {:.2}", ours / theirs)
        });
        let name = format!("cpu-exporter: {measure}, cpu, loadavg, stat, pressure, TLS, basic auth, gzip");
        row(&name, &format!("{ours:.3} ms"), budget, &compared);
    }
    let compared = servers.get(1).map(|theirs| format!("node_exporter {:.1} MB", theirs.memory("VmRSS:")));
    let name = format!("cpu-exporter: resident after {} scrapes, TLS, basic auth, gzip", ROUNDS * SCRAPES);
    row(&name, &format!("{:.1} MB", servers[0].memory("VmRSS:")), "≤ 12 MB", &compared.unwrap_or_default());
}

impl Web {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let hash = bcrypt::hash_with_salt("secret", 10, [5; 16]).unwrap();
        let config =
            "tls_server_config: {cert_file: web.crt, key_file: web.key}\nbasic_auth_users: {prometheus: \"HASH\"}\n";
        let files = [
            ("web.crt", made.cert.pem()),
            ("web.key", made.signing_key.serialize_pem()),
            ("web.yml", config.replace("HASH", &hash.to_string())),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.resumption = rustls::client::Resumption::disabled(); // a handshake is a whole one
        let login = STANDARD.encode("prometheus:secret");
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nAuthorization: Basic {login}\r\n\
             X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n"
        );
        Self { folder, client: Arc::new(client), request }
    }

    fn connect(&self, server: &Server) -> Connection {
        let connection =
            ClientConnection::new(self.client.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        BufReader::new(StreamOwned::new(connection, server.connect().into_inner()))
    }
}

//! A certificate and a user for the programs, and the clients' side of both.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// The web configuration of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Web {
    Plain,
    /// Basic auth without TLS.
    Users,
    Tls,
}

pub(crate) struct Site {
    folder: TempDir,
    roots: RootCertStore,
}

impl Site {
    pub(crate) fn new(bcrypt_cost: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let hash = bcrypt::hash_with_salt("secret", bcrypt_cost, [5; 16]).unwrap();
        let files = [
            ("web.crt", made.cert.pem()),
            ("web.key", made.signing_key.serialize_pem()),
            ("tls.yml", "tls_server_config: {cert_file: web.crt, key_file: web.key}\n".to_owned()),
            ("users.yml", format!("basic_auth_users: {{prometheus: \"{hash}\"}}\n")),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
        Self { folder, roots }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self, web: Web) -> PathBuf {
        self.folder.path().join(if web == Web::Tls { "tls.yml" } else { "users.yml" })
    }

    /// A TLS client with an application protocol.
    pub(crate) fn tls(&self, protocol: &str) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut client = builder.with_root_certificates(self.roots.clone()).with_no_client_auth();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(client)
    }
}

/// The header of a login.
pub(crate) fn login(password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("prometheus:{password}")))
}

//! Certificates of servers and clients, and configuration files, which each test creates in its own folder.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

pub(crate) struct Pki {
    folder: TempDir,
}

/// Configuration that enables TLS.
pub(crate) const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

impl Pki {
    /// A folder with `ca.crt`, `server.crt`, `leaf.crt` (a client's, signed by the CA), `self.crt` and `other.crt`
    /// (clients' self-signed CA certificates, as in exporter-toolkit), each with its key.
    pub(crate) fn new() -> Self {
        let pki = Self { folder: tempfile::tempdir().unwrap() };
        let mut ca = params("Test CA", &[]);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_key = KeyPair::generate().unwrap();
        pki.keep("ca", &ca.self_signed(&ca_key).unwrap(), &ca_key);
        let issuer = Issuer::new(ca, ca_key);

        for name in ["server", "second"] {
            let key = KeyPair::generate().unwrap();
            let mut server = params(name, &["localhost", "127.0.0.1", "a.test"]);
            server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            pki.keep(name, &server.signed_by(&key, &issuer).unwrap(), &key);
        }
        let key = KeyPair::generate().unwrap();
        let mut leaf = params("leaf", &["leaf.test"]);
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        pki.keep("leaf", &leaf.signed_by(&key, &issuer).unwrap(), &key);
        for name in ["self", "other"] {
            let key = KeyPair::generate().unwrap();
            let mut client = params(name, &[&format!("{name}.test")]);
            client.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            pki.keep(name, &client.self_signed(&key).unwrap(), &key);
        }
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a file atomically.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.path(name)).unwrap();
        self.path(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file as a YAML block.
    pub(crate) fn inline(&self, name: &str) -> String {
        self.text(name).lines().map(|line| format!("    {line}\n")).collect()
    }

    fn keep(&self, name: &str, certificate: &Certificate, key: &KeyPair) {
        self.write(&format!("{name}.crt"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }
}

fn params(name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

//! Runs a real Prometheus with a given configuration.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use exporter_common::testing::{free_port, get};
use serde_json::Value;

/// A running Prometheus; dropping it stops the process.
pub(crate) struct Prometheus {
    process: Child,
    address: String,
}

impl Prometheus {
    pub(crate) fn start(program: &Path, config: &str, folder: &Path) -> Self {
        Self::start_with(program, &[], config, folder)
    }

    pub(crate) fn start_with(program: &Path, flags: &[&str], config: &str, folder: &Path) -> Self {
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let port = free_port();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, address: format!("127.0.0.1:{port}") }
    }

    /// The `data` of an API response; `None` while Prometheus does not respond.
    pub(crate) fn data(&self, path: &str) -> Option<Value> {
        std::net::TcpStream::connect(&self.address).ok()?;
        let body = get(&format!("http://{}/api/v1/{path}", self.address), &[]).body;
        serde_json::from_str::<Value>(&body).ok()?.get_mut("data").map(Value::take)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

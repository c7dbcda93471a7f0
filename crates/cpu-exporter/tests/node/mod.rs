//! Starts node_exporter for comparisons.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use exporter_common::testing::{eventually, free_port, get, real};

/// A running node_exporter; dropping it stops the process.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
}

impl Node {
    /// Starts it on a free port with more flags; `None` if it is not installed.
    pub(crate) fn start(flags: &[String]) -> Option<Self> {
        let program = real("prometheus-node-exporter")?;
        // another process may take the port first
        let started = (0..5).find_map(|_| Self::start_once(&program, flags));
        Some(started.expect("node_exporter exits at the start"))
    }

    fn start_once(program: &Path, flags: &[String]) -> Option<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let child = Command::new(program)
            .arg(format!("--web.listen-address={address}"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut node = Self { child, url: format!("http://{address}/metrics") };
        let listens = eventually("node_exporter listens or exits", || {
            let exited = node.child.try_wait().unwrap().map(|_| false);
            exited.or_else(|| TcpStream::connect(address).ok().map(|_| true))
        });
        // another program may have taken the port
        let is_node = listens && get(&node.url, &[]).body.contains("node_exporter_build_info");
        is_node.then_some(node)
    }

    pub(crate) fn scrape(&self) -> String {
        let response = get(&self.url, &[]);
        assert_eq!(response.status, 200, "{}", response.body);
        response.body
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The families of an exposition by name, each as text.
pub(crate) fn families(metrics: &str) -> BTreeMap<String, String> {
    let blocks = metrics.split("# HELP ").skip(1);
    blocks.map(|block| (block.split(' ').next().unwrap().to_owned(), block.to_owned())).collect()
}

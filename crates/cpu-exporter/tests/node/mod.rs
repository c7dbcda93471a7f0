//! Starts node_exporter for comparisons.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use exporter_common::testing::{eventually, get, real};

/// A running node_exporter; dropping it stops the process.
pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
}

impl Node {
    /// Starts it on a free port with more flags; `None` if it is not installed.
    pub(crate) fn start(flags: &[String]) -> Option<Self> {
        let program = real("prometheus-node-exporter")?;
        // It cannot choose and report a port itself. Another process may take the free port first, so this retries.
        Some(eventually("node_exporter listens", || {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = free.local_addr().unwrap();
            drop(free);
            let child = Command::new(&program)
                .arg(format!("--web.listen-address={address}"))
                .args(flags)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut node = Self { child, url: format!("http://{address}/metrics") };
            eventually("node_exporter listens or exits", || {
                let listens = std::net::TcpStream::connect(address).is_ok();
                (listens || node.child.try_wait().unwrap().is_some()).then_some(())
            });
            node.child.try_wait().unwrap().is_none().then_some(node)
        }))
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

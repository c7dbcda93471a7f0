//! What the drill and its services use: alerts, addresses, exporters, and waiting.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::{Duration, Instant};

use exporter_common::testing::{Running, free_port};

use crate::DEMO;

/// Timeout for an alert to fire or resolve, many times the duration on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Alerts, each as name and instance.
pub(super) type Alerts = BTreeSet<(String, String)>;

/// A loopback address with a free port.
pub(super) fn free() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// Waits for a condition; fails with `details` after the timeout.
pub(super) fn wait_for(what: &str, mut fulfilled: impl FnMut() -> bool, details: impl Fn() -> String) {
    let deadline = Instant::now() + TIMEOUT;
    while !fulfilled() {
        assert!(Instant::now() < deadline, "timeout: {what}\n{}", details());
        thread::sleep(Duration::from_millis(100));
    }
}

/// Starts an exporter of the demo's binary.
pub(super) fn exporter(name: &str, listen: &str, flags: &[&str]) -> Running {
    let mut command = exporter_common::testing::command(DEMO);
    Running::spawn(command.arg0(name).arg(format!("--web.listen-address={listen}")).args(flags))
}

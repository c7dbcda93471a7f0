//! The web side of each exporter, held to what the library's tests ask of any: configurations, TLS, logins, reloads,
//! formats, filters, limits, and real clients.
#![expect(clippy::duplicate_mod, reason = "the same tests, once for each exporter")]

#[path = "../../../exporter-common/tests/web/everywhere/mod.rs"]
mod app_status_exporter;
#[path = "../../../exporter-common/tests/web/everywhere/mod.rs"]
mod cpu_exporter;
#[path = "../../../exporter-common/tests/web/everywhere/mod.rs"]
mod httpd_log_exporter;
#[path = "../../../exporter-common/tests/web/everywhere/mod.rs"]
mod queue_exporter;

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::DEMO;

/// A log that stays empty.
fn access_log(folder: &Path) -> String {
    let log = folder.join("access.log");
    std::fs::write(&log, "").unwrap();
    log.display().to_string()
}

/// An exporter of the demo's binary, which is the one it is called by the name of. What it monitors need not be
/// there: a source that fails must not matter here.
fn program(module: &str) -> (String, Vec<String>) {
    let name = module.rsplit("::").next().unwrap().replace('_', "-");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(&name);
    if !std::fs::read_link(&path).is_ok_and(|target| target == Path::new(DEMO)) {
        let _ = std::fs::remove_file(&path); // of another build
        let _ = symlink(DEMO, &path); // another test may have been faster
    }
    let flags = match name.as_str() {
        "httpd-log-exporter" => vec![format!("--access-log={}", access_log(folder))],
        "app-status-exporter" => vec!["--app.url=http://127.0.0.1:9/status".to_owned()],
        "queue-exporter" => vec!["--queue.system=http".to_owned(), "--queue.url=http://127.0.0.1:9/queues".to_owned()],
        _ => Vec::new(),
    };
    (path.to_str().unwrap().to_owned(), flags)
}

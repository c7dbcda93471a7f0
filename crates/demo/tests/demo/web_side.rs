//! Runs the library's HTTP tests for each exporter: web configuration, TLS, authentication, reload, formats, limits.
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

/// An empty log.
fn access_log(folder: &Path) -> String {
    let log = folder.join("access.log");
    std::fs::write(&log, "").unwrap();
    log.display().to_string()
}

/// Path and flags of an exporter of the demo's binary. Its source does not exist, which must not matter in these tests.
fn program(module: &str) -> (String, Vec<String>) {
    let name = module.rsplit("::").next().unwrap().replace('_', "-");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(&name);
    if !std::fs::read_link(&path).is_ok_and(|target| target == Path::new(DEMO)) {
        let _ = std::fs::remove_file(&path); // left by another build
        let _ = symlink(DEMO, &path); // another test may have created it
    }
    let flags = match name.as_str() {
        "httpd-log-exporter" => vec![format!("--access-log={}", access_log(folder))],
        "app-status-exporter" => vec!["--app.url=http://127.0.0.1:9/status".to_owned()],
        "queue-exporter" => vec!["--queue.system=http".to_owned(), "--queue.url=http://127.0.0.1:9/queues".to_owned()],
        _ => Vec::new(),
    };
    (path.to_str().unwrap().to_owned(), flags)
}

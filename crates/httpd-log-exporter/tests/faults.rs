//! The built exporter on sources that are missing or change: success and `httpd_log_source_up` report it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;

use exporter_common::testing::{Running, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// Success of the scrape, and whether the source is up.
fn up(metrics: &str, source: &str) -> (f64, f64) {
    let success = value(metrics, r#"exporter_scrape_success{collector="access_log"}"#).unwrap();
    (success, value(metrics, &format!("httpd_log_source_up{{source=\"{source}\"}}")).unwrap())
}

#[test]
fn a_glob_without_its_directory_is_down_and_one_without_files_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let glob = logs.join("*.log").display().to_string();
    let flag = format!("--access-log={glob}");
    let check = run(PROGRAM, ["--check", &flag]);
    let expected = format!("cannot read {}: No such file or directory", logs.display());
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    assert!(String::from_utf8_lossy(&check.stderr).contains(&expected), "{check:?}");
    let once = run(PROGRAM, ["--once", &flag]);
    assert_eq!(up(&String::from_utf8(once.stdout).unwrap(), &glob), (0.0, 0.0));
    let exporter = Running::start(PROGRAM, [&flag]);
    assert_eq!(up(&exporter.scrape(), &glob), (0.0, 0.0));
    fs::create_dir(&logs).unwrap();
    assert_eq!(run(PROGRAM, ["--check", &flag]).status.code(), Some(0));
    exporter.scrape_until("the directory exists", |metrics| up(metrics, &glob) == (1.0, 1.0));
    fs::rename(&logs, folder.path().join("away")).unwrap();
    exporter.scrape_until("the directory is missing", |metrics| up(metrics, &glob) == (0.0, 0.0));
    let log = exporter.log();
    assert_eq!(log.matches("no file matches the glob yet").count(), 1, "{log}");
}

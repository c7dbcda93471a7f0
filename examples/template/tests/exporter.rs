//! Tests of the built exporter.

use std::fs;

use scrapewright::testing::{Running, assert_golden, assert_lint, run, value};

const EXPORTER: &str = env!("CARGO_BIN_EXE_template-exporter");

#[test]
fn the_entries_of_the_file_are_exported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("status.txt");
    fs::write(&file, "jobs: 3\nload: 0.5\n").unwrap();
    let exporter = Running::start(EXPORTER, [format!("--status.file={}", file.display())]);
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "template_status{name=\"jobs\"}"), Some(3.0));
    assert_lint(&metrics);
    // only this exporter's metrics, because the library's metrics change with its version
    let own = metrics.lines().filter(|line| line.contains("template_status"));
    let own: String = own.map(|line| format!("{line}\n")).collect();
    assert_golden(&own, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.prom"));

    // without the file, its values are absent and the read has failed
    fs::remove_file(&file).unwrap();
    let metrics = exporter.scrape();
    assert_eq!(value(&metrics, "exporter_scrape_success{collector=\"status\"}"), Some(0.0));
    assert_eq!(value(&metrics, "template_status{name=\"jobs\"}"), None);
    assert!(exporter.log().contains("cannot read"), "{}", exporter.log());
}

#[test]
fn once_prints_the_metrics_and_fails_without_the_file() {
    let output = run(EXPORTER, ["--once", "--status.file=/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("exporter_scrape_success{collector=\"status\"} 0"));
}

//! The built exporter on sources that are missing or change: success and `httpd_log_source_up` report it.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use exporter_common::testing::{Running, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

const LINE: &str = "192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";

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

#[test]
fn a_fifo_that_is_replaced_is_down_and_no_line_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let source = fifo.display().to_string();
    let make_fifo = || assert!(run("mkfifo", [&fifo]).status.success());
    let requests =
        |metrics: &str| value(metrics, r#"httpd_requests_total{method="GET",status_code="200"}"#).unwrap_or_default();
    make_fifo();
    let exporter = Running::start(PROGRAM, [format!("--access-log={source}")]);
    type Replace = fn(&Path);
    let replacements: [(&str, Replace); 4] = [
        ("replaced by a regular file", |path| fs::write(path, LINE.repeat(2)).unwrap()),
        ("replaced by a directory", |path| fs::create_dir(path).unwrap()),
        ("replaced by a socket", |path| drop(UnixDatagram::bind(path).unwrap())),
        ("No such file or directory", |_| ()),
    ];
    let mut expected = 0.0;
    for (message, replace) in replacements {
        let mut writer = File::options().write(true).open(&fifo).unwrap();
        writer.write_all(LINE.repeat(2).as_bytes()).unwrap();
        expected += 2.0;
        let metrics = exporter.scrape_until("both lines", |metrics| requests(metrics) >= expected);
        assert_eq!((requests(&metrics), up(&metrics, &source)), (expected, (1.0, 1.0)), "{message}");
        fs::remove_file(&fifo).unwrap();
        replace(&fifo);
        drop(writer);
        let metrics = exporter.scrape_until(message, |metrics| up(metrics, &source) == (0.0, 0.0));
        assert_eq!(requests(&metrics), expected, "{message}");
        assert!(exporter.log().contains(message), "{message}: {}", exporter.log());
        let _ = fs::remove_file(&fifo).or_else(|_| fs::remove_dir(&fifo));
        make_fifo();
        exporter.scrape_until("the FIFO is back", |metrics| up(metrics, &source) == (1.0, 1.0));
    }
    assert_eq!(requests(&exporter.scrape()), 8.0);
}

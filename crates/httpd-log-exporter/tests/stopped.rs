//! Tests of the program under difficult conditions: stopped during rotations, inotify overflow, a thousand logs.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use exporter_common::testing::{Running, eventually, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// A line whose byte count is its number, so that the sum distinguishes lost and repeated lines.
fn line(number: u64) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {number} \"-\" \"-\"\n")
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// The number of requests and the sum of their byte counts.
fn counted(metrics: &str) -> (f64, f64) {
    let of = |family: &str| value(metrics, &format!("{family}{{method=\"GET\",status_code=\"200\"}}")).unwrap();
    (of("httpd_requests_total"), of("httpd_bytes_sent_total"))
}

#[track_caller]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn assert_counts(exporter: &Running, lines: u64) {
    let metrics = exporter.scrape_until("all lines are counted", |metrics| counted(metrics).0 >= lines as f64);
    assert_eq!(counted(&metrics), (lines as f64, (lines * (lines + 1) / 2) as f64), "{}", exporter.log());
}

#[test]
fn no_line_is_lost_or_repeated_when_the_log_is_rotated_while_the_process_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    append(&path("access.log"), "");
    let exporter = Running::start(PROGRAM, [format!("--access-log={}", path("access.log").display())]);
    append(&path("access.log"), &line(1));
    assert_counts(&exporter, 1);
    exporter.signal("STOP");
    let mut old = File::options().append(true).open(path("access.log")).unwrap();
    let mut number = 1;
    let mut write = |file: &mut File| {
        number += 1;
        file.write_all(line(number).as_bytes()).unwrap();
    };
    for _ in 0..3 {
        write(&mut old);
        for generation in (1..4).rev() {
            let of = |generation: u32| path(&format!("access.log.{generation}"));
            let _ = fs::rename(of(generation), of(generation + 1)); // not all of them exist
        }
        fs::rename(path("access.log"), path("access.log.1")).unwrap();
        write(&mut old); // the server has not reopened its log yet
        let mut new = File::options().append(true).create(true).open(path("access.log")).unwrap();
        write(&mut new);
        write(&mut old); // buffered lines
        old = new;
    }
    exporter.signal("CONT");
    assert_counts(&exporter, 13);
    append(&path("access.log"), &line(14));
    assert_counts(&exporter, 14);
}

#[test]
fn no_line_is_lost_when_the_inotify_queue_overflows() {
    let Ok(limit) = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events") else { return };
    let events = limit.trim().parse::<u32>().unwrap() + 1000;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    append(&path("access.log"), "");
    let exporter = Running::start(PROGRAM, [format!("--access-log={}", path("*.log").display())]);
    append(&path("access.log"), &line(1));
    assert_counts(&exporter, 1);
    eventually("the exporter waits for events", || watches(&exporter).then_some(()));
    exporter.signal("STOP");
    // the kernel merges identical consecutive events, so alternate between two files
    for _ in 0..events.div_ceil(4) {
        for name in ["a", "b"] {
            fs::write(path(name), "").unwrap(); // created or truncated, opened, closed
            fs::remove_file(path(name)).unwrap();
        }
    }
    append(&path("access.log"), &line(2));
    fs::rename(path("access.log"), path("access.log.1")).unwrap();
    append(&path("access.log"), &line(3));
    append(&path("new.log"), &line(4));
    exporter.signal("CONT");
    assert_counts(&exporter, 4);
    append(&path("new.log"), &line(5));
    assert_counts(&exporter, 5);
}

/// Whether the exporter currently watches a directory.
fn watches(exporter: &Running) -> bool {
    let entries = fs::read_dir(format!("/proc/{}/fdinfo", exporter.pid())).unwrap().flatten();
    entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).any(|text| text.contains("inotify wd:"))
}

#[test]
fn a_glob_with_a_thousand_logs_is_followed_while_all_are_rotated() {
    const LOGS: u64 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let path = |log: u64| folder.path().join(format!("{log}.log"));
    (0..LOGS).for_each(|log| append(&path(log), ""));
    // the common limit of open files, which is too low for the logs
    let script = format!(
        "ulimit -S -n 1024; exec {PROGRAM} --web.listen-address=127.0.0.1:0 '--access-log={}'",
        folder.path().join("*.log").display()
    );
    let exporter = Running::spawn(Command::new("sh").args(["-c", &script]));
    for log in 0..LOGS {
        append(&path(log), &line(log + 1));
        fs::rename(path(log), path(log).with_extension("log.1")).unwrap();
        append(&path(log), &line(LOGS + log + 1));
    }
    assert_counts(&exporter, 2 * LOGS);
}

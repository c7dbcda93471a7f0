//! The built exporter held up: stopped during a rotation, with more events than the kernel keeps, with thousands of logs.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use exporter_common::testing::{Running, eventually, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// A line whose bytes are its number, so that the sum tells lost and repeated lines apart.
fn line(number: u64) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {number} \"-\" \"-\"\n")
}

fn append(path: &Path, text: &str) {
    File::options().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Requests and the sum of their numbers.
fn counted(metrics: &str) -> (f64, f64) {
    let of = |family: &str| value(metrics, &format!("{family}{{method=\"GET\",status_code=\"200\"}}")).unwrap();
    (of("httpd_requests_total"), of("httpd_bytes_sent_total"))
}

#[track_caller]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn assert_counts(exporter: &Running, lines: u64) {
    let metrics = exporter.scrape_until("all lines", |metrics| counted(metrics).0 >= lines as f64);
    assert_eq!(counted(&metrics), (lines as f64, (lines * (lines + 1) / 2) as f64), "{}", exporter.log());
}

#[test]
fn stopped_while_its_log_is_rotated_it_loses_and_repeats_no_line() {
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
            let _ = fs::rename(of(generation), of(generation + 1)); // not all of them are there
        }
        fs::rename(path("access.log"), path("access.log.1")).unwrap();
        write(&mut old); // the server has not reopened yet
        let mut new = File::options().append(true).create(true).open(path("access.log")).unwrap();
        write(&mut new);
        write(&mut old); // its buffers
        old = new;
    }
    exporter.signal("CONT");
    assert_counts(&exporter, 13);
    append(&path("access.log"), &line(14));
    assert_counts(&exporter, 14);
}

#[test]
fn more_events_than_the_kernel_keeps_lose_no_line() {
    let Ok(limit) = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events") else { return };
    let events = limit.trim().parse::<u32>().unwrap() + 1000;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    append(&path("access.log"), "");
    let exporter = Running::start(PROGRAM, [format!("--access-log={}", path("*.log").display())]);
    append(&path("access.log"), &line(1));
    assert_counts(&exporter, 1);
    eventually("it waits for events", || watches(&exporter).then_some(()));
    exporter.signal("STOP");
    // events that are alike and follow each other are one to the kernel, so they are of two files in turn
    for _ in 0..events.div_ceil(4) {
        for name in ["a", "b"] {
            fs::write(path(name), "").unwrap(); // created or cut, opened, closed
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

/// Whether the exporter watches a directory at present.
fn watches(exporter: &Running) -> bool {
    let entries = fs::read_dir(format!("/proc/{}/fdinfo", exporter.pid())).unwrap().flatten();
    entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).any(|text| text.contains("inotify wd:"))
}

#[test]
fn a_pattern_of_a_thousand_logs_is_followed_through_a_rotation_of_all() {
    const LOGS: u64 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let path = |log: u64| folder.path().join(format!("{log}.log"));
    (0..LOGS).for_each(|log| append(&path(log), ""));
    // with the limit of open files that most shells have, which would not be enough
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

//! Tests of the state file: the program is killed and restarted, and every line is counted exactly once.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use exporter_common::testing::{Running, command, eventually, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

fn requests(metrics: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with("httpd_requests_total{"));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn bytes(metrics: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with("httpd_bytes_sent_total{"));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// A line whose byte count is its number, so that the sum distinguishes lost and repeated lines.
fn line(number: u64) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {number} \"-\" \"-\"\n")
}

fn start(folder: &Path) -> Running {
    let (log, state) = (folder.join("access.log"), folder.join("state"));
    Running::start(PROGRAM, [format!("--access-log={}", log.display()), format!("--state.file={}", state.display())])
}

/// The first metrics after a restart, once the exporter is ready.
fn caught_up(exporter: &Running) -> String {
    eventually("the exporter is ready", || {
        let response = exporter.get("/metrics", &[]);
        assert!([200, 503].contains(&response.status));
        (response.status == 200).then_some(response.body)
    })
}

/// Writes lines and rotates the log until it is stopped.
fn write(folder: PathBuf, stop: &AtomicBool, written: &AtomicU64) {
    let log = folder.join("access.log");
    let mut file = File::options().append(true).create(true).open(&log).unwrap();
    let mut old: Option<File> = None;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..20 {
            number += 1;
            // after a rotation, a server still writes to the file it has open
            old.as_mut().unwrap_or(&mut file).write_all(line(number).as_bytes()).unwrap();
        }
        written.store(number, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1)); // the rate of a server
        match number % 4000 {
            0 => {
                for generation in (1..9).rev() {
                    let of = |generation: u64| folder.join(format!("access.log.{generation}"));
                    let _ = fs::rename(of(generation), of(generation + 1));
                }
                fs::rename(&log, folder.join("access.log.1")).unwrap();
                let new = File::options().append(true).create(true).open(&log).unwrap();
                old = Some(std::mem::replace(&mut file, new));
            }
            1000 => old = None,
            _ => {}
        }
    }
}

#[test]
fn after_kills_under_load_every_line_is_counted_once_and_no_counter_decreases() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("access.log"), line(1_000_000_000)).unwrap(); // before the start
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut requests_seen, mut last) = (0.0, 0.0);
    thread::scope(|scope| {
        let mut exporter = start(folder.path());
        let writer = scope.spawn(|| write(folder.path().to_owned(), &stop, &written));
        for kill in 1..=6 {
            let wanted = f64::from(kill) * 3000.0;
            let seen = exporter.scrape_until("more lines", |metrics| requests(metrics) >= wanted);
            assert!(requests(&seen) >= last, "a counter decreased from {last}: {seen}");
            last = requests(&seen);
            exporter.signal(if kill % 3 == 0 { "TERM" } else { "KILL" });
            exporter.wait();
            // at least one rotation while the exporter is down
            let down = written.load(Ordering::Relaxed);
            eventually("more lines are written", || (written.load(Ordering::Relaxed) > down + 4500).then_some(()));
            exporter = start(folder.path());
            let first = caught_up(&exporter);
            assert!(requests(&first) >= last, "a counter decreased from {last}: {first}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap(); // only now does `written` contain its last lines
        let number = written.load(Ordering::Relaxed);
        let metrics = exporter.scrape_until("every line", |metrics| requests(metrics) >= number as f64);
        requests_seen = requests(&metrics);
        assert_eq!(bytes(&metrics), (number * (number + 1) / 2) as f64, "{}", exporter.log());
    });
    assert_eq!(requests_seen, written.load(Ordering::Relaxed) as f64);
}

#[test]
fn while_the_logs_are_unavailable_no_metrics_are_exported_and_then_every_line_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, away) = (folder.path().join("logs"), folder.path().join("away"));
    fs::create_dir(&logs).unwrap();
    let append = |name: &str, number: u64| {
        let mut file = File::options().append(true).create(true).open(logs.join(name)).unwrap();
        file.write_all(line(number).as_bytes()).unwrap();
    };
    let start = || {
        let (log, state) = (logs.join("access.log"), folder.path().join("state"));
        Running::start(
            PROGRAM,
            [format!("--access-log={}", log.display()), format!("--state.file={}", state.display())],
        )
    };
    let mut exporter = start();
    append("access.log", 1);
    exporter.scrape_until("the first line is counted", |metrics| requests(metrics) == 1.0);
    fs::rename(logs.join("access.log"), logs.join("access.log.1")).unwrap();
    append("access.log", 2);
    exporter.scrape_until("the second line is counted", |metrics| requests(metrics) == 2.0);
    for round in 1..=2 {
        let state = || fs::read_to_string(folder.path().join("state")).unwrap();
        let saved = format!("\"requests\":{}", 1 + round);
        eventually("the state contains the line", || state().contains(&saved).then_some(()));
        exporter.signal("KILL");
        exporter.wait();
        append("access.log", 2 + round);
        fs::rename(&logs, &away).unwrap();
        exporter = start();
        eventually("the exporter waits for the logs", || exporter.log().contains("waiting for logs").then_some(()));
        for path in ["/metrics", "/-/ready"] {
            assert_eq!(exporter.get(path, &[]).status, 503, "{path}");
        }
        fs::rename(&away, &logs).unwrap();
        let first = caught_up(&exporter);
        assert_eq!(requests(&first), 2.0 + round as f64, "{}", exporter.log());
    }
    append("access.log.1", 5); // the server has not reopened its log yet
    let metrics = exporter.scrape_until("all lines are counted", |metrics| requests(metrics) >= 5.0);
    assert_eq!((requests(&metrics), bytes(&metrics)), (5.0, 15.0));
}

#[test]
fn a_first_start_counts_from_the_end_and_lines_written_while_stopped_are_counted_later() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    fs::write(&log, line(1)).unwrap();
    let mut exporter = start(folder.path());
    eventually("the state is written before the first line is counted", || {
        folder.path().join("state").exists().then_some(())
    });
    exporter.signal("KILL");
    exporter.wait();
    File::options().append(true).open(&log).unwrap().write_all(line(2).as_bytes()).unwrap();
    let exporter = start(folder.path());
    let metrics = caught_up(&exporter);
    assert_eq!((requests(&metrics), bytes(&metrics)), (1.0, 2.0));
}

#[test]
fn a_failed_write_of_the_state_file_is_warned_about_and_counting_continues() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    fs::write(&log, "").unwrap();
    let state = folder.path().join("missing/state");
    let exporter = Running::start(
        PROGRAM,
        [format!("--access-log={}", log.display()), format!("--state.file={}", state.display())],
    );
    fs::write(&log, line(5)).unwrap();
    let metrics = exporter.scrape_until("the line and the error are counted", |metrics| {
        requests(metrics) == 1.0 && value(metrics, "httpd_log_state_errors_total") >= Some(1.0)
    });
    assert_eq!(value(&metrics, r#"exporter_scrape_success{collector="access_log"}"#), Some(1.0));
    assert_eq!(exporter.log().matches("cannot write the state file").count(), 1, "{}", exporter.log());
    fs::create_dir(folder.path().join("missing")).unwrap();
    eventually("the state is written as soon as possible", || state.exists().then_some(()));
}

#[test]
fn on_a_full_disk_counting_continues_and_a_restart_neither_loses_nor_repeats_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let (log, state) = (folder.path().join("access.log"), folder.path().join("state"));
    fs::write(&log, "").unwrap();
    let append = |number| File::options().append(true).open(&log).unwrap().write_all(line(number).as_bytes()).unwrap();
    let mut exporter = start(folder.path());
    append(5);
    eventually("the state contains the line", || {
        fs::read_to_string(&state).ok().filter(|saved| saved.contains("\"requests\":1"))
    });
    exporter.signal("KILL");
    exporter.wait();
    // no file can grow beyond 512 bytes, as on a full disk; the log of the exporter is shorter, the state is longer
    let full = format!(
        "trap '' XFSZ; ulimit -f 1; exec {PROGRAM} --web.listen-address=127.0.0.1:0 --access-log={} --state.file={}",
        log.display(),
        state.display()
    );
    let mut exporter = Running::spawn(command("sh").args(["-c", &full]));
    caught_up(&exporter);
    append(7);
    exporter.scrape_until("the line and the error are counted", |metrics| {
        bytes(metrics) == 12.0 && value(metrics, "httpd_log_state_errors_total") >= Some(1.0)
    });
    exporter.signal("TERM");
    exporter.wait();
    let exporter = start(folder.path());
    let metrics = caught_up(&exporter);
    assert_eq!((requests(&metrics), bytes(&metrics)), (2.0, 12.0));
}

#[test]
fn an_invalid_state_is_warned_about_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (log, state) = (folder.path().join("access.log"), folder.path().join("state"));
    fs::write(&log, line(1)).unwrap();
    fs::write(&state, "garbage").unwrap();
    let exporter = start(folder.path());
    assert_eq!(requests(&exporter.scrape()), 0.0);
    assert!(exporter.log().contains("starting without saved state"), "{}", exporter.log());
    eventually("the state is replaced", || fs::read(&state).unwrap().starts_with(b"{").then_some(()));
}

#[test]
fn a_wrong_number_in_the_state_is_reported_with_its_position_and_the_snapshot_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (log, state, copy) =
        (folder.path().join("access.log"), folder.path().join("state"), folder.path().join("state.synced"));
    fs::write(&log, "").unwrap();
    let mut exporter = start(folder.path());
    eventually("the snapshot is synced to disk", || copy.exists().then_some(()));
    fs::write(&log, line(5)).unwrap();
    exporter.scrape_until("the line is counted", |metrics| bytes(metrics) == 5.0);
    exporter.signal("TERM");
    exporter.wait();
    let broken = fs::read_to_string(&state).unwrap().replace("\"sent\":\"5\"", "\"sent\":\"5O\"");
    assert!(broken.contains("5O"), "{broken}");
    fs::write(&state, &broken).unwrap();
    let flags = [format!("--access-log={}", log.display()), format!("--state.file={}", state.display())];
    let output = run(PROGRAM, ["--check", &flags[0], &flags[1]]);
    let log_text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log_text}");
    let expected =
        format!("cannot read the state file {}: \"5O\" is not a whole number at line 1 column ", state.display());
    assert!(log_text.contains(&expected) && log_text.lines().count() == 1, "{log_text}");
    let mut exporter = start(folder.path());
    assert_eq!(bytes(&caught_up(&exporter)), 5.0, "the position in the older snapshot");
    let log_text = exporter.log();
    assert!(
        log_text.contains("is not a whole number at line 1 column ")
            && log_text.contains("resuming from the last state snapshot"),
        "{log_text}"
    );
    exporter.signal("TERM");
    exporter.wait();
    fs::write(&state, &broken).unwrap();
    fs::write(&copy, "{}").unwrap();
    let exporter = start(folder.path());
    assert_eq!(bytes(&exporter.scrape()), 0.0);
    let log_text = exporter.log();
    for part in
        ["is not a whole number at line 1 column ", "state.synced: missing field", "starting without saved state"]
    {
        assert!(log_text.contains(part), "{part}: {log_text}");
    }
}

#[test]
fn once_does_not_change_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let (log, state) = (folder.path().join("access.log"), folder.path().join("state"));
    fs::write(&log, line(7)).unwrap();
    fs::write(&state, "garbage").unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o400)).unwrap();
    let output = run(
        PROGRAM,
        ["--once", &format!("--access-log={}", log.display()), &format!("--state.file={}", state.display())],
    );
    assert!(output.status.success());
    assert_eq!(bytes(&String::from_utf8(output.stdout).unwrap()), 7.0);
    assert_eq!(fs::read(&state).unwrap(), b"garbage");
}

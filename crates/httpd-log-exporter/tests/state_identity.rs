//! Tests of the state file: state belongs to files, not to the text of flags, and to one exporter at a time.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use exporter_common::testing::{Running, eventually, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");

/// A line whose byte count is its number, so that the sum distinguishes lost and repeated lines.
fn line(number: u64) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {number} \"-\" \"-\"\n")
}

fn append(path: &Path, numbers: std::ops::RangeInclusive<u64>) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(numbers.map(line).collect::<String>().as_bytes()).unwrap();
}

fn flags(folder: &Path, log: &str) -> [String; 2] {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    [format!("--access-log={}", path(log)), format!("--state.file={}", path("state"))]
}

/// Requests and bytes, once the exporter is ready.
fn counted(exporter: &Running) -> (f64, f64) {
    let metrics = eventually("the exporter is ready", || {
        let response = exporter.get("/metrics", &[]);
        (response.status == 200).then_some(response.body)
    });
    let sum = |name: &str| {
        let series = metrics.lines().filter(|line| line.starts_with(name));
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    (sum("httpd_requests_total{"), sum("httpd_bytes_sent_total{"))
}

#[test]
fn the_state_of_a_log_is_found_whatever_its_spelling_in_the_flag() {
    for (spelling, rotated) in [
        ("./access.log", false),
        ("./access.log", true),
        ("*.log", false),
        ("*.log", true),
        ("a*s.log*", true),
        ("link", false),
        ("folder/access.log", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        symlink("access.log", folder.path().join("link")).unwrap();
        symlink(".", folder.path().join("folder")).unwrap();
        append(&log, 1000..=1000); // before the start
        let mut exporter = Running::start(PROGRAM, flags(folder.path(), "access.log"));
        append(&log, 1..=50);
        eventually("the lines are counted", || (counted(&exporter).0 == 50.0).then_some(()));
        exporter.signal("KILL");
        exporter.wait();
        append(&log, 51..=100);
        if rotated {
            fs::rename(&log, folder.path().join("access.log.1")).unwrap();
            append(&log, 101..=110);
        }
        let last = if rotated { 110_u32 } else { 100 };
        let exporter = Running::start(PROGRAM, flags(folder.path(), spelling));
        let expected = (f64::from(last), f64::from(last * (last + 1) / 2));
        let mut seen = (0.0, 0.0);
        eventually("all lines are counted", || {
            seen = counted(&exporter);
            (seen.0 >= expected.0).then_some(())
        });
        assert_eq!(seen, expected, "{spelling}, rotated: {rotated}");
    }
}

#[test]
fn a_state_file_is_used_by_one_exporter_at_a_time_and_the_error_names_it() {
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("access.log"), 1..=1);
    let mut first = Running::start(PROGRAM, flags(folder.path(), "access.log"));
    let arguments = flags(folder.path(), "access.log");
    let second = run(PROGRAM, arguments.iter().map(String::as_str).chain(["--web.listen-address=127.0.0.1:0"]));
    let error = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{error}");
    let expected = format!("is used by process {}: stop it, or give each exporter its own state file", first.pid());
    assert!(error.contains(&expected), "{error}");
    let check = run(PROGRAM, arguments.iter().map(String::as_str).chain(["--check"]));
    assert!(check.status.success(), "a check does not need the lock");
    first.signal("KILL");
    first.wait();
    counted(&Running::start(PROGRAM, flags(folder.path(), "access.log")));
}

#[test]
fn a_state_file_of_version_0_1_0_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, 1..=2);
    let metadata = fs::metadata(&log).unwrap();
    let first = line(1);
    let head: String = first.bytes().map(|byte| format!("{byte:02x}")).collect();
    let path = log.to_str().unwrap();
    let state = format!(
        r#"{{"version":1,"sources":[{{"source":"{path}","lines":[1,0,0,0],"read_bytes":{length},"rotations":3,"truncations":0,
        "open_errors":0,"read_errors":0,"last_time":1795165200.0,"last_look":1795165201.5,"searched_since":null,"files":[
        {{"device":{device},"inode":{inode},"path":"{path}","target":null,"offset":{length},"waiting":0,"skipping":false,
        "head":"{head}","anchor":"{head}","missing":false}}]}}],"series":[{{"vhost":null,"route":null,"method":"GET",
        "status":"200","requests":7,"sent":"100","received":"0"}}],"durations":[],"protocols":[["HTTP/1.1",7]],
        "caches":[],"overflowed":0}}"#,
        length = first.len(),
        device = metadata.dev(),
        inode = metadata.ino(),
    );
    fs::write(folder.path().join("state"), state).unwrap();
    let exporter = Running::start(PROGRAM, flags(folder.path(), "access.log"));
    eventually("the second line is counted", || (counted(&exporter) == (8.0, 102.0)).then_some(()));
    assert!(exporter.scrape().contains(&format!("httpd_log_rotations_total{{source=\"{path}\"}} 3\n")));
}

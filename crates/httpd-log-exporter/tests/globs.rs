//! The built exporter with globs that match folders at any depth.
#![expect(clippy::disallowed_types, clippy::unwrap_used, reason = "tests start programs, and fail by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use exporter_common::testing::{Running, eventually, run, value};

const PROGRAM: &str = env!("CARGO_BIN_EXE_httpd-log-exporter");
const LINE: &str = "192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"-\"\n";

fn requests(metrics: &str) -> f64 {
    value(metrics, r#"httpd_requests_total{method="GET",status_code="200"}"#).unwrap_or_default()
}

/// Whether the scrape succeeded, and whether the source is up.
fn up(metrics: &str, source: &str) -> [f64; 2] {
    let up = format!("httpd_log_source_up{{source=\"{source}\"}}");
    [r#"exporter_scrape_success{collector="access_log"}"#, &up].map(|series| value(metrics, series).unwrap())
}

fn write(folder: &Path, name: &str, lines: usize) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, LINE.repeat(lines)).unwrap();
}

#[test]
fn two_stars_match_folders_at_any_depth_that_exist_or_appear_later() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "access.log", 1);
    write(root, "shop/web/access.log", 2);
    write(root, "shop/web/access.log.1.gz", 100);
    write(root, ".cache/access.log", 100);
    symlink(root, root.join("shop/circle")).unwrap();
    let source = root.join("**/access.log").display().to_string();
    let flag = format!("--access-log={source}");
    let once = String::from_utf8(run(PROGRAM, ["--once", &flag]).stdout).unwrap();
    assert_eq!((requests(&once), up(&once, &source)), (3.0, [1.0, 1.0]));
    // all files, and with --once also those with the names of compressed logs
    let all = run(PROGRAM, ["--once".to_owned(), format!("--access-log={}/**", root.display())]);
    assert_eq!(requests(&String::from_utf8(all.stdout).unwrap()), 103.0);

    let state = format!("--state.file={}", root.join("state").display());
    let exporter = Running::start(PROGRAM, [&flag, &state]);
    write(root, "shop/api/v2/eu/access.log", 4);
    let metrics = exporter.scrape_until("the new folders are found", |metrics| requests(metrics) >= 4.0);
    assert_eq!((requests(&metrics), up(&metrics, &source)), (4.0, [1.0, 1.0]));
    drop(exporter);
    // another spelling continues where the first one stopped
    write(root, "blog/access.log", 8);
    let exporter = Running::start(PROGRAM, [&format!("--access-log={}", root.join("**/*.log").display()), &state]);
    eventually("the exporter is ready", || (exporter.get("/-/ready", &[]).status == 200).then_some(()));
    let metrics = exporter.scrape_until("the new file is read", |metrics| requests(metrics) >= 12.0);
    assert_eq!(requests(&metrics), 12.0);
}

#[test]
fn a_folder_that_two_stars_cannot_enter_is_a_fault_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(root, 0o755);
    write(root, "logs/open/access.log", 3);
    write(root, "logs/closed/deep/access.log", 5);
    let closed = root.join("logs/closed");
    // root can read every folder, so the program is copied and started as the user nobody
    let program = root.join("program");
    fs::copy(PROGRAM, &program).unwrap();
    let source = root.join("logs/**/*.log").display().to_string();
    let with = |flag: &str| {
        let mut command = Command::new(&program);
        command.args([flag, &format!("--access-log={source}")]);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        // a process that another test starts may inherit the open file of the copy
        eventually("the copy is not busy", || command.output().ok())
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    mode(&closed, 0o000);
    let check = with("--check");
    let once = with("--once");
    mode(&closed, 0o755);
    assert_eq!(check.status.code(), Some(1));
    let message = text(check.stderr);
    assert!(message.contains("logs/closed: Permission denied") && message.matches("cannot read").count() == 1);
    let metrics = text(once.stdout);
    assert_eq!((once.status.code(), requests(&metrics), up(&metrics, &source)), (Some(1), 3.0, [0.0, 0.0]));
    let metrics = text(with("--once").stdout);
    assert_eq!((requests(&metrics), up(&metrics, &source)), (8.0, [1.0, 1.0]));
    // the folder before the stars is required
    let missing = run(PROGRAM, ["--check", &format!("--access-log={}", root.join("none/**/*.log").display())]);
    let message = text(missing.stderr);
    assert!(message.contains("none: No such file") && message.matches("cannot read").count() == 1, "{message}");
}

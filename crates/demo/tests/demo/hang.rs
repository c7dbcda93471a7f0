//! `demo hang` suspends processes by name and continues them when it stops.

use std::process::Command;

use exporter_common::testing::{Running, command, eventually};

use crate::DEMO;

/// The kernel's state letter of a process; `T` means stopped.
fn state(process: &Running) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    stat.rsplit_once(") ").unwrap().1[..1].to_owned()
}

#[test]
fn processes_with_a_name_are_suspended_until_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    // Unique on this host.
    let name = format!("held{}", std::process::id());
    let program = folder.path().join(&name);
    std::os::unix::fs::symlink(DEMO, &program).unwrap();
    let start =
        |program: &str| Running::spawn(command(program).args(["queue", "--no-producers", "--listen=127.0.0.1:0"]));
    let (suspended, other) = (start(program.to_str().unwrap()), start(DEMO));
    let mut drill = Command::new(DEMO).args(["hang", &name]).spawn().unwrap();
    eventually("the process is suspended", || (state(&suspended) == "T").then_some(()));
    assert_ne!(state(&other), "T", "processes with another name are not suspended");
    assert!(Command::new("kill").arg(drill.id().to_string()).status().unwrap().success());
    assert!(eventually("demo hang stops", || drill.try_wait().unwrap()).success());
    eventually("the process continues", || (state(&suspended) != "T").then_some(()));
    assert_eq!(suspended.get("/queues", &[]).status, 200);
}

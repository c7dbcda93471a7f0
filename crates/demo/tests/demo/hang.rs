//! `demo hang`: what runs under a name stands still, and goes on when the drill is over.

use std::process::Command;

use exporter_common::testing::{Running, command, eventually};

use crate::DEMO;

/// The state of a process, as the kernel calls it: `T` is stopped.
fn state(process: &Running) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    stat.rsplit_once(") ").unwrap().1[..1].to_owned()
}

#[test]
fn what_runs_under_a_name_hangs_until_the_drill_ends() {
    let folder = tempfile::tempdir().unwrap();
    // a name that nothing else on this machine has
    let name = format!("held{}", std::process::id());
    let program = folder.path().join(&name);
    std::os::unix::fs::symlink(DEMO, &program).unwrap();
    let start =
        |program: &str| Running::spawn(command(program).args(["queue", "--no-producers", "--listen=127.0.0.1:0"]));
    let (held, other) = (start(program.to_str().unwrap()), start(DEMO));
    let mut drill = Command::new(DEMO).args(["hang", &name]).spawn().unwrap();
    eventually("it hangs", || (state(&held) == "T").then_some(()));
    assert_ne!(state(&other), "T", "what has another name is left alone");
    assert!(Command::new("kill").arg(drill.id().to_string()).status().unwrap().success());
    assert!(eventually("the drill ends", || drill.try_wait().unwrap()).success());
    eventually("it goes on", || (state(&held) != "T").then_some(()));
    assert_eq!(held.get("/queues", &[]).status, 200);
}

//! Faults of the host: limits, a blocked log, a full disk, a clock that jumps, unusable certificates.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use scrapewright::testing;

use crate::program::Start;
use crate::site::Site;
use crate::stage::Stage;

const PAUSE: Duration = Duration::from_millis(200);

/// 64 file descriptors.
pub(crate) fn descriptors(_: &Site) -> Option<Start> {
    Some(Start { shell: "ulimit -n 64;".to_owned(), ..Start::default() })
}

/// 64 MB of memory, by a cgroup where this process may create one, otherwise by a limit of the process.
pub(crate) fn memory(_: &Site) -> Option<Start> {
    const BYTES: u32 = 64 << 20;
    for (root, limit) in [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")] {
        let cgroup = PathBuf::from(root).join(format!("attack-{}", std::process::id()));
        if fs::create_dir(&cgroup).is_err() {
            continue;
        }
        // the folder of all controllers of version 1 is not a cgroup
        if cgroup.join(limit).exists() && fs::write(cgroup.join(limit), BYTES.to_string()).is_ok() {
            let shell = format!("echo $$ >{}/cgroup.procs;", cgroup.display());
            return Some(Start { shell, cgroup: Some(cgroup), ..Start::default() });
        }
        let _ = fs::remove_dir(&cgroup);
    }
    Some(Start { shell: format!("ulimit -d {};", BYTES / 1024), ..Start::default() })
}

/// Standard error is a pipe that is full.
pub(crate) fn blocked_stderr(_: &Site) -> Option<Start> {
    let (unread, mut full) = std::io::pipe().unwrap();
    while poll(&mut [PollFd::new(&full, PollFlags::OUT)], Some(&Timespec::default())).unwrap() > 0 {
        full.write_all(&[b'x'; 4096]).unwrap();
    }
    Some(Start {
        arguments: vec!["--log.level=debug".to_owned()],
        stderr: Some((full.into(), unread)),
        ..Start::default()
    })
}

/// No file can grow, as on a full disk.
pub(crate) fn full_disk(site: &Site) -> Option<Start> {
    let state = format!("--state.file={}", site.folder().join("state").display());
    let log = format!("--access-log={}", log(site.folder()).display());
    Some(Start { shell: "trap '' XFSZ; ulimit -f 0;".to_owned(), arguments: vec![log, state], ..Start::default() })
}

/// Writes to the log that the exporter follows.
pub(crate) fn log_lines(stage: &Stage) {
    let mut log = fs::OpenOptions::new().append(true).create(true).open(log(stage.site.folder())).unwrap();
    while !stage.is_over() {
        let line = "192.0.2.1 - - [29/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 100 \"-\" \"-\"\n";
        log.write_all(line.repeat(100).as_bytes()).unwrap();
        thread::sleep(PAUSE);
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("access.log")
}

/// The clock is libfaketime's, which reads a file.
pub(crate) fn faked_clock(site: &Site) -> Option<Start> {
    let faketime = testing::real("faketime")?;
    let file = clock(site);
    set_clock(&file, "+0");
    let shell = format!(
        "export LD_PRELOAD=$({} -f +0 sh -c 'echo $LD_PRELOAD') FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1;",
        faketime.display(),
        file.display()
    );
    Some(Start { shell, ..Start::default() })
}

/// The clock jumps by days in both directions.
pub(crate) fn clock_steps(stage: &Stage) {
    for step in ["-3d", "+400d", "+0", "-20000d"].iter().cycle().take_while(|_| !stage.is_over()) {
        set_clock(&clock(stage.site), step);
        thread::sleep(PAUSE);
    }
}

fn clock(site: &Site) -> PathBuf {
    site.folder().join("clock")
}

fn set_clock(file: &Path, step: &str) {
    replace(file, &format!("{step}\n"));
}

/// The certificate's files are replaced by unusable ones, which new connections make the programs reload.
pub(crate) fn bad_certificates(stage: &Stage) {
    let (certificate, key) = (stage.site.folder().join("web.crt"), stage.site.folder().join("web.key"));
    let good = [&certificate, &key].map(|file| fs::read_to_string(file).unwrap());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other_key = other.signing_key.serialize_pem();
    let kinds = [
        [&*good[0], &*other_key],
        ["", &*good[1]],
        ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &*good[1]],
        ["\u{0}garbage", "\u{0}garbage"],
        [&*good[0], &*good[0]],
    ];
    for [bad_certificate, bad_key] in kinds.iter().cycle().take_while(|_| !stage.is_over()) {
        replace(&certificate, bad_certificate);
        replace(&key, bad_key);
        thread::sleep(PAUSE);
    }
    replace(&certificate, &good[0]);
    replace(&key, &good[1]);
}

/// Replaces a file atomically.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

//! Drills: disks that fail temporarily. An unreadable file is reported, and is still the same file afterwards.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Drill, line};
use crate::tail::StartAt;

impl Drill {
    /// Makes reads of an open file fail, or succeed again.
    fn break_disk(&mut self, at: usize, name: &str, broken: bool) {
        let path = self.path(name);
        let row = &mut self.tail.as_mut().unwrap().files[at];
        row.file.as_mut().unwrap().break_disk(&path, broken);
    }
}

#[test]
fn a_log_that_is_unreadable_at_a_restart_continues_once_it_is_readable() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    drill.rename("access.log", "away");
    symlink("/proc/self/mem", drill.path("access.log")).unwrap(); // opens, but its first bytes cannot be read
    drill.restart(&state);
    let health = drill.counted(&[0]);
    assert!(health.fault.as_ref().is_some_and(|fault| fault.contains("Input/output error")), "{health:?}");
    assert!(drill.tail.as_ref().unwrap().is_waiting(), "it is not treated as deleted");
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.rename("away", "access.log");
    let health = drill.counted(&[0, 1]);
    assert_eq!((health.truncations, health.rotations, health.fault), (0, 0, None));
}

#[test]
fn an_unreadable_copy_stays_a_copy() {
    let mut drill = Drill::of("access.log*", StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
    drill.counted(&[0]);
    drill.break_disk(1, "access.log.1", true);
    drill.counted(&[0]);
    drill.break_disk(1, "access.log.1", false);
    drill.counted(&[0]);
    // after the truncation only the copy has the lines that were written during copying
    drill.append("access.log.1", &line(1));
    drill.break_disk(1, "access.log.1", true);
    fs::write(drill.path("access.log"), line(2)).unwrap();
    let health = drill.counted(&[0, 2]);
    assert!(health.fault.as_ref().is_some_and(|fault| fault.contains("access.log.1")), "{health:?}");
    drill.break_disk(1, "access.log.1", false);
    assert_eq!(drill.counted(&[0, 1, 2]).fault, None);
}

#[test]
fn an_unreadable_rotated_log_is_reported_and_read_once_it_is_readable() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[0, 1]);
    drill.append("access.log.1", &line(2)); // the server has not reopened yet
    drill.break_disk(0, "access.log.1", true);
    let health = drill.counted(&[0, 1]);
    assert_eq!(health.read_errors, 1);
    assert!(health.fault.as_ref().is_some_and(|fault| fault.contains("cannot read a rotated log")), "{health:?}");
    drill.break_disk(0, "access.log.1", false);
    assert_eq!(drill.counted(&[0, 1, 2]).fault, None);
}

#[test]
fn a_log_rotated_between_two_passes_that_does_not_open_is_reported_and_read_once_it_opens() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    drill.rename("access.log", "access.log.2");
    drill.append("hidden", &line(1));
    symlink("access.log.1", drill.path("access.log.1")).unwrap(); // fails for every user, root included
    drill.append("access.log", &line(2));
    let health = drill.counted(&[0, 2]);
    assert!(health.open_errors > 0, "{health:?}");
    assert!(health.fault.as_ref().is_some_and(|fault| fault.contains("access.log.1")), "{health:?}");
    drill.rename("hidden", "access.log.1");
    assert_eq!(drill.counted(&[0, 1, 2]).fault, None);
}

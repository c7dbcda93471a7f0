//! Drills: the position at startup and shutdown, and logs that are missing or unreadable.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::{Drill, line};
use crate::tail::{GRACE, StartAt};

#[test]
fn reading_starts_at_the_end_of_the_log_by_default() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[]);
    drill.append("access.log", &line(1));
    assert_eq!(drill.counted(&[1]).lag, 0);
}

#[test]
fn a_line_that_is_unfinished_at_startup_is_counted_when_it_is_complete() {
    let (start, rest) = (&line(1)[..20], &line(1)[20..]);
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", &(line(0) + start))));
    drill.counted(&[]);
    drill.append("access.log", rest);
    drill.counted(&[1]);
}

#[test]
fn every_line_counts_if_reading_starts_at_the_beginning() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &(line(0) + &line(1)))));
    drill.counted(&[0, 1]);
}

#[test]
fn a_log_that_appears_later_is_read_from_its_beginning() {
    let mut drill = Drill::new(StartAt::End, |_| ());
    assert!(drill.counted(&[]).fault.unwrap().contains("access.log"));
    drill.append("access.log", &(line(0) + &line(1)));
    let health = drill.counted(&[0, 1]);
    assert_eq!((health.fault, health.rotations, health.open_errors), (None, 0, 0));
}

#[test]
fn a_deleted_log_is_closed_when_it_is_quiet_and_the_new_one_is_read_from_its_beginning() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let mut old = drill.append("access.log", &line(0));
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.counted(&[0]);
    old.write_all(line(1).trim_end().as_bytes()).unwrap();
    drill.counted(&[0]);
    drill.wait(GRACE);
    drill.counted(&[0, 1]);
    assert!(drill.open_files() == 0, "its space on the disk is free");
    drop(old);
    drill.append("access.log", &line(2)); // it can get the same inode
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 1);
}

#[test]
fn a_log_that_returns_to_its_path_continues_at_its_position() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.counted(&[0]);
    drill.rename("access.log", "away");
    drill.look();
    drill.wait(10 * GRACE);
    drill.append("away", &line(1));
    drill.counted(&[0, 1]);
    drill.rename("away", "access.log");
    drill.append("access.log", &line(2));
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 0);
}

#[test]
fn a_log_without_read_permission_is_retried() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.rename("access.log", "access.log.1");
    let new = drill.append("access.log", &line(1));
    new.set_permissions(fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(drill.path("access.log")).is_ok() {
        return; // root can read everything
    }
    let health = drill.counted(&[0]);
    assert!(health.open_errors > 0);
    assert!(health.fault.unwrap().contains("mode 0000"));
    new.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(drill.counted(&[0, 1]).fault, None);
}

#[test]
fn a_directory_at_the_path_of_a_log_is_an_error_until_it_is_removed() {
    let mut drill = Drill::new(StartAt::End, |drill| fs::create_dir(drill.path("access.log")).unwrap());
    let health = drill.look();
    assert!(health.open_errors > 0 && health.fault.is_some());
    fs::remove_dir(drill.path("access.log")).unwrap();
    drill.append("access.log", &line(0));
    assert_eq!(drill.counted(&[0]).fault, None);
}

#[test]
fn the_last_line_counts_without_its_end_if_the_log_is_read_once() {
    let mut drill =
        Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &(line(0) + line(1).trim_end()))));
    drill.tail.take().unwrap().read_to_end(&drill.registry, &mut [0; 64]);
    assert_eq!(drill.registry.lock().logs[0].lines, [2, 0, 0, 0, 0]);
}

//! Drills: where reading begins and ends, and logs that are missing, closed, or away for a while.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::{Drill, line};
use crate::tail::{GRACE, StartAt};

#[test]
fn at_the_start_the_end_of_the_log_is_where_reading_begins() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[]);
    drill.append("access.log", &line(1));
    assert_eq!(drill.counted(&[1]).lag, 0);
}

#[test]
fn a_line_half_written_at_the_start_is_counted_when_it_is_whole() {
    let (begun, rest) = (&line(1)[..20], &line(1)[20..]);
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", &(line(0) + begun))));
    drill.counted(&[]);
    drill.append("access.log", rest);
    drill.counted(&[1]);
}

#[test]
fn from_the_beginning_all_lines_count() {
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
fn a_deleted_log_is_let_go_when_it_is_quiet_and_its_successor_read_whole() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let mut old = drill.append("access.log", &line(0));
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.counted(&[0]);
    old.write_all(line(1).trim_end().as_bytes()).unwrap();
    drill.counted(&[0]);
    drill.wait(GRACE);
    drill.counted(&[0, 1]);
    assert!(drill.open_files() == 0, "its place on the disk is free");
    drop(old);
    drill.append("access.log", &line(2)); // it may well get the same inode
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 1);
}

#[test]
fn a_log_that_is_away_for_a_while_goes_on_where_it_was() {
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
fn a_log_that_may_not_be_read_is_tried_again() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.rename("access.log", "access.log.1");
    let new = drill.append("access.log", &line(1));
    new.set_permissions(fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(drill.path("access.log")).is_ok() {
        return; // root may read everything
    }
    let health = drill.counted(&[0]);
    assert!(health.open_errors > 0);
    assert!(health.fault.unwrap().contains("mode 0000"));
    new.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(drill.counted(&[0, 1]).fault, None);
}

#[test]
fn a_directory_in_place_of_a_log_is_a_fault_that_passes() {
    let mut drill = Drill::new(StartAt::End, |drill| fs::create_dir(drill.path("access.log")).unwrap());
    let health = drill.look();
    assert!(health.open_errors > 0 && health.fault.is_some());
    fs::remove_dir(drill.path("access.log")).unwrap();
    drill.append("access.log", &line(0));
    assert_eq!(drill.counted(&[0]).fault, None);
}

#[test]
fn read_to_its_end_a_log_has_no_line_that_waits() {
    let mut drill =
        Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &(line(0) + line(1).trim_end()))));
    drill.tail.take().unwrap().read_to_end(&drill.registry, &mut [0; 64]);
    assert_eq!(drill.registry.lock().logs[0].lines, [2, 0, 0, 0]);
}

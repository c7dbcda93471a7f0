//! Drills: logs that are renamed, replaced, or symbolic links that get another target.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::{Drill, line};
use crate::tail::rotated;
use crate::tail::{GRACE, SEARCH, StartAt};

#[test]
fn a_renamed_log_is_read_until_it_is_quiet_and_the_new_one_immediately() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let mut old = drill.append("access.log", &line(0));
    drill.rename("access.log", "access.log.1");
    old.write_all(line(1).as_bytes()).unwrap();
    assert!(drill.counted(&[0, 1]).fault.is_some(), "the log is missing");
    drill.append("access.log", &line(2));
    let health = drill.counted(&[0, 1, 2]);
    assert_eq!((health.rotations, health.fault), (1, None));
    for number in 3..8 {
        drill.wait(GRACE / 2); // never quiet for the whole grace period
        old.write_all(line(number).as_bytes()).unwrap();
        drill.look();
    }
    drill.append("access.log", &line(8));
    drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn the_unfinished_last_line_of_a_renamed_log_counts_when_the_log_is_closed() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", line(0).trim_end());
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[1]);
    drill.wait(GRACE - Duration::from_millis(1));
    drill.counted(&[1]);
    drill.wait(Duration::from_millis(1));
    drill.counted(&[0, 1]);
    assert!(drill.open_files() == 1);
}

#[test]
fn the_grace_period_of_a_quiet_log_starts_at_its_rotation() {
    for rotate in [true, false] {
        let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
        let mut old = drill.append("access.log", &line(0));
        drill.look();
        drill.wait(10 * GRACE);
        if rotate {
            drill.rename("access.log", "access.log.1");
            drill.append("access.log", "");
        } else {
            fs::remove_file(drill.path("access.log")).unwrap();
        }
        drill.look();
        drill.wait(GRACE / 2);
        drill.look();
        old.write_all(line(1).as_bytes()).unwrap();
        drill.counted(&[0, 1]);
    }
}

#[test]
fn a_log_that_is_moved_back_continues_at_its_position() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[0, 1]);
    drill.rename("access.log", "access.log.2");
    drill.rename("access.log.1", "access.log");
    drill.append("access.log", &line(2));
    drill.append("access.log.2", &line(3));
    drill.counted(&[0, 1, 2, 3]);
}

#[test]
fn five_rotations_in_a_row_lose_nothing() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let mut writers = Vec::new();
    for number in 0..5 {
        writers.push(drill.append("access.log", &line(number)));
        drill.rename("access.log", &format!("access.log.{number}"));
        drill.append("access.log", "");
        drill.look();
    }
    for (number, writer) in (5..).zip(&mut writers) {
        writer.write_all(line(number).as_bytes()).unwrap();
    }
    assert_eq!(drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).rotations, 5);
}

#[test]
fn logs_that_appear_and_are_rotated_between_two_passes_are_read() {
    let mut drill = Drill::new(StartAt::End, |drill| {
        drill.append("access.log.9", &line(0)); // read before, by the file system's clock
        std::thread::sleep(2 * rotated::COARSE);
        drill.append("access.log", "");
    });
    drill.append("access.log", &line(1));
    drill.look();
    for (number, name) in [(2, "access.log.1"), (3, "access.log-20261120"), (4, "access.log.2.gz"), (5, "access.log_2")]
    {
        drill.rename("access.log", name);
        drill.append("access.log", &line(number));
    }
    // the third and fourth have no names of uncompressed rotated logs
    assert_eq!(drill.counted(&[1, 2, 5]).rotations, 2);
}

#[test]
fn a_log_whose_name_changes_during_a_search_is_found_by_the_next_search() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.look();
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.rename("access.log", "changing");
    drill.append("access.log", &line(2));
    assert_eq!(drill.counted(&[0, 2]).rotations, 1);
    drill.rename("changing", "access.log.2");
    drill.wait(SEARCH / 10);
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 2);
    drill.wait(SEARCH);
    drill.counted(&[0, 1, 2]);
    assert!(drill.tail.as_ref().unwrap().search.windows.is_empty());
}

#[test]
fn a_symbolic_link_with_a_new_target_is_a_rotation() {
    let mut drill = Drill::new(StartAt::End, |drill| {
        drill.append("day1", "");
        symlink("day1", drill.path("access.log")).unwrap();
    });
    drill.append("day1", &line(0));
    drill.counted(&[0]);
    drill.append("day2", &line(1));
    symlink("day2", drill.path("new")).unwrap();
    drill.rename("new", "access.log");
    drill.append("day1", &line(2));
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 1);
}

#[test]
fn files_with_the_same_content_are_two_files() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let same = |drill: &Drill| drop(drill.append("access.log", &line(0)));
    same(&drill);
    drill.look();
    drill.rename("access.log", "access.log.1");
    same(&drill);
    drill.look();
    assert_eq!(drill.look().lines, [2, 0, 0, 0, 0]);
}

#[test]
fn a_hard_link_that_is_swapped_is_a_rotation() {
    let mut drill = Drill::new(StartAt::End, |drill| {
        drill.append("log.1", "");
        fs::hard_link(drill.path("log.1"), drill.path("access.log")).unwrap();
    });
    drill.append("log.1", &line(0));
    drill.counted(&[0]);
    drill.append("log.2", &line(1));
    fs::hard_link(drill.path("log.2"), drill.path("new")).unwrap();
    drill.rename("new", "access.log");
    drill.append("log.1", &line(2));
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 1);
}

#[test]
fn a_line_written_in_pieces_across_a_rotation_is_one_line() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let text = line(0);
    let mut old = drill.append("access.log", &text[..20]);
    drill.counted(&[]);
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.wait(GRACE / 2);
    old.write_all(&text.as_bytes()[20..50]).unwrap();
    drill.counted(&[1]);
    drill.wait(GRACE / 2);
    old.write_all(&text.as_bytes()[50..]).unwrap();
    drill.counted(&[0, 1]);
}

#[test]
fn a_log_rotated_between_two_passes_is_not_a_copy_of_the_next_one_though_both_have_the_same_lines() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1).repeat(10)); // as in a load test: all lines are equal
    drill.rename("access.log", "access.log.2");
    std::thread::sleep(2 * rotated::COARSE);
    drill.append("access.log", &line(1).repeat(20));
    drill.look();
    drill.wait(2 * SEARCH);
    assert_eq!(drill.look().lines, [31, 0, 0, 0, 0]);
}

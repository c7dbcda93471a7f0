//! Drills: logs that are truncated, overwritten in place, or copied and truncated.

use std::fs::{self, File};

use super::{Drill, line};
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated;
use crate::tail::{SEARCH, StartAt};

#[test]
fn a_copied_and_truncated_log_is_read_from_its_beginning() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let log = drill.append("access.log", &(line(0) + &line(1)));
    drill.counted(&[0, 1]);
    log.set_len(0).unwrap();
    assert_eq!(drill.counted(&[0, 1]).truncations, 1);
    drill.append("access.log", &line(2));
    assert_eq!(drill.counted(&[0, 1, 2]).truncations, 1);
}

#[test]
fn a_truncation_is_noticed_though_the_log_grew_beyond_the_old_position() {
    for regrown in [1, 2, 3] {
        let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
        let log = drill.append("access.log", &(line(0) + &line(1)));
        drill.counted(&[0, 1]);
        log.set_len(0).unwrap();
        let lines: Vec<_> = (2..2 + regrown).collect();
        drill.append("access.log", &lines.iter().map(|number| line(*number)).collect::<String>());
        let health = drill.counted(&[&[0, 1], &lines[..]].concat());
        assert_eq!(health.truncations, 1, "{regrown} lines");
    }
}

#[test]
fn a_truncation_is_noticed_within_lines_that_have_the_same_bytes() {
    let long = |number: u32| line(number).replace("\"-\"\n", &format!("\"{}\"\n", "x".repeat(1000)));
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let log = drill.append("access.log", &long(0)[..600]);
    drill.counted(&[]);
    drill.append("access.log", &long(0)[600..]);
    fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
    log.set_len(0).unwrap();
    drill.append("access.log", &(long(1) + &long(2)));
    assert_eq!(drill.counted(&[0, 1, 2]).truncations, 1);
}

#[test]
fn lines_behind_the_hole_of_a_truncated_file_are_read() {
    use std::os::unix::fs::FileExt;
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.counted(&[0]);
    let log = File::options().write(true).truncate(true).open(drill.path("access.log")).unwrap();
    log.write_at(line(1).as_bytes(), line(0).len() as u64).unwrap();
    let health = drill.counted(&[0, 1]);
    assert_eq!((health.truncations, health.lines), (1, [2, 0, 0, 0, 0]));
}

#[test]
fn lines_written_between_the_last_pass_and_a_truncation_are_read_from_the_copy() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let log = drill.append("access.log", &(line(0) + &line(1)));
    drill.counted(&[0, 1]);
    let (start, rest) = (&line(3)[..20], &line(3)[20..]);
    drill.append("access.log", &(line(2) + start));
    drill.look();
    drill.append("access.log", &(rest.to_owned() + &line(4)));
    fs::copy(drill.path("access.log"), drill.path("access.log-20261120")).unwrap();
    log.set_len(0).unwrap();
    drill.append("access.log", &line(5));
    assert_eq!(drill.counted(&[0, 1, 2, 3, 4, 5]).truncations, 1);
}

#[test]
fn a_copy_made_right_after_a_rotation_is_not_read_twice() {
    for read_after_copying in [true, false] {
        let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
        drill.append("access.log", &line(0));
        drill.look();
        drill.rename("access.log", "access.log.1");
        drill.append("access.log", &(line(1) + &line(2)));
        drill.counted(&[0, 1, 2]); // starts a search for one second
        drill.rename("access.log.1", "access.log.2");
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        if read_after_copying {
            drill.append("access.log", &line(3));
            drill.counted(&[0, 1, 2, 3]);
        }
        drill.append("access.log", "").set_len(0).unwrap();
        drill.append("access.log", &line(4));
        let lines: &[u32] = if read_after_copying { &[0, 1, 2, 3, 4] } else { &[0, 1, 2, 4] };
        drill.counted(lines);
        drill.counted(lines);
    }
}

#[test]
fn a_copy_of_an_unread_log_is_not_read_twice() {
    for glob in ["access.log", "access.log*"] {
        for has_content in [false, true] {
            let mut drill = Drill::of(glob, StartAt::End, |drill| drop(drill.append("access.log", &line(0))));
            drill.look();
            std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
            drill.rename("access.log", "access.log.2");
            drill.append("access.log", "");
            drill.counted(&[]);
            drill.append("access.log", &(line(1) + &line(2)));
            let copy = fs::read(drill.path("access.log")).unwrap();
            fs::write(drill.path("access.log.1"), if has_content { &copy[..90] } else { &[] }).unwrap();
            drill.counted(&[1, 2]);
            fs::write(drill.path("access.log.1"), &copy).unwrap();
            drill.counted(&[1, 2]);
            drill.append("access.log", "").set_len(0).unwrap();
            drill.append("access.log", &line(3));
            drill.counted(&[1, 2, 3]);
            drill.wait(SEARCH);
            drill.counted(&[1, 2, 3]);
        }
    }
}

#[test]
fn an_empty_log_that_is_written_copied_and_truncated_between_two_passes_is_read_from_the_copy() {
    for glob in ["access.log", "access.log*"] {
        for regrown in [false, true] {
            let mut drill = Drill::of(glob, StartAt::End, |drill| drop(drill.append("access.log", "")));
            drill.counted(&[]);
            std::thread::sleep(2 * rotated::COARSE);
            let log = drill.append("access.log", &(line(0) + &line(1)));
            fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
            log.set_len(0).unwrap();
            if regrown {
                drill.append("access.log", &line(2));
            }
            drill.look();
            drill.append("access.log", &line(3));
            drill.counted(if regrown { &[0, 1, 2, 3] } else { &[0, 1, 3] });
        }
    }
}

#[test]
fn two_truncations_between_two_passes_lose_and_repeat_nothing() {
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::End, |drill| drop(drill.append("access.log", "")));
        let log = drill.append("access.log", &(line(0) + &line(1)));
        drill.counted(&[0, 1]);
        std::thread::sleep(2 * rotated::COARSE);
        drill.append("access.log", &line(2));
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        log.set_len(0).unwrap();
        drill.append("access.log", &(line(3) + &line(4)));
        drill.rename("access.log.1", "access.log.2");
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        log.set_len(0).unwrap();
        drill.append("access.log", &line(5));
        drill.counted(&[0, 1, 2, 3, 4, 5]);
        drill.wait(SEARCH);
        drill.counted(&[0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_copy_of_the_lines_after_a_truncation_is_not_read_twice() {
    for glob in ["access.log", "access.log*"] {
        for (whole, restarted) in [(true, false), (false, false), (true, true), (false, true)] {
            let mut drill = Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
            drill.counted(&[0]);
            std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
            let log = drill.append("access.log", &line(1));
            fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
            log.set_len(0).unwrap();
            drill.append("access.log", &line(2));
            drill.counted(&[0, 1, 2]); // and starts a search for one second
            drill.append("access.log", &line(3));
            fs::copy(drill.path("access.log"), drill.path("access.log.2")).unwrap();
            log.set_len(0).unwrap();
            drill.append("access.log", &(line(4) + &line(5) + &line(6)));
            let copy = fs::read(drill.path("access.log")).unwrap();
            fs::write(drill.path("access.log.3"), if whole { &copy } else { &copy[..100] }).unwrap();
            drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
            let state = drill.save();
            fs::write(drill.path("access.log.3"), &copy).unwrap();
            log.set_len(0).unwrap();
            drill.append("access.log", &line(7));
            if restarted {
                drill.restart(&state);
            }
            drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7]);
        }
    }
}

#[test]
fn a_copy_that_is_empty_when_the_search_ends_is_not_read_twice() {
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
        drill.counted(&[0]);
        std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
        let log = drill.append("access.log", "");
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        log.set_len(0).unwrap();
        drill.append("access.log", &line(1));
        drill.counted(&[0, 1]);
        drill.append("access.log.2", "");
        drill.wait(SEARCH);
        drill.counted(&[0, 1]);
        fs::copy(drill.path("access.log"), drill.path("access.log.2")).unwrap();
        drill.counted(&[0, 1]);
        log.set_len(0).unwrap();
        drill.append("access.log", &line(2));
        drill.counted(&[0, 1, 2]);
    }
}

#[test]
fn a_copy_whose_name_changes_during_the_truncation_is_found_by_the_next_pass() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let log = drill.append("access.log", &(line(0) + &line(1)));
    drill.counted(&[0, 1]);
    std::thread::sleep(2 * rotated::COARSE);
    drill.append("access.log", &line(2));
    fs::copy(drill.path("access.log"), drill.path("hidden")).unwrap();
    log.set_len(0).unwrap();
    drill.append("access.log", &line(3));
    drill.counted(&[0, 1, 3]);
    drill.rename("hidden", "access.log.1");
    drill.counted(&[0, 1, 2, 3]);
}

#[test]
fn a_log_that_is_overwritten_during_a_read_reports_a_truncation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    fs::write(&path, line(0) + &line(1)).unwrap();
    let mut log = crate::tail::log_file::LogFile::open(&path, std::time::Instant::now()).unwrap();
    let mut position = ReadPosition::default();
    let mut buffer = vec![0; line(0).len()];
    let mut read = Vec::new();
    let mut progress = log.catch_up(&mut position, std::time::Instant::now(), &mut buffer, |_, bytes, _| {
        read.extend_from_slice(bytes);
        fs::write(&path, line(2) + &line(3)).unwrap(); // in place
    });
    assert_eq!(String::from_utf8(std::mem::take(&mut read)).unwrap(), line(0));
    assert!(progress.unwrap().truncated.is_none());
    progress = log
        .catch_up(&mut position, std::time::Instant::now(), &mut buffer, |_, bytes, _| read.extend_from_slice(bytes));
    assert_eq!(progress.unwrap().truncated.unwrap().offset, line(0).len() as u64);
    assert_eq!(String::from_utf8(read).unwrap(), line(2) + &line(3));
}

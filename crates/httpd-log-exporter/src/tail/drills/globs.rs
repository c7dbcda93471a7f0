//! Drills: globs whose files appear and disappear.

use std::fs;
use std::io::Write;

use super::{Drill, line};
use crate::metrics::health::LogHealth;
use crate::tail::log_paths::LogPaths;
use crate::tail::{GRACE, StartAt, Tail};

#[test]
fn a_glob_without_files_is_valid_and_gets_new_files_while_it_is_followed() {
    let mut drill = Drill::of("*.log", StartAt::End, |_| ());
    assert_eq!(drill.counted(&[]).fault, None, "nothing is missing");
    drill.append("a.log", &(line(0) + &line(1)));
    drill.append("error.txt", &line(9));
    assert_eq!(drill.counted(&[0, 1]).rotations, 0);
    drill.append("b.log", &line(2));
    drill.append("a.log", &line(3));
    drill.counted(&[0, 1, 2, 3]);
}

#[test]
fn a_glob_is_read_from_the_ends_of_the_files_that_exist_at_startup() {
    let mut drill = Drill::of("*.log", StartAt::End, |drill| {
        drill.append("a.log", &line(0));
        drill.append("b.log", &line(1));
    });
    drill.counted(&[]);
    drill.append("b.log", &line(2));
    drill.append("c.log", &line(3));
    drill.counted(&[2, 3]);
}

#[test]
fn a_glob_that_matches_rotated_logs_reads_none_of_them_twice() {
    let mut drill = Drill::of("access.log*", StartAt::End, |_| ());
    for number in 0..5 {
        let mut old = drill.append("access.log", &line(2 * number));
        drill.look();
        for generation in (1..number).rev() {
            drill.rename(&format!("access.log.{generation}"), &format!("access.log.{}", generation + 1));
        }
        drill.rename("access.log", "access.log.1");
        old.write_all(line(2 * number + 1).as_bytes()).unwrap();
    }
    assert_eq!(drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).rotations, 4);
    drill.rename("access.log.4", "access.log.4.gz");
    drill.wait(2 * GRACE);
    drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    drill.rename("access.log.4.gz", "access.log.7");
    drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_glob_that_matches_the_copy_of_a_truncated_log_reads_no_line_twice() {
    for look_between in [true, false] {
        let mut drill = Drill::of("access.log*", StartAt::End, |_| ());
        let log = drill.append("access.log", &(line(0) + &line(1)));
        drill.counted(&[0, 1]);
        drill.append("access.log", &line(2)); // not read before it is copied
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        if look_between {
            drill.counted(&[0, 1, 2]);
        }
        log.set_len(0).unwrap();
        drill.append("access.log", &line(3));
        assert_eq!(drill.counted(&[0, 1, 2, 3]).truncations, 1);
        drill.rename("access.log.1", "access.log.2");
        drill.append("access.log", &line(4));
        drill.counted(&[0, 1, 2, 3, 4]);
    }
}

#[test]
fn files_with_the_same_first_line_are_different_files_in_a_glob() {
    let mut drill = Drill::of("*.log", StartAt::End, |_| ());
    for name in ["a.log", "b.log"] {
        drill.append(name, &line(0));
    }
    assert_eq!(drill.look().lines, [2, 0, 0, 0, 0]);
    drill.append("b.log", &line(1));
    assert_eq!(drill.look().lines, [3, 0, 0, 0, 0]);
}

#[test]
fn a_directory_that_is_temporarily_missing_loses_and_repeats_nothing() {
    for glob in ["logs/access.log", "logs/*.log"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            fs::create_dir(drill.path("logs")).unwrap();
            drill.append("logs/access.log", &line(0));
        });
        drill.counted(&[0]);
        drill.rename("logs", "away");
        drill.look();
        drill.wait(GRACE / 2);
        drill.append("away/access.log", &line(1));
        drill.counted(&[0, 1]);
        drill.wait(3 * GRACE);
        drill.look();
        drill.rename("away", "logs");
        drill.append("logs/access.log", &line(2));
        drill.counted(&[0, 1, 2]);
    }
}

#[test]
fn a_glob_whose_directory_is_missing_is_a_fault_until_the_directory_returns() {
    let mut drill = Drill::of("logs/*.log", StartAt::End, |_| ());
    let has_fault = |drill: &mut Drill| drill.look().fault.is_some_and(|fault| fault.contains("/logs: "));
    assert!(has_fault(&mut drill));
    fs::create_dir(drill.path("logs")).unwrap();
    assert!(!has_fault(&mut drill), "no match is not a fault");
    drill.append("logs/access.log", &line(0));
    assert_eq!(drill.counted(&[0]).fault, None);
    drill.rename("logs", "away");
    assert!(has_fault(&mut drill));
    drill.rename("away", "logs");
    assert_eq!(drill.counted(&[0]).fault, None);
}

#[test]
fn a_file_among_the_directories_of_a_glob_is_not_a_fault() {
    let mut drill = Drill::of("*/access.log", StartAt::Beginning, |drill| {
        drill.append("README", "");
        fs::create_dir(drill.path("a")).unwrap();
        drill.append("a/access.log", &line(0));
    });
    let health = drill.counted(&[0]);
    assert_eq!((health.fault, health.open_errors), (None, 0));
}

#[test]
fn two_logs_that_become_the_same_file_count_its_lines_once() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", "")));
    let registry = &drill.registry;
    registry.lock().logs.push(LogHealth { source: "second".to_owned(), ..LogHealth::default() });
    let mut second =
        Tail::open(1, LogPaths::parse(drill.path("second.log").to_str().unwrap()), StartAt::End, registry, drill.now);
    let mut look = |drill: &Drill| {
        while second.pass(&drill.registry, &mut [0; 64], drill.now).more {}
        drill.registry.lock().logs[1].fault.clone()
    };
    drill.append("access.log", &line(0));
    drill.counted(&[0]);
    fs::hard_link(drill.path("access.log"), drill.path("second.log")).unwrap();
    let fault = look(&drill).unwrap();
    assert!(fault.contains("the same file as in access.log"), "{fault}");
    drill.append("second.log", &line(1));
    look(&drill);
    drill.counted(&[0, 1]);
    // the first closes the file: the second continues at the same position
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(2));
    drill.counted(&[0, 1, 2]);
    drill.wait(2 * GRACE);
    drill.look();
    drill.append("second.log", &line(3));
    assert_eq!(look(&drill), None);
    drill.counted(&[0, 1, 2, 3]);
}

#[test]
fn a_file_with_several_names_in_a_glob_is_read_once() {
    let mut drill = Drill::of("*.log", StartAt::End, |_| ());
    drill.append("day1.log", &line(0));
    fs::hard_link(drill.path("day1.log"), drill.path("current.log")).unwrap();
    std::os::unix::fs::symlink("day1.log", drill.path("link.log")).unwrap();
    drill.counted(&[0]);
    drill.append("current.log", &line(1));
    drill.counted(&[0, 1]);
    let idle = drill.tail.as_mut().unwrap().pass(&drill.registry, &mut [0; 64], drill.now);
    assert!(!idle.active, "nothing has changed");
}

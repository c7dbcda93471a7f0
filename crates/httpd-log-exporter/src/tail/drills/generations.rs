//! Drills: generations of a log that were rotated or compressed before they were seen, and bytes that cannot be recovered.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::thread::sleep;

use super::compression::gzip;
use super::{Drill, line};
use crate::tail::{GRACE, SEARCH, StartAt, rotated};

/// Compresses like kubelet: the file is as young as the compression.
fn gzip_now(drill: &Drill, from: &str, to: &str) {
    gzip(drill, from, to);
    File::options().append(true).open(drill.path(to)).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
}

/// Copies and truncates the log.
fn copy_and_truncate(drill: &Drill, to: &str) {
    fs::copy(drill.path("access.log"), drill.path(to)).unwrap();
    drill.append("access.log", "").set_len(0).unwrap();
}

#[test]
fn a_log_that_appears_and_is_rotated_while_the_exporter_is_down_is_read_though_it_was_never_seen() {
    for (glob, compressed) in [("access.log", false), ("access.log", true), ("access.log*", false)] {
        let mut drill = Drill::of(glob, StartAt::End, |_| ());
        let state = drill.save();
        sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
        drill.append("access.log", &(line(0) + &line(1)));
        drill.rename("access.log", "access.log.1");
        if compressed {
            gzip(&drill, "access.log.1", "access.log.1.gz");
        }
        drill.append("access.log", &line(2));
        drill.restart(&state);
        drill.counted(&[0, 1, 2]);
    }
}

#[test]
fn a_log_that_appears_and_is_rotated_between_two_looks_is_read() {
    let mut drill = Drill::new(StartAt::End, |drill| {
        drill.append("access.log.1", &line(9));
        sleep(2 * rotated::COARSE);
    });
    drill.look();
    sleep(2 * rotated::COARSE);
    drill.rename("access.log.1", "access.log.2"); // older than the exporter
    drill.append("access.log", &line(0));
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[0, 1]);
}

#[test]
fn a_rotated_log_that_was_read_and_is_compressed_later_without_its_time_is_not_counted_again() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[0, 1]);
    drill.wait(2 * GRACE);
    drill.counted(&[0, 1]);
    assert_eq!(drill.open_files(), 1, "the rotated log is closed");
    let state = drill.save();
    sleep(2 * rotated::COARSE);
    gzip_now(&drill, "access.log.1", "access.log.1.gz");
    drill.append("access.log", &line(2));
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn the_rest_of_a_closed_log_is_read_from_its_compressed_file() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[0, 1]);
    drill.wait(2 * GRACE);
    drill.counted(&[0, 1]);
    let state = drill.save();
    sleep(2 * rotated::COARSE);
    drill.append("access.log.1", &line(2)); // by a worker that has not reopened its log
    gzip_now(&drill, "access.log.1", "access.log.1.gz");
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_copy_that_is_compressed_immediately_after_the_truncation_is_read() {
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
        drill.counted(&[0]);
        sleep(2 * rotated::COARSE);
        drill.append("access.log", &line(1));
        copy_and_truncate(&drill, "access.log.1");
        gzip(&drill, "access.log.1", "access.log.1.gz");
        drill.append("access.log", &line(2));
        drill.counted(&[0, 1, 2]);
        drill.wait(2 * SEARCH);
        let health = drill.counted(&[0, 1, 2]);
        assert_eq!((health.truncations, health.lost_bytes), (1, 0), "{glob}");
    }
}

#[test]
fn a_compressed_log_that_still_grows_is_counted_once() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    sleep(2 * rotated::COARSE);
    let unread: String = (1..7).map(line).collect();
    drill.append("access.log", &unread).set_len(0).unwrap();
    drill.append("access.log", &line(7));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all((0..6).map(line).collect::<String>().as_bytes()).unwrap();
    encoder.flush().unwrap();
    let half = encoder.get_ref().len();
    encoder.write_all(line(6).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    let mut file = File::create(drill.path("access.log.1.gz")).unwrap();
    file.write_all(&whole[..half]).unwrap();
    drill.counted(&[0, 1, 2, 3, 4, 5, 7]);
    drill.counted(&[0, 1, 2, 3, 4, 5, 7]);
    file.write_all(&whole[half..]).unwrap();
    drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7]);
    drill.wait(2 * SEARCH);
    drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_log_that_is_rotated_twice_and_compressed_between_two_looks_is_read_once() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    sleep(2 * rotated::COARSE);
    drill.rename("access.log", "access.log.2");
    drill.append("access.log", &line(1));
    drill.rename("access.log", "access.log.1");
    gzip_now(&drill, "access.log.1", "access.log.1.gz");
    gzip_now(&drill, "access.log.2", "access.log.2.gz"); // the exporter has this one open
    drill.append("access.log", &line(2));
    drill.counted(&[0, 1, 2]);
    drill.wait(2 * SEARCH);
    drill.counted(&[0, 1, 2]);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_is_truncated_while_its_path_is_missing_is_read_once_from_its_copy() {
    for glob in ["logs/access.log", "logs/access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            fs::create_dir(drill.path("logs")).unwrap();
            drill.append("logs/access.log", &line(0));
        });
        drill.counted(&[0]);
        sleep(2 * rotated::COARSE);
        drill.append("logs/access.log", &line(1));
        fs::copy(drill.path("logs/access.log"), drill.path("logs/access.log.1")).unwrap();
        drill.append("logs/access.log", "").set_len(0).unwrap();
        drill.rename("logs", "hidden");
        drill.look();
        drill.rename("hidden", "logs");
        drill.append("logs/access.log", &line(2));
        drill.counted(&[0, 1, 2]);
    }
}

#[test]
fn all_targets_that_a_link_had_are_read() {
    for restart in [false, true] {
        let target = |drill: &Drill, number: u32| {
            drill.append(&format!("access-{number}.log"), &line(number));
            symlink(format!("access-{number}.log"), drill.path("new")).unwrap();
            drill.rename("new", "access.log");
        };
        let mut drill = Drill::new(StartAt::Beginning, |drill| {
            drill.append("access-9.log", &line(9)); // an earlier target
            sleep(2 * rotated::COARSE);
            target(drill, 10);
        });
        drill.counted(&[10]);
        let state = drill.save();
        sleep(2 * rotated::COARSE);
        drill.append("other-1.log", &line(20));
        (11..14).for_each(|number| target(&drill, number));
        if restart {
            drill.restart(&state);
        }
        drill.counted(&[10, 11, 12, 13]);
    }
}

#[test]
fn bytes_of_a_file_that_is_gone_are_counted_as_lost_from_its_last_known_size() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    drill.append("access.log", &line(1));
    let mut state = drill.save_with(|state| {
        let file = &mut state["sources"][0]["files"][0];
        file["size"] = (file["size"].as_u64().unwrap() + 100).into(); // seen, but not read
    });
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.append("access.log", &line(2));
    for _ in 0..2 {
        drill.restart(&state);
        drill.counted(&[0, 1, 2]);
        drill.wait(2 * SEARCH);
        let health = drill.counted(&[0, 1, 2]);
        assert_eq!(health.lost_bytes, 100, "once, also after another restart");
        state = drill.save();
    }
}

#[test]
fn unread_bytes_of_a_truncated_log_without_a_copy_are_lost_and_read_ones_are_not() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[0]);
    drill.append("access.log", "").set_len(0).unwrap();
    drill.counted(&[0]);
    drill.append("access.log", &"x".repeat(30)); // an unfinished line
    drill.look();
    let mut log = drill.append("access.log", "");
    log.set_len(0).unwrap();
    log.write_all(line(2).as_bytes()).unwrap();
    drill.counted(&[0, 2]);
    drill.wait(2 * SEARCH);
    let health = drill.counted(&[0, 2]);
    assert_eq!((health.truncations, health.lost_bytes), (2, 30));
}

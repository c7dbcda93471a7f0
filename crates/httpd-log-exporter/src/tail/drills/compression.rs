//! Drills: logs that are rotated and compressed while the exporter is down.

use std::fs::{self, File};
use std::io::Write;

use super::{Drill, line};
use crate::state::{SavedState, StateWriter};
use crate::tail::StartAt;
use crate::tail::rotated;

/// Compresses like logrotate and gzip: the time of the last write is kept.
pub(super) fn gzip(drill: &Drill, from: &str, to: &str) {
    let written = fs::metadata(drill.path(from)).unwrap().modified().unwrap();
    let file = File::create(drill.path(to)).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    encoder.write_all(&fs::read(drill.path(from)).unwrap()).unwrap();
    encoder.finish().unwrap().set_modified(written).unwrap();
    fs::remove_file(drill.path(from)).unwrap();
}

#[test]
fn logs_rotated_and_compressed_while_the_exporter_is_down_are_read_to_their_ends() {
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            drill.append("old", &line(9));
            gzip(drill, "old", "access.log.9.gz"); // read long ago, by the file system's clock
            std::thread::sleep(2 * rotated::COARSE);
            drill.append("access.log", &(line(0) + &line(1)[..20]));
        });
        let state = drill.save();
        std::thread::sleep(2 * rotated::COARSE);
        drill.append("access.log", &(line(1)[20..].to_owned() + &line(2)));
        drill.rename("access.log", "access.log.1");
        gzip(&drill, "access.log.1", "access.log.3.gz");
        // two more generations: one is not compressed yet, the last line of the other is unfinished
        drill.append("access.log", &(line(3) + line(4).trim_end()));
        gzip(&drill, "access.log", "access.log.2.gz");
        drill.append("access.log.1", &line(5));
        drill.append("access.log", &line(6));
        drill.restart(&state);
        let before = drill.registry.lock().logs[0].lines;
        assert_eq!(before, [1, 0, 0, 0, 0], "nothing is counted before the state is written again");
        std::thread::sleep(2 * rotated::COARSE);
        let state = drill.save();
        drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
        drill.restart(&state);
        drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn after_a_kill_before_a_compressed_log_is_read_the_next_exporter_reads_it() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    drill.append("access.log", &line(2));
    drill.restart(&state);
    let path = drill.path("state");
    StateWriter::new(path.clone()).unwrap().save(std::slice::from_ref(drill.tail.as_ref().unwrap()), &drill.registry);
    drill.restart(&SavedState::load(&path).unwrap().unwrap());
    drill.counted(&[0, 1, 2]);
}

#[test]
fn after_a_kill_before_a_new_compressed_log_is_read_the_next_exporter_reads_it() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
    drill.rename("access.log", "access.log.2");
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    drill.append("access.log", &line(2));
    std::thread::sleep(2 * rotated::COARSE); // and older than the next pass
    drill.restart(&state);
    let path = drill.path("state");
    StateWriter::new(path.clone()).unwrap().save(std::slice::from_ref(drill.tail.as_ref().unwrap()), &drill.registry);
    drill.restart(&SavedState::load(&path).unwrap().unwrap());
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_new_log_that_is_being_compressed_is_read_once() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
    drill.rename("access.log", "access.log.2");
    drill.append("access.log", &line(1));
    drill.rename("access.log", "access.log.1");
    drill.append("copy", &line(1));
    gzip(&drill, "copy", "access.log.1.gz");
    drill.append("access.log", &line(2));
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_exists_compressed_and_uncompressed_is_read_once() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    drill.rename("access.log", "access.log.1");
    fs::copy(drill.path("access.log.1"), drill.path("copy")).unwrap();
    gzip(&drill, "copy", "access.log.1.gz");
    fs::write(drill.path("access.log.2.gz"), b"\x1f\x8bgarbage").unwrap();
    drill.append("access.log", &line(2));
    drill.restart(&state);
    let health = drill.counted(&[0, 1, 2]);
    assert_eq!(health.read_errors, 1, "one for the garbage");
}

#[test]
fn a_fifo_and_a_directory_with_the_name_of_a_compressed_log_are_passed_over() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    rustix::fs::mkfifoat(rustix::fs::CWD, drill.path("access.log.2.gz"), rustix::fs::Mode::RWXU).unwrap();
    fs::create_dir(drill.path("access.log.3.gz")).unwrap();
    drill.append("access.log", &line(2));
    drill.restart(&state);
    let health = drill.counted(&[0, 1, 2]);
    assert_eq!((health.read_errors, health.open_errors), (0, 0));
}

#[test]
fn a_compressed_log_is_read_once_while_the_log_itself_is_missing() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    std::thread::sleep(2 * rotated::COARSE);
    drill.restart(&state);
    drill.counted(&[0, 1]);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0, 1]);
}

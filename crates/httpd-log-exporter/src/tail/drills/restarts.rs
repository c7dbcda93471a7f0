//! Drills: what an exporter leaves that is killed, and how the next one goes on by it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use super::{Drill, line, registry};
use crate::state::{SavedState, StateWriter};
use crate::tail::log_paths::LogPaths;
use crate::tail::rotated;
use crate::tail::{CATCHING_UP, StartAt, Tail};

/// What an exporter leaves that is killed, and goes on by.
impl Drill {
    /// Looks, and writes down the state.
    pub(super) fn save(&mut self) -> SavedState {
        self.look();
        let path = self.path("state");
        StateWriter::new(path.clone()).save(std::slice::from_ref(self.tail.as_ref().unwrap()), &self.registry);
        SavedState::load(&path).unwrap().unwrap()
    }

    /// Starts again from a state; all that was counted after it is forgotten.
    pub(super) fn restart(&mut self, state: &SavedState) {
        let log_paths = self.tail.take().unwrap().log_paths;
        self.registry = registry();
        state.restore(&mut self.registry.lock());
        let saved = state.source("access.log").unwrap();
        self.tail = Some(Tail::resume(0, log_paths, saved, &self.registry, self.now));
    }
}

#[test]
fn a_restart_goes_on_where_the_state_was_taken() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", &line(9))));
    drill.append("access.log", &(line(0) + &line(1)[..20]));
    let state = drill.save();
    drill.append("access.log", &line(1)[20..]);
    drill.counted(&[0, 1]); // counted, but killed before it was saved
    drill.append("access.log", &line(2));
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn logs_rotated_while_nobody_looked_are_read_to_their_ends() {
    for pattern in ["access.log", "access.log*", "*.log"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| {
            drill.append("access.log.9", ""); // was rotated long ago
            drill.append("access.log", &line(0));
        });
        let state = drill.save();
        std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
        drill.append("access.log", &line(1));
        drill.rename("access.log", "access.log.1");
        drill.append("access.log", &line(2));
        drill.rename("access.log.1", "access.log.2");
        drill.rename("access.log", "access.log.1");
        drill.append("access.log", &line(3));
        drill.restart(&state);
        drill.counted(&[0, 1, 2, 3]);
        let state = drill.save();
        drill.append("access.log.1", &line(4)); // the server has not reopened yet
        drill.restart(&state);
        drill.counted(&[0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_log_truncated_while_nobody_looked_is_read_from_the_copy_and_anew() {
    for pattern in ["access.log", "access.log*"] {
        for regrown in [1, 4] {
            let mut drill =
                Drill::of(pattern, StartAt::Beginning, |drill| drop(drill.append("access.log", &(line(0) + &line(1)))));
            let state = drill.save();
            let log = drill.append("access.log", &line(2));
            fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
            log.set_len(0).unwrap();
            let lines: Vec<_> = (3..3 + regrown).collect();
            drill.append("access.log", &lines.iter().map(|number| line(*number)).collect::<String>());
            drill.restart(&state);
            let health = drill.counted(&[&[0, 1, 2], &lines[..]].concat());
            assert_eq!(health.truncations, 1, "{pattern} {regrown}");
        }
    }
}

#[test]
fn after_a_restart_in_a_long_line_a_truncation_is_noticed_though_the_log_has_grown_beyond_it() {
    let long = |number: u32| line(number).replace("\"-\"\n", &format!("\"{}\"\n", "x".repeat(1000)));
    for pattern in ["access.log", "access.log*"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| {
            drill.append("access.log", &(line(0) + &long(1)[..600]));
        });
        let state = drill.save();
        drill.restart(&state);
        drill.append("access.log", &long(1)[600..]);
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        fs::write(drill.path("access.log"), long(2) + &long(3)).unwrap();
        let health = drill.counted(&[0, 1, 2, 3]);
        assert_eq!(health.truncations, 1, "{pattern}");
    }
}

/// One look at a log that was truncated, and killed before the next one: what that is to search is in the state.
impl Drill {
    fn look_once_and_save(&mut self) -> SavedState {
        std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the copies are older than the look
        self.tail.as_mut().unwrap().pass(&self.registry, &mut [0; 4096], self.now);
        let path = self.path("state");
        StateWriter::new(path.clone()).save(std::slice::from_ref(self.tail.as_ref().unwrap()), &self.registry);
        SavedState::load(&path).unwrap().unwrap()
    }
}

#[test]
fn killed_when_a_truncation_was_seen_the_next_one_reads_what_was_copied_and_truncated_before_it() {
    for pattern in ["access.log", "access.log*"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
        drill.counted(&[0]);
        std::thread::sleep(2 * rotated::COARSE);
        for (written, copy) in [(1, "access.log.1"), (2, "access.log.2")] {
            let log = drill.append("access.log", &line(written));
            fs::copy(drill.path("access.log"), drill.path(copy)).unwrap();
            log.set_len(0).unwrap();
        }
        drill.append("access.log", &line(3));
        let state = drill.look_once_and_save();
        drill.restart(&state);
        drill.counted(&[0, 1, 2, 3]);
    }
}

#[test]
fn killed_before_the_copy_of_a_truncated_log_was_found_the_next_one_goes_on_in_it() {
    for pattern in ["access.log", "access.log*"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
        drill.counted(&[0]);
        let log = drill.append("access.log", &line(1));
        fs::copy(drill.path("access.log"), drill.path("changing")).unwrap(); // its name is between two others
        log.set_len(0).unwrap();
        drill.append("access.log", &line(2));
        let state = drill.look_once_and_save();
        drill.rename("changing", "access.log.1");
        drill.restart(&state);
        let health = drill.counted(&[0, 1, 2]);
        assert_eq!(health.truncations, 1, "{pattern}");
        let state = drill.save();
        drill.restart(&state);
        drill.counted(&[0, 1, 2]);
    }
}

#[test]
fn a_number_that_another_file_got_meanwhile_is_not_taken_for_the_log() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.tail = None; // nothing holds the number any more
    drill.tail = Some(Tail::new(0, LogPaths::parse(drill.path("access.log").to_str().unwrap())));
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.append("access.log", &(line(1) + &line(2))); // often the same number
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_is_away_at_a_restart_goes_on_when_it_is_back() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.rename("access.log", "away");
    drill.restart(&state);
    drill.counted(&[0]);
    drill.append("away", &line(1));
    drill.rename("away", "access.log");
    drill.counted(&[0, 1]);
}

#[test]
fn two_logs_that_begin_alike_are_told_apart_at_a_restart() {
    let mut drill = Drill::of("*.log", StartAt::Beginning, |drill| {
        drill.append("a.log", &line(0));
        drill.append("b.log", &line(0));
    });
    let state = drill.save();
    fs::remove_file(drill.path("a.log")).unwrap();
    drill.append("b.log", &line(1));
    drill.restart(&state);
    assert_eq!(drill.look().lines, [3, 0, 0, 0]);
}

/// Compresses as logrotate and gzip do: with the time of the last write.
pub(super) fn gzip(drill: &Drill, from: &str, to: &str) {
    let written = fs::metadata(drill.path(from)).unwrap().modified().unwrap();
    let file = File::create(drill.path(to)).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    encoder.write_all(&fs::read(drill.path(from)).unwrap()).unwrap();
    encoder.finish().unwrap().set_modified(written).unwrap();
    fs::remove_file(drill.path(from)).unwrap();
}

#[test]
fn logs_rotated_and_compressed_while_nobody_looked_are_read_to_their_ends() {
    for pattern in ["access.log", "access.log*"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| {
            drill.append("old", &line(9));
            gzip(drill, "old", "access.log.9.gz"); // was read long ago
            std::thread::sleep(2 * rotated::COARSE); // which is over, by the file system's clock
            drill.append("access.log", &(line(0) + &line(1)[..20]));
        });
        let state = drill.save();
        std::thread::sleep(2 * rotated::COARSE);
        drill.append("access.log", &(line(1)[20..].to_owned() + &line(2)));
        drill.rename("access.log", "access.log.1");
        gzip(&drill, "access.log.1", "access.log.3.gz");
        // two more that came and went, one not yet compressed, and the last line of the other without its end
        drill.append("access.log", &(line(3) + line(4).trim_end()));
        gzip(&drill, "access.log", "access.log.2.gz");
        drill.append("access.log.1", &line(5));
        drill.append("access.log", &line(6));
        drill.restart(&state);
        let before = drill.registry.lock().logs[0].lines;
        assert_eq!(before, [1, 0, 0, 0], "nothing is counted before the state is written again");
        std::thread::sleep(2 * rotated::COARSE);
        let state = drill.save();
        drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
        drill.restart(&state);
        drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn killed_before_a_compressed_log_is_read_the_next_one_reads_it() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    drill.append("access.log", &line(2));
    drill.restart(&state);
    let path = drill.path("state");
    StateWriter::new(path.clone()).save(std::slice::from_ref(drill.tail.as_ref().unwrap()), &drill.registry);
    drill.restart(&SavedState::load(&path).unwrap().unwrap());
    drill.counted(&[0, 1, 2]);
}

#[test]
fn killed_before_a_log_is_read_that_came_and_was_compressed_the_next_one_reads_it() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
    drill.rename("access.log", "access.log.2");
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    drill.append("access.log", &line(2));
    std::thread::sleep(2 * rotated::COARSE); // and older than the next look
    drill.restart(&state);
    let path = drill.path("state");
    StateWriter::new(path.clone()).save(std::slice::from_ref(drill.tail.as_ref().unwrap()), &drill.registry);
    drill.restart(&SavedState::load(&path).unwrap().unwrap());
    drill.counted(&[0, 1, 2]);
}

#[test]
fn what_came_meanwhile_and_is_just_being_compressed_is_read_once() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
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
fn a_compressed_log_that_is_there_uncompressed_too_is_read_once() {
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
    assert_eq!(health.read_errors, 1, "of the garbage");
}

#[test]
fn what_was_read_through_a_link_is_found_again_when_that_points_elsewhere() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| {
        drill.append("day1", &line(0));
        symlink("day1", drill.path("access.log")).unwrap();
    });
    let state = drill.save();
    drill.append("day1", &line(1));
    drill.append("day2", &line(2));
    symlink("day2", drill.path("new")).unwrap();
    drill.rename("new", "access.log");
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
    let state = drill.save();
    drill.append("day1", &line(3)); // the server has not reopened yet
    drill.restart(&state);
    drill.counted(&[0, 1, 2, 3]);
}

#[test]
fn what_was_read_through_a_link_is_found_again_when_its_target_was_rotated() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| {
        drill.append("real.log", &line(0));
        symlink("real.log", drill.path("access.log")).unwrap();
    });
    let state = drill.save();
    drill.append("real.log", &line(1));
    drill.rename("real.log", "real.log.1");
    drill.append("real.log", &line(2));
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn what_came_and_went_meanwhile_is_open_before_it_can_be_compressed() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
    drill.rename("access.log", "access.log.2");
    drill.append("access.log", &line(1));
    drill.rename("access.log", "access.log.1");
    drill.restart(&state);
    fs::remove_file(drill.path("access.log.1")).unwrap(); // as gzip does, after the .gz is there
    drill.append("access.log", &line(2));
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_is_missing_through_two_restarts_is_read_where_the_first_process_was() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.rename("access.log", "unmounted");
    drill.append("unmounted", &line(1));
    drill.restart(&state);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0]);
    drill.rename("unmounted", "access.log");
    drill.counted(&[0, 1]);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0, 1]);
}

#[test]
fn a_directory_that_is_away_at_a_restart_is_waited_for_with_all_that_was_in_it() {
    for pattern in ["logs/access.log", "logs/*.log", "logs/access.log*"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| {
            fs::create_dir(drill.path("logs")).unwrap();
            drill.append("logs/access.log", &line(0));
        });
        drill.look();
        drill.rename("logs/access.log", "logs/access.log.1");
        drill.append("logs/access.log", &line(1));
        let state = drill.save();
        std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
        drill.append("logs/access.log.1", &line(2));
        drill.append("logs/access.log", &line(3));
        drill.rename("logs/access.log", "logs/access.log.3");
        drill.append("logs/access.log", &line(4));
        drill.rename("logs/access.log", "logs/access.log.2");
        drill.append("logs/access.log", &line(5));
        gzip(&drill, "logs/access.log.2", "logs/access.log.2.gz");
        std::thread::sleep(2 * rotated::COARSE);
        drill.rename("logs", "away");
        for mountpoint in [false, true] {
            if mountpoint {
                fs::create_dir(drill.path("logs")).unwrap();
            }
            drill.restart(&state);
            drill.counted(&[0, 1]);
            assert!(drill.tail.as_ref().unwrap().is_waiting(), "{pattern}: nothing is to be shown yet");
        }
        let state = drill.save(); // and killed once more
        drill.restart(&state);
        drill.counted(&[0, 1]);
        assert!(drill.tail.as_ref().unwrap().is_waiting(), "{pattern}");
        drill.rename("away", "logs");
        drill.counted(&[0, 1, 2, 3, 4, 5]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{pattern}");
        let state = drill.save();
        drill.restart(&state);
        drill.append("logs/access.log", &line(6));
        drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn what_is_away_for_longer_than_anybody_waits_is_missing_and_goes_on_when_it_is_back() {
    for pattern in ["logs/access.log", "logs/*.log"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| {
            fs::create_dir(drill.path("logs")).unwrap();
            drill.append("logs/access.log", &line(0));
        });
        let state = drill.save();
        drill.append("logs/access.log", &line(1));
        drill.rename("logs", "away");
        drill.restart(&state);
        drill.counted(&[0]);
        drill.wait(CATCHING_UP);
        drill.counted(&[0]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{pattern}");
        let state = drill.save();
        drill.restart(&state);
        drill.counted(&[0]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{pattern}: it was told before");
        drill.rename("away", "logs");
        drill.counted(&[0, 1]);
        let state = drill.save();
        drill.restart(&state);
        drill.counted(&[0, 1]);
    }
}

#[test]
fn a_log_that_may_not_be_read_at_a_restart_and_is_rotated_then_is_found_again() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    // not even root may follow a link to itself
    drill.rename("access.log", "kept");
    symlink("access.log", drill.path("access.log")).unwrap();
    drill.restart(&state);
    drill.counted(&[0]);
    assert!(drill.tail.as_ref().unwrap().is_waiting());
    drill.rename("kept", "access.log.1");
    drill.append("new", &line(2));
    drill.rename("new", "access.log");
    drill.counted(&[0, 1, 2]);
    assert!(!drill.tail.as_ref().unwrap().is_waiting());
}

#[test]
fn a_log_that_was_deleted_is_not_waited_for_where_others_are_seen() {
    for pattern in ["access.log", "*.log"] {
        let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| {
            drill.append("access.log", &line(0));
            drill.append("access.log.2", "");
        });
        let state = drill.save();
        fs::remove_file(drill.path("access.log")).unwrap();
        drill.restart(&state);
        drill.counted(&[0]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{pattern}");
    }
}

#[test]
fn a_compressed_log_is_read_once_while_there_is_no_new_one() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
    drill.append("access.log", &line(1));
    gzip(&drill, "access.log", "access.log.1.gz");
    std::thread::sleep(2 * rotated::COARSE);
    drill.restart(&state);
    drill.counted(&[0, 1]);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0, 1]);
}

#[test]
fn two_truncations_in_one_downtime_and_one_during_the_catching_up_lose_and_repeat_nothing() {
    for pattern in ["access.log", "access.log*"] {
        for (known, looked) in [(0, true), (0, false), (2, true), (2, false)] {
            let mut drill = Drill::of(pattern, StartAt::Beginning, |drill| drop(drill.append("access.log", "")));
            let before: Vec<u32> = (0..known).collect();
            let log = drill.append("access.log", &before.iter().map(|number| line(*number)).collect::<String>());
            let state = drill.save();
            std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
            let copy = |drill: &Drill| {
                let _ = fs::rename(drill.path("access.log.2"), drill.path("access.log.3"));
                let _ = fs::rename(drill.path("access.log.1"), drill.path("access.log.2"));
                fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
            };
            drill.append("access.log", &line(2));
            copy(&drill);
            log.set_len(0).unwrap();
            drill.append("access.log", &(line(3) + &line(4)));
            copy(&drill);
            log.set_len(0).unwrap();
            drill.append("access.log", &(line(5) + &line(6)));
            copy(&drill);
            drill.restart(&state);
            if looked {
                drill.look();
            }
            log.set_len(0).unwrap();
            drill.append("access.log", &(line(7) + &line(8)));
            let all = [&before[..], &[2, 3, 4, 5, 6, 7, 8]].concat();
            drill.counted(&all);
            let state = drill.save();
            drill.restart(&state);
            drill.counted(&all);
        }
    }
}

#[test]
fn a_copy_whose_name_was_changing_at_a_restart_is_found_by_the_next_look() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // by the file system's clock the next ones are younger
    let log = drill.append("access.log", &line(1));
    fs::copy(drill.path("access.log"), drill.path("hidden")).unwrap();
    log.set_len(0).unwrap();
    drill.append("access.log", &line(2));
    drill.restart(&state);
    drill.rename("hidden", "access.log.1");
    drill.counted(&[0, 1, 2]);
}

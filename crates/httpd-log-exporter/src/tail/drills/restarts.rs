//! Drills: an exporter is killed, and the next one continues from its state file.

use std::fs;
use std::os::unix::fs::symlink;

use super::compression::gzip;
use super::{Drill, line, registry};
use crate::state::{SavedState, StateWriter};
use crate::tail::log_paths::LogPaths;
use crate::tail::rotated;
use crate::tail::{CATCHING_UP, StartAt, Tail};

/// State of an exporter that is killed and started again.
impl Drill {
    /// Reads everything, and writes the state.
    pub(super) fn save(&mut self) -> SavedState {
        self.look();
        let path = self.path("state");
        StateWriter::new(path.clone()).unwrap().save(std::slice::from_ref(self.tail.as_ref().unwrap()), &self.registry);
        SavedState::load(&path).unwrap().unwrap()
    }

    /// The same, changed as JSON.
    pub(super) fn save_with(&mut self, change: impl FnOnce(&mut serde_json::Value)) -> SavedState {
        self.save();
        let mut state = serde_json::from_slice(&fs::read(self.path("state")).unwrap()).unwrap();
        change(&mut state);
        SavedState::parse(state.to_string().as_bytes()).unwrap()
    }

    /// Restarts from a state; everything that was counted after it is gone.
    pub(super) fn restart(&mut self, state: &SavedState) {
        let log_paths = self.tail.take().unwrap().log_paths;
        let container = self.registry.lock().container;
        self.registry = registry();
        self.registry.lock().container = container;
        state.restore(&mut self.registry.lock());
        let saved = state.source("access.log").unwrap();
        self.tail = Some(Tail::resume(0, log_paths, saved, &self.registry, self.now));
    }
}

#[test]
fn a_restart_continues_where_the_state_was_written() {
    let mut drill = Drill::new(StartAt::End, |drill| drop(drill.append("access.log", &line(9))));
    drill.append("access.log", &(line(0) + &line(1)[..20]));
    let state = drill.save();
    drill.append("access.log", &line(1)[20..]);
    drill.counted(&[0, 1]); // counted, but killed before the state was written
    drill.append("access.log", &line(2));
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
    let state = drill.save();
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn logs_rotated_while_the_exporter_is_down_are_read_to_their_ends() {
    for glob in ["access.log", "access.log*", "*.log"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            drill.append("access.log.9", ""); // rotated long ago
            drill.append("access.log", &line(0));
        });
        let state = drill.save();
        std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
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
fn a_log_truncated_while_the_exporter_is_down_is_read_from_the_copy_and_from_its_beginning() {
    for glob in ["access.log", "access.log*"] {
        for regrown in [1, 4] {
            let mut drill =
                Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", &(line(0) + &line(1)))));
            let state = drill.save();
            let log = drill.append("access.log", &line(2));
            fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
            log.set_len(0).unwrap();
            let lines: Vec<_> = (3..3 + regrown).collect();
            drill.append("access.log", &lines.iter().map(|number| line(*number)).collect::<String>());
            drill.restart(&state);
            let health = drill.counted(&[&[0, 1, 2], &lines[..]].concat());
            assert_eq!(health.truncations, 1, "{glob} {regrown}");
        }
    }
}

#[test]
fn after_a_restart_within_a_long_line_a_truncation_is_noticed_though_the_log_grew_beyond_the_line() {
    let long = |number: u32| line(number).replace("\"-\"\n", &format!("\"{}\"\n", "x".repeat(1000)));
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            drill.append("access.log", &(line(0) + &long(1)[..600]));
        });
        let state = drill.save();
        drill.restart(&state);
        drill.append("access.log", &long(1)[600..]);
        fs::copy(drill.path("access.log"), drill.path("access.log.1")).unwrap();
        fs::write(drill.path("access.log"), long(2) + &long(3)).unwrap();
        let health = drill.counted(&[0, 1, 2, 3]);
        assert_eq!(health.truncations, 1, "{glob}");
    }
}

/// An exporter that is killed after the pass that noticed a truncation: the state has the search that the next pass needs.
impl Drill {
    fn pass_once_and_save(&mut self) -> SavedState {
        std::thread::sleep(2 * rotated::COARSE); // the copies are older than the pass by the file system's clock
        self.tail.as_mut().unwrap().pass(&self.registry, &mut [0; 4096], self.now);
        let path = self.path("state");
        StateWriter::new(path.clone()).unwrap().save(std::slice::from_ref(self.tail.as_ref().unwrap()), &self.registry);
        SavedState::load(&path).unwrap().unwrap()
    }
}

#[test]
fn after_a_kill_at_a_truncation_the_next_exporter_reads_the_copies_of_earlier_truncations() {
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
        drill.counted(&[0]);
        std::thread::sleep(2 * rotated::COARSE);
        for (written, copy) in [(1, "access.log.1"), (2, "access.log.2")] {
            let log = drill.append("access.log", &line(written));
            fs::copy(drill.path("access.log"), drill.path(copy)).unwrap();
            log.set_len(0).unwrap();
        }
        drill.append("access.log", &line(3));
        let state = drill.pass_once_and_save();
        drill.restart(&state);
        drill.counted(&[0, 1, 2, 3]);
    }
}

#[test]
fn after_a_kill_before_the_copy_of_a_truncated_log_is_found_the_next_exporter_continues_in_the_copy() {
    for glob in ["access.log", "access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
        drill.counted(&[0]);
        let log = drill.append("access.log", &line(1));
        fs::copy(drill.path("access.log"), drill.path("changing")).unwrap(); // its name is changing
        log.set_len(0).unwrap();
        drill.append("access.log", &line(2));
        let state = drill.pass_once_and_save();
        drill.rename("changing", "access.log.1");
        drill.restart(&state);
        let health = drill.counted(&[0, 1, 2]);
        assert_eq!(health.truncations, 1, "{glob}");
        let state = drill.save();
        drill.restart(&state);
        drill.counted(&[0, 1, 2]);
    }
}

#[test]
fn another_file_that_gets_the_inode_of_the_log_is_not_the_log() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.tail = None; // closes the file, so that its inode is free
    drill.tail = Some(Tail::new(0, LogPaths::parse(drill.path("access.log").to_str().unwrap())));
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.append("access.log", &(line(1) + &line(2))); // often gets the same inode
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_is_missing_at_a_restart_continues_when_it_returns() {
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
fn two_logs_with_the_same_content_are_distinguished_at_a_restart() {
    let mut drill = Drill::of("*.log", StartAt::Beginning, |drill| {
        drill.append("a.log", &line(0));
        drill.append("b.log", &line(0));
    });
    let state = drill.save();
    fs::remove_file(drill.path("a.log")).unwrap();
    drill.append("b.log", &line(1));
    drill.restart(&state);
    assert_eq!(drill.look().lines, [3, 0, 0, 0, 0]);
}

#[test]
fn the_old_target_of_a_symbolic_link_is_found_after_a_restart() {
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
fn the_rotated_target_of_a_symbolic_link_is_found_after_a_restart() {
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
fn a_log_rotated_while_the_exporter_is_down_is_opened_before_it_can_be_compressed() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
    drill.rename("access.log", "access.log.2");
    drill.append("access.log", &line(1));
    drill.rename("access.log", "access.log.1");
    drill.restart(&state);
    fs::remove_file(drill.path("access.log.1")).unwrap(); // like gzip after it has written the .gz
    drill.append("access.log", &line(2));
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_is_missing_during_two_restarts_continues_where_the_first_process_stopped() {
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
fn a_directory_that_is_missing_at_a_restart_is_waited_for_with_all_its_files() {
    for glob in ["logs/access.log", "logs/*.log", "logs/access.log*"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            fs::create_dir(drill.path("logs")).unwrap();
            drill.append("logs/access.log", &line(0));
        });
        drill.look();
        drill.rename("logs/access.log", "logs/access.log.1");
        drill.append("logs/access.log", &line(1));
        let state = drill.save();
        std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
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
            assert!(drill.tail.as_ref().unwrap().is_waiting(), "{glob}: no metrics are exported yet");
        }
        let state = drill.save(); // and killed once more
        drill.restart(&state);
        drill.counted(&[0, 1]);
        assert!(drill.tail.as_ref().unwrap().is_waiting(), "{glob}");
        drill.rename("away", "logs");
        drill.counted(&[0, 1, 2, 3, 4, 5]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{glob}");
        let state = drill.save();
        drill.restart(&state);
        drill.append("logs/access.log", &line(6));
        drill.counted(&[0, 1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn a_log_that_is_waited_for_in_vain_is_reported_and_continues_when_it_returns() {
    for glob in ["logs/access.log", "logs/*.log"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
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
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{glob}");
        let state = drill.save();
        drill.restart(&state);
        drill.counted(&[0]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{glob}: it was reported before");
        drill.rename("away", "logs");
        drill.counted(&[0, 1]);
        let state = drill.save();
        drill.restart(&state);
        drill.counted(&[0, 1]);
    }
}

#[test]
fn a_log_that_is_unreadable_at_a_restart_and_then_rotated_is_found() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.append("access.log", &line(1));
    // not even root can follow a link to itself
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
fn a_deleted_log_is_not_waited_for_if_other_files_are_visible() {
    for glob in ["access.log", "*.log"] {
        let mut drill = Drill::of(glob, StartAt::Beginning, |drill| {
            drill.append("access.log", &line(0));
            drill.append("access.log.2", "");
        });
        let state = drill.save();
        fs::remove_file(drill.path("access.log")).unwrap();
        drill.restart(&state);
        drill.counted(&[0]);
        assert!(!drill.tail.as_ref().unwrap().is_waiting(), "{glob}");
    }
}

#[test]
fn two_truncations_while_the_exporter_is_down_and_one_while_it_catches_up_lose_and_repeat_nothing() {
    for glob in ["access.log", "access.log*"] {
        for (known, looked) in [(0, true), (0, false), (2, true), (2, false)] {
            let mut drill = Drill::of(glob, StartAt::Beginning, |drill| drop(drill.append("access.log", "")));
            let before: Vec<u32> = (0..known).collect();
            let log = drill.append("access.log", &before.iter().map(|number| line(*number)).collect::<String>());
            let state = drill.save();
            std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
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
fn a_copy_whose_name_changes_at_a_restart_is_found_by_the_next_pass() {
    let mut drill = Drill::new(StartAt::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    std::thread::sleep(2 * rotated::COARSE); // the next files are younger by the file system's clock
    let log = drill.append("access.log", &line(1));
    fs::copy(drill.path("access.log"), drill.path("hidden")).unwrap();
    log.set_len(0).unwrap();
    drill.append("access.log", &line(2));
    drill.restart(&state);
    drill.rename("hidden", "access.log.1");
    drill.counted(&[0, 1, 2]);
}

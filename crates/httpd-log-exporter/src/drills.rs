//! Drills of the follower: everything that servers, logrotate and people do to a log.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::book::{Book, Shared};
use crate::counts::Counts;
use crate::format::Format;
use crate::health::Health;
use crate::place::Place;
use crate::rotated;
use crate::state::{Keeper, State};
use crate::tail::{GRACE, SEARCH, Start, Tail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A log in a folder of its own, and a clock that is moved by hand.
struct Drill {
    folder: tempfile::TempDir,
    book: Shared,
    tail: Option<Tail>,
    now: Instant,
}

impl Drill {
    /// Starts with what `prepare` does in the folder.
    fn new(start: Start, prepare: impl FnOnce(&Drill)) -> Self {
        Self::of("access.log", start, prepare)
    }

    /// The same with a pattern.
    fn of(pattern: &str, start: Start, prepare: impl FnOnce(&Drill)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let book = book();
        let mut drill = Self { folder, book, tail: None, now: Instant::now() };
        prepare(&drill);
        let place = Place::parse(drill.path(pattern).to_str().unwrap());
        drill.tail = Some(Tail::open(0, place, start, &drill.book, drill.now));
        drill
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) -> File {
        let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn look(&mut self) -> Health {
        let mut buffer = [0; 64];
        while self.tail.as_mut().unwrap().pass(&self.book, &mut buffer, self.now).more {}
        self.book.lock().logs[0].clone()
    }

    /// Looks, and asserts which lines were counted up to now: each has bytes of its own, so none
    /// is lost and none counted twice.
    #[track_caller]
    fn counted(&mut self, lines: &[u32]) -> Health {
        let health = self.look();
        let expected: u128 = lines.iter().map(|line| 1 << line).sum();
        let book = self.book.lock();
        let bytes: u128 = book.counts.series().map(|series| series.cell.sent).sum();
        let requests: u64 = book.counts.series().map(|series| series.cell.requests).sum();
        assert_eq!((requests, format!("{bytes:b}")), (lines.len() as u64, format!("{expected:b}")), "{health:?}");
        health
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

fn book() -> Shared {
    let format: Format = "combined".parse().unwrap();
    let counts = Counts::new(&format, &[], Vec::new(), 0);
    Shared::new(Book::new(format, counts, ["access.log".to_owned()]))
}

/// A line by its number, from 0 to 60.
fn line(number: u32) -> String {
    format!("192.0.2.7 - - [20/Nov/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 {} \"-\" \"-\"\n", 1_u64 << number)
}

#[test]
fn at_the_start_the_end_of_the_log_is_where_reading_begins() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", &line(0))));
    drill.counted(&[]);
    drill.append("access.log", &line(1));
    assert_eq!(drill.counted(&[1]).lag, 0);
}

#[test]
fn a_line_half_written_at_the_start_is_counted_when_it_is_whole() {
    let (begun, rest) = (&line(1)[..20], &line(1)[20..]);
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", &(line(0) + begun))));
    drill.counted(&[]);
    drill.append("access.log", rest);
    drill.counted(&[1]);
}

#[test]
fn from_the_beginning_all_lines_count() {
    let mut drill = Drill::new(Start::Beginning, |drill| drop(drill.append("access.log", &(line(0) + &line(1)))));
    drill.counted(&[0, 1]);
}

#[test]
fn a_renamed_log_is_read_until_it_is_quiet_and_the_new_one_at_once() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    let mut old = drill.append("access.log", &line(0));
    drill.rename("access.log", "access.log.1");
    old.write_all(line(1).as_bytes()).unwrap();
    assert!(drill.counted(&[0, 1]).fault.is_some(), "the log is missing");
    drill.append("access.log", &line(2));
    let health = drill.counted(&[0, 1, 2]);
    assert_eq!((health.rotations, health.fault), (1, None));
    for number in 3..8 {
        drill.wait(GRACE / 2); // quiet never lasts long enough
        old.write_all(line(number).as_bytes()).unwrap();
        drill.look();
    }
    drill.append("access.log", &line(8));
    drill.counted(&[0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn the_unterminated_end_of_a_renamed_log_counts_when_it_is_finished() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", line(0).trim_end());
    drill.rename("access.log", "access.log.1");
    drill.append("access.log", &line(1));
    drill.counted(&[1]);
    drill.wait(GRACE - Duration::from_millis(1));
    drill.counted(&[1]);
    drill.wait(Duration::from_millis(1));
    drill.counted(&[0, 1]);
    assert!(drill.tail.as_ref().unwrap().files.len() == 1);
}

#[test]
fn a_log_that_was_quiet_for_long_is_waited_for_all_the_same() {
    for rotate in [true, false] {
        let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
fn a_log_that_is_moved_back_goes_on_where_it_was() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
fn logs_that_came_and_went_between_two_looks_are_read() {
    let mut drill = Drill::new(Start::End, |drill| {
        drill.append("access.log.9", &line(0)); // it was read in its time
        std::thread::sleep(2 * rotated::COARSE); // which is over, by the file system's clock
        drill.append("access.log", "");
    });
    drill.append("access.log", &line(1));
    drill.look();
    for (number, name) in [(2, "access.log.1"), (3, "access.log-20261120"), (4, "access.log.2.gz"), (5, "access.log_2")]
    {
        drill.rename("access.log", name);
        drill.append("access.log", &line(number));
    }
    // the third and fourth are none that a rotation leaves behind as they are
    assert_eq!(drill.counted(&[1, 2, 5]).rotations, 2);
}

#[test]
fn a_log_whose_name_was_changing_during_the_search_is_found_by_the_next() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
    assert!(drill.tail.as_ref().unwrap().searched.is_empty());
}

#[test]
fn a_copied_and_truncated_log_is_read_from_its_beginning() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    let log = drill.append("access.log", &(line(0) + &line(1)));
    drill.counted(&[0, 1]);
    log.set_len(0).unwrap();
    assert_eq!(drill.counted(&[0, 1]).truncations, 1);
    drill.append("access.log", &line(2));
    assert_eq!(drill.counted(&[0, 1, 2]).truncations, 1);
}

#[test]
fn a_truncated_log_that_regrew_beyond_the_old_place_is_noticed() {
    for regrown in [1, 2, 3] {
        let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
fn a_writer_that_goes_on_behind_a_hole_is_read() {
    use std::os::unix::fs::FileExt;
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    drill.append("access.log", &line(0));
    drill.counted(&[0]);
    let log = File::options().write(true).truncate(true).open(drill.path("access.log")).unwrap();
    log.write_at(line(1).as_bytes(), line(0).len() as u64).unwrap();
    let health = drill.counted(&[0, 1]);
    assert_eq!((health.truncations, health.lines), (1, [2, 0, 0, 0]));
}

#[test]
fn a_log_that_appears_later_is_read_from_its_beginning() {
    let mut drill = Drill::new(Start::End, |_| ());
    assert!(drill.counted(&[]).fault.unwrap().contains("access.log"));
    drill.append("access.log", &(line(0) + &line(1)));
    let health = drill.counted(&[0, 1]);
    assert_eq!((health.fault, health.rotations, health.open_errors), (None, 0, 0));
}

#[test]
fn a_deleted_log_is_let_go_when_it_is_quiet_and_its_successor_read_whole() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    let mut old = drill.append("access.log", &line(0));
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.counted(&[0]);
    old.write_all(line(1).trim_end().as_bytes()).unwrap();
    drill.counted(&[0]);
    drill.wait(GRACE);
    drill.counted(&[0, 1]);
    assert!(drill.tail.as_ref().unwrap().files.is_empty(), "its place on the disk is free");
    drop(old);
    drill.append("access.log", &line(2)); // it may well get the same inode
    assert_eq!(drill.counted(&[0, 1, 2]).rotations, 1);
}

#[test]
fn a_log_that_is_away_for_a_while_goes_on_where_it_was() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
fn a_link_that_points_elsewhere_is_a_rotation() {
    let mut drill = Drill::new(Start::End, |drill| {
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
fn files_that_begin_alike_are_two_files() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    let same = |drill: &Drill| drop(drill.append("access.log", &line(0)));
    same(&drill);
    drill.look();
    drill.rename("access.log", "access.log.1");
    same(&drill);
    drill.look();
    assert_eq!(drill.look().lines, [2, 0, 0, 0]);
}

#[test]
fn a_log_that_may_not_be_read_is_tried_again() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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
    let mut drill = Drill::new(Start::End, |drill| fs::create_dir(drill.path("access.log")).unwrap());
    let health = drill.look();
    assert!(health.open_errors > 0 && health.fault.is_some());
    fs::remove_dir(drill.path("access.log")).unwrap();
    drill.append("access.log", &line(0));
    assert_eq!(drill.counted(&[0]).fault, None);
}

#[test]
fn a_pattern_gets_new_files_while_it_is_followed_and_may_have_none() {
    let mut drill = Drill::of("*.log", Start::End, |_| ());
    assert_eq!(drill.counted(&[]).fault, None, "nothing is missing");
    drill.append("a.log", &(line(0) + &line(1)));
    drill.append("error.txt", &line(9));
    assert_eq!(drill.counted(&[0, 1]).rotations, 0);
    drill.append("b.log", &line(2));
    drill.append("a.log", &line(3));
    drill.counted(&[0, 1, 2, 3]);
}

#[test]
fn a_pattern_of_files_that_are_there_begins_at_their_ends() {
    let mut drill = Drill::of("*.log", Start::End, |drill| {
        drill.append("a.log", &line(0));
        drill.append("b.log", &line(1));
    });
    drill.counted(&[]);
    drill.append("b.log", &line(2));
    drill.append("c.log", &line(3));
    drill.counted(&[2, 3]);
}

#[test]
fn a_pattern_that_has_rotated_logs_too_reads_none_of_them_twice() {
    let mut drill = Drill::of("access.log*", Start::End, |_| ());
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
fn a_pattern_that_has_the_copy_of_a_truncated_log_too_reads_no_line_twice() {
    for look_between in [true, false] {
        let mut drill = Drill::of("access.log*", Start::End, |_| ());
        let log = drill.append("access.log", &(line(0) + &line(1)));
        drill.counted(&[0, 1]);
        drill.append("access.log", &line(2)); // not looked at before it is copied
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
fn what_was_written_between_the_last_look_and_a_truncation_is_read_from_the_copy() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
    let log = drill.append("access.log", &(line(0) + &line(1)));
    drill.counted(&[0, 1]);
    let (begun, rest) = (&line(3)[..20], &line(3)[20..]);
    drill.append("access.log", &(line(2) + begun));
    drill.look();
    drill.append("access.log", &(rest.to_owned() + &line(4)));
    fs::copy(drill.path("access.log"), drill.path("access.log-20261120")).unwrap();
    log.set_len(0).unwrap();
    drill.append("access.log", &line(5));
    assert_eq!(drill.counted(&[0, 1, 2, 3, 4, 5]).truncations, 1);
}

#[test]
fn a_copy_that_was_made_right_after_a_rotation_is_not_read_twice() {
    for read_after_copying in [true, false] {
        let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
        drill.append("access.log", &line(0));
        drill.look();
        drill.rename("access.log", "access.log.1");
        drill.append("access.log", &(line(1) + &line(2)));
        drill.counted(&[0, 1, 2]); // searches for a second what came and went
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
fn files_with_the_same_first_line_are_several_in_a_pattern() {
    let mut drill = Drill::of("*.log", Start::End, |_| ());
    for name in ["a.log", "b.log"] {
        drill.append(name, &line(0));
    }
    assert_eq!(drill.look().lines, [2, 0, 0, 0]);
    drill.append("b.log", &line(1));
    assert_eq!(drill.look().lines, [3, 0, 0, 0]);
}

#[test]
fn a_directory_that_is_away_for_a_while_loses_and_repeats_nothing() {
    for pattern in ["logs/access.log", "logs/*.log"] {
        let mut drill = Drill::of(pattern, Start::Beginning, |drill| {
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
fn a_hard_link_that_is_swapped_is_a_rotation() {
    let mut drill = Drill::new(Start::End, |drill| {
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
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", "")));
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

/// What an exporter leaves that is killed, and goes on by.
impl Drill {
    /// Looks, and writes down the state.
    fn save(&mut self) -> State {
        self.look();
        let path = self.path("state");
        Keeper::new(path.clone()).save(std::slice::from_ref(self.tail.as_ref().unwrap()), &self.book);
        State::load(&path).unwrap().unwrap()
    }

    /// Starts again from a state; all that was counted after it is forgotten.
    fn restart(&mut self, state: &State) {
        let place = self.tail.take().unwrap().place;
        self.book = book();
        state.restore(&mut self.book.lock());
        let saved = state.source("access.log").unwrap();
        self.tail = Some(Tail::resume(0, place, saved, &self.book, self.now));
    }
}

#[test]
fn a_restart_goes_on_where_the_state_was_taken() {
    let mut drill = Drill::new(Start::End, |drill| drop(drill.append("access.log", &line(9))));
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
        let mut drill = Drill::of(pattern, Start::Beginning, |drill| {
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
                Drill::of(pattern, Start::Beginning, |drill| drop(drill.append("access.log", &(line(0) + &line(1)))));
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
fn a_number_that_another_file_got_meanwhile_is_not_taken_for_the_log() {
    let mut drill = Drill::new(Start::Beginning, |drill| drop(drill.append("access.log", &line(0))));
    let state = drill.save();
    drill.tail = None; // nothing holds the number any more
    drill.tail = Some(Tail::new(0, Place::parse(drill.path("access.log").to_str().unwrap())));
    fs::remove_file(drill.path("access.log")).unwrap();
    drill.append("access.log", &(line(1) + &line(2))); // often the same number
    drill.restart(&state);
    drill.counted(&[0, 1, 2]);
}

#[test]
fn a_log_that_is_away_at_a_restart_goes_on_when_it_is_back() {
    let mut drill = Drill::new(Start::Beginning, |drill| drop(drill.append("access.log", &line(0))));
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
    let mut drill = Drill::of("*.log", Start::Beginning, |drill| {
        drill.append("a.log", &line(0));
        drill.append("b.log", &line(0));
    });
    let state = drill.save();
    fs::remove_file(drill.path("a.log")).unwrap();
    drill.append("b.log", &line(1));
    drill.restart(&state);
    assert_eq!(drill.look().lines, [3, 0, 0, 0]);
}

#[test]
fn read_to_its_end_a_log_has_no_line_that_waits() {
    let mut drill =
        Drill::new(Start::Beginning, |drill| drop(drill.append("access.log", &(line(0) + line(1).trim_end()))));
    drill.tail.take().unwrap().read_to_end(&drill.book, &mut [0; 64]);
    assert_eq!(drill.book.lock().logs[0].lines, [2, 0, 0, 0]);
}

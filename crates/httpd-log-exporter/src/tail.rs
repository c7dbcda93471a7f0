//! One log followed by identity, not by name: a file that was rotated away is read until it is quiet,
//! the one in its place from the beginning, at once.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use memchr::memrchr;

use crate::book::Shared;
use crate::log_file::{Identity, LogFile};
use crate::permission;
use crate::rotated;

/// How long a file that was rotated away must be quiet before it counts as finished. nginx and Apache
/// go on writing to it until they are told to reopen, and flush their buffers then.
const GRACE: Duration = Duration::from_secs(10);

/// How long logs are searched that came and went between two looks: while their names still change,
/// one search can miss them. It is shorter than the grace, so what was found is not found again.
const SEARCH: Duration = Duration::from_secs(1);

/// A log: a path, the file that was last found there, and files that were there before.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Its place in the book.
    index: usize,
    pub(crate) path: PathBuf,
    current: Option<LogFile>,
    draining: Vec<LogFile>,
    /// Where reading begins in the file that was there at the start, though it may not be open yet.
    start_at: Option<(Identity, u64)>,
    /// Whether there was a file before, so that another one is a rotation.
    found_before: bool,
    /// Whether there is no file at the path that can be opened.
    missing: bool,
    /// When the file that is current was last seen at the path.
    last_there: SystemTime,
    /// After a rotation: since when logs may have come and gone unseen, and how long they are searched.
    searched: Option<(SystemTime, Instant)>,
}

/// What a look at a log found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Whether something was read, or the file is another one.
    pub(crate) active: bool,
    /// Whether there is more to read at once.
    pub(crate) more: bool,
}

/// Where a log is read from that is there at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Start {
    /// Only what is written from now on
    End,
    /// What is there already, too
    Beginning,
}

impl Tail {
    /// Opens a log where it is to be read from. One that is not there is waited for, and read from
    /// its beginning when it appears.
    pub(crate) fn open(index: usize, path: PathBuf, start: Start, book: &Shared, now: Instant) -> Self {
        let present = std::fs::metadata(&path).ok().filter(|_| start == Start::End);
        let mut tail = Self {
            index,
            path,
            current: None,
            draining: Vec::new(),
            start_at: present.map(|metadata| (Identity::of(&metadata), metadata.len())),
            found_before: false,
            missing: false,
            last_there: SystemTime::now(),
            searched: None,
        };
        let fault = tail.look(book, now).err();
        let health = &mut book.lock().logs[index];
        (health.fault, health.is_file) = (fault, true);
        tail
    }

    /// Finds out which file is at the path, and reads what is new in all files of the log.
    pub(crate) fn pass(&mut self, book: &Shared, buffer: &mut [u8], now: Instant) -> Seen {
        let (changed, mut fault) = match self.look(book, now) {
            Ok(changed) => (changed, None),
            Err(fault) => (false, Some(fault)),
        };
        self.search(book, now);
        let mut seen = Seen { active: changed, more: false };
        let mut lag = 0;
        let index = self.index;
        let mut errors = Vec::new();
        for file in self.draining.iter_mut().chain(&mut self.current) {
            let progress = file.catch_up(now, buffer, |lines, bytes, left| {
                let mut book = book.lock();
                lines.feed(bytes, |line| book.line(index, line));
                book.note_time(index, last_line(bytes));
                book.logs[index].read_bytes += bytes.len() as u64;
                book.logs[index].lag = lag + left;
                book.came_by = Some(Instant::now());
            });
            match progress {
                Ok(progress) => {
                    seen.active |= progress.read > 0 || progress.truncated;
                    seen.more |= progress.read > 0 && progress.left > 0;
                    lag += progress.left;
                    if progress.truncated {
                        tracing::info!(path = %self.path.display(), "log truncated; reading it from its beginning");
                        book.lock().logs[index].truncations += 1;
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        for error in errors {
            fault = Some(self.read_error(book, &error));
        }
        self.close_quiet(book, now);
        let health = &mut book.lock().logs[index];
        health.lag = lag;
        health.fault = fault;
        seen
    }

    /// Reads all there is and closes: a last line without its end counts.
    pub(crate) fn read_to_end(mut self, book: &Shared, buffer: &mut [u8]) {
        while self.pass(book, buffer, Instant::now()).more {}
        for file in self.draining.drain(..).chain(self.current.take()) {
            file.finish(|line| book.lock().line(self.index, line));
        }
    }

    /// The identity of the file at the path.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.current.as_ref().map(|file| file.identity)
    }

    /// Opens the file at the path if it is another one; true if so. Otherwise the fault, if there is
    /// one: the file that was there is kept then.
    fn look(&mut self, book: &Shared, now: Instant) -> Result<bool, String> {
        let found = std::fs::metadata(&self.path).and_then(|metadata| {
            let known = self.identity() == Some(Identity::of(&metadata));
            if known { Ok(None) } else { self.open_at_path(now).map(Some) }
        });
        let looked = SystemTime::now();
        let was_missing = std::mem::replace(&mut self.missing, found.is_err());
        let file = match found {
            Ok(Some(file)) if self.identity() != Some(file.identity) => file,
            Ok(_) => {
                self.last_there = looked;
                return Ok(false);
            }
            Err(error) => {
                if let Some(file) = self.current.as_mut().filter(|_| !was_missing) {
                    file.wait_from(now);
                }
                if error.kind() != ErrorKind::NotFound {
                    book.lock().logs[self.index].open_errors += 1;
                }
                return Err(permission::explain(&self.path, &error, "open"));
            }
        };
        // one that was moved back is no new file
        let known = self.draining.iter().position(|draining| draining.identity == file.identity);
        let file = known.map_or(file, |at| self.draining.remove(at));
        if let Some(mut old) = self.current.replace(file) {
            old.wait_from(now);
            self.draining.push(old);
        }
        if std::mem::replace(&mut self.found_before, true) {
            tracing::info!(path = %self.path.display(), "log rotated");
            book.lock().logs[self.index].rotations += 1;
            let since = self.searched.map_or(self.last_there, |(since, _)| since);
            self.searched = Some((since, now + SEARCH));
        }
        self.last_there = looked;
        Ok(true)
    }

    /// Opens the file at the path where it is to be read from.
    fn open_at_path(&self, now: Instant) -> std::io::Result<LogFile> {
        let mut file = LogFile::open(&self.path, now)?;
        match self.start_at {
            Some((identity, size)) if identity == file.identity && !self.found_before => file.go_to(size)?,
            _ => {}
        }
        Ok(file)
    }

    /// Opens logs that came and went between two looks.
    fn search(&mut self, book: &Shared, now: Instant) {
        let Some((since, until)) = self.searched else { return };
        let tracked = self.draining.iter().chain(&self.current).map(|file| file.identity).collect::<Vec<_>>();
        let between = rotated::since(&self.path, since, &tracked, now);
        book.lock().logs[self.index].rotations += between.len() as u64;
        self.draining.extend(between);
        if now >= until {
            self.searched = None;
        }
    }

    /// Closes files that nobody writes to any more.
    fn close_quiet(&mut self, book: &Shared, now: Instant) {
        let quiet = |file: &LogFile| now.saturating_duration_since(file.quiet_since()) >= GRACE;
        // a deleted one would keep its place on the disk for as long as it is open
        let deleted = self.current.take_if(|file| self.missing && quiet(file) && file.is_deleted());
        for file in self.draining.extract_if(.., |file| quiet(file)).chain(deleted) {
            file.finish(|line| book.lock().line(self.index, line));
        }
    }

    fn read_error(&self, book: &Shared, error: &std::io::Error) -> String {
        book.lock().logs[self.index].read_errors += 1;
        permission::explain(&self.path, error, "read")
    }
}

/// The last line that ends in a piece of a log.
fn last_line(bytes: &[u8]) -> &[u8] {
    let whole = &bytes[..memrchr(b'\n', bytes).unwrap_or(0)];
    &whole[memrchr(b'\n', whole).map_or(0, |end| end + 1)..]
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::book::Book;
    use crate::counts::Counts;
    use crate::format::Format;
    use crate::health::Health;

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
            let folder = tempfile::tempdir().unwrap();
            let format: Format = "combined".parse().unwrap();
            let counts = Counts::new(&format, &[], Vec::new(), 0);
            let book = Shared::new(Book::new(format, counts, ["access.log".to_owned()]));
            let mut drill = Self { folder, book, tail: None, now: Instant::now() };
            prepare(&drill);
            drill.tail = Some(Tail::open(0, drill.path("access.log"), start, &drill.book, drill.now));
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
        assert!(drill.tail.as_ref().unwrap().draining.is_empty());
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
        for (number, name) in
            [(2, "access.log.1"), (3, "access.log-20261120"), (4, "access.log.2.gz"), (5, "access.log_2")]
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
        assert!(drill.tail.as_ref().unwrap().searched.is_none());
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
        assert!(drill.tail.as_ref().unwrap().identity().is_none(), "its place on the disk is free");
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
    fn read_to_its_end_a_log_has_no_line_that_waits() {
        let mut drill =
            Drill::new(Start::Beginning, |drill| drop(drill.append("access.log", &(line(0) + line(1).trim_end()))));
        drill.tail.take().unwrap().read_to_end(&drill.book, &mut [0; 64]);
        assert_eq!(drill.book.lock().logs[0].lines, [2, 0, 0, 0]);
    }
}

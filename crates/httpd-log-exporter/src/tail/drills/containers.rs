//! Logs of containers: parts of a line before and after a rotation or a restart.

use std::time::Duration;

use super::{Drill, line};
use crate::container::Stream;
use crate::tail::{GRACE, StartAt};

/// A line of CRI.
fn part(tag: char, stream: &str, text: &str) -> String {
    format!("2026-11-20T09:00:00.123456789Z {stream} {tag} {}\n", text.trim_end())
}

fn drill() -> Drill {
    let drill = Drill::of("0.log", StartAt::Beginning, |_| {});
    drill.registry.lock().container = Some(Stream::Stdout);
    drill
}

#[test]
fn a_line_is_joined_across_a_rotation_and_a_restart() {
    for restarts in 0..8 {
        let mut drill = drill();
        let (first, rest) = (line(1), line(2));
        let ((a, bc), (b, c)) = (rest.split_at(10), rest[10..].split_at(20));
        assert_eq!(bc.len(), b.len() + c.len());
        drill.append("0.log", &(part('F', "stdout", &first) + &part('P', "stdout", a)));
        drill.append("0.log", &part('F', "stderr", "error"));
        drill.counted(&[1]);
        if restarts & 1 > 0 {
            let state = drill.save();
            drill.restart(&state);
        }
        drill.rename("0.log", "0.log.20261120-090000");
        drill.append("0.log", "");
        drill.counted(&[1]);
        if restarts & 2 > 0 {
            let state = drill.save();
            drill.restart(&state);
        }
        // the end of the first line of the new file is missing
        drill.append("0.log", &part('P', "stdout", b)[..35]);
        drill.counted(&[1]);
        if restarts & 4 > 0 {
            let state = drill.save();
            drill.restart(&state);
        }
        drill.append("0.log", &part('P', "stdout", b)[35..]);
        drill.counted(&[1]);
        drill.append("0.log", &part('F', "stdout", c));
        drill.counted(&[1, 2]);
        drill.wait(GRACE + Duration::from_secs(1));
        let health = drill.counted(&[1, 2]);
        assert_eq!(health.lines, [2, 0, 0, 0, 1], "restarts {restarts}");
    }
}

#[test]
fn the_last_line_of_a_finished_file_counts_without_its_end() {
    let mut drill = drill();
    drill.append("0.log", &part('P', "stdout", &line(1)));
    drill.counted(&[]);
    std::fs::remove_file(drill.path("0.log")).unwrap();
    drill.look();
    drill.wait(GRACE + Duration::from_secs(1));
    drill.counted(&[1]);
}

//! `explain`: shows the fields of a log's lines as they are read, or where reading stopped, and which
//! preset would fit.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Arg, ArgMatches, Command};

use crate::field::Field;
use crate::format::{Format, Reader};
use crate::lines::{Line, Lines};
use crate::permission;
use crate::presets::PRESETS;

/// How much of a log is looked at.
const LOOKED_AT: u64 = 4 << 20;
/// How many of its lines.
const LINES: usize = 10_000;
/// How much of a line is shown.
const SHOWN: usize = 2000;

/// The subcommand, as clap knows it. The formats' flags are the program's own.
pub(crate) fn command() -> Command {
    let file = Arg::new("FILE")
        .required(true)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Log to look at; - is standard input");
    Command::new("explain")
        .about("Show the fields of a log's first lines as they are read, or where reading stopped")
        .arg(file)
}

/// Runs the subcommand; the status is 1 when lines do not have the format.
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let path = matches.get_one::<PathBuf>("FILE").ok_or_else(|| anyhow!("explain needs a file"))?;
    let format = matches.get_one::<Format>("regex").or(matches.get_one::<Format>("format"));
    let mut format = format.ok_or_else(|| anyhow!("explain needs a format"))?.clone();
    let text = begin(path)?;
    let mut lines = Vec::new();
    let mut splitter = Lines::default();
    let mut take = |line: Line<'_>| {
        if let Line::Whole(line) = line
            && lines.len() < LINES
        {
            lines.push(line.to_vec());
        }
    };
    splitter.feed(&text, &mut take);
    if (text.len() as u64) < LOOKED_AT {
        splitter.finish(take);
    }
    let (report, all) = report(&mut format, &lines);
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(report.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

/// The beginning of a log.
fn begin(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LOOKED_AT).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut text))
    };
    read.map_err(|error| anyhow!(permission::explain(path, &error, "read")))?;
    Ok(text)
}

/// What there is to say about lines, and whether all of them have the format.
pub(crate) fn report(format: &mut Format, lines: &[Vec<u8>]) -> (String, bool) {
    let mut report = String::new();
    let matched: Vec<bool> = lines.iter().map(|line| format.read(line).is_some()).collect();
    let count = matched.iter().filter(|matched| **matched).count();
    let _ = writeln!(report, "format {}: {count} of {} lines have it", format.name, lines.len());
    if let Some(at) = matched.iter().position(|matched| *matched) {
        let _ = writeln!(report, "\nline {}, as it is read:\n{}", at + 1, shown(&lines[at]));
        fields(format, &lines[at], &mut report);
    }
    let Some(at) = matched.iter().position(|matched| !*matched) else { return (report, true) };
    let _ = writeln!(report, "\nline {} does not have the format:", at + 1);
    caret(format, &lines[at], &mut report);
    let fits = PRESETS.iter().filter_map(|preset| {
        let mut other = Format::of_preset(preset.name, preset.definition).ok()?;
        let fitting = lines.iter().filter(|line| other.read(line).is_some()).count();
        Some((fitting, preset))
    });
    // of several that fit as well, the one that reads more of a line, or else the more common
    let fits: Vec<_> = fits.filter(|(fitting, _)| *fitting > count).collect();
    match fits.iter().rev().max_by_key(|(fitting, preset)| (*fitting, richness(preset.name))) {
        Some((fitting, preset)) => {
            let _ = writeln!(
                report,
                "\n--access-log.format={} would fit {fitting} of them ({})",
                preset.name, preset.about
            );
        }
        None => report.push_str("\nno preset would fit more of them\n"),
    }
    (report, false)
}

/// How many numbers a preset reads.
fn richness(name: &str) -> usize {
    let number = |field: &&Field| matches!(field, Field::Duration(_) | Field::Upstream(..) | Field::Received);
    name.parse::<Format>().map_or(0, |format| format.fields().iter().filter(number).count())
}

/// The fields of a line that has the format, each with its name and what it means.
fn fields(format: &mut Format, line: &[u8], report: &mut String) {
    let mut rows: Vec<(String, Field, &[u8])> = Vec::new();
    match &mut format.reader {
        Reader::Clf(_, steps) | Reader::Steps(steps) => {
            // of values that were taken to end later than they first could, the last counts
            let mut found: Vec<(usize, Field, &[u8])> = Vec::new();
            let _ = steps.walk(line, &mut |step, field, text| {
                found.retain(|(known, ..)| *known < step);
                found.push((step, field, text));
            });
            rows.extend(found.into_iter().map(|(step, field, text)| (steps.name(step).to_owned(), field, text)));
        }
        Reader::Json(json) => {
            let _ = json.walk(line, &mut |key, text| rows.push((key.path().to_owned(), key.field(), text)));
        }
        Reader::Pattern(pattern) => {
            let mut found = Vec::new();
            pattern.walk(line, |group, field, text| found.push((group, field, text)));
            rows.extend(found.into_iter().map(|(group, field, text)| (pattern.name(group).to_owned(), field, text)));
        }
    }
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default();
    for (name, field, text) in rows {
        let meaning = field.about();
        let _ = writeln!(report, "  {name:width$}  {meaning:27}  {}", shown(text));
    }
}

/// A line with a caret below where reading stopped, and what was expected there.
fn caret(format: &mut Format, line: &[u8], report: &mut String) {
    let stop = match &mut format.reader {
        Reader::Clf(_, steps) | Reader::Steps(steps) => {
            steps.walk(line, &mut |_, _, _| {}).err().map(|stop| (stop.at, steps.expected(&stop)))
        }
        Reader::Json(json) => {
            let stop = json.walk(line, &mut |_, _| {}).err().map(|stop| (stop.at, stop.expected.to_owned()));
            Some(stop.unwrap_or_else(|| (line.len(), "a status somewhere in the object".to_owned())))
        }
        Reader::Pattern(_) => None,
    };
    let begin = shown(line);
    let _ = writeln!(report, "{begin}");
    match stop {
        Some((at, expected)) if at <= SHOWN => {
            let _ = writeln!(report, "{:>1$} expected {expected}", "^", shown(&line[..at]).chars().count() + 1);
        }
        Some((at, expected)) => {
            let _ = writeln!(report, "at byte {at}: expected {expected}");
        }
        None => report.push_str("the regular expression does not match it\n"),
    }
}

/// What people can read of bytes.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(format: Result<Format, String>, lines: &[&str]) -> (String, bool) {
        report(&mut format.unwrap(), &lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    const LINE: &str = r#"192.0.2.7 - - [20/Nov/2026:09:26:10 +0000] "GET /x HTTP/1.1" 200 612 "-" "curl""#;

    #[test]
    fn the_fields_of_a_line_are_shown_as_they_are_read() {
        let (report, all) = explain("combined".parse(), &[LINE]);
        assert!(all && report.starts_with("format combined: 1 of 1 lines have it\n"), "{report}");
        for (name, meaning, text) in
            [("%r", "request", "GET /x HTTP/1.1"), ("%>s", "status", "200"), ("%b", "bytes sent", "612")]
        {
            let row = report.lines().find(|row| row.trim_start().starts_with(&format!("{name} "))).unwrap();
            assert!(row.contains(meaning) && row.ends_with(text), "{report}");
        }
    }

    #[test]
    fn a_caret_stands_where_reading_stopped_and_the_preset_that_fits_is_named() {
        let timed = format!("{LINE} 0.250");
        let (report, all) = explain(
            r#"$remote_addr - $remote_user [$time_local] "$request" $request_time $request_length $status"#.parse(),
            &[&timed],
        );
        assert!(!all, "{report}");
        let rows: Vec<_> = report.lines().collect();
        let at = rows.iter().position(|row| row.contains("^ expected")).unwrap();
        let column = rows[at].find('^').unwrap();
        assert_eq!(&rows[at - 1][column..column + 4], "\"-\" ", "{report}");
        assert!(rows[at].contains("expected $status"), "{report}");
        assert!(report.contains("--access-log.format=combined_time would fit 1 of them"), "{report}");
    }

    #[test]
    fn other_kinds_of_formats_are_explained_too() {
        let json = r#"{"status":200,"request":"GET / HTTP/1.1","request_time":0.1}"#;
        let (report, all) = explain("json".parse(), &[json]);
        assert!(all && report.contains("request_time") && report.contains("duration"), "{report}");
        let (report, _) = explain("json".parse(), &[r#"{"status":200"#, LINE]);
        assert!(report.contains("^ expected a comma or the end of the object"), "{report}");
        assert!(report.contains("--access-log.format=combined "), "{report}");
        let (report, _) = explain("combined".parse(), &[json]);
        assert!(report.contains("--access-log.format=json "), "{report}");
        let regex = Format::of_regex(r#""(?P<request>[^"]*)" (?P<status>\d+)"#);
        let (report, _) = explain(regex, &[LINE, "x"]);
        assert!(report.contains("GET /x HTTP/1.1") && report.contains("does not match"), "{report}");
    }
}

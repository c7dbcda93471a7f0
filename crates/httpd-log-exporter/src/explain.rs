//! `explain`: shows the fields of a log's lines as they are read, or where reading stopped, and which
//! preset would fit.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Arg, ArgMatches, Command};

use crate::format::field::Field;
use crate::format::presets::{PRESETS, Preset};
use crate::format::request::{Method, Number};
use crate::format::{Format, LineParser};
use crate::lines::{Line, LineSplitter};
use crate::permission;

/// How much of a log is looked at.
const LOOKED_AT: u64 = 4 << 20;
/// How many of its lines.
const LINES: usize = 10_000;
/// A duration in nanoseconds that hardly any request has.
const LONG: u64 = 300_000_000_000;
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
    let mut splitter = LineSplitter::default();
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
    let mine = Found::of(format, lines);
    let presets = PRESETS.iter().filter_map(|preset| {
        let mut other = Format::of_preset(preset.name, preset.definition).ok()?;
        Some((Found::of(&mut other, lines), preset))
    });
    let Some(at) = matched.iter().position(|matched| !*matched) else {
        // a line may have the format and say more than that reads; numbers of others may be taken for anything
        let more = presets.filter(|(found, _)| found.lines >= count && found.names() > mine.names());
        if let Some((found, preset)) = best(more) {
            let what = if found.vhosts > mine.vhosts { "vhost" } else { "method" };
            let _ = writeln!(
                report,
                "\n--access-log.format={} would read their {what}, too ({})",
                preset.name, preset.about
            );
        }
        return (report, true);
    };
    let _ = writeln!(report, "\nline {} does not have the format:", at + 1);
    caret(format, &lines[at], &mut report);
    match best(presets.filter(|(found, _)| found.lines > count)) {
        Some((found, preset)) => {
            let _ = writeln!(
                report,
                "\n--access-log.format={} would fit {} of them ({})",
                preset.name, found.lines, preset.about
            );
        }
        None => report.push_str("\nno preset would fit more of them\n"),
    }
    (report, false)
}

/// What a format finds in lines, the most important first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    lines: usize,
    methods: usize,
    vhosts: usize,
    /// Without the lines in which something else is in the place of one.
    numbers: usize,
    /// Where in the first line its last field ends: what follows is skipped over.
    end: usize,
}

impl Found {
    fn of(format: &mut Format, lines: &[Vec<u8>]) -> Self {
        let mut found = Self::default();
        if let Some(line) = lines.iter().find(|line| format.read(line).is_some()) {
            let ends = rows(format, line).into_iter().map(|(_, _, text)| text.as_ptr().addr() + text.len());
            found.end = ends.max().map_or(0, |end| end.saturating_sub(line.as_ptr().addr()));
        }
        for line in lines {
            let Some((request, details)) = format.read(line) else { continue };
            // hardly any request takes that long: it is another number, or has another unit
            let is_long = matches!(request.duration, Number::Value(time) if time >= LONG);
            let duration = if is_long { Number::Absent } else { request.duration };
            let numbers = [request.bytes, duration, details.received].into_iter().chain(details.upstream);
            found.lines += 1;
            found.methods += usize::from(request.method != Method::OTHER);
            found.vhosts += usize::from(details.vhost.is_some_and(is_host));
            if numbers.clone().all(|number| number != Number::Wrong) {
                found.numbers += numbers.filter(|number| matches!(number, Number::Value(_))).count();
            }
        }
        found
    }

    fn names(self) -> usize {
        self.methods + self.vhosts
    }
}

/// The preset that finds most; of several the more common.
fn best<'a>(presets: impl Iterator<Item = (Found, &'a Preset)>) -> Option<(Found, &'a Preset)> {
    presets.fold(None, |best, other| match best {
        Some((found, _)) if found >= other.0 => best,
        _ => Some(other),
    })
}

/// Whether a text is a host's name, and no address of a client.
fn is_host(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte))
}

/// The fields of a line that has the format, each with its name and what it means.
fn fields(format: &mut Format, line: &[u8], report: &mut String) {
    let rows = rows(format, line);
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default();
    for (name, field, text) in rows {
        let meaning = field.about();
        let _ = writeln!(report, "  {name:width$}  {meaning:27}  {}", shown(text));
    }
}

/// The fields of a line with their names.
fn rows<'a>(format: &mut Format, line: &'a [u8]) -> Vec<(String, Field, &'a [u8])> {
    let mut rows: Vec<(String, Field, &[u8])> = Vec::new();
    match &mut format.reader {
        LineParser::Clf(_, steps) | LineParser::TemplateMatcher(steps) => {
            // of values that were taken to end later than they first could, the last counts
            let mut found: Vec<(usize, Field, &[u8])> = Vec::new();
            let _ = steps.walk(line, &mut |step, field, text| {
                found.retain(|(known, ..)| *known < step);
                found.push((step, field, text));
            });
            rows.extend(found.into_iter().map(|(step, field, text)| (steps.name(step).to_owned(), field, text)));
        }
        LineParser::Json(json) => {
            let _ = json.walk(line, &mut |key, text| rows.push((key.path().to_owned(), key.field(), text)));
        }
        LineParser::RegexFormat(pattern) => {
            let mut found = Vec::new();
            pattern.walk(line, |group, field, text| found.push((group, field, text)));
            rows.extend(found.into_iter().map(|(group, field, text)| (pattern.name(group).to_owned(), field, text)));
        }
    }
    rows
}

/// A line with a caret below where reading stopped, and what was expected there.
fn caret(format: &mut Format, line: &[u8], report: &mut String) {
    let stop = match &mut format.reader {
        LineParser::Clf(_, steps) | LineParser::TemplateMatcher(steps) => {
            steps.walk(line, &mut |_, _, _| {}).err().map(|stop| (stop.at, steps.expected(&stop)))
        }
        LineParser::Json(json) => {
            let stop = json.walk(line, &mut |_, _| {}).err().map(|stop| (stop.at, stop.expected.to_owned()));
            Some(stop.unwrap_or_else(|| (line.len(), "a status somewhere in the object".to_owned())))
        }
        LineParser::RegexFormat(_) => None,
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

    #[test]
    fn a_preset_is_recommended_by_what_it_finds_in_the_lines() {
        let mut wrong = Vec::new();
        for case in include_str!("../tests/lines/presets.txt").lines() {
            let mut parts = case.splitn(3, '\t');
            let (name, line) = (parts.next().unwrap(), parts.nth(1).unwrap());
            let name = crate::format::presets::preset(name).unwrap().name;
            let (report, _) = explain(Format::of_regex("^(?P<status>[0-9])(?P<method>x)$"), &[line]);
            if !report.contains(&format!("--access-log.format={name} would fit 1")) {
                wrong.push((name, report));
            }
        }
        assert_eq!(wrong, []);
    }

    #[test]
    fn what_a_format_leaves_out_that_another_reads_is_told() {
        let caddy = r#"{"ts":1795166770.0431,"request":{"method":"GET","host":"localhost","uri":"/"},"duration":0.1,"size":0,"status":308}"#;
        let (report, all) = explain("json".parse(), &[caddy]);
        assert!(all && report.contains("--access-log.format=caddy would read their"), "{report}");
        let (report, _) = explain("combined".parse(), &[caddy]);
        assert!(report.contains("--access-log.format=caddy would fit 1"), "{report}");
        let (report, all) = explain("combined".parse(), &[&format!("www.example.com:443 {LINE}")]);
        assert!(all && report.contains("--access-log.format=vhost_combined would read their vhost, too"), "{report}");
        for line in [LINE, &format!("2001:db8::1, {LINE}"), &format!("{LINE} 345 311")] {
            let (report, all) = explain("combined".parse(), &[line]);
            assert!(all && !report.contains("--access-log.format"), "{report}");
        }
    }
}

//! The subcommand `explain`: shows the fields and series of a log's lines, or the first mismatch, and recommends a preset.

mod counted;
mod line_fields;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Arg, ArgMatches, Command, FromArgMatches};

use self::line_fields::{MAX_SHOWN, printable, rows};
use crate::compression;
use crate::container::{self, Parts, Stream};
use crate::format::field::{Field, RequestBuilder};
use crate::format::presets::{PRESETS, Preset};
use crate::format::request::{Method, Number};
use crate::format::{Format, LineParser};
use crate::lines::{Line, LineSplitter};
use crate::metrics::counts::RequestCounts;
use crate::metrics::line_rules::LineRules;
use crate::metrics::registry::Registry;
use crate::permission;
use crate::rule_flags::RuleFlags;

/// How many bytes of a log are read.
const MAX_BYTES: u64 = 4 << 20;
/// How many lines of a log are read.
const MAX_LINES: usize = 10_000;
/// An implausibly long duration in nanoseconds.
const LONG_DURATION: u64 = 300_000_000_000;

/// The definition of the subcommand. The format flags are global flags of the program.
pub(crate) fn command() -> Command {
    let file = Arg::new("FILE")
        .required(true)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Log to read, also compressed with gzip; - is standard input");
    Command::new("explain")
        .about("Show the fields of a log's first lines, or the first mismatch and the preset that matches")
        .after_help(
            "Exit status:\n  0\n      Every line matches the format\n  1\n      A line does not match, or the log has no line or is unreadable",
        )
        .arg(file)
}

/// Runs the subcommand. The exit status is 1 if any line does not match the format.
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let path = matches.get_one::<PathBuf>("FILE").ok_or_else(|| anyhow!("missing FILE"))?;
    let format = matches.get_one::<Format>("regex").or(matches.get_one::<Format>("format"));
    let mut format = format.ok_or_else(|| anyhow!("missing format"))?.clone();
    let container = matches.get_one::<Stream>("container").copied();
    let (lines, other_lines) = lines(&read_start(path)?, container);
    if lines.is_empty() {
        write(&nothing_read(container, other_lines))?;
        return Ok(ExitCode::FAILURE);
    }
    let (report, all_match) = report(&mut format, &lines);
    write(&report)?; // also if a flag is wrong
    write(&counted(&mut format, matches, path, &lines)?)?;
    Ok(if all_match { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes to standard output, which may be closed before its end.
fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Why no line was read.
fn nothing_read(container: Option<Stream>, other_lines: usize) -> String {
    match container.and_then(Stream::other) {
        Some(other) if other_lines > 0 => {
            let is_or_are = if other_lines == 1 { "line is" } else { "lines are" };
            format!("{other_lines} {is_or_are} of the other stream: use --access-log.container={}\n", other.name())
        }
        _ => "no line to explain: the log is empty, or its lines are too long\n".to_owned(),
    }
}

/// What the lines that match count with the flags, and other fields that can be labels.
fn counted(format: &mut Format, matches: &ArgMatches, path: &Path, lines: &[Vec<u8>]) -> Result<String> {
    let numbered = lines.iter().enumerate().map(|(at, line)| (at + 1, line.as_slice()));
    format.set_header(None);
    let lines: Vec<_> = numbered.filter(|(_, line)| format.directive(line) || format.matches(line)).collect();
    let rules = RuleFlags::from_arg_matches(matches)?.rules()?;
    let new = || {
        let (format, line_rules) = LineRules::of(format.clone(), &rules)?;
        let counts = RequestCounts::of_rules(&format, &[], rules.clone(), usize::MAX);
        let mut registry = Registry::new(format, counts, [String::new()]);
        registry.rules = line_rules;
        registry.set_log([path]);
        Ok::<_, anyhow::Error>(registry)
    };
    let report = counted::report([new()?, new()?], &lines);
    Ok(report + &counted::proposals(format, &lines))
}

/// The first lines of a log, or of a stream of a container, and the number of lines of the other stream.
fn lines(text: &[u8], container: Option<Stream>) -> (Vec<Vec<u8>>, usize) {
    let (mut lines, mut other_lines) = (Vec::new(), 0);
    let (mut parts, mut splitter) = (Parts::default(), LineSplitter::default());
    let mut take = |line: Line<'_>| match line {
        Line::Whole(line) if lines.len() < MAX_LINES => lines.push(line.to_vec()),
        Line::OtherStream => other_lines += 1,
        _ => {}
    };
    let mut unwrap = |line: Line<'_>| match container {
        None => take(line),
        Some(stream) => parts.add(line, stream, &mut take),
    };
    splitter.feed(text, &mut unwrap);
    if (text.len() as u64) < MAX_BYTES {
        splitter.finish(unwrap);
        parts.finish(take);
    }
    (lines, other_lines)
}

/// Reads the start of a log, which may be compressed.
fn read_start(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let plain = if path == Path::new("-") {
        compression::plain(std::io::stdin().lock())
    } else {
        open(path).and_then(compression::plain)
    };
    let read = plain.and_then(|log| log.take(MAX_BYTES).read_to_end(&mut text));
    read.map_err(|error| anyhow!(permission::explain(path, &error, "read")))?;
    Ok(text)
}

/// Opens a log, which may be a FIFO or a device. Logs that a FIFO is read, since that can take until its writer starts.
fn open(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path)?.file_type().is_fifo() {
        tracing::info!(path = %path.display(), "reading the FIFO until its writers close it");
    }
    File::open(path)
}

/// The report about lines, and whether all of them match the format.
pub(crate) fn report(format: &mut Format, lines: &[Vec<u8>]) -> (String, bool) {
    let mut report = String::new();
    // whether each line matches; lines that describe others do neither
    let matched: Vec<Option<bool>> =
        lines.iter().map(|line| if format.directive(line) { None } else { Some(format.matches(line)) }).collect();
    let count = matched.iter().filter(|matched| **matched == Some(true)).count();
    let total = matched.iter().flatten().count();
    let _ = writeln!(report, "format {}: {count} of {total} lines match", format.name);
    if let Some(stream) = lines.first().and_then(|line| container::stream(line)) {
        let name = stream.name();
        let _ = writeln!(report, "\nthese are lines of a container: --access-log.container={name} unwraps them");
    }
    if let Some(at) = matched.iter().position(|matched| *matched == Some(true)) {
        describe(format, &lines[..at]);
        let _ = writeln!(report, "\nfields of line {}:\n{}", at + 1, printable(&lines[at]));
        fields(format, &lines[at], &mut report);
        let rest = additional_fields(format, &lines[at]);
        if !rest.is_empty() {
            let _ = writeln!(report, "not read by this format: {}", printable(rest));
        }
    }
    let current = Matches::of(format, lines);
    let presets = PRESETS.iter().filter_map(|preset| {
        let mut other = Format::from_preset(preset.name, preset.definition).ok()?;
        Some((Matches::of(&mut other, lines), preset))
    });
    let Some(at) = matched.iter().position(|matched| *matched == Some(false)) else {
        // Another preset may read more fields of the same lines. Whole numbers do not count, as any can match another.
        let reads_more =
            |found: &Matches| found.names() > current.names() || found.has_fraction && !current.has_fraction;
        if let Some((found, preset)) = best(presets.filter(|(found, _)| found.lines >= count && reads_more(found))) {
            let what = match found {
                _ if found.vhosts > current.vhosts => "vhost",
                _ if found.methods > current.methods => "method",
                _ => "duration",
            };
            let _ = writeln!(
                report,
                "\n--access-log.format={} would also read their {what} ({})",
                preset.name, preset.about
            );
        }
        return (report, count > 0);
    };
    describe(format, &lines[..at]);
    let _ = writeln!(report, "\nline {} does not match the format:", at + 1);
    caret(format, &lines[at], &mut report);
    match best(presets.filter(|(found, _)| found.lines > count)) {
        Some((found, preset)) => {
            let _ = writeln!(
                report,
                "\n--access-log.format={} would match {} of them ({})",
                preset.name, found.lines, preset.about
            );
        }
        None => report.push_str("\nno preset matches more of them\n"),
    }
    (report, false)
}

/// Reads the lines that describe the lines after them.
fn describe(format: &mut Format, lines: &[Vec<u8>]) {
    format.set_header(None);
    for line in lines {
        format.directive(line);
    }
}

/// What a format reads from lines, in the order in which presets are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Matches {
    lines: usize,
    methods: usize,
    vhosts: usize,
    /// Not counting lines in which a numeric field has other text.
    numbers: usize,
    /// The offset at which the last field of the first line ends; the rest is ignored.
    end: usize,
    /// Whether the duration of the first line is a decimal fraction, unlike sizes and counts.
    has_fraction: bool,
}

impl Matches {
    fn of(format: &mut Format, lines: &[Vec<u8>]) -> Self {
        let mut found = Self::default();
        format.set_header(None);
        if let Some(line) = lines.iter().find(|line| !format.directive(line) && format.matches(line)) {
            let rows = rows(format, line);
            let ends = rows.iter().map(|(_, _, text)| text.as_ptr().addr() + text.len());
            found.end = ends.max().map_or(0, |end| end.saturating_sub(line.as_ptr().addr()));
            found.has_fraction = rows.iter().any(|(_, field, text)| {
                let number = str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok());
                matches!(field, Field::Duration(_)) && number && text.contains(&b'.')
            });
        }
        format.set_header(None);
        for line in lines {
            let mut builder = RequestBuilder::NEW;
            if format.directive(line) {
                continue;
            }
            let Some((request, details)) = format.read(line, &mut builder) else { continue };
            // an implausible duration is another number, or has another unit
            let is_long = matches!(request.duration, Number::Value(time) if time >= LONG_DURATION);
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

/// The preset that reads most; of equal ones the first, as they are ordered by popularity.
fn best<'a>(presets: impl Iterator<Item = (Matches, &'a Preset)>) -> Option<(Matches, &'a Preset)> {
    presets.fold(None, |best, other| match best {
        Some((found, _)) if found >= other.0 => best,
        _ => Some(other),
    })
}

/// Whether a text is a host name and not an IP address.
fn is_host(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte))
}

/// Appends the fields of a matching line, each with its name and meaning.
fn fields(format: &mut Format, line: &[u8], report: &mut String) {
    let rows = rows(format, line);
    let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default();
    for (name, field, text) in rows {
        let meaning = field.description();
        let _ = writeln!(report, "  {name:width$}  {meaning:27}  {}", printable(text));
    }
}

/// The fields at the end of a line that the format ignores.
fn additional_fields<'a>(format: &Format, line: &'a [u8]) -> &'a [u8] {
    match &format.parser {
        LineParser::Clf(_, matcher) | LineParser::Template(matcher) => {
            matcher.walk(line, &mut |_, _, _| {}).map_or(&[][..], |end| line[end..].trim_ascii())
        }
        LineParser::Json(_) | LineParser::Regex(_) | LineParser::W3c(_) => &[],
    }
}

/// Appends a line with a caret below the mismatch, and the expected text.
fn caret(format: &mut Format, line: &[u8], report: &mut String) {
    let mismatch = match &mut format.parser {
        LineParser::Clf(_, matcher) | LineParser::Template(matcher) => {
            matcher.walk(line, &mut |_, _, _| {}).err().map(|mismatch| (mismatch.at, matcher.expected(&mismatch)))
        }
        LineParser::Json(json) => {
            let mismatch =
                json.walk(line, &mut |_, _| {}).err().map(|mismatch| (mismatch.at, mismatch.expected.to_owned()));
            Some(mismatch.unwrap_or_else(|| (line.len(), "a status in the object".to_owned())))
        }
        LineParser::W3c(w3c) => w3c
            .walk(line, &mut |_, _| {})
            .err()
            .map(|mismatch| (mismatch.at, mismatch.expected))
            .or_else(|| Some((0, "a status in the column sc-status".to_owned()))),
        LineParser::Regex(_) => None,
    };
    let begin = printable(line);
    let _ = writeln!(report, "{begin}");
    match mismatch {
        Some((at, expected)) if at <= MAX_SHOWN => {
            let _ = writeln!(report, "{:>1$} expected {expected}", "^", printable(&line[..at]).chars().count() + 1);
        }
        Some((at, expected)) => {
            let _ = writeln!(report, "at byte {at}: expected {expected}");
        }
        None => report.push_str("the regular expression does not match this line\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(format: Result<Format, String>, lines: &[&str]) -> (String, bool) {
        report(&mut format.unwrap(), &lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    const LINE: &str = r#"192.0.2.7 - - [20/Nov/2026:09:26:10 +0000] "GET /x HTTP/1.1" 200 612 "-" "curl""#;

    #[test]
    fn the_fields_of_a_line_are_shown() {
        let (report, all) = explain("combined".parse(), &[LINE]);
        assert!(all && report.starts_with("format combined: 1 of 1 lines match\n"), "{report}");
        for (name, meaning, text) in
            [("%r", "request", "GET /x HTTP/1.1"), ("%>s", "status", "200"), ("%b", "bytes sent", "612")]
        {
            let row = report.lines().find(|row| row.trim_start().starts_with(&format!("{name} "))).unwrap();
            assert!(row.contains(meaning) && row.ends_with(text), "{report}");
        }
    }

    #[test]
    fn a_caret_marks_the_mismatch_and_the_matching_preset_is_named() {
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
        assert!(report.contains("--access-log.format=combined_time would match 1 of them"), "{report}");
    }

    #[test]
    fn json_and_regular_expressions_are_explained() {
        let json = r#"{"status":200,"request":"GET / HTTP/1.1","request_time":0.1}"#;
        let (report, all) = explain("json".parse(), &[json]);
        assert!(all && report.contains("request_time") && report.contains("duration"), "{report}");
        let (report, _) = explain("json".parse(), &[r#"{"status":200"#, LINE]);
        assert!(report.contains("^ expected a comma or the end of the object"), "{report}");
        assert!(report.contains("--access-log.format=combined "), "{report}");
        let (report, _) = explain("combined".parse(), &[json]);
        assert!(report.contains("--access-log.format=json "), "{report}");
        let regex = Format::from_regex(r#""(?P<request>[^"]*)" (?P<status>\d+)"#);
        let (report, _) = explain(regex, &[LINE, "x"]);
        assert!(report.contains("GET /x HTTP/1.1") && report.contains("does not match"), "{report}");
    }

    #[test]
    fn the_preset_that_reads_most_from_the_lines_is_recommended() {
        let mut wrong = Vec::new();
        for case in include_str!("../../tests/lines/presets.txt").lines() {
            let mut parts = case.splitn(3, '\t');
            let (name, line) = (parts.next().unwrap(), parts.nth(1).unwrap());
            let name = crate::format::presets::preset(name).unwrap().name;
            let (report, _) = explain(Format::from_regex("^(?P<status>[0-9])(?P<method>x)$"), &[line]);
            if !report.contains(&format!("--access-log.format={name} would match 1")) {
                wrong.push((name, report));
            }
        }
        assert_eq!(wrong, []);
    }

    #[test]
    fn a_preset_that_reads_more_fields_is_recommended() {
        let caddy = r#"{"ts":1795166770.0431,"request":{"method":"GET","host":"localhost","uri":"/"},"duration":0.1,"size":0,"status":308}"#;
        let (report, all) = explain("json".parse(), &[caddy]);
        assert!(all && report.contains("--access-log.format=caddy would also read their"), "{report}");
        let (report, _) = explain("combined".parse(), &[caddy]);
        assert!(report.contains("--access-log.format=caddy would match 1"), "{report}");
        let (report, all) = explain("combined".parse(), &[&format!("www.example.com:443 {LINE}")]);
        assert!(all && report.contains("--access-log.format=vhost_combined would also read their vhost"), "{report}");
        let (report, all) = explain("combined".parse(), &[&format!("{LINE} 0.250")]);
        let advice = "--access-log.format=combined_time would also read their duration";
        assert!(all && report.contains(advice) && report.contains("not read by this format: 0.250\n"), "{report}");
        let (report, all) = explain("combined_time".parse(), &[&format!("{LINE} 0.250 \"-\" 77")]);
        assert!(all && !report.contains("--access-log.format"), "{report}");
        assert!(report.contains("not read by this format: \"-\" 77\n"), "{report}");
        for line in [LINE, &format!("2001:db8::1, {LINE}"), &format!("{LINE} 345 311")] {
            let (report, all) = explain("combined".parse(), &[line]);
            assert!(all && !report.contains("--access-log.format"), "{report}");
        }
    }
}

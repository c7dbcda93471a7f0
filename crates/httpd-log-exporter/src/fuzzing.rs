//! The parsers that read what servers, clients and people write, for the fuzz targets. Built by `cargo fuzz` only.
#![expect(clippy::missing_panics_doc, reason = "not part of the library")]

use crate::clf;
use crate::clf_regex::Expected;
use crate::format::Format;
use crate::lines::{Line, Lines};
use crate::place::Place;
use crate::{syslog, time};

/// Lines of the common log format, beside regular expressions that say the same.
pub fn clf(line: &[u8]) {
    thread_local!(static EXPECTED: Expected = Expected::new());
    EXPECTED.with(|expected| {
        assert_eq!(clf::combined(line), expected.combined(line));
        assert_eq!(clf::combined_time(line), expected.combined_time(line));
    });
    let _ = clf::common(line);
}

/// A format on one line, and then lines that it reads.
pub fn format(text: &[u8]) {
    let mut lines = text.split(|&byte| byte == b'\n');
    let Some(Ok(format)) = lines.next().map(std::str::from_utf8) else { return };
    let Ok(mut format) = format.parse::<Format>() else { return };
    for line in lines {
        let _ = format.read(line);
        let _ = format.time(line).and_then(time::epoch_seconds);
    }
}

/// Lines in every preset.
pub fn presets(line: &[u8]) {
    thread_local!(static FORMATS: std::cell::RefCell<Vec<Format>> = std::cell::RefCell::new(
        crate::presets::PRESETS.iter().filter_map(|preset| preset.name.parse().ok()).collect()
    ));
    FORMATS.with_borrow_mut(|formats| {
        for format in formats {
            let _ = format.read(line);
            let _ = format.time(line).and_then(time::epoch_seconds);
        }
    });
}

/// Messages of syslog, patterns of paths, and lines cut anywhere.
pub fn sources(text: &[u8]) {
    let _ = syslog::line(text);
    if let Ok(pattern) = std::str::from_utf8(text)
        && !pattern.starts_with('/')
        && !pattern.contains("..")
    {
        let _ = Place::Glob(pattern.into()).list();
    }
    let read = |pieces: &[&[u8]]| {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        let mut each = |line: Line<'_>| {
            if let Line::Whole(line) = line {
                seen.push(line.to_vec());
            }
        };
        for piece in pieces {
            lines.feed(piece, &mut each);
        }
        lines.finish(each);
        seen
    };
    let (a, b) = text.split_at(text.len() / 2);
    assert_eq!(read(&[text]), read(&[a, b]));
}

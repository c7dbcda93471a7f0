//! Entry points of the fuzz targets: one function for each parser of untrusted input. Built only by `.ci/fuzz`.
#![expect(clippy::missing_panics_doc, reason = "not part of the library")]

use std::path::Path;
use std::time::Instant;

use crate::container::{self, Parts, Stream};
use crate::explain;
use crate::format::Format;
use crate::format::clf;
use crate::format::clf_regex::ClfRegexes;
use crate::format::field::RequestBuilder;
use crate::input::{syslog, syslog_tcp};
use crate::lines::{Line, LineSplitter};
use crate::metrics::counts::RequestCounts;
use crate::metrics::drop_rule::DropRule;
use crate::metrics::families::families;
use crate::metrics::label::Label;
use crate::metrics::line_rules::LineRules;
use crate::metrics::registry::{Registry, SharedRegistry};
use crate::metrics::route::Route;
use crate::metrics::rules::Rules;
use crate::metrics::rules_file;
use crate::nginxlog::{Namespaces, NginxlogConfig};
use crate::state::SavedState;
use crate::tail::Tail;
use crate::tail::log_file::LogFile;
use crate::tail::log_paths::LogPaths;

/// Compares the parsers of common log formats with regular expressions.
pub fn clf(line: &[u8]) {
    thread_local!(static EXPECTED: (ClfRegexes, std::cell::RefCell<Option<Format>>) = (
        ClfRegexes::new(),
        std::cell::RefCell::new("combined_us".parse().ok()),
    ));
    EXPECTED.with(|(expected, microseconds)| {
        assert_eq!(clf::common(line), expected.common(line));
        assert_eq!(clf::combined(line), expected.combined(line));
        assert_eq!(clf::combined_time(line), expected.combined_time(line));
        if let Some(format) = microseconds.borrow_mut().as_mut() {
            let mut builder = RequestBuilder::NEW;
            let read = format.read(line, &mut builder).map(|(request, _)| *request);
            assert_eq!(read, expected.combined_us(line));
        }
    });
}

/// Parses the first line as a format, then parses, counts and explains the other lines.
pub fn format(text: &[u8]) {
    let mut lines = text.split(|&byte| byte == b'\n');
    let Some(Ok(text)) = lines.next().map(std::str::from_utf8) else { return };
    let format = text.strip_prefix('~').map_or_else(|| text.parse::<Format>(), Format::from_regex);
    let Ok(mut format) = format else { return };
    let lines: Vec<Vec<u8>> = lines.map(<[u8]>::to_vec).collect();
    let mut registry = registry(format.clone());
    for line in &lines {
        registry.count_or_describe(0, Line::Whole(line));
        registry.record_time(0, line);
    }
    let _ = families(&registry);
    if lines.iter().map(Vec::len).sum::<usize>().is_multiple_of(16) {
        let _ = explain::report(&mut format, &lines); // slow, because it compiles every preset
    }
}

/// Parses the first line as a label and as a route, and counts the other lines with them.
pub fn labels(text: &[u8]) {
    let mut lines = text.split(|&byte| byte == b'\n');
    let Some(Ok(flag)) = lines.next().map(std::str::from_utf8) else { return };
    let label = match flag.parse::<Label>() {
        Ok(label) => label,
        Err(error) => return assert!(!error.contains('\n'), "{error}"),
    };
    let captured = [label.field.clone()];
    let captured = captured.each_ref().map(String::as_str);
    let Some(format) = "json".parse::<Format>().ok().and_then(|format| format.with_captured(&captured).ok()) else {
        return;
    };
    let routes = flag.parse::<Route>().into_iter().chain(flag[label.name.len() + 1..].parse()).collect();
    let counts = RequestCounts::new(&format, &[0.1, 1.0], routes, 100).with_labels(vec!["label"]);
    let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
    let drop = flag[label.name.len() + 1..].parse::<DropRule>();
    let rules = Rules { labels: vec![label], drops: drop.into_iter().collect(), ..Rules::default() };
    registry.rules = Some(LineRules::new(&rules, &captured));
    lines.for_each(|line| registry.count_line(0, Line::Whole(line)));
    let requests: u64 = registry.counts.series().map(|series| series.cell.requests).sum();
    assert_eq!(requests, registry.logs[0].lines[0] + registry.logs[0].lines[3]);
    let written = serde_json::to_vec(&SavedState::of(&[], &registry)).expect("the state is serializable");
    SavedState::parse(&written).unwrap_or_else(|error| panic!("{error:#}: {}", String::from_utf8_lossy(&written)));
    let _ = families(&registry);
}

/// Parses a file of rules: it is either rejected in one line, or lines are counted with its rules.
pub fn rules(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let rules = match rules_file::parse(text) {
        Ok(rules) => rules,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let Ok(format) = "json".parse::<Format>() else { return };
    let (format, line_rules) = match LineRules::of(format, &rules) {
        Ok(found) => found,
        Err(error) => return assert!(!format!("{error:#}").contains('\n'), "{error:#}"),
    };
    let counts = RequestCounts::of_rules(&format, &[0.1, 1.0], rules, 100);
    let mut registry = Registry::new(format, counts, ["access.log".to_owned()]);
    registry.rules = line_rules;
    for value in ["1", "1.5e3", "-", "x"] {
        let line = format!("{{\"status\":200,\"method\":\"GET\",\"path\":\"/x\",\"x\":\"{value}\",\"x_ms\":{value}}}");
        registry.count_line(0, Line::Whole(line.as_bytes()));
    }
    let _ = families(&registry);
    let written = serde_json::to_vec(&SavedState::of(&[], &registry)).expect("the state is serializable");
    SavedState::parse(&written).unwrap_or_else(|error| panic!("{error:#}: {}", String::from_utf8_lossy(&written)));
}

/// Parses a text up to a form feed as a configuration in both syntaxes, and counts the lines after it in the first log.
pub fn nginxlog(text: &[u8]) {
    const MAX_SERIES: usize = 200;
    let (config, lines) = text.split_at(text.iter().position(|&byte| byte == b'\x0c').unwrap_or(text.len()));
    let Ok(config) = std::str::from_utf8(config) else { return };
    for is_hcl in [true, false] {
        let config = match NginxlogConfig::parse(config, is_hcl) {
            Ok(config) => config,
            Err(error) => {
                assert!(!error.contains('\n'), "{error}");
                continue;
            }
        };
        let Ok(namespaces) = Namespaces::new(&config, MAX_SERIES) else { continue };
        let mut registry = Registry::of_namespaces(namespaces, config.sources()).expect("the registry has a format");
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            registry.count_message(0, Line::Whole(line), b"nginx");
        }
        let families = families(&registry);
        assert!(families.iter().all(|family| family.check().is_ok()));
        let written = serde_json::to_vec(&SavedState::of(&[], &registry)).expect("the state is serializable");
        let saved = SavedState::parse(&written).unwrap_or_else(|error| panic!("{error:#}"));
        let namespaces = Namespaces::new(&config, MAX_SERIES).expect("it was created before");
        let mut restored = Registry::of_namespaces(namespaces, config.sources()).expect("the registry has a format");
        saved.restore(&mut restored);
        assert_eq!(
            restored.namespaces.as_ref().map(Namespaces::requests),
            registry.namespaces.as_ref().map(Namespaces::requests)
        );
    }
}

/// Unwraps lines of containers: it does not depend on the stream that is read which lines a stream has.
pub fn container(text: &[u8]) {
    let read = |stream: Stream| {
        let (mut parts, mut seen) = (Parts::default(), Vec::new());
        for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let _ = container::time(line);
            parts.add(Line::Whole(line), stream, |line| {
                if let Line::Whole(line) = line {
                    assert!(!line.is_empty());
                    seen.push(line.to_vec());
                }
            });
        }
        parts.finish(|_| {});
        assert!(parts.is_empty());
        seen.sort();
        seen
    };
    let all = read(Stream::All);
    for part in [Stream::Stdout, Stream::Stderr].map(read) {
        part.iter().for_each(|line| assert!(all.binary_search(line).is_ok()));
    }
    if let Ok(path) = std::str::from_utf8(text) {
        let names = container::names(Path::new(path));
        names.into_iter().flatten().for_each(|name| assert!(!name.contains('/')));
    }
}

/// Counts lines with every preset.
pub fn presets(lines: &[u8]) {
    thread_local!(static BOOKS: std::cell::RefCell<Vec<Registry>> = std::cell::RefCell::new(
        crate::format::presets::PRESETS.iter().filter_map(|preset| Some(registry(preset.name.parse().ok()?))).collect()
    ));
    BOOKS.with_borrow_mut(|books| {
        for registry in books {
            for line in lines.split(|&byte| byte == b'\n') {
                registry.count_or_describe(0, Line::Whole(line));
                registry.record_time(0, line);
            }
        }
    });
}

fn registry(format: Format) -> Registry {
    let counts = RequestCounts::new(&format, &[0.1, 1.0], Vec::new(), 100);
    Registry::new(format, counts, ["access.log".to_owned()])
}

/// Parses syslog messages, also over TCP, globs, and lines in chunks.
pub fn sources(text: &[u8]) {
    let _ = (syslog::line(text), syslog::tag(text));
    if let Ok(pattern) = std::str::from_utf8(text)
        && !pattern.starts_with('/')
        && !pattern.contains("..")
    {
        let glob = LogPaths::Glob(pattern.into());
        let _ = (glob.list(), glob.spelling_of(Path::new(pattern)));
    }
    let read = |chunks: &[&[u8]]| {
        let (mut lines, mut seen) = (LineSplitter::default(), Vec::new());
        let mut each = |line: Line<'_>| {
            if let Line::Whole(line) = line {
                seen.push(line.to_vec());
            }
        };
        for chunk in chunks {
            lines.feed(chunk, &mut each);
        }
        lines.finish(each);
        seen
    };
    let (a, b) = text.split_at(text.len() / 2);
    assert_eq!(read(&[text]), read(&[a, b]));
    assert_eq!(syslog_tcp::lines([text].into_iter()), syslog_tcp::lines([a, b].into_iter()));
}

/// A log, and a format with all fields that a state file can contain.
const LOG: &str = "a /api/x GET 200 17 0.05 HIT\na /y GET 404 0 2.5 -\nb / POST 500 9 0.005 MISS\nc / GE";
const FORMAT: &str = "$host $request_uri $request_method $status $bytes_sent $request_time $upstream_cache_status";

/// Loads a state file: it is either rejected in one line, or the exporter resumes from it and writes a valid one.
pub fn state(text: &[u8]) {
    let mut state = match SavedState::parse(text) {
        Ok(state) => state,
        Err(error) => return assert!(!format!("{error:#}").contains('\n'), "{error:#}"),
    };
    let [requests, sent, received] = state.sums();
    let Ok(format) = FORMAT.parse() else { return };
    let shared = SharedRegistry::new(registry(format));
    state.restore(&mut shared.lock());
    let restored = SavedState::of(&[], &shared.lock());
    assert_eq!(restored.sums(), [requests, sent, received]);
    if requests > u128::from(u64::MAX / 4) || sent.max(received) > u128::MAX / 4 {
        return; // new requests would overflow
    }

    let folder = std::env::temp_dir().join(format!("log_state-{}", std::process::id()));
    let path = folder.join("access.log");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, LOG))
        .expect("the temporary directory is writable");
    let now = Instant::now();
    let identity = LogFile::open(&path, now).expect("the log exists").identity;
    let Some(saved) = state.put(identity, &path) else { return };
    let mut tail = Tail::resume(0, LogPaths::Path(path), saved, &shared, now);
    tail.pass(&shared, &mut [0; 16], now);
    let after = SavedState::of(&[tail], &shared.lock());
    assert!(after.sums()[0] - requests <= LOG.lines().count() as u128, "more lines were counted than exist");
    let written = serde_json::to_vec(&after).expect("the state is serializable");
    SavedState::parse(&written).unwrap_or_else(|error| panic!("{error:#}: {}", String::from_utf8_lossy(&written)));
}

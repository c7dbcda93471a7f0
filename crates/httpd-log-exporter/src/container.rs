//! Logs of containers: unwraps the lines of Docker's json-file and of CRI (containerd, CRI-O), and joins the parts of long lines.

use std::ffi::OsStr;
use std::path::Path;

use memchr::{memchr, memchr2};

use crate::lines::{Line, MAX_LINE};

/// The streams of a container that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Stream {
    /// Read standard output
    Stdout,
    /// Read standard error
    Stderr,
    /// Read both
    All,
}

/// The incomplete lines of both streams: standard output, then standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts(pub(crate) [Part; 2]);

/// The parts of an incomplete line so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) text: Vec<u8>,
    /// Whether the line is too long, and its other parts are skipped.
    pub(crate) skipping: bool,
}

/// A line of a container log.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    /// Index in [`Parts`].
    stream: usize,
    text: &'a [u8],
    /// Whether the text has the escapes of JSON.
    is_escaped: bool,
    /// Whether the text is a whole line, or its last part.
    is_complete: bool,
}

/// The maximum buffer that is kept between two lines.
const KEPT_CAPACITY: usize = 16 * 1024;

impl Stream {
    /// Its value of the flag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::All => "all",
        }
    }

    /// The stream that this one excludes.
    pub(crate) fn other(self) -> Option<Self> {
        match self {
            Self::Stdout => Some(Self::Stderr),
            Self::Stderr => Some(Self::Stdout),
            Self::All => None,
        }
    }

    fn includes(self, stream: usize) -> bool {
        self == Self::All || self as usize == stream
    }
}

impl Parts {
    /// Whether no line is incomplete.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|part| part.text.is_empty() && !part.skipping)
    }

    /// Adds a line of the log, and calls `each` for the line that it completes. A line that is not of a container log is
    /// passed on as it is.
    pub(crate) fn add(&mut self, line: Line<'_>, wanted: Stream, mut each: impl FnMut(Line<'_>)) {
        let entry = if let Line::Whole(line) = line { Entry::parse(line) } else { None };
        let Some(entry) = entry else { return each(line) };
        let part = &mut self.0[entry.stream];
        if !wanted.includes(entry.stream) {
            if entry.is_complete {
                each(Line::OtherStream);
            }
            return;
        }
        if entry.is_complete && !entry.is_escaped && part.text.is_empty() && !part.skipping {
            return pass_on(entry.text, each);
        }
        if !part.skipping {
            if entry.is_escaped {
                unescape(entry.text, &mut part.text);
            } else {
                part.text.extend_from_slice(entry.text);
            }
            if part.text.len() > MAX_LINE {
                *part = Part { text: Vec::new(), skipping: true };
                each(Line::TooLong);
            }
        }
        if entry.is_complete {
            part.finish(each);
        }
    }

    /// Completes both lines at the end of the log.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        self.0.iter_mut().for_each(|part| part.finish(&mut each));
    }
}

impl Part {
    fn finish(&mut self, each: impl FnMut(Line<'_>)) {
        if !std::mem::take(&mut self.skipping) {
            pass_on(&self.text, each);
        }
        self.text.clear();
        self.text.shrink_to(KEPT_CAPACITY);
    }
}

fn pass_on(line: &[u8], mut each: impl FnMut(Line<'_>)) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.is_empty() {
        each(Line::Whole(line));
    }
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        line.strip_prefix(br#"{"log":""#).map_or_else(|| Self::cri(line), Self::docker)
    }

    /// Parses `2016-10-06T00:17:09.669794202Z stdout F text`. The tag is `F` or `P`; others may follow after a colon.
    fn cri(line: &'a [u8]) -> Option<Self> {
        let is_space = |byte: &u8| *byte == b' ';
        let mut words = line.splitn(4, is_space);
        let (_, stream, tag) = (words.next().filter(|time| is_time(time))?, words.next()?, words.next()?);
        let is_complete = match tag {
            [b'F'] | [b'F', b':', ..] => true,
            [b'P'] | [b'P', b':', ..] => false,
            _ => return None,
        };
        let text = words.next().unwrap_or_default();
        Some(Self { stream: stream_index(stream)?, text, is_escaped: false, is_complete })
    }

    /// Parses `text\n","stream":"stdout",…`. Docker splits long lines; only the last part ends with LF.
    fn docker(line: &'a [u8]) -> Option<Self> {
        let mut end = 0;
        loop {
            end += memchr2(b'"', b'\\', line.get(end..)?)?;
            if line[end] == b'"' {
                break;
            }
            end += 2;
        }
        let (text, rest) = line.split_at(end);
        let stream = rest.strip_prefix(br#"","stream":""#)?;
        let stream = stream_index(stream.split(|&byte| byte == b'"').next()?)?;
        // an even number of backslashes before the `n` are escaped themselves
        let before_lf = text
            .strip_suffix(b"n")
            .filter(|text| text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1);
        let is_complete = before_lf.is_some();
        let text = before_lf.map_or(text, |text| &text[..text.len() - 1]);
        Some(Self { stream, text, is_escaped: true, is_complete })
    }
}

/// Whether a word looks like a timestamp of RFC 3339.
fn is_time(word: &[u8]) -> bool {
    matches!(word, [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b'T', ..])
}

fn stream_index(name: &[u8]) -> Option<usize> {
    [&b"stdout"[..], b"stderr"].iter().position(|known| *known == name)
}

/// Appends the text of a JSON string.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'\\', text) {
        out.extend_from_slice(&text[..at]);
        let (byte, rest) = match &text[at + 1..] {
            [b'u', a, b, c, d, rest @ ..] => {
                let digits = [*a, *b, *c, *d];
                let code = std::str::from_utf8(&digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let char = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                text = rest;
                continue;
            }
            [b'n', rest @ ..] => (b'\n', rest),
            [b't', rest @ ..] => (b'\t', rest),
            [b'r', rest @ ..] => (b'\r', rest),
            [b'b', rest @ ..] => (8, rest),
            [b'f', rest @ ..] => (12, rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return,
        };
        out.push(byte);
        text = rest;
    }
    out.extend_from_slice(text);
}

/// The stream of a line of a container log; `None` for other lines.
pub(crate) fn stream(line: &[u8]) -> Option<Stream> {
    Entry::parse(line).and_then(|entry| [Stream::Stdout, Stream::Stderr].get(entry.stream).copied())
}

/// The time at which the container runtime read a line.
pub(crate) fn time(line: &[u8]) -> Option<&[u8]> {
    let entry = Entry::parse(line)?;
    match entry.is_escaped {
        true => line.strip_suffix(br#""}"#)?.rsplit(|&byte| byte == b'"').next(),
        false => line.split(|&byte| byte == b' ').next(),
    }
}

/// The names that the path of a container log has: pod, namespace and container. The kubelet links
/// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` to `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log`.
pub(crate) fn names(path: &Path) -> Option<[&str; 3]> {
    let mut names = path.iter().rev().map(OsStr::to_str);
    let file = names.next()??;
    if let Some([pod, namespace, rest]) = file.strip_suffix(".log").and_then(three) {
        let (container, _id) = rest.rsplit_once('-')?;
        return Some([pod, namespace, container]);
    }
    let container = names.next()??;
    let [namespace, pod, _uid] = three(names.next()??)?;
    Some([pod, namespace, container])
}

/// The three parts between underscores, which no name of Kubernetes contains.
fn three(text: &str) -> Option<[&str; 3]> {
    let parts: Vec<_> = text.split('_').collect();
    <[&str; 3]>::try_from(parts).ok().filter(|parts| parts.iter().all(|part| !part.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream of the container wrote.
    fn read(log: &[&[u8]], stream: Stream) -> Vec<String> {
        let (mut parts, mut seen) = (Parts::default(), Vec::new());
        let mut each = |line: Line<'_>| {
            seen.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong => "too long".to_owned(),
                Line::OtherStream => "other stream".to_owned(),
            });
        };
        log.iter().for_each(|line| parts.add(Line::Whole(line), stream, &mut each));
        parts.finish(each);
        seen
    }

    const CRI: [&[u8]; 7] = [
        b"2016-10-06T00:17:09.669794202Z stdout F whole line ",
        b"2016-10-06T00:17:09.669794203Z stdout P first ",
        b"2016-10-06T00:17:09.669794204Z stderr F error",
        b"2016-10-06T00:17:09.669794205Z stdout P second ",
        b"2026-11-20T10:26:10.669794206+01:00 stdout F:tag third\r",
        b"2016-10-06T00:17:09.669794207Z stdout F ",
        b"2016-10-06T00:17:09.669794208Z stdout P unfinished",
    ];

    #[test]
    fn parts_of_cri_lines_are_joined_although_other_streams_are_between_them() {
        let expected = ["whole line ", "other stream", "first second third", "unfinished"];
        assert_eq!(read(&CRI, Stream::Stdout), expected);
        let expected = ["other stream", "error", "other stream", "other stream"];
        assert_eq!(read(&CRI, Stream::Stderr), expected);
        assert_eq!(read(&CRI, Stream::All), ["whole line ", "error", "first second third", "unfinished"]);
    }

    #[test]
    fn lines_of_docker_are_unescaped_and_joined() {
        let log: [&[u8]; 6] = [
            br#"{"log":"::1 \"GET /\\x22\\\\n\u003cb\u003e HTTP/1.1\"\t200\r\n","stream":"stdout","time":"2026-11-20T09:26:10.1Z"}"#,
            br#"{"log":"first \\n","stream":"stdout","attrs":{"tag":"a \"b\""},"time":"2026-11-20T09:26:10.2Z"}"#,
            br#"{"log":"error\n","stream":"stderr","time":"2026-11-20T09:26:10.3Z"}"#,
            br#"{"log":"second \ud83d\n","stream":"stdout","time":"2026-11-20T09:26:10.4Z"}"#,
            br#"{"log":"\n","stream":"stdout","time":"2026-11-20T09:26:10.5Z"}"#,
            br#"{"log":"without LF","stream":"stdout","time":"2026-11-20T09:26:10.6Z"}"#,
        ];
        let first = "::1 \"GET /\\x22\\\\n<b> HTTP/1.1\"\t200";
        let expected = [first, "other stream", "first \\nsecond \u{fffd}", "without LF"];
        assert_eq!(read(&log, Stream::Stdout), expected);
        assert_eq!(time(log[1]), Some(&b"2026-11-20T09:26:10.2Z"[..]));
        assert_eq!(time(CRI[0]), Some(&b"2016-10-06T00:17:09.669794202Z"[..]));
    }

    #[test]
    fn other_lines_are_read_as_they_are() {
        for line in [
            &br#"::1 - - [20/Nov/2026:09:26:10 +0000] "GET / HTTP/1.1" 200 5"#[..],
            br#"{"log":"x","level":"info"}"#,
            br#"{"log":"x\n","stream":"stdin"}"#,
            br#"{"log":"x\"#,
            br#"{"log":"x\n"#,
            b"2016-10-06T00:17:09.669794202Z stdout X text",
            b"2016-10-06T00:17:09.669794202Z stdin F text",
            b"2016-10-06T00:17:09.669794202Z stdout",
            b"stdout F text",
        ] {
            assert_eq!(read(&[line], Stream::Stdout), [String::from_utf8_lossy(line)]);
            assert_eq!(time(line), None);
        }
    }

    #[test]
    fn a_joined_line_of_one_mebibyte_is_complete_and_a_longer_one_is_counted_once() {
        let part = |tag: char, length: usize| format!("2016-10-06T00:17:09Z stdout {tag} {}", "x".repeat(length));
        let half = part('P', MAX_LINE / 2);
        let (end, long) = (part('F', MAX_LINE / 2), part('F', MAX_LINE / 2 + 1));
        let log = [&half, &end, &half, &half, &half, &half, &long, &part('F', 1)];
        let seen = read(&log.map(String::as_bytes), Stream::Stdout);
        assert_eq!((seen.len(), seen[0].len()), (3, MAX_LINE));
        assert_eq!(seen[1..], ["too long", "x"]);
    }

    #[test]
    fn names_are_in_the_path_of_the_kubelet() {
        let id = "8".repeat(64);
        for (path, expected) in [
            (
                "/var/log/pods/shop_web-6d4cf56db6-x2x9z_2c5d-41/nginx/0.log",
                Some(["web-6d4cf56db6-x2x9z", "shop", "nginx"]),
            ),
            ("/host/pods/shop_web_2c5d-41/nginx/12.log", Some(["web", "shop", "nginx"])),
            (&format!("/var/log/containers/web-0_shop_my-nginx-{id}.log"), Some(["web-0", "shop", "my-nginx"])),
            (&format!("/var/lib/docker/containers/{id}/{id}-json.log"), None),
            ("/var/log/nginx/access.log", None),
            ("/var/log/pods/shop__1/nginx/0.log", None),
            ("a_b_c.log", None),
            ("/", None),
        ] {
            assert_eq!(names(Path::new(path)), expected, "{path}");
        }
    }
}

//! Splits a stream of bytes into lines. It buffers incomplete lines and skips lines that are too long.

use memchr::{memchr, memrchr};

/// The maximum length of a line; longer lines are counted and skipped.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The state between two reads: the incomplete line so far.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    partial: Vec<u8>,
    /// Whether the bytes up to the next LF are skipped.
    skipping: bool,
    /// Whether the first line, which may start with a byte order mark, is complete.
    first_line_complete: bool,
}

/// One line of a stream. Empty lines are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A complete line, without LF.
    Whole(&'a [u8]),
    /// A line longer than [`MAX_LINE`].
    TooLong,
    /// A line of a container's stream that is not read.
    OtherStream,
}

/// The last line that ends in a chunk, or the part of it that is in the chunk.
pub(crate) fn last(chunk: &[u8]) -> &[u8] {
    let whole = &chunk[..memrchr(b'\n', chunk).unwrap_or(0)];
    &whole[memrchr(b'\n', whole).map_or(0, |end| end + 1)..]
}

impl LineSplitter {
    /// Starts in the middle of a line, whose rest is skipped.
    pub(crate) fn inside_a_line() -> Self {
        Self { skipping: true, first_line_complete: true, ..Self::default() }
    }

    /// The length of the incomplete line.
    pub(crate) fn waiting(&self) -> usize {
        self.partial.len()
    }

    /// Whether the current line is skipped.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Adds bytes, and calls `each` for every line that they complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        if self.skipping || !self.partial.is_empty() {
            let Some(end) = memchr(b'\n', bytes) else { return self.keep(bytes, each) };
            self.keep(&bytes[..end], &mut each);
            self.finish(&mut each);
            bytes = &bytes[end + 1..];
        }
        while let Some(end) = memchr(b'\n', bytes) {
            self.hand_over(&bytes[..end], &mut each);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes, each);
    }

    /// Completes the last line at the end of the stream.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        let mut line = std::mem::take(&mut self.partial);
        if !std::mem::take(&mut self.skipping) && !line.is_empty() {
            self.hand_over(&line, &mut each);
        }
        if line.capacity() <= KEPT_CAPACITY {
            line.clear();
            self.partial = line;
        }
    }

    fn keep(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        if self.skipping {
            return;
        }
        // a truncated file may start with a hole that is longer than any line
        let bytes = if self.partial.is_empty() { without_nuls(bytes) } else { bytes };
        if self.partial.len() + bytes.len() > MAX_LINE {
            each(Line::TooLong);
            self.partial = Vec::new();
            self.skipping = true;
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    #[inline]
    fn hand_over(&mut self, line: &[u8], each: &mut impl FnMut(Line<'_>)) {
        let mut line = without_nuls(line);
        if line.len() > MAX_LINE {
            return each(Line::TooLong);
        }
        if !std::mem::replace(&mut self.first_line_complete, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            each(Line::Whole(line));
        }
    }
}

/// The maximum buffer that is kept between two incomplete lines.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Drops leading NULs: a writer that continues at its old offset in a truncated file leaves a hole, which reads as NULs.
#[inline]
fn without_nuls(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0, ..] => &bytes[bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len())..],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a stream that is read in chunks of `size` bytes.
    fn read(stream: &[u8], size: usize) -> Vec<String> {
        let mut lines = LineSplitter::default();
        let mut seen = Vec::new();
        let mut each = |line: Line<'_>| {
            seen.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong | Line::OtherStream => "too long".to_owned(),
            });
        };
        for chunk in stream.chunks(size) {
            lines.feed(chunk, &mut each);
        }
        lines.finish(each);
        seen
    }

    #[test]
    fn lines_do_not_depend_on_the_chunk_size() {
        let stream = b"\xef\xbb\xbfone\r\n\n\r\ntwo \"x\ny\"\n\0\0\0three\nfour";
        for size in 1..=stream.len() {
            assert_eq!(read(stream, size), ["one", "two \"x", "y\"", "three", "four"], "chunks of {size}");
        }
    }

    #[test]
    fn the_last_line_of_a_chunk_is_returned() {
        for (chunk, line) in [("a\nb\nc", "b"), ("a\nb\n", "b"), ("b\n", "b"), ("b", ""), ("", "")] {
            assert_eq!(last(chunk.as_bytes()), line.as_bytes(), "{chunk:?}");
        }
    }

    #[test]
    fn an_incomplete_line_is_buffered() {
        let mut lines = LineSplitter::default();
        let mut count = 0;
        for chunk in ["started ", "and ", "continued"] {
            lines.feed(chunk.as_bytes(), |_| count += 1);
        }
        assert_eq!(count, 0);
        let mut whole = Vec::new();
        lines.feed(b"\nnext", |line| {
            if let Line::Whole(line) = line {
                whole.extend_from_slice(line);
            }
        });
        assert_eq!(whole, b"started and continued");
    }

    #[test]
    fn a_line_of_one_mebibyte_is_complete_and_a_longer_one_is_counted_once() {
        let stream =
            [vec![b'a'; MAX_LINE], vec![b'b'; MAX_LINE + 1], b"next".to_vec(), vec![b'c'; 3 * MAX_LINE]].join(&b'\n');
        for size in [4096, 100_000, 8 * MAX_LINE] {
            let seen = read(&stream, size);
            assert_eq!(seen.len(), 4, "chunks of {size}");
            assert_eq!(seen[0].len(), MAX_LINE);
            assert_eq!(seen[1..], ["too long", "next", "too long"]);
        }
    }

    #[test]
    fn a_hole_longer_than_any_line_is_dropped() {
        let stream = [&vec![0; 2 * MAX_LINE][..], b"first\nsecond\n"].concat();
        assert_eq!(read(&stream, 65_536), ["first", "second"]);
    }

    #[test]
    fn the_rest_of_a_line_is_skipped_when_starting_inside_it() {
        let mut lines = LineSplitter::inside_a_line();
        let mut seen = 0;
        lines.feed(b"rest", |_| seen += 1);
        lines.feed(b" of it\nwhole\n", |line| {
            assert_eq!(line, Line::Whole(b"whole"));
            seen += 1;
        });
        assert_eq!(seen, 1);
    }
}

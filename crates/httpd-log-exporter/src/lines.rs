//! From bytes as they were read to lines: what is cut waits for its end, what is too long is skipped.

use memchr::{memchr, memrchr};

/// The longest line that is read; longer ones are counted and skipped.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The place in a stream of lines: what was read of a line whose end was not.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    partial: Vec<u8>,
    /// Whether what follows up to the next LF belongs to a line that is not wanted.
    skipping: bool,
    /// Whether a line was handed over; only before the first can there be a byte order mark.
    begun: bool,
}

/// What a stream is made of. Blank lines are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// A line longer than [`MAX_LINE`].
    TooLong,
}

/// The last line that ends in a piece of a stream, or as much of it as is in the piece.
pub(crate) fn last(piece: &[u8]) -> &[u8] {
    let whole = &piece[..memrchr(b'\n', piece).unwrap_or(0)];
    &whole[memrchr(b'\n', whole).map_or(0, |end| end + 1)..]
}

impl LineSplitter {
    /// A stream that is entered in the middle of a line; the rest of that line is left out.
    pub(crate) fn inside_a_line() -> Self {
        Self { skipping: true, begun: true, ..Self::default() }
    }

    /// How many of the bytes it was fed belong to a line whose end it waits for.
    pub(crate) fn waiting(&self) -> usize {
        self.partial.len()
    }

    /// Whether it is within a line that is left out.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Takes the next bytes and hands over every line that ends in them.
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

    /// Ends the line that was begun, if any.
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
        // the hole that a truncated file begins with can be longer than any line
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
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            each(Line::Whole(line));
        }
    }
}

/// How much memory a file may keep for lines cut by the end of a read.
const KEPT_CAPACITY: usize = 16 * 1024;

/// A writer that goes on at its old place in a truncated file leaves a hole, which reads as NULs.
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

    /// What a stream gives when it is read in pieces of `size` bytes.
    fn read(stream: &[u8], size: usize) -> Vec<String> {
        let mut lines = LineSplitter::default();
        let mut seen = Vec::new();
        let mut each = |line: Line<'_>| {
            seen.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong => "too long".to_owned(),
            });
        };
        for piece in stream.chunks(size) {
            lines.feed(piece, &mut each);
        }
        lines.finish(each);
        seen
    }

    #[test]
    fn lines_are_the_same_wherever_a_read_cuts_them() {
        let stream = b"\xef\xbb\xbfone\r\n\n\r\ntwo \"x\ny\"\n\0\0\0three\nfour";
        for size in 1..=stream.len() {
            assert_eq!(read(stream, size), ["one", "two \"x", "y\"", "three", "four"], "pieces of {size}");
        }
    }

    #[test]
    fn the_last_line_of_a_piece_is_found() {
        for (piece, line) in [("a\nb\nc", "b"), ("a\nb\n", "b"), ("b\n", "b"), ("b", ""), ("", "")] {
            assert_eq!(last(piece.as_bytes()), line.as_bytes(), "{piece:?}");
        }
    }

    #[test]
    fn a_partial_line_waits_for_its_end() {
        let mut lines = LineSplitter::default();
        let mut count = 0;
        for piece in ["begun ", "and ", "continued"] {
            lines.feed(piece.as_bytes(), |_| count += 1);
        }
        assert_eq!(count, 0);
        let mut whole = Vec::new();
        lines.feed(b"\nnext", |line| {
            if let Line::Whole(line) = line {
                whole.extend_from_slice(line);
            }
        });
        assert_eq!(whole, b"begun and continued");
    }

    #[test]
    fn a_line_of_a_megabyte_is_whole_and_a_longer_one_counts_once() {
        let stream =
            [vec![b'a'; MAX_LINE], vec![b'b'; MAX_LINE + 1], b"next".to_vec(), vec![b'c'; 3 * MAX_LINE]].join(&b'\n');
        for size in [4096, 100_000, 8 * MAX_LINE] {
            let seen = read(&stream, size);
            assert_eq!(seen.len(), 4, "pieces of {size}");
            assert_eq!(seen[0].len(), MAX_LINE);
            assert_eq!(seen[1..], ["too long", "next", "too long"]);
        }
    }

    #[test]
    fn a_hole_longer_than_any_line_is_no_line() {
        let stream = [&vec![0; 2 * MAX_LINE][..], b"first\nsecond\n"].concat();
        assert_eq!(read(&stream, 65_536), ["first", "second"]);
    }

    #[test]
    fn the_rest_of_a_line_that_was_begun_before_is_left_out() {
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

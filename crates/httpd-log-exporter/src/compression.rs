//! Recognizes compressed content by its first bytes, and decompresses gzip.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::regular_file;

/// The first bytes of gzip.
const GZIP: &[u8] = b"\x1f\x8b";
/// The first bytes of other compressions, and the programs that decompress them.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x1f\x9d", "uncompress"),
];

const BUFFER: usize = 64 * 1024;

/// Opens a log, and decompresses it if it is compressed.
pub(crate) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    plain(regular_file::open(path)?.0)
}

/// The plain content of a source that may be compressed.
pub(crate) fn plain<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(BUFFER, source);
    let head = source.fill_buf()?;
    if head.starts_with(GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(source)));
    }
    match OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, program)) => {
            Err(io::Error::other(format!("its compression is not supported: decompress it with {program} -d")))
        }
        None => Ok(Box::new(source)),
    }
}

/// Whether a file is compressed.
pub(crate) fn is_compressed(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    regular_file::open(path)?.0.take(8).read_to_end(&mut head)?;
    Ok(std::iter::once(GZIP).chain(OTHERS.iter().map(|(magic, _)| *magic)).any(|magic| head.starts_with(magic)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn gzip_is_decompressed_other_text_is_unchanged_and_other_compressions_are_refused() {
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let two_members = [gzip(b"one\n"), gzip(b"two\n")].concat();
        for (content, expected) in [(two_members.as_slice(), "one\ntwo\n"), (b"text\n", "text\n"), (b"", "")] {
            let mut text = String::new();
            plain(content).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
        let error = plain(&b"\x28\xb5\x2f\xfd\x04\x00"[..]).err().unwrap().to_string();
        assert_eq!(error, "its compression is not supported: decompress it with zstd -d");
        assert!(plain(&two_members[..30]).unwrap().read_to_end(&mut Vec::new()).is_err(), "it is cut off");
    }
}

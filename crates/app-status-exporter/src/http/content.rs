//! The content of a response, limited in size and decompressed while it arrives.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// The content of a response so far.
pub(super) enum Content {
    Plain(Limited),
    Gzip(Box<MultiGzDecoder<Limited>>),
}

/// Why content is invalid.
#[derive(Debug)]
pub(super) enum ContentError {
    TooLarge,
    Gzip(io::Error),
}

/// A buffer that refuses to grow beyond a limit.
pub(super) struct Limited {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.full |= self.bytes.len() + bytes.len() > self.limit;
        if self.full {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Content {
    /// No content yet. `length` is the announced size.
    pub(super) fn new(length: usize, limit: usize, gzip: bool) -> Self {
        let buffer = Limited { bytes: Vec::with_capacity(length), limit, full: false };
        if gzip { Self::Gzip(Box::new(MultiGzDecoder::new(buffer))) } else { Self::Plain(buffer) }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        match self {
            Self::Plain(buffer) => buffer.write_all(bytes).map_err(|_| ContentError::TooLarge),
            Self::Gzip(decoder) => decoder.write_all(bytes).map_err(|error| fault(decoder, error)),
        }
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, ContentError> {
        match self {
            Self::Plain(buffer) => Ok(buffer.bytes),
            Self::Gzip(mut decoder) => {
                decoder.try_finish().map_err(|error| fault(&decoder, error))?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
        }
    }
}

fn fault(decoder: &MultiGzDecoder<Limited>, error: io::Error) -> ContentError {
    if decoder.get_ref().full { ContentError::TooLarge } else { ContentError::Gzip(error) }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], gzip: bool) -> Result<Vec<u8>, ContentError> {
        let mut content = Content::new(0, 1000, gzip);
        bytes.chunks(7).try_for_each(|chunk| content.add(chunk))?;
        content.finish()
    }

    #[test]
    fn plain_and_compressed_content_is_limited() {
        let most = vec![b'x'; 1000];
        let more = vec![b'x'; 1001];
        assert_eq!(read(&most, false).unwrap(), most);
        assert_eq!(read(&gzip(&most), true).unwrap(), most);
        assert_eq!(read(&[gzip(b"a"), gzip(b"b")].concat(), true).unwrap(), b"ab", "two members");
        assert!(matches!(read(&more, false), Err(ContentError::TooLarge)));
        assert!(matches!(read(&gzip(&more), true), Err(ContentError::TooLarge)));
    }

    #[test]
    fn truncated_or_damaged_gzip_is_an_error() {
        let whole = gzip(b"{\"a\": 1}");
        for end in 1..whole.len() {
            assert!(matches!(read(&whole[..end], true), Err(ContentError::Gzip(_))), "{end}");
        }
        assert!(matches!(read(b"{\"a\": 1}", true), Err(ContentError::Gzip(_))));
    }
}

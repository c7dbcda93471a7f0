//! Compresses responses with gzip.

use std::sync::{Mutex, PoisonError};

use flate2::{Compress, Compression, FlushCompress, Status};

/// A compressor that is reused, because its tables are far larger than most responses.
pub(crate) struct Gzip(Mutex<Compress>);

impl Gzip {
    pub(crate) fn new() -> Self {
        const WINDOW: u8 = 15; // bits: the largest
        Self(Mutex::new(Compress::new_gzip(Compression::fast(), WINDOW)))
    }

    pub(super) fn compress(&self, body: &[u8]) -> Result<Vec<u8>, flate2::CompressError> {
        let mut compress = self.0.lock().unwrap_or_else(PoisonError::into_inner); // it is reset below
        compress.reset();
        let mut smaller = Vec::with_capacity(body.len() / 4 + 64);
        loop {
            let read = compress.total_in() as usize; // at most the length of the body
            let status = compress.compress_vec(&body[read..], &mut smaller, FlushCompress::Finish)?;
            if status == Status::StreamEnd {
                return Ok(smaller);
            }
            smaller.reserve(smaller.capacity()); // the buffer is full
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_body_can_be_decompressed() {
        let gzip = Gzip::new();
        for lines in [0, 1, 100, 100_000] {
            let text: Vec<u8> = (0..lines).flat_map(|line| format!("series {}\n", line * 7919).into_bytes()).collect();
            let compressed = gzip.compress(&text).unwrap();
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut read).unwrap();
            assert_eq!(read, text);
            assert!(lines < 100 || compressed.len() < text.len(), "{lines}");
        }
    }
}

//! Compresses responses with gzip, complete or in pieces.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use flate2::CompressError;
use flate2::{Compress, Compression, FlushCompress, Status};

use crate::exposition::negotiation;

/// Compressors that are reused, because their tables are far larger than most responses.
#[derive(Clone, Default)]
pub(crate) struct Gzip(Arc<Mutex<Vec<Compress>>>);

/// The limit of unused compressors that are kept.
const MAX_IDLE: usize = 2;

/// A compressor of one response.
pub(super) struct Compressor {
    compress: Option<Compress>,
    gzip: Gzip,
}

impl Gzip {
    /// A compressor for a new response, if the client accepts gzip.
    pub(super) fn negotiate(&self, accept_encoding: &str) -> Option<Compressor> {
        negotiation::gzip(accept_encoding).then(|| self.compressor())
    }

    fn compressor(&self) -> Compressor {
        const WINDOW: u8 = 15; // bits: the largest
        let idle = self.idle().pop();
        let compress = idle.unwrap_or_else(|| Compress::new_gzip(Compression::fast(), WINDOW));
        Compressor { compress: Some(compress), gzip: self.clone() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Compress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // each one was reset
    }
}

impl Compressor {
    /// The memory of a compressor in bytes, approximately.
    pub(super) const MEMORY: usize = 300 * 1024;

    /// Compresses another piece of the response, and appends the finished bytes to `out`.
    pub(super) fn write(&mut self, mut piece: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), CompressError> {
        let Some(compress) = &mut self.compress else { return Ok(()) };
        let flush = if last { FlushCompress::Finish } else { FlushCompress::None };
        out.reserve(piece.len() / 4 + 64);
        loop {
            let before = compress.total_in();
            let status = compress.compress_vec(piece, out, flush)?;
            piece = &piece[(compress.total_in() - before) as usize..]; // at most the length of the piece
            let full = out.len() == out.capacity();
            if status == Status::StreamEnd || (!last && piece.is_empty() && !full) {
                return Ok(());
            }
            out.reserve(out.capacity() / 2 + 64);
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Some(mut compress) = self.compress.take() {
            let mut idle = self.gzip.idle();
            if idle.len() < MAX_IDLE {
                compress.reset();
                idle.push(compress);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_body_can_be_decompressed() {
        let gzip = Gzip::default();
        for lines in [0, 1, 100, 100_000] {
            let text: Vec<u8> = (0..lines).flat_map(|line| format!("series {}\n", line * 7919).into_bytes()).collect();
            for size in [usize::MAX, 1000, 64 * 1024] {
                let (mut compressor, mut compressed) = (gzip.compressor(), Vec::new());
                for piece in text.chunks(size) {
                    compressor.write(piece, false, &mut compressed).unwrap();
                }
                compressor.write(b"", true, &mut compressed).unwrap();
                let mut read = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&compressed[..]), &mut read).unwrap();
                assert_eq!(read, text);
                assert!(lines < 100 || compressed.len() < text.len(), "{lines}");
            }
        }
        drop((gzip.compressor(), gzip.compressor(), gzip.compressor()));
        assert_eq!(gzip.idle().len(), MAX_IDLE);
    }
}

//! The body of a response: complete, or encoded while it is sent.

use std::sync::Arc;

use super::admission::{Admission, HeldExposition};
use super::gzip::{CompressError, Compressor};
use crate::exposition::Exposition;
use crate::exposition::encoder::Encoder;
use crate::exposition::negotiation::ExpositionFormat;

/// The size from which a body is sent in pieces, and the size of a piece before compression.
const PIECE: usize = 64 * 1024;
/// The size of a compressed piece.
const COMPRESSED_PIECE: usize = 16 * 1024;

/// The body of a response.
pub(super) enum ResponseBody {
    /// A complete body.
    Complete(Vec<u8>),
    /// A body that is encoded while it is sent.
    Pieces(Box<Pieces>),
}

/// The pieces of a body.
pub(super) struct Pieces {
    encoder: Encoder<HeldExposition>,
    compressor: Option<Compressor>,
    /// The encoded bytes that are not sent.
    encoded: Vec<u8>,
    finished: bool,
}

impl From<Vec<u8>> for ResponseBody {
    fn from(body: Vec<u8>) -> Self {
        Self::Complete(body)
    }
}

/// Why an exposition cannot be sent.
pub(super) enum Unsendable {
    /// The responses that are being sent use all memory.
    NoRoom,
    /// The compression failed.
    Gzip(CompressError),
}

impl ResponseBody {
    /// An exposition in a format, compressed if there is a compressor.
    pub(super) fn of(
        exposition: Exposition,
        format: ExpositionFormat,
        with_created: bool,
        mut compressor: Option<Compressor>,
        admission: &Arc<Admission>,
    ) -> Result<Self, Unsendable> {
        let mut encoded = Vec::with_capacity(16 * 1024);
        let format = format.encoder(&exposition, with_created);
        let mut encoder = Encoder::new(exposition, format);
        let finished = encoder.fill(&mut encoded, PIECE);
        if !finished {
            let buffers = 2 * PIECE + compressor.as_ref().map_or(0, |_| Compressor::MEMORY);
            let encoder = encoder.try_map(|exposition| admission.hold(exposition, buffers));
            let encoder = encoder.ok_or(Unsendable::NoRoom)?;
            return Ok(Self::Pieces(Box::new(Pieces { encoder, compressor, encoded, finished })));
        }
        if let Some(compressor) = &mut compressor {
            let mut compressed = Vec::new();
            compressor.write(&encoded, true, &mut compressed).map_err(Unsendable::Gzip)?;
            encoded = compressed;
        }
        Ok(Self::Complete(encoded))
    }
}

impl Iterator for Pieces {
    type Item = Result<Vec<u8>, CompressError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut compressed = Vec::new();
        while !(self.finished && self.encoded.is_empty()) {
            if self.encoded.is_empty() {
                self.encoded.reserve(PIECE + PIECE / 16); // a piece is slightly larger than the limit
                self.finished = self.encoder.fill(&mut self.encoded, PIECE);
            }
            let Some(compressor) = &mut self.compressor else {
                let piece = std::mem::take(&mut self.encoded);
                return (!piece.is_empty()).then_some(Ok(piece));
            };
            if let Err(error) = compressor.write(&self.encoded, self.finished, &mut compressed) {
                return Some(Err(error));
            }
            self.encoded.clear();
            if compressed.len() >= COMPRESSED_PIECE {
                break;
            }
        }
        (!compressed.is_empty()).then_some(Ok(compressed))
    }
}

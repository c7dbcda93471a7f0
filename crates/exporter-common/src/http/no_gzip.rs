//! Without the feature `gzip`: responses are not compressed.

pub(crate) use std::convert::Infallible as CompressError;

/// No compressors.
#[derive(Default)]
pub(crate) struct Gzip;

/// No compressor.
pub(super) enum Compressor {}

impl Gzip {
    pub(super) fn negotiate(&self, _: &str) -> Option<Compressor> {
        None
    }
}

impl Compressor {
    pub(super) const MEMORY: usize = 0;

    pub(super) fn write(&mut self, _: &[u8], _: bool, _: &mut Vec<u8>) -> Result<(), CompressError> {
        match *self {}
    }
}

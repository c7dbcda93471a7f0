//! Opens compressed logs: they may have lines that were not read before the log was compressed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use crate::regular_file;
use crate::tail::fingerprint::Fingerprint;
use crate::tail::read_position::REMEMBERED;
use crate::tail::rotated;

/// The decompressed content of a log.
pub(crate) type Decoder = MultiGzDecoder<BufReader<File>>;

/// Whether a .gz was created after a time and its log was written to after that time: compression keeps the time of the
/// last write. Without a creation time, the time of the last write decides. A missing file is not younger.
pub(crate) fn is_younger(path: &Path, time: SystemTime) -> io::Result<bool> {
    let younger = |of: SystemTime| of + rotated::COARSE >= time;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => metadata.map(|file| file.modified().is_ok_and(younger) && file.created().map_or(true, younger)),
    }
}

/// Opens a compressed log to read it from its beginning.
pub(crate) fn open(path: &Path) -> io::Result<Decoder> {
    Ok(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, regular_file::open(path)?.0)))
}

/// The first bytes of a compressed log.
pub(crate) fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    open(path)?.take(REMEMBERED as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The last bytes of a compressed log, and its uncompressed size.
pub(crate) fn end(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let (mut log, mut end, mut size) = (open(path)?, Vec::new(), 0);
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = log.read(&mut buffer)?;
        if read == 0 {
            return Ok((end, size));
        }
        end.extend_from_slice(&buffer[..read]);
        end.drain(..end.len().saturating_sub(REMEMBERED));
        size += read as u64;
    }
}

/// Opens a compressed log after the content already read, and returns the last bytes of that content. `None` if the log
/// starts differently. `head` is the log's.
pub(crate) fn open_after(path: &Path, head: &[u8], content: &Fingerprint) -> io::Result<Option<(Decoder, Vec<u8>)>> {
    if !content.head.begins(head) {
        return Ok(None);
    }
    let mut log = open(path)?;
    let before = content.offset.saturating_sub(content.anchor.length.into());
    if io::copy(&mut log.by_ref().take(before), &mut io::sink())? < before {
        return Ok(None);
    }
    let mut anchor = Vec::new();
    log.by_ref().take(content.anchor.length.into()).read_to_end(&mut anchor)?;
    Ok(content.anchor.begins(&anchor).then_some((log, anchor)))
}

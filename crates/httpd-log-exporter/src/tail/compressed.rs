//! Finds and opens compressed logs: after a restart they may have lines that the earlier process did not read.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use crate::tail::log_paths::directory;
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated;

/// The decompressed content of a log.
pub(crate) type Decoder = MultiGzDecoder<BufReader<File>>;

/// The paths of a log's compressed files: `access.log.1.gz`, `access.log-20261120.gz`. A log that also exists uncompressed
/// is left out: it is still being compressed, and is read uncompressed.
pub(crate) fn siblings(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory(path)) else { return Vec::new() };
    let compressed = entries.flatten().map(|entry| entry.path());
    let compressed = compressed.filter(|other| other.extension().is_some_and(|extension| extension == "gz"));
    compressed
        .filter(|other| {
            let uncompressed = other.with_extension("");
            rotated::is_rotation_of(&uncompressed, path) && !uncompressed.exists()
        })
        .collect()
}

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
    Ok(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, File::open(path)?)))
}

/// Opens a compressed log at the position where an earlier process stopped. Returns `None` if it is another log: its first
/// bytes must be `head`, and those before the offset must be the position's anchor.
pub(crate) fn open_at(path: &Path, head: &[u8], position: &ReadPosition) -> io::Result<Option<Decoder>> {
    // the first bytes are enough to reject most logs
    let mut begin = Vec::new();
    open(path)?.take(head.len() as u64).read_to_end(&mut begin)?;
    if begin != head {
        return Ok(None);
    }
    let mut log = open(path)?;
    let before = position.offset - position.anchor.len() as u64;
    if io::copy(&mut log.by_ref().take(before), &mut io::sink())? < before {
        return Ok(None);
    }
    let mut anchor = Vec::new();
    log.by_ref().take(position.anchor.len() as u64).read_to_end(&mut anchor)?;
    Ok((anchor == position.anchor).then_some(log))
}

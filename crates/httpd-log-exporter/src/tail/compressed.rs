//! Logs that were rotated and compressed while nobody looked: what was not yet read of them is in the .gz.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;

use crate::tail::log_paths::directory;
use crate::tail::read_position::ReadPosition;
use crate::tail::rotated;

/// A compressed log, as it was before.
pub(crate) type Decoder = MultiGzDecoder<BufReader<File>>;

/// Every path that rotation and compression make of a log's: `access.log.1.gz`, `access.log-20261120.gz`. Not while it is
/// being compressed: what is there uncompressed, too, is read there.
pub(crate) fn siblings(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory(path)) else { return Vec::new() };
    let compressed = entries.flatten().map(|entry| entry.path());
    let compressed = compressed.filter(|other| other.extension().is_some_and(|extension| extension == "gz"));
    compressed
        .filter(|other| {
            let uncompressed = other.with_extension("");
            rotated::is_of(&uncompressed, path) && !uncompressed.exists()
        })
        .collect()
}

/// Whether a .gz was made after a time, where the file system knows, of a log that was written to after it: compression
/// keeps the time of the last write. One that is not there any more is none.
pub(crate) fn is_younger(path: &Path, time: SystemTime) -> io::Result<bool> {
    let younger = |of: SystemTime| of + rotated::COARSE >= time;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        metadata => metadata.map(|file| file.modified().is_ok_and(younger) && file.created().map_or(true, younger)),
    }
}

/// Opens a compressed log at its beginning.
pub(crate) fn open(path: &Path) -> io::Result<Decoder> {
    Ok(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, File::open(path)?)))
}

/// Opens a compressed log where it was read to before it was compressed; `None` if it is another one. It has to begin with
/// `head`, and to have the position's last bytes before the position's offset.
pub(crate) fn open_at(path: &Path, head: &[u8], position: &ReadPosition) -> io::Result<Option<Decoder>> {
    // most are others, and most of a file need not be decompressed to see that
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

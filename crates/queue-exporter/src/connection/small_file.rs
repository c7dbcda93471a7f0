//! Reads a small regular file that a flag names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The largest file: all CA certificates of a system take 250 KB.
const MAX_SIZE: u64 = 4 << 20;

/// Returns the content of the file.
pub(crate) fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("cannot read {flag} {}", path.display());
    let metadata = std::fs::metadata(path).with_context(failed)?;
    // opening a FIFO would block, and a device may be endless
    ensure!(metadata.is_file() && metadata.len() <= MAX_SIZE, "{}: not a small file", failed());
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut content)).with_context(failed)?;
    Ok(content)
}

//! Files that flags name, read whole: small ones only, and nothing that is waited for.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What a file may weigh: all authorities of a system weigh 250 KB.
const LIMIT: u64 = 4 << 20;

/// The content of the file that a flag names.
pub(crate) fn read(flag: &str, path: &Path) -> Result<Vec<u8>> {
    let fault = || format!("cannot read {flag} {}", path.display());
    let metadata = std::fs::metadata(path).with_context(fault)?;
    // a FIFO would be waited for, a device read forever
    ensure!(metadata.is_file() && metadata.len() <= LIMIT, "{}: not a small file", fault());
    let mut content = Vec::new();
    File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut content)).with_context(fault)?;
    Ok(content)
}

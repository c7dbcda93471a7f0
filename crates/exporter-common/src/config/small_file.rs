//! Reads small regular files, such as configurations, certificates and secrets.
//!
//! A FIFO would block on opening and a device may never end, so files are opened with `O_NONBLOCK`, must be
//! regular, and have a size limit.
//!
//! ```
//! use scrapewright::config::small_file;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("password");
//! std::fs::write(&path, "secret\n")?;
//! assert_eq!(small_file::read_secret(&path)?, "secret");
//! let mut content = Vec::new();
//! assert_eq!(small_file::read_into(&mut content, 1024, &path)?, 7);
//! assert!(small_file::read(folder.path()).is_err(), "not a file");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The size limit: all CA certificates of a system together have about 250 KB.
const LIMIT: u64 = 4 << 20;

/// Reads a whole file.
///
/// # Errors
/// The file cannot be read, is not a regular file, or is larger than 4 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    if read_into(&mut content, LIMIT, path)? as u64 > LIMIT {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("larger than {} MiB", LIMIT >> 20)));
    }
    Ok(content)
}

/// Reads a whole text file.
///
/// # Errors
/// As [`read`], and the content is not UTF-8.
pub fn read_to_string(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

/// The reason why a file cannot be read, with Go's wording for a missing file.
#[cfg(feature = "yaml")]
pub(crate) fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads a secret, without the line end that editors append.
///
/// # Errors
/// As [`read_to_string`].
pub fn read_secret(path: &Path) -> Result<String> {
    let mut secret = read_to_string(path)?;
    for line_end in ['\n', '\r'] {
        secret.truncate(secret.strip_suffix(line_end).unwrap_or(&secret).len());
    }
    Ok(secret)
}

/// Appends at most `limit` + 1 bytes of a file to `content`, and returns their number. One byte more than the limit
/// means that the file is too large.
///
/// # Errors
/// The file cannot be read, or is not a regular file.
pub fn read_into(content: &mut Vec<u8>, limit: u64, path: &Path) -> Result<usize> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(Error::other("not a regular file"));
    }
    file.take(limit + 1).read_to_end(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_a_device_and_a_directory_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/zero")] {
            assert_eq!(read(path).unwrap_err().to_string(), "not a regular file", "{}", path.display());
        }
        assert_eq!(read(folder.path()).unwrap_err().to_string(), "is a directory");
        assert_eq!(read(&folder.path().join("missing")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_large_file_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(LIMIT).unwrap();
        assert_eq!(read(file.path()).unwrap().len() as u64, LIMIT);
        file.as_file().set_len(LIMIT + 1).unwrap();
        assert_eq!(read(file.path()).unwrap_err().to_string(), "larger than 4 MiB");
    }

    #[test]
    fn one_line_end_of_a_secret_is_removed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, secret) in [("s3cret\r\n", "s3cret"), (" a b\n\n", " a b\n"), ("x\r", "x"), ("", "")] {
            std::fs::write(file.path(), content).unwrap();
            assert_eq!(read_secret(file.path()).unwrap(), secret);
        }
        std::fs::write(file.path(), b"\xff").unwrap();
        assert_eq!(read_to_string(file.path()).unwrap_err().to_string(), "not UTF-8");
    }
}

//! Reads small files of the kernel with a size limit.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use exporter_common::config::small_file;

/// The text of a file; `None` if it is missing or the kernel does not support it.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    let text = read_bytes(LIMIT, path)?.map(String::from_utf8).transpose();
    text.with_context(|| format!("{} is not UTF-8", path.display()))
}

/// [`read`] with another size limit, for files of many lines. Bytes that are not UTF-8 become U+FFFD, so that they affect
/// only their line.
pub(crate) fn read_lines(limit: u64, path: &Path) -> Result<Option<String>> {
    let text =
        |bytes| String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into());
    Ok(read_bytes(limit, path)?.map(text))
}

fn read_bytes(limit: u64, path: &Path) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let exists = read_into(&mut bytes, limit, path)?;
    bytes.shrink_to_fit(); // facts about each CPU are kept
    Ok(exists.then_some(bytes))
}

/// The number in a file; `None` if this host does not have the file.
pub(crate) fn number(path: &Path) -> Result<Option<u64>> {
    let Some(text) = read(path)? else { return Ok(None) };
    let number = text.trim().parse();
    number.map(Some).with_context(|| format!("{}: not a number: {:?}", path.display(), excerpt(&text)))
}

/// Replaces `bytes` with the content of a file. Returns `false` if the file is missing or the kernel does not
/// support it.
pub(super) fn read_into(bytes: &mut Vec<u8>, limit: u64, path: &Path) -> Result<bool> {
    bytes.shrink_to(FIRST_READ.max(2 * bytes.len())); // release memory that one much longer read allocated
    bytes.clear();
    bytes.reserve(FIRST_READ);
    match small_file::read_into(bytes, limit, path) {
        Ok(length) if length as u64 > limit => {
            *bytes = Vec::new();
            bail!("{} exceeds {} KiB: the path does not seem to be in procfs or sysfs", path.display(), limit >> 10);
        }
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The first characters of a text, for error messages.
pub(crate) fn excerpt(text: &str) -> &str {
    let end = text.trim_end().len().min(60);
    &text[..text.floor_char_boundary(end)]
}

/// Whether an error means that only another user may read the file.
pub(crate) fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Whether an error means that this host or CPU does not have the file.
pub(super) fn is_absent(error: &std::io::Error) -> bool {
    // Pressure files return ENOTSUP if PSI is off. Files of a CPU return ENODEV or ENXIO after it went offline, EAGAIN
    // while it is idle (cpuinfo_avg_freq on arm64), and ENODATA if its driver has no value.
    use rustix::io::Errno;
    let number = error.raw_os_error();
    error.kind() == ErrorKind::NotFound
        || [Errno::OPNOTSUPP, Errno::NODEV, Errno::NXIO, Errno::AGAIN, Errno::NODATA]
            .iter()
            .any(|errno| Some(errno.raw_os_error()) == number)
}

/// The size of the first read of a file, which is enough for most of them.
const FIRST_READ: usize = 4 << 10;

/// Size limit of most files, which the kernel limits to a page. A wrong file must not exhaust the memory.
pub(super) const LIMIT: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, content).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_of_exactly_the_limit_is_read() {
        let (_directory, path) = file(b"0123\n");
        assert_eq!(read_lines(5, &path).unwrap().as_deref(), Some("0123\n"));
    }

    #[test]
    fn a_file_above_the_limit_is_refused_and_its_buffer_is_released() {
        let (_directory, path) = file(&[b'x'; 2049]);
        let mut bytes = Vec::with_capacity(1 << 20);
        let error = read_into(&mut bytes, 2048, &path).unwrap_err();
        assert!(
            error.to_string().ends_with("/file exceeds 2 KiB: the path does not seem to be in procfs or sysfs"),
            "{error}"
        );
        assert_eq!(bytes.capacity(), 0);
    }

    #[test]
    fn a_buffer_that_grew_for_one_long_file_is_released() {
        let (_directory, path) = file(&[b'x'; 100_000]);
        let mut bytes = Vec::new();
        assert!(read_into(&mut bytes, 1 << 20, &path).unwrap());
        std::fs::write(&path, "x\n").unwrap();
        for _ in 0..2 {
            assert!(read_into(&mut bytes, 1 << 20, &path).unwrap());
        }
        assert_eq!(bytes, b"x\n");
        assert!(bytes.capacity() <= 2 * FIRST_READ, "{}", bytes.capacity());
    }

    #[test]
    fn devices_and_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (path, reason) in [
            (Path::new("/dev/zero"), "not a regular file"),
            (Path::new("/dev/null"), "not a regular file"),
            (directory.path(), "is a directory"),
        ] {
            assert_eq!(format!("{:#}", read(path).unwrap_err()), format!("cannot read {}: {reason}", path.display()));
        }
    }

    #[test]
    fn errors_of_missing_values_are_absent_and_others_are_not() {
        use rustix::io::Errno;
        let is_absent = |errno: Errno| is_absent(&std::io::Error::from_raw_os_error(errno.raw_os_error()));
        for errno in [Errno::NOENT, Errno::OPNOTSUPP, Errno::NODEV, Errno::NXIO, Errno::AGAIN, Errno::NODATA] {
            assert!(is_absent(errno), "{errno}");
        }
        for errno in [Errno::IO, Errno::ACCESS, Errno::INVAL] {
            assert!(!is_absent(errno), "{errno}");
        }
    }

    #[test]
    fn a_missing_file_is_not_an_error() {
        assert_eq!(read(Path::new("/nowhere/at/all")).unwrap(), None);
    }
}

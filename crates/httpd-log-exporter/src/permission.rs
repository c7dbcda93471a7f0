//! Error messages for files that cannot be opened: which group can read the file, or which mode it needs.

use std::fs::Metadata;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Suffix of the error for a missing log that is followed.
pub(crate) const WAITING: &str = "; waiting for it to appear";

/// The error message for a log that is followed.
pub(crate) fn explain_waiting(path: &Path, error: &Error, what: &str) -> String {
    explain(path, error, what) + if error.kind() == ErrorKind::NotFound { WAITING } else { "" }
}

/// The error message: action, path, cause and advice.
pub(crate) fn explain(path: &Path, error: &Error, what: &str) -> String {
    let failure = format!("cannot {what} {}", path.display());
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => permission_advice(path),
        ErrorKind::IsADirectory => Some("specify a file".to_owned()),
        _ => None,
    };
    match advice {
        Some(advice) => format!("{failure}: {error}; {advice}"),
        None => format!("{failure}: {error}"),
    }
}

/// Advice for a file, or for the first directory on its path, that the exporter may not read.
fn permission_advice(path: &Path) -> Option<String> {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let (path, metadata) = match std::fs::metadata(path) {
        Ok(metadata) => (path, metadata),
        Err(_) => path.ancestors().skip(1).find_map(|parent| Some((parent, std::fs::metadata(parent).ok()?)))?,
    };
    let path = path.display();
    Some(match helpful_group(&metadata, &groups) {
        Some(group) => format!("{path} is readable by group {group}: add the exporter's user to it"),
        None => {
            let (mode, group) = (metadata.mode() & 0o7777, group_name(metadata.gid(), &groups));
            let rights = if metadata.is_dir() { "rx" } else { "r" };
            format!("{path} has mode {mode:04o}: give group {group} access with chmod g+{rights}")
        }
    })
}

/// The group whose members can read a file, or list and enter a directory.
fn helpful_group(metadata: &Metadata, groups: &str) -> Option<String> {
    let needed = if metadata.is_dir() { 0o010 } else { 0o040 };
    (metadata.mode() & needed == needed).then(|| group_name(metadata.gid(), groups))
}

/// The name of a group in the text of /etc/group, or its number.
fn group_name(gid: u32, groups: &str) -> String {
    let number = gid.to_string();
    let line = groups.lines().find(|line| line.split(':').nth(2) == Some(&number));
    line.and_then(|line| line.split(':').next()).map_or(number, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = "root:x:0:\nadm:x:4:syslog,me\nbroken\nwww-data:x:33:\n";

    #[test]
    fn a_group_has_the_name_of_etc_group_or_its_number() {
        assert_eq!(group_name(4, GROUPS), "adm");
        assert_eq!(group_name(77, GROUPS), "77");
    }

    #[test]
    fn the_group_that_can_read_a_file_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in [(0o640, true), (0o600, false), (0o604, false)] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let group = helpful_group(&file.as_file().metadata().unwrap(), GROUPS);
            assert_eq!(group.is_some(), expected, "{mode:o}");
        }
    }

    #[test]
    fn the_error_for_a_missing_log_says_that_it_is_awaited() {
        let error = Error::from(ErrorKind::NotFound);
        let path = Path::new("/no/such.log");
        assert_eq!(explain(path, &error, "open"), "cannot open /no/such.log: entity not found");
        let text = explain_waiting(path, &error, "open");
        assert_eq!(text, "cannot open /no/such.log: entity not found; waiting for it to appear");
    }
}

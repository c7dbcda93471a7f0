//! What to do about a log that cannot be opened: who may read it, and which group would help.

use std::fs::Metadata;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is said of a log that is missing, while it is followed.
pub(crate) const AWAITED: &str = "; it is read as soon as it is there";

/// The error in one line, of a log that is followed.
pub(crate) fn explain_awaited(path: &Path, error: &Error, what: &str) -> String {
    explain(path, error, what) + if error.kind() == ErrorKind::NotFound { AWAITED } else { "" }
}

/// The error in one line: what could not be done, with which file, why, and what helps.
pub(crate) fn explain(path: &Path, error: &Error, what: &str) -> String {
    let place = format!("cannot {what} {}", path.display());
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => who_may(path),
        ErrorKind::IsADirectory => Some("give the log itself".to_owned()),
        _ => None,
    };
    match advice {
        Some(advice) => format!("{place}: {error}; {advice}"),
        None => format!("{place}: {error}"),
    }
}

/// Who may read a file, or enter the first directory on the way to it that is closed.
fn who_may(path: &Path) -> Option<String> {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let (place, metadata) = match std::fs::metadata(path) {
        Ok(metadata) => (path, metadata),
        Err(_) => path.ancestors().skip(1).find_map(|parent| Some((parent, std::fs::metadata(parent).ok()?)))?,
    };
    let place = place.display();
    Some(match helpful_group(&metadata, &groups) {
        Some(group) => format!("{place} is open to group {group}: add the exporter's user to it"),
        None => {
            let (mode, group) = (metadata.mode() & 0o7777, group_name(metadata.gid(), &groups));
            let rights = if metadata.is_dir() { "rx" } else { "r" };
            format!("{place} has mode {mode:04o} and is open to no group: chmod g+{rights} opens it to group {group}")
        }
    })
}

/// The group whose members may read a file, or list and enter a directory.
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
    fn a_file_that_its_group_may_read_says_which_group() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, expected) in [(0o640, true), (0o600, false), (0o604, false)] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let group = helpful_group(&file.as_file().metadata().unwrap(), GROUPS);
            assert_eq!(group.is_some(), expected, "{mode:o}");
        }
    }

    #[test]
    fn a_missing_file_is_waited_for() {
        let error = Error::from(ErrorKind::NotFound);
        let path = Path::new("/no/such.log");
        assert_eq!(explain(path, &error, "open"), "cannot open /no/such.log: entity not found");
        let text = explain_awaited(path, &error, "open");
        assert_eq!(text, "cannot open /no/such.log: entity not found; it is read as soon as it is there");
    }
}

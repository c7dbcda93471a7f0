//! The sections after the flags in `--help`: examples, files and exit statuses. Manual pages contain them too.

use std::fmt::Write as _;

use clap::Command;

/// Entries of a section: a command, a path or a status, and its meaning.
pub(crate) type Entries = &'static [(&'static str, &'static str)];

const EXIT_STATUSES: Entries = &[
    ("0", "Success, or a clean shutdown"),
    ("1", "The exporter cannot start, --once could not read everything, or --check found an error"),
    INVALID_FLAG,
];
const INVALID_FLAG: (&str, &str) = ("2", "A flag or an environment variable is invalid");

/// Appends the sections to the help of a program. A heading is a line that ends with a colon. An entry is indented by
/// two spaces, its meaning by six.
pub(crate) fn with_sections(command: Command, examples: Entries, files: Entries) -> Command {
    let mut text = command.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    section("Examples", examples, &mut text);
    section("Files", files, &mut text);
    section("Exit status", EXIT_STATUSES, &mut text);
    command.after_help(text.trim_end().to_owned())
}

/// Appends the exit status of invalid flags to the help of a subcommand, if it contains a section of exit statuses.
pub(crate) fn with_invalid_flag(command: Command) -> Command {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if !text.contains("Exit status:") {
        return command;
    }
    let (status, meaning) = INVALID_FLAG;
    command.after_help(format!("{text}\n  {status}\n      {meaning}"))
}

fn section(heading: &str, entries: Entries, text: &mut String) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(text, "{heading}:"); // a String cannot fail
    for (entry, meaning) in entries {
        let _ = writeln!(text, "  {entry}\n      {meaning}");
    }
    text.push('\n');
}

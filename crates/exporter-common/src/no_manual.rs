//! Without the feature `manual`: there are no subcommands `completions` and `man`.

use std::io;

use clap::{ArgMatches, Command};

/// The command line without the subcommands.
pub(crate) fn with_subcommands(command: Command) -> Command {
    command
}

/// Nothing, as no command line has the subcommands.
pub(crate) fn output(_: impl FnOnce() -> Command, _: &'static str, _: &ArgMatches) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

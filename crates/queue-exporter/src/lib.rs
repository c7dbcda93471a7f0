//! Prometheus exporter for queue systems.

mod collector;
mod connection;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod json;
mod queue_system;
mod read_error;
mod redis;
mod systems;
mod timestamp;

use std::process::ExitCode;

use exporter_common::Program;

use crate::flags::{Flags, source};

/// Runs the exporter until it is stopped.
pub fn main() -> ExitCode {
    program().main(|flags, _| Ok(vec![source(flags)?]))
}

/// The command line, for man pages and completions.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new("queue-exporter", env!("CARGO_PKG_VERSION"), "Exports the queues of a queue system.", 9100)
        .revision(option_env!("EXPORTER_REVISION"))
}

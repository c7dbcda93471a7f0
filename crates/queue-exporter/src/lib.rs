//! Prometheus exporter for queue systems.

use std::process::ExitCode;

use exporter_common::Program;

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {}

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    Program::new("queue-exporter", env!("CARGO_PKG_VERSION"), "Exports the queues of a queue system.", 9100)
        .main(|Flags {}, _| Ok(Vec::new()))
}

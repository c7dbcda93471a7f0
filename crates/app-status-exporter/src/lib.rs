//! Prometheus exporter for an application's JSON status page.

use std::process::ExitCode;

use exporter_common::Program;

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {}

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    Program::new("app-status-exporter", env!("CARGO_PKG_VERSION"), "Exports an application's JSON status page.", 9877)
        .main(|Flags {}, _| Ok(Vec::new()))
}

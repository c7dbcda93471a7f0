//! Prometheus exporter for HTTP servers, from their access logs.

use std::process::ExitCode;

use exporter_common::Program;

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {}

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    Program::new(
        "httpd-log-exporter",
        env!("CARGO_PKG_VERSION"),
        "Exports an HTTP server's metrics from its access logs.",
        8001,
    )
    .main(|Flags {}, _| Ok(Vec::new()))
}

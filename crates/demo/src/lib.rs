//! The monitored things of the demo: an application, a job queue, a web server, load.

use std::process::ExitCode;

/// Runs the demo to its end.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}

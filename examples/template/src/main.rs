//! Prometheus exporter for a status file.

mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use scrapewright::{Program, Source, clap};

#[derive(clap::Args)]
struct Flags {
    /// Status file with lines of the form "name: number"
    #[arg(long = "status.file", value_name = "FILE", default_value = "status.txt")]
    file: PathBuf,
}

fn main() -> ExitCode {
    Program::new("template-exporter", env!("CARGO_PKG_VERSION"), "Exports a status file.", 9999)
        .revision(option_env!("EXPORTER_REVISION"))
        .main(|flags: Flags, _startup| Ok(vec![Source::new(status::Status::new(flags.file))]))
}

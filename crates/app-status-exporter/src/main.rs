//! The program; the library contains all of it.

fn main() -> std::process::ExitCode {
    app_status_exporter::main()
}

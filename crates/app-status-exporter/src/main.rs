//! The program; all of it is in the library.

fn main() -> std::process::ExitCode {
    app_status_exporter::main()
}

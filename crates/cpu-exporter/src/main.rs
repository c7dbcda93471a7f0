//! The executable: calls the library's `main`.

fn main() -> std::process::ExitCode {
    cpu_exporter::main()
}

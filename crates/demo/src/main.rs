//! The executable: calls the library's `main`.

fn main() -> std::process::ExitCode {
    demo::main()
}

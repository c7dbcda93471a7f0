//! Prometheus exporter for the CPU time of a Linux host.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::{command, main};

/// Says why there is nothing to run, and ends: other systems have neither /proc/stat nor a sysfs.
#[cfg(not(target_os = "linux"))]
pub fn main() -> std::process::ExitCode {
    use std::io::Write;

    let why =
        "cpu-exporter: error: it reads Linux's /proc and /sys, which this system does not have; run it on Linux\n";
    let _ = std::io::stderr().write_all(why.as_bytes()); // nobody left to tell
    std::process::ExitCode::FAILURE
}

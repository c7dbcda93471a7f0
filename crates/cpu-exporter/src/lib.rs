//! Prometheus exporter for the CPUs of a Linux host.

#[cfg(target_os = "linux")]
mod busiest;
#[cfg(target_os = "linux")]
mod cgroup_files;
#[cfg(target_os = "linux")]
mod collectors;
#[cfg(target_os = "linux")]
mod cpu_counters;
#[cfg(all(fuzzing, target_os = "linux"))]
pub mod fuzzing;
#[cfg(target_os = "linux")]
mod monotonic_counter;
#[cfg(target_os = "linux")]
mod node_collector;
#[cfg(target_os = "linux")]
mod node_flags;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod settings;

#[cfg(target_os = "linux")]
pub use program::{command, main};

/// Prints why the exporter cannot run here and exits: only Linux has /proc/stat and sysfs.
#[cfg(not(target_os = "linux"))]
pub fn main() -> std::process::ExitCode {
    use std::io::Write;

    let error =
        "cpu-exporter: error: it reads /proc and /sys of Linux, which this system does not have: run it on Linux\n";
    let _ = std::io::stderr().write_all(error.as_bytes()); // stderr is closed: there is nowhere to report it
    std::process::ExitCode::FAILURE
}

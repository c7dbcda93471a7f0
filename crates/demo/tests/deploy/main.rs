//! Tests of deploy/ with the real tools of systemd, Debian and Kubernetes.
#![expect(clippy::disallowed_types, reason = "tests start programs; exporters do not")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod annotations; // the scrape job of deploy/kubernetes
mod help; // --help and errors of flags
mod images; // deploy/Dockerfile
mod kubernetes; // deploy/kubernetes
mod packages; // deploy/man, deploy/completions, packages of Debian
#[path = "../common/prometheus.rs"]
mod server; // a real Prometheus
mod sidecars; // the sidecar components of deploy/kubernetes
mod systemd; // deploy/systemd

/// The built program.
const DEMO: &str = env!("CARGO_BIN_EXE_demo");

type CommandLine = fn() -> clap::Command;

/// Name and command line of each exporter.
const EXPORTERS: &[(&str, CommandLine)] = &[
    ("cpu-exporter", cpu_exporter::command),
    ("httpd-log-exporter", httpd_log_exporter::command),
    ("app-status-exporter", app_status_exporter::command),
    ("queue-exporter", queue_exporter::command),
];

/// A command line whose version omits the commit, which is unknown before the commit.
fn released(line: CommandLine) -> clap::Command {
    line().version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true)
}

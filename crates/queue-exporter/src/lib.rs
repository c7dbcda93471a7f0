//! Prometheus exporter for queue systems.

mod broker;
mod collector;
mod connection;
mod flags;
#[cfg(fuzzing)]
pub mod fuzzing;
mod json;
mod queue_system;
mod read_error;
mod redis;
mod systems;
mod timestamp;

use std::process::ExitCode;

use exporter_common::Program;

use crate::flags::{Flags, source};

/// Runs the exporter until it is stopped.
pub fn main() -> ExitCode {
    program().main(|flags, startup| Ok(vec![source(flags, startup.purpose)?]))
}

/// The command line, for man pages and completions.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new("queue-exporter", env!("CARGO_PKG_VERSION"), "Exports the queues of a queue system.", 9100)
        .revision(option_env!("EXPORTER_REVISION"))
        .reports()
        .default_value("poll.interval", "0".to_owned())
        .examples(&[
            ("queue-exporter --queue.url redis://localhost:6379", "Export the Redis streams of this host"),
            (
                "queue-exporter --queue.system rabbitmq --queue.url http://localhost:15672 --queue.username prometheus \
                 --queue.password-file /etc/queue-exporter/password",
                "Export RabbitMQ's queues, through its management API",
            ),
            (
                "queue-exporter --once --queue.system bullmq --queue.url redis://localhost:6379",
                "Print the metrics of BullMQ's queues and exit",
            ),
        ])
        .files(&[("/etc/default/queue-exporter", "Flags of the systemd service of the Debian package")])
}

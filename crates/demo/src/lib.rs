//! The demo: monitored services as subcommands, and all of them together with the exporters.

mod alert_mail;
mod alert_webhook;
mod app;
mod arrivals;
mod brokers;
mod hang;
mod http_client;
mod jobs;
mod load;
mod notification;
mod numbers;
mod queue;
mod server;
mod stack;
mod web;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use exporter_common::{log, with_negative_values};

use self::brokers::{amqp, workers};

type Main = fn() -> ExitCode;

/// The exporters in this binary, which runs one of them if it is called by that name.
const EXPORTERS: &[(&str, Main)] = &[
    ("cpu-exporter", cpu_exporter::main),
    ("httpd-log-exporter", httpd_log_exporter::main),
    ("app-status-exporter", app_status_exporter::main),
    ("queue-exporter", queue_exporter::main),
];

/// Monitored services, the exporters that monitor them, and Prometheus if it is installed
///
/// Without a command, the demo starts everything in separate processes and runs until Ctrl-C.
#[derive(Parser)]
#[command(name = "demo", version, max_term_width = 120, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    stack: stack::Args,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Web application with a status page and its own metrics
    App(app::Args),
    /// Web server that writes an access log in the combined format
    Web(web::Args),
    /// Job queues with producers and workers, and statistics over HTTP
    Queue(queue::Args),
    /// Send load to the application, the web server and the job queue
    Load(load::Args),
    /// Publish jobs to RabbitMQ
    Producer(amqp::Args),
    /// Consume jobs from RabbitMQ; some are rejected
    Consumer(amqp::Args),
    /// Add jobs to NATS or beanstalkd and process them; some fail
    Jobs(workers::Args),
    /// Receiver of Alertmanager's notifications that logs them
    Alerts(alert_webhook::Args),
    /// Suspend the processes with a name until it is stopped; for drills
    Hang(hang::Args),
    /// Request a URL and succeed if the status is 2xx; for containers
    Healthcheck {
        /// URL to request, for example http://127.0.0.1:8080/status
        url: String,
    },
    /// Run a program that stops when its parent exits; used to start the parts
    #[command(hide = true)]
    ExecChild(stack::ExecChild),
}

/// Runs the demo, one of its parts, or an exporter until it exits.
pub fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&called).file_name().unwrap_or_default();
    if let Some((_, exporter)) = EXPORTERS.iter().find(|(name, _)| called == *name) {
        return exporter();
    }
    let command = with_negative_values(Cli::command());
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print(); // standard output may be closed
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = error.render().to_string();
            let words = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
            print_error(&format!("demo: {}; try --help", words.join(" ")));
            return ExitCode::from(2);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("demo: error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    log::init(log::LogLevel::Info, log::LogFormat::Logfmt);
    // A single-threaded runtime, because the parent death signal is tied to the thread that started the child.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            None => stack::run(cli.stack).await,
            Some(Command::App(args)) => app::run(args).await,
            Some(Command::Web(args)) => web::run(args).await,
            Some(Command::Queue(args)) => queue::run(args).await,
            Some(Command::Load(args)) => load::run(args).await,
            Some(Command::Producer(args)) => amqp::producer(args).await,
            Some(Command::Consumer(args)) => amqp::consumer(args).await,
            Some(Command::Jobs(args)) => workers::run(args).await,
            Some(Command::Alerts(args)) => alert_webhook::run(args).await,
            Some(Command::Hang(args)) => hang::run(args).await,
            Some(Command::Healthcheck { url }) => http_client::healthcheck(&url).await,
            Some(Command::ExecChild(child)) => child.exec(),
        }
    })
}

fn print_error(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}"); // stderr may be closed
}

//! The demo: things to monitor, each a subcommand, and all of them together with the exporters.

mod alerts;
mod amqp;
mod app;
mod beanstalk;
mod children;
mod hang;
mod jobs;
mod load;
mod nats;
mod parts;
mod prometheus_config;
mod queue;
mod serve;
mod session;
mod stack;
mod table;
mod values;
mod web;
mod wire;
mod work;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use clap::error::ErrorKind;
use exporter_common::log;
use tracing::Level;

type Main = fn() -> ExitCode;

/// The exporters that are in this binary: it is one of them when it is called by that name.
const EXPORTERS: &[(&str, Main)] = &[
    ("cpu-exporter", cpu_exporter::main),
    ("httpd-log-exporter", httpd_log_exporter::main),
    ("app-status-exporter", app_status_exporter::main),
    ("queue-exporter", queue_exporter::main),
];

/// Things to monitor, the exporters that monitor them, and Prometheus where it is installed.
///
/// Without a command all of it is started, each part a process of its own, until Ctrl-C.
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
    /// A web application with a status page and metrics of its own
    App(app::Args),
    /// A web server that writes a combined access log
    Web(web::Args),
    /// A job queue with producers and workers, and statistics over HTTP
    Queue(queue::Args),
    /// Load on the application, the web server and the job queue
    Load(load::Args),
    /// Publish jobs to RabbitMQ
    Producer(amqp::Args),
    /// Consume the jobs of RabbitMQ; a share of them is rejected
    Consumer(amqp::Args),
    /// Add jobs to the queues of NATS or beanstalkd, and work on them; a share of them fails
    Jobs(work::Args),
    /// A webhook for Alertmanager, which logs the alerts that it gets
    Alerts(alerts::Args),
    /// Hold the processes of a name still until it is stopped; for drills
    Hang(hang::Args),
    /// Ask a URL and succeed if it answers 2xx; for containers
    Healthcheck {
        /// What to ask, for example http://127.0.0.1:8080/status
        url: String,
    },
    /// Run a program that ends when its parent does; how the demo starts its parts
    #[command(hide = true)]
    Under(children::Under),
}

/// Runs the demo, one part of it, or an exporter to its end.
pub fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&called).file_name().unwrap_or_default();
    if let Some((_, exporter)) = EXPORTERS.iter().find(|(name, _)| called == *name) {
        return exporter();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = error.print(); // a reader that has gone away needs no help
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let text = error.render().to_string();
            let what = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
            say(&format!("demo: {}; try --help", what.join(" ")));
            return ExitCode::from(2);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("demo: error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    log::init(Level::INFO, log::LogFormat::Logfmt);
    // One thread runs it: the parent-death signal of children is tied to the thread that started them.
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
            Some(Command::Jobs(args)) => work::run(args).await,
            Some(Command::Alerts(args)) => alerts::run(args).await,
            Some(Command::Hang(args)) => hang::run(args).await,
            Some(Command::Healthcheck { url }) => load::healthcheck(&url).await,
            Some(Command::Under(under)) => under.exec(),
        }
    })
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}"); // nobody left to tell
}

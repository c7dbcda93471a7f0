//! Prometheus exporter for queue systems.

mod age;
mod client;
mod cluster;
mod collector;
mod count;
mod credentials;
mod fault;
mod filter;
#[cfg(fuzzing)]
pub mod fuzzing;
mod keys;
mod limit;
mod memory;
mod metrics;
mod redis;
mod sentinel;
mod server;
mod small_file;
mod system;
mod systems;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use exporter_common::{CollectFlags, Program, Source, UsageError, duration};
use regex::Regex;
use reqwest::Url;

use crate::collector::{Queues, State};
use crate::filter::Filter;
use crate::systems::{Kind, SYSTEMS};
use crate::tls::TlsFlags;

/// The exporter's own flags.
#[derive(clap::Args)]
struct Flags {
    /// What to read; without it the scheme of the URL tells, where http means http and redis redis-streams
    #[arg(long = "queue.system", value_name = "SYSTEM")]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(SYSTEMS.iter().map(|kind| kind.name)))]
    system: Option<String>,

    /// The queue system to read; needed: http://localhost:8082/queues, http://localhost:15672 (RabbitMQ's management
    /// API, with --queue.system rabbitmq), redis://localhost:6379 (or any node of a cluster),
    /// beanstalk://localhost:11300, nats+http://localhost:8222
    #[arg(long = "queue.url", value_name = "URL", hide_env_values = true)]
    url: Option<String>, // read later: what is wrong with it must not be shown with its password

    /// User name of HTTP or Redis; it wins over that in the URL
    #[arg(long = "queue.username", value_name = "NAME")]
    username: Option<String>,

    /// File with the password, read again for every read of the queues
    #[arg(long = "queue.password-file", value_name = "FILE")]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsFlags,

    /// Export only queues whose whole name matches
    #[arg(long = "queue.include", value_name = "REGEX", value_parser = filter::pattern)]
    include: Option<Regex>,

    /// Leave out queues whose whole name matches
    #[arg(long = "queue.exclude", value_name = "REGEX", value_parser = filter::pattern)]
    exclude: Option<Regex>,

    /// How many queues to export one by one: the deepest; the others are added up as _other [default: all]
    #[arg(long = "queue.max-queues", value_name = "NUMBER")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_queues: Option<u32>,

    /// How long one call may take; never longer than the scrape
    #[arg(long = "queue.timeout", value_name = "DURATION", default_value = "5s")]
    #[arg(value_parser = duration::parse_positive)]
    timeout: Duration,

    #[command(flatten)]
    collect: CollectFlags,
}

/// Where a queue system is, and who asks.
struct Connection {
    url: Url,
    username: Option<String>,
    password_file: Option<PathBuf>,
    tls: TlsFlags,
    /// How long one call may take.
    timeout: Duration,
}

/// Runs the exporter to its end.
pub fn main() -> ExitCode {
    program().main(|flags, _| Ok(vec![source(flags)?]))
}

/// The command line, for what is made from it: man pages, completions.
pub fn command() -> clap::Command {
    program().command::<Flags>()
}

fn program() -> Program {
    Program::new("queue-exporter", env!("CARGO_PKG_VERSION"), "Exports the queues of a queue system.", 9100)
}

fn source(flags: Flags) -> Result<Source> {
    let (kind, url) = named(flags.system.as_deref(), flags.url.as_deref()).map_err(UsageError::new)?;
    let Flags { username, password_file, tls, include, exclude, max_queues, timeout, .. } = flags;
    let system = (kind.connect)(Connection { url, username, password_file, tls, timeout })?;
    let filter = Filter { include, exclude };
    let state = Mutex::new(State::new(max_queues.map(|max| max as usize)));
    let queues = Queues { system, name: kind.name, filter, timeout, state };
    Ok(Source::new(queues).collected(flags.collect.collection(Duration::ZERO)?))
}

/// The system that is named, or else meant by the scheme of the URL, and where it is.
fn named(system: Option<&str>, url: Option<&str>) -> Result<(Kind, Url), String> {
    let url = url.ok_or("no queue system: name one with --queue.url")?;
    let url = Url::parse(url).map_err(|error| format!("--queue.url is no URL: {error}"))?;
    let named = SYSTEMS.iter().filter(|kind| system.is_none_or(|name| kind.name == name));
    let Some(kind) = named.clone().find(|kind| kind.schemes.contains(&url.scheme())) else {
        let mut schemes = Vec::new();
        for scheme in named.flat_map(|kind| kind.schemes).map(|scheme| format!("{scheme}://")) {
            if !schemes.contains(&scheme) {
                schemes.push(scheme);
            }
        }
        let hint = match url.scheme() {
            "amqp" | "amqps" => {
                "; for RabbitMQ give its management API: --queue.system rabbitmq --queue.url http://host:15672"
            }
            _ => "",
        };
        let schemes = schemes.join(", ");
        return Err(format!("--queue.url begins with {}://, not with one of {schemes}{hint}", url.scheme()));
    };
    if !url.has_host() {
        return Err("--queue.url has no host".to_owned());
    }
    Ok((*kind, url))
}

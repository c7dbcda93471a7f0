//! The command-line flags, and the collector that they configure.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::builder::BoolishValueParser;
use exporter_common::{CollectFlags, Purpose, Source, UsageError, duration};
use regex::Regex;
use reqwest::Url;

use crate::collector::{QueueCollector, QueueFilter, parse_pattern};
use crate::connection::{ConnectionSettings, TlsFlags};
use crate::queue_system::SystemKind;
use crate::systems::SYSTEMS;

/// The exporter's own flags.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Queue system to read [default: by the scheme of the URL; http means http, redis means redis-streams]
    #[arg(long = "queue.system", value_name = "SYSTEM")]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(SYSTEMS.iter().map(|kind| kind.name)))]
    system: Option<String>,

    // not a doc comment, in which rustdoc refuses a URL without a link
    #[arg(long = "queue.url", value_name = "URL", hide_env_values = true)]
    #[arg(
        help = "URL of the queue system; required: http://localhost:8082/queues, http://localhost:15672 (RabbitMQ's \
                  management API, with --queue.system rabbitmq), redis://localhost:6379 (or any node of a cluster), \
                  kafka://localhost:9092, postgres://localhost/database, https://sqs.REGION.amazonaws.com (with --queue.system sqs), \
                  beanstalk://localhost:11300, nats+http://localhost:8222"
    )]
    url: Option<String>, // parsed later: clap would print an invalid value with its password

    /// User name for HTTP, Redis, PostgreSQL or Kafka; overrides the one in the URL
    #[arg(long = "queue.username", value_name = "NAME")]
    username: Option<String>,

    /// File with the password, reloaded for every read of the queues
    #[arg(long = "queue.password-file", value_name = "FILE")]
    password_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsFlags,

    /// File with an SQL query for postgres, which returns the columns queue, state, count and oldest
    #[arg(long = "queue.query-file", value_name = "FILE")]
    query_file: Option<PathBuf>,

    /// Export only queues whose whole name matches
    #[arg(long = "queue.include", value_name = "REGEX", value_parser = parse_pattern)]
    include: Option<Regex>,

    /// Do not export queues whose whole name matches
    #[arg(long = "queue.exclude", value_name = "REGEX", value_parser = parse_pattern)]
    exclude: Option<Regex>,

    /// Number of queues to export individually, deepest first; the others are summed up as _other [default: all]
    #[arg(long = "queue.max-queues", value_name = "NUMBER")]
    #[arg(value_parser = |text: &str| text.parse::<NonZeroUsize>().map_err(|_| "expected a whole number above 0"))]
    max_queues: Option<NonZeroUsize>,

    /// Add native histograms of processing times that the exporter observes, for scrapers that request the protobuf format; disable them with =false
    #[arg(long = "metrics.native-histograms", value_name = "BOOL", default_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    #[arg(value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    native_histograms: bool,

    /// Maximum duration of one request, with its unit: 500ms, 5s; at most the rest of the scrape
    #[arg(long = "queue.timeout", value_name = "DURATION", default_value = "5s")]
    #[arg(value_parser = duration::parse_positive)]
    timeout: Duration,

    #[command(flatten)]
    collect: CollectFlags,
}

/// The collector that the flags configure.
pub(crate) fn source(flags: Flags, purpose: Purpose) -> Result<Source> {
    let (kind, url) = system_and_url(flags.system.as_deref(), flags.url.as_deref()).map_err(UsageError::new)?;
    let Flags { username, password_file, tls, query_file, include, exclude, max_queues, .. } = flags;
    let (timeout, native_histograms) = (flags.timeout, flags.native_histograms);
    if query_file.is_some() && kind.name != "postgres" {
        return Err(UsageError::new(format!("--queue.query-file is for postgres: {} has no queries", kind.name)).into());
    }
    let settings = ConnectionSettings { url, username, password_file, tls, query_file, timeout };
    let system = (kind.connect)(settings)?;
    let filter = QueueFilter { include, exclude };
    let max_queues = max_queues.map(NonZeroUsize::get);
    let mut collector = QueueCollector::new(system, kind.name, filter, timeout, max_queues, native_histograms);
    let report = (purpose == Purpose::Probe).then(|| collector.probe());
    let collector = Arc::new(collector);
    let source = Source::new(collector.clone())
        .collected(flags.collect.collection(Duration::ZERO)?)
        .success_metric("queue_exporter_scrape_success")
        .run(collector.run());
    Ok(match report {
        Some(report) => source.reported(report),
        None => source,
    })
}

/// The named system, or else the one of the URL's scheme; and the parsed URL.
fn system_and_url(system: Option<&str>, url: Option<&str>) -> Result<(SystemKind, Url), String> {
    let url = url.ok_or("no queue system is configured: set --queue.url")?;
    let url = Url::parse(url).map_err(|error| {
        let why = if url.contains(':') { error.to_string() } else { "no scheme".to_owned() };
        format!("--queue.url is not a URL ({why}): write it as http://localhost:15672 or redis://localhost:6379")
    })?;
    let candidates = SYSTEMS.iter().filter(|kind| system.is_none_or(|name| kind.name == name));
    let Some(kind) = candidates.clone().find(|kind| kind.schemes.contains(&url.scheme())) else {
        let mut schemes = Vec::new();
        for scheme in candidates.flat_map(|kind| kind.schemes).map(|scheme| format!("{scheme}://")) {
            if !schemes.contains(&scheme) {
                schemes.push(scheme);
            }
        }
        let hint = match url.scheme() {
            "amqp" | "amqps" => {
                ": for RabbitMQ, use its management API: --queue.system rabbitmq --queue.url http://host:15672"
            }
            _ => "",
        };
        let schemes = schemes.join(", ");
        return Err(format!("--queue.url: unknown scheme {}://: expected one of {schemes}{hint}", url.scheme()));
    };
    if !url.has_host() {
        return Err("--queue.url has no host".to_owned());
    }
    Ok((*kind, url))
}

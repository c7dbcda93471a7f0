//! The subcommand `suggest`: reads a page, and prints a configuration that maps its values to metrics.

mod changes;
mod entry;
mod guess;
mod walk;
mod words;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command, value_parser};
use exporter_common::duration;

use crate::config;
use crate::formats::PageFormat;
use crate::http::file::FileReads;
use crate::http::page::PageClient;
use crate::http::settings::RequestSettings;
use crate::http::url::{AppUrl, AppUrlParser};
use crate::json::document::Document;

/// The maximum duration of a read.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The definition of the subcommand.
pub(crate) fn command() -> Command {
    let url = Arg::new("URL").required(true).value_parser(AppUrlParser).help(
        "URL of the status page: http://, https://, unix:/run/app.sock:/path, or file:page.json; tcp://host:port or \
             socket:/run/app.sock for a socket without HTTP",
    );
    let second_read = Arg::new("second-read")
        .long("second-read")
        .value_name("DURATION")
        .value_parser(duration::parse_positive)
        .help("Time after which to read the page again, with its unit: 500ms, 10s, 1m; values that increased become counters");
    let prefix = Arg::new("prefix")
        .long("prefix")
        .value_name("NAME")
        .value_parser(prefix)
        .help("First word of the names of metrics [default: app, or the server of a page that is not JSON]");
    let file = Arg::new("config.file")
        .long("config.file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration with the request settings for the page (authentication, TLS, headers); its metrics are ignored");
    let module = Arg::new("config.module")
        .long("config.module")
        .value_name("NAME")
        .default_value("default")
        .requires("config.file")
        .help("Module of that configuration");
    Command::new("suggest")
        .about("Read a status page, and print a commented configuration (--config.file) that maps it to metrics")
        .after_help("Exit status:\n  0\n      A configuration was printed\n  1\n      The page is unreadable, or has no value for a metric")
        .args([url, second_read, prefix, file, module])
}

fn prefix(text: &str) -> Result<String, &'static str> {
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let valid = text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(is_word);
    if valid { Ok(text.to_owned()) } else { Err("expected a letter, then letters, digits and _") }
}

/// Runs the subcommand.
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let configuration = match runtime.block_on(configuration(matches)) {
        Ok(configuration) => configuration,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "cannot suggest a configuration");
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(configuration.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Reads the page, and suggests a configuration for it.
async fn configuration(matches: &ArgMatches) -> Result<String> {
    let url = matches.get_one::<AppUrl>("URL").context("missing URL")?;
    let file = matches.get_one::<PathBuf>("config.file");
    let request = match (file, matches.get_one::<String>("config.module")) {
        (Some(file), Some(module)) => config::load(file, module, true)?.request,
        _ => RequestSettings::default(),
    };
    let client = PageClient::new(url, &[String::new()], request, FileReads::default())?;
    let page = read(&client).await?;
    let format = PageFormat::of(&page).unwrap_or(PageFormat::JSON);
    let document = parse(format, &page, &client)?;
    let second_page;
    let second = match matches.get_one::<Duration>("second-read") {
        Some(pause) => {
            tokio::time::sleep(*pause).await;
            second_page = read(&client).await?;
            Some(parse(format, &second_page, &client)?)
        }
        None => None,
    };
    let prefix = matches.get_one::<String>("prefix").map_or_else(|| format.prefix(), Clone::clone);
    let metrics = entry::metrics(&document, second.as_ref(), &prefix).await.context(url.redacted())?;
    let mut lines = vec![
        format!("# Suggested by app-status-exporter for {}.", url.redacted()),
        "# Check the names, types and labels, and delete what you do not need. Then:".to_owned(),
        "#   app-status-exporter --check --config.file FILE".to_owned(),
        "#   app-status-exporter --once --app.url URL --config.file FILE".to_owned(),
        "modules:".to_owned(),
        "  default:".to_owned(),
    ];
    if let Some(file) = file {
        let settings = "body, headers, http_client_config, valid_status_codes";
        lines.push(format!("    # copy the request settings of {} here: {settings}", file.display()));
    }
    if format.name() != PageFormat::JSON.name() {
        lines.push(format!("    page_format: {}", format.name()));
    }
    lines.push("    metrics:".to_owned());
    lines.extend(metrics.into_iter().map(|line| format!("      {line}")));
    Ok(lines.join("\n") + "\n")
}

/// The text of the page.
async fn read(client: &PageClient) -> Result<String> {
    let page = client.fetch(0, TIMEOUT).await;
    let page = page.map_err(|error| error.error.context(client.display_url(0).to_owned()))?;
    Ok(String::from_utf8_lossy(&page.body).into_owned())
}

fn parse<'p>(format: PageFormat, page: &'p str, client: &PageClient) -> Result<Document<'p>> {
    format.parse(page).with_context(|| client.display_url(0).to_owned())
}

//! The exporter's own flags, and what they are checked for.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, bail};
use regex::bytes::Regex;

use crate::format::Format;
use crate::input::Input;
use crate::metrics::counts::Route;
use crate::permission;
use crate::tail::StartAt;
use crate::tail::log_paths::LogPaths;

/// The exporter's own flags.
#[derive(clap::Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Flags {
    /// Access log to follow, again for each further one of the same server: a path, a pattern of paths, a FIFO, - for
    /// standard input, syslog+udp://HOST:PORT, syslog+tcp://HOST:PORT or syslog+unix:/PATH
    #[arg(long = "access-log", value_name = "SOURCE", value_delimiter = '\n', required = true)]
    #[arg(value_parser = |text: &str| Input::parse(text).map(|_| text.to_owned()))]
    pub(crate) access_logs: Vec<String>,

    /// Format of the logs: a preset's name (combined, common, combined_time, combined_us, vhost_combined, ingress_nginx,
    /// traefik, traefik_json, caddy, haproxy, envoy, json, …), or nginx's log_format or Apache's LogFormat as it stands
    /// in the server's configuration
    #[arg(long = "access-log.format", value_name = "FORMAT", default_value = "combined", global = true)]
    format: Format,

    /// Regular expression for logs that no format fits, with groups named status, request, bytes, request_time, …
    #[arg(long = "access-log.regex", value_name = "REGEX", global = true, conflicts_with = "format")]
    #[arg(value_parser = Format::of_regex)]
    regex: Option<Format>,

    /// Where to start in a log that is there already; one that appears later is read whole
    #[arg(long = "access-log.start", value_name = "WHERE", default_value = "end", value_enum)]
    pub(crate) start: StartAt,

    /// File for positions and counters, so that a restart neither loses nor repeats a line
    #[arg(long = "state.file", value_name = "FILE")]
    pub(crate) state_file: Option<PathBuf>,

    /// Upper bounds of the buckets of durations, in seconds, separated by commas
    #[arg(long = "metrics.buckets", value_name = "LIST", default_value = DEFAULT_BUCKETS)]
    pub(crate) buckets: Buckets,

    /// How many series httpd_requests_total may have before further virtual hosts are counted as other
    #[arg(long = "metrics.max-series", value_name = "COUNT", default_value = "10000")]
    pub(crate) max_series: usize,

    /// Name for the requests whose path matches a pattern, again for each further one: api=^/api/; the first that
    /// matches is the label route, or other
    #[arg(long = "metrics.route", value_name = "NAME=REGEX", value_delimiter = '\n')]
    pub(crate) routes: Vec<Route>,

    // people try it, and are told
    #[arg(hide = true, value_name = "FILE")]
    #[arg(value_parser = |text: &str| Err::<String, _>(format!("a log is given as --access-log={text}")))]
    _without_flag: Option<String>,
}

const DEFAULT_BUCKETS: &str = ".005,.01,.025,.05,.1,.25,.5,1,2.5,5,10";

impl Flags {
    /// The format that the flags say.
    pub(crate) fn format(&self) -> Format {
        self.regex.as_ref().unwrap_or(&self.format).clone()
    }

    /// Whether buckets were asked for.
    pub(crate) fn asks_for_buckets(&self) -> bool {
        DEFAULT_BUCKETS.parse().ok().as_ref() != Some(&self.buckets)
    }
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pattern) = text.split_once('=').ok_or("a route is NAME=REGEX")?;
        if name.is_empty() || name == "other" {
            return Err("a route needs a name, and 'other' is taken".to_owned());
        }
        let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), pattern })
    }
}

/// The upper bounds of a histogram's buckets, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buckets(pub(crate) Vec<f64>);

impl FromStr for Buckets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bound = |part: &str| match part.trim().parse::<f64>() {
            Ok(bound) if bound > 0.0 => Ok(bound),
            _ => Err(format!("'{part}' is no number of seconds above 0")),
        };
        let mut bounds = text.split(',').map(bound).collect::<Result<Vec<_>, _>>()?;
        if bounds.is_sorted_by(|a, b| a < b) {
            bounds.pop_if(|last| last.is_infinite()); // that one is always there
            Ok(Self(bounds))
        } else {
            Err("the bounds must ascend".to_owned())
        }
    }
}

/// What is wrong with the files that the flags name: what can never be followed, or, for `--check`,
/// what cannot be read at present.
pub(crate) fn check(sources: &[String], at_present: bool) -> Result<()> {
    let mut faults = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        // a log that is not there yet has no identity: the same path, however it is written, is the same log
        if sources[..index].iter().any(|other| other == source || same_path(other, source)) {
            faults.push(format!("--access-log {source} is given twice"));
        }
        match Input::parse(source) {
            Ok(Input::Files(LogPaths::Path(path))) => faults.extend(file_fault(source, &path, at_present)),
            Ok(Input::Files(log_paths @ LogPaths::Glob(_))) if at_present => {
                let found = log_paths.list().into_iter();
                faults.extend(found.filter_map(|(path, found)| match found {
                    Ok(_) => file_fault(source, &path, at_present),
                    Err(error) => Some(permission::explain(&path, &error, "read")),
                }));
            }
            _ => {}
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

/// Whether two sources are the same path, with the folder's links resolved where it is there.
fn same_path(one: &str, other: &str) -> bool {
    let resolved = |source: &str| match Input::parse(source) {
        Ok(Input::Files(LogPaths::Path(path))) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).ok()?;
            Some(folder.join(path.file_name()?))
        }
        _ => None,
    };
    resolved(one).is_some_and(|one| resolved(other) == Some(one))
}

/// What is wrong with a file.
fn file_fault(source: &str, path: &Path, at_present: bool) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Some(format!("--access-log {source} is a directory; give the log itself")),
        Ok(metadata) if !metadata.is_file() => {
            Some(format!("--access-log {source} is neither a file, a FIFO, nor a link to one"))
        }
        found => {
            let error = found.and_then(|_| std::fs::File::open(path)).err()?;
            at_present.then(|| permission::explain(path, &error, "open"))
        }
    }
}

/// What is wrong between the format and what is wanted of it.
pub(crate) fn check_format(flags: &Flags) -> Result<()> {
    let format = flags.format();
    if flags.asks_for_buckets() && !format.has_time() {
        tracing::warn!(
            format = format.name,
            "--metrics.buckets has no effect: the format has no time; with nginx add $request_time, with Apache %D"
        );
    }
    if !flags.routes.is_empty() && !format.has_path() {
        bail!("--metrics.route needs a path, and the format has none");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_numbers_that_ascend() {
        assert_eq!("0.1, 1,2.5".parse(), Ok(Buckets(vec![0.1, 1.0, 2.5])));
        assert_eq!("1,+Inf".parse(), Ok(Buckets(vec![1.0])));
        for text in ["", "1,", "x", "1,1", "2,1", "0", "-1", "nan", "inf,inf"] {
            assert!(text.parse::<Buckets>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_route_has_a_name_and_a_pattern() {
        let route: Route = "api=^/api/(v=1)?".parse().unwrap();
        assert_eq!((route.name.as_str(), route.pattern.as_str()), ("api", "^/api/(v=1)?"));
        for text in ["", "api", "=x", "other=x", "api=("] {
            assert!(text.parse::<Route>().is_err(), "{text}");
        }
    }
}
